"""Contact sheets: a PNG a class with some of its pictures, to look at."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cnnkit import atomic, decoding
from cnnkit.decoding import BadImage
from cnnkit.errors import DataError
from cnnkit.file_index import digest_of
from cnnkit.progress import Progress
from cnnkit.sources import Index

PICTURES = 24
"""On a sheet, at most."""

SHEETS = 100
"""At most; of more classes the largest and the smallest are drawn, half and half."""

VERSION = 1
"""Of how a sheet looks; one of another is drawn anew."""

_COLUMNS = 6
_SIDE = 96
_GAP = 12
_NAME = 18
"""Pixels that the name below a picture takes."""
_HEADING = 34


def draw(index: Index, folder: Path, progress: Progress) -> list[Path]:
    """Draws the sheet of each class that has images.

    The pictures are chosen by their content, so that the same data always gives the same sheets. A sheet that is
    there already and shows what it would show now is kept.

    Args:
        index: The images.
        folder: Where the sheets go; made if it is not there.
        progress: Is told of each sheet.

    Returns:
        The files, in the order of the classes.

    Raises:
        DataError: The folder can't be written.
    """
    members: dict[int, list[int]] = {}
    for i, label in enumerate(index.labels.tolist()):
        members.setdefault(label, []).append(i)
    labels = sorted(members, key=lambda label: (len(members[label]), label))
    if len(labels) > SHEETS:
        progress.say(f"contact sheets of {SHEETS} of {len(labels)} classes: the largest and the smallest")
        labels = labels[: SHEETS // 2] + labels[-(SHEETS // 2) :]
    labels.sort()
    digits = len(str(len(index.classes)))

    def sheet(label: int) -> Path:
        name = f"{label + 1:0{digits}}-{_safe(index.classes[label])}.png"
        return _sheet(index, label, members[label], folder / name)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            progress.task("drawing contact sheets", len(labels)) as advance,
            ThreadPoolExecutor(os.cpu_count()) as pool,
        ):
            made = []
            for path in pool.map(sheet, labels):
                made.append(path)
                advance(1)
    except OSError as error:
        raise DataError(f"{error.filename or folder} can't be written: {error.strerror or error}") from None
    return made


def _safe(name: str) -> str:
    """A class name as part of a file name on any system; the number before it keeps two of them apart."""
    return re.sub(r"[^\w-]+", "_", name).strip("_")[:60]


def _sheet(index: Index, label: int, members: list[int], path: Path) -> Path:
    from PIL import Image, ImageDraw
    from PIL.PngImagePlugin import PngInfo

    chosen = sorted(members, key=lambda i: (index.digests[i], index.names[i]))[:PICTURES]
    shown = [VERSION, index.classes[label], len(members), *((index.digests[i], index.names[i]) for i in chosen)]
    mark = digest_of(repr(shown).encode(errors="surrogateescape"))
    if _mark(path) == mark:
        return path
    rows = -(-len(chosen) // _COLUMNS)
    width = _COLUMNS * (_SIDE + _GAP) + _GAP
    paper = Image.new("RGB", (width, _HEADING + rows * (_SIDE + _NAME + _GAP)), "white")
    pen = ImageDraw.Draw(paper)
    images = "1 image" if len(members) == 1 else f"{len(members):,} images"
    heading = _font(16)
    count = f"  {images}"
    name = _shortened(index.classes[label], width - 2 * _GAP - heading.getlength(count), heading.getlength)
    pen.text((_GAP, 8), name + count, fill="black", font=heading)
    small = _font(10)
    for k, i in enumerate(chosen):
        left, top = _GAP + k % _COLUMNS * (_SIDE + _GAP), _HEADING + k // _COLUMNS * (_SIDE + _NAME + _GAP)
        try:
            pixels = decoding.fitted(index.open(i), (_SIDE, _SIDE), 3, "pad")
            paper.paste(Image.fromarray(pixels), (left, top))
        except BadImage:
            right, bottom = left + _SIDE - 1, top + _SIDE - 1
            pen.rectangle((left, top, right, bottom), fill="lightgrey")
            pen.line((left, top, right, bottom), fill="red", width=3)
            pen.line((left, bottom, right, top), fill="red", width=3)
        pen.text((left, top + _SIDE + 2), _shortened(index.names[i], _SIDE, small.getlength), fill="black", font=small)
    info = PngInfo()
    info.add_text("cnnkit", mark)
    with atomic.replacing(path) as temporary:
        paper.save(temporary, "PNG", pnginfo=info)
    return path


def _mark(path: Path) -> str | None:
    """What a sheet says of what it shows; None if there is none, or another picture, or a damaged one."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            image.load()
            return image.info.get("cnnkit")
    except Exception:  # none there, or a decoder that may raise anything on damaged content: it is drawn anew
        return None


def _font(size: int) -> Any:
    """DejaVu Sans, which comes with Matplotlib: the one in Pillow has neither umlauts nor Greek nor Cyrillic."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _shortened(text: str, width: float, length: Callable[[str], float]) -> str:
    """A text with as much of its middle left out as it takes to be at most so wide."""
    text = text.encode(errors="replace").decode()  # a file name that is not UTF-8 can't be drawn as it is
    if length(text) <= width:
        return text
    for left_out in range(1, len(text)):
        kept = len(text) - left_out
        short = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
        if length(short) <= width:
            return short
    return "…"
