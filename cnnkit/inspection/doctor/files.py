"""Faults of single files: what can't be decoded, what is in another form than it seems, what stands out.

What they all go by was read from the files once, when the index was made; nothing is decoded here.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import compress
from pathlib import Path
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.core.text import by, counted, enumerated, listed
from cnnkit.data.files import formats
from cnnkit.data.files.decoding import Header, is_grey
from cnnkit.data.files.walking import HIDDEN
from cnnkit.data.index import Index, left_out, predictions
from cnnkit.data.likeness.pixels import COLOURLESS
from cnnkit.data.preparation.base import files_beside
from cnnkit.data.section import Data
from cnnkit.inspection.doctor.base import Finding, Patient, Severity, Sizes, about_images

FAR_SIZE = 8.0
"""A picture stands out when its longer side is so many times the usual one, or its shorter side so much less."""

FAR_PROPORTIONS = 3.0
"""The same of the proportion of the longer to the shorter side."""

DEVIATIONS = 5.0
"""And it must be this many standard deviations away, as data of many sizes has no outliers. The deviation is 1.4826
times the median absolute deviation of the logarithms, as in a normal distribution; outliers do not move it."""


def undecodable(patient: Patient) -> Iterator[Finding]:
    """Files that no picture comes out of, a finding for each reason."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for i, reason in patient.bad().items():
        # The same damage at another place is the same reason: "damaged: image file is truncated (12 bytes ...)".
        by_reason[re.sub(r"\s*\(.*\)|\s*b'.*'", "", reason, flags=re.DOTALL)].append(patient.index.names[i])
    for reason, names in sorted(by_reason.items()):
        message = f"{counted(len(names), 'file')} can't be decoded: {reason}"
        yield _unusable("undecodable", message, "mend, delete or leave them out", names, patient.skip_bad)


def _unusable(kind: str, message: str, advice: str, names: Iterable[str], skip_bad: bool) -> Finding:
    """Images that no network can be shown: an error, unless the source leaves them out."""
    files = tuple(sorted(names))
    if skip_bad:
        return Finding(kind, "warning", message, "the source leaves them out (on_bad: skip)", files, leave_out=files)
    return Finding(kind, "error", message, advice, files, leave_out=files)


def forms(patient: Patient) -> Iterator[Finding]:
    """Pictures in a form that is read otherwise than one may think, here or by other programs."""
    headers = _headers(patient.index)
    yield from _misnamed(headers)
    for kind, severity, what, advice, is_so in _FORMS:
        yield from about_images(kind, severity, what, advice, (name for name, head in headers if is_so(name, head)))
    yield from _mixed_channels(patient, headers)


def _mixed_channels(patient: Patient, headers: Iterable[tuple[str, Header]]) -> Iterator[Finding]:
    """Grey pictures beside such in colour: by what they show where they were decoded, else by what their files say."""
    if patient.pixels and patient.pixels.colours is not None:
        shown = zip(patient.index.names, patient.pixels.colours.tolist(), strict=True)
        is_so = {name: colour <= COLOURLESS for name, colour in shown if not math.isnan(colour)}
    else:
        is_so = {name: is_grey(header) for name, header in headers}
    grey = [name for name, so in is_so.items() if so]
    if grey and len(grey) < len(is_so):
        fewer = grey if 2 * len(grey) <= len(is_so) else [name for name, so in is_so.items() if not so]
        message = f"{counted(len(grey), 'picture is', 'pictures are')} grey, {len(is_so) - len(grey):,} in colour"
        advice = "all are brought to data.channels; if one class has more of a kind, the network may go by that"
        yield Finding("mixed_channels", "note", message, advice, tuple(sorted(fewer)))


def remarked(patient: Patient) -> Iterator[Finding]:
    """Pictures in files that are odd in a way that does not matter, as libjpeg says."""
    remarks = dict(zip(patient.index.names, patient.pixels.remarks if patient.pixels else (), strict=False))
    odd = {name: remark for name, remark in remarks.items() if remark}
    what = f"with something odd in the file that does not matter (libjpeg: {odd[min(odd)]})" if odd else ""
    advice = "if other programs stumble over them, save them anew"
    yield from about_images("remarked", "note", what, advice, odd)


def _misnamed(headers: Iterable[tuple[str, Header]]) -> Iterator[Finding]:
    """Pictures in another format than the ending of the name says, with how many are what."""
    names: dict[str, str] = {}
    for name, header in headers:
        ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - for each of a million names
        if header.format not in formats.ENDINGS.get(ending, (header.format,)):
            names[name] = f"{formats.shown(header.format)} called {ending}"
    kinds = Counter(names.values())
    found = enumerated((f"{count:,} {kind}" for kind, count in kinds.most_common()), "and") if names else ""
    what = f"in another format than the ending of the name says: {found}"
    advice = "cnnkit goes by the content; other programs may not: give them the right ending"
    yield from about_images("wrong_extension", "warning", what, advice, names)


_FORMS: tuple[tuple[str, Severity, str, str, Callable[[str, Header], bool]], ...] = (
    (
        "animated",
        "warning",
        "with several frames, of which only the first is used",
        "save the frame that shows the class as a picture of its own",
        lambda _, header: header.frames > 1 and header.format in ("GIF", "PNG", "WEBP", "AVIF"),
    ),
    (
        "pages",
        "note",
        "with several pages, of which only the first is used",
        "if the others show as much, save each as a picture of its own",
        lambda _, header: header.frames > 1 and header.format == "TIFF",
    ),
    (
        "cmyk",
        "warning",
        "in CMYK, the colours of print, which no two programs turn into the same red, green and blue",
        "convert them to RGB with their colour profile",
        lambda _, header: header.mode == "CMYK",
    ),
    (
        "sixteen_bit",
        "warning",
        "of 16 bits a channel, of which 8 are kept; of grey the full range from 0 to 65,535 becomes 0 to 255",
        "where the values fill a small part of the range, as in scans of 12 bits, stretch them to 8 bits yourself",
        lambda _, header: 8 < header.bits <= 16,
    ),
    (
        "thirty_two_bit",
        "warning",
        "of 32 bits, which do not say what is white: one of floats up to 1 is taken for 0 to 1, one of whole numbers "
        "beyond 255 for 0 to 65,535, all others for 0 to 255",
        "stretch them to 8 bits yourself if they mean something else",
        lambda _, header: header.bits > 16,
    ),
    (
        "palette",
        "note",
        "with a palette of at most 256 colours",
        "",
        lambda _, header: header.mode in ("P", "PA") and header.format != "GIF",  # a GIF has no other form
    ),
    (
        "rotated",
        "note",
        "stored rotated or mirrored (EXIF orientation)",
        "cnnkit turns them upright; other programs may not, so turn them for good if others use them",
        lambda _, header: 2 <= header.orientation <= 8,
    ),
)
"""Kind, severity, what is so, what to do, and whether it is so."""


def outliers(patient: Patient) -> Iterator[Finding]:
    """Pictures whose size or proportions stand out from the others."""
    headers = _headers(patient.index)
    if not headers:
        return
    sides = np.sort(np.array([(header.width, header.height) for _, header in headers], dtype=np.float64), axis=1)
    shorter, longer = np.log(sides[:, 0]), np.log(sides[:, 1])
    usual = by(np.rint(np.median(sides, axis=0)[::-1]).astype(int).tolist())
    names = [name for name, _ in headers]
    what = f"far larger or smaller than the others ({usual} in the middle)"
    far = (_distance(longer, FAR_SIZE) > 0) | (_distance(shorter, FAR_SIZE) < 0)
    yield from about_images("odd_size", "warning", what, "look whether they belong here", compress(names, far))
    what = f"of other proportions than the rest ({np.exp(np.median(longer - shorter)):.2g} : 1 in the middle)"
    far = _distance(longer - shorter, FAR_PROPORTIONS) != 0
    advice = "look whether they belong here; data.fit tells what is cut off or filled up"
    yield from about_images("odd_proportions", "warning", what, advice, compress(names, far))


def _distance(logarithms: Any, factor: float) -> Any:
    """-1, 0 or 1 for each: whether it is far below the others, among them, or far above."""
    away = logarithms - np.median(logarithms)
    # Each side by its own spread: proportions, for one, have no room below 1 and all room above.
    below, above = (1.4826 * np.median(np.abs(side)) for side in (away[away <= 0], away[away >= 0]))
    smallest, largest = (max(np.log(factor), DEVIATIONS * deviation) for deviation in (below, above))
    return np.where(away > largest, 1, np.where(away < -smallest, -1, 0))


def enlarged(index: Index, image_size: tuple[int, int] | None) -> Iterator[Finding]:
    """Pictures that are brought to more than four times their size."""
    if image_size is None:
        return
    short, long = sorted(image_size)
    names = (
        name
        for name, header in _headers(index)
        if 4 * min(header.width, header.height) < short and 4 * max(header.width, header.height) < long
    )
    advice = "a smaller data.image_size is faster and shows the network as much"
    yield from about_images("enlarged", "warning", f"enlarged more than four times, to {by(image_size)}", advice, names)


def nested(patient: Patient) -> Iterator[Finding]:
    """Class folders that each hold the same named subfolders, of which all count."""
    index = patient.index
    places: dict[str, set[str]] = defaultdict(set)  # from a class to the subfolders that its images lie in
    for name, label in zip(index.names, index.labels.tolist(), strict=True):
        parts = name.split("/")
        depth = next((depth for depth, part in enumerate(parts[:-1][:2]) if part == index.classes[label]), None)
        if depth is not None:
            places[parts[depth]].add(parts[depth + 1] if len(parts) > depth + 2 else "")
    several = [found for found in places.values() if len(found) > 1]
    shared = sorted(set.intersection(*several) - {""}) if len(several) > 1 and len(several) == len(places) else []
    if shared:
        message = f"every class folder holds the folders {listed(shared)}, and what is in them counts as images"
        advice = f"if only one of them is meant, choose it with data.source.glob: '**/{shared[0]}/*' (with the quotes)"
        yield Finding("nested", "note", message, advice)


def without_mask(index: Index, data: Data, skip_bad: bool) -> Iterator[Finding]:
    """Pictures without a file beside them that `data.prepare` reads."""
    if index.path is None or not any(step.reads_a_file for step in data.prepare):
        return
    missing: dict[str, Path] = {}
    for i, name in enumerate(index.names):
        absent = [file for file in files_beside(data.prepare, Path(index.path(i))) if not file.exists()]
        if absent:
            missing[name] = absent[0]
    if missing:
        message = f"{counted(len(missing), 'picture')} without the mask that data.prepare reads: "
        message += f"there is no {missing[min(missing)]}"
        message += f", nor {len(missing) - 1:,} more" if len(missing) > 1 else ""
        yield _unusable("missing_mask", message, "add the masks, or leave the pictures out", missing, skip_bad)


def unused(index: Index) -> Iterator[Finding]:
    """What the source found and did not use."""
    for reason, entries in left_out(index.unused).items():
        message = f"{counted(sum(entry.files for entry in entries), 'file')} not used: {reason}"
        commands = "; ".join(predictions(entries))
        advice = f"once there is a run, it tells their classes: {commands}" if commands else ""
        yield Finding("unused", "note", message, advice, () if reason == HIDDEN else tuple(map(str, entries)))


def notes(index: Index) -> Iterator[Finding]:
    """What the source understood in a way that should be known."""
    yield from (Finding("understood", "note", note) for note in index.notes)


def sizes(index: Index) -> Sizes | None:
    """How large the pictures are."""
    by_area = sorted((header.width * header.height, header.width, header.height) for _, header in _headers(index))
    if not by_area:
        return None
    smallest, middle, largest = (by_area[i][1:] for i in (0, len(by_area) // 2, -1))
    return Sizes(len({sides[1:] for sides in by_area}), smallest, middle, largest)


def _headers(index: Index) -> list[tuple[str, Header]]:
    """Name and header of each image that is a file and says what it is."""
    if index.facts is None:
        return []
    return [(name, facts.header) for name, facts in zip(index.names, index.facts, strict=True) if facts.header]
