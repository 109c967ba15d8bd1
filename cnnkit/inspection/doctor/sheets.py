"""Contact sheets: a PNG a class with some of its pictures, to look at."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cnnkit.core import atomic
from cnnkit.core.cache import cache_folder, why_not_written
from cnnkit.core.errors import DiskError
from cnnkit.core.machine import cores
from cnnkit.core.progress import Progress
from cnnkit.core.sheet import as_png, font, shortened
from cnnkit.core.text import counted
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.files.fitting import fit_to
from cnnkit.data.index import Index

PICTURES = 24
"""On a sheet, at most."""

SHEETS = 100
"""At most; of more classes the largest and the smallest are drawn, half and half."""

VERSION = 1
"""Of how a sheet looks; those of another are drawn anew."""

_COLUMNS = 6
_SIDE = 96
_GAP = 12
_NAME = 18
"""Pixels that the name below a picture takes."""
_HEADING = 34


def in_cache(index: Index, fingerprint: str, progress: Progress) -> list[Path]:
    """The sheets of some images in the cache, drawn if they are not there; none where they can't be written.

    Args:
        index: The images.
        fingerprint: That of the index: their folder is named by what they show.
        progress: Is told of each sheet that is drawn, and if they can't be written.
    """
    what = f"{VERSION} {index.classes!r} {fingerprint}"
    folder = cache_folder() / "doctor" / "sheets" / digest_of(what.encode(errors="surrogateescape"))
    files = [folder / name for name in _names(index).values()]
    try:
        if not _whole(files):
            shutil.rmtree(folder, ignore_errors=True)  # what someone has left of it
            atomic.make_folder(folder.parent, parents=True, exist_ok=True)
            draw(index, folder, progress)
    except (OSError, DiskError) as error:
        if not _whole(files):  # else another process was quicker, with the same images
            progress.say(f"no contact sheets: {why_not_written(error, folder)}; choose a folder with --sheets")
            return []
    return files


def draw(index: Index, folder: Path, progress: Progress) -> list[Path]:
    """Draws the sheet of each class that has images.

    The pictures are chosen by their content, so that the same data always gives the same sheets.

    Args:
        index: The images.
        folder: Where the sheets go, all or none; not there yet, or empty.
        progress: Is told of each sheet.

    Returns:
        The files, in the order of the classes.

    Raises:
        OSError: The folder can't be written.
        DiskError: There is no room for them.
    """
    names = _names(index)
    members: dict[int, list[int]] = {label: [] for label in names}
    for i, label in enumerate(index.labels.tolist()):
        if label in members:
            members[label].append(i)
    if (inhabited := len(set(index.labels.tolist()))) > len(names):
        progress.say(f"contact sheets of {len(names)} of {inhabited} classes: the largest and the smallest")
    with (
        atomic.making(folder) as temporary,
        progress.task("drawing contact sheets", len(names)) as advance,
        ThreadPoolExecutor(cores()) as pool,
    ):
        for _ in pool.map(lambda label: _sheet(index, label, members[label], temporary / names[label]), names):
            advance(1)
    return [folder / name for name in names.values()]


def _names(index: Index) -> dict[int, str]:
    """From the classes that are drawn to the file name of each one's sheet."""
    sizes = Counter(index.labels.tolist())
    labels = sorted(sizes, key=lambda label: (sizes[label], label))
    if len(labels) > SHEETS:
        labels = labels[: SHEETS // 2] + labels[-(SHEETS // 2) :]
    digits = len(str(len(index.classes)))
    # What any system takes as part of a file name; the number keeps two of them apart.
    safe = {label: re.sub(r"[^\w-]+", "_", index.classes[label]).strip("_")[:60] for label in labels}
    return {label: f"{label + 1:0{digits}}-{safe[label]}.png" for label in sorted(labels)}


def _whole(files: Sequence[Path]) -> bool:
    return all(file.is_file() for file in files)


def _sheet(index: Index, label: int, members: list[int], path: Path) -> None:
    from PIL import Image, ImageDraw

    chosen = sorted(members, key=lambda i: (index.digests[i], index.names[i]))[:PICTURES]
    rows = -(-len(chosen) // _COLUMNS)
    width = _COLUMNS * (_SIDE + _GAP) + _GAP
    paper = Image.new("RGB", (width, _HEADING + rows * (_SIDE + _NAME + _GAP)), "white")
    pen = ImageDraw.Draw(paper)
    heading = font(16)
    count = f"  {counted(len(members), 'image')}"
    name = shortened(index.classes[label], width - 2 * _GAP - heading.getlength(count), heading.getlength)
    pen.text((_GAP, 8), name + count, fill="black", font=heading)
    small = font(10)
    for k, i in enumerate(chosen):
        left, top = _GAP + k % _COLUMNS * (_SIDE + _GAP), _HEADING + k // _COLUMNS * (_SIDE + _NAME + _GAP)
        try:
            pixels = fit_to(index.decode(i, 3, 2 * _SIDE).pixels, (_SIDE, _SIDE), "pad")
            paper.paste(Image.fromarray(pixels), (left, top))
        except BadImage:
            right, bottom = left + _SIDE - 1, top + _SIDE - 1
            pen.rectangle((left, top, right, bottom), fill="lightgrey")
            pen.line((left, top, right, bottom), fill="red", width=3)
            pen.line((left, bottom, right, top), fill="red", width=3)
        pen.text((left, top + _SIDE + 2), shortened(index.names[i], _SIDE, small.getlength), fill="black", font=small)
    atomic.write_within(path, [as_png(paper)])
