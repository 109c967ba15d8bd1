"""Pictures that have more pixels than they show."""

from __future__ import annotations

from collections.abc import Iterator

from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.index import in_the_order_of_looking
from cnnkit.inspection.detail import MOST, is_enlarged, median_detail
from cnnkit.inspection.doctor.base import Finding, Patient

SAMPLE = 50
"""So many pictures are looked at."""

SMALL = 96
"""Pixels of the shorter side below which it makes little difference."""


def check(patient: Patient, progress: Progress) -> Iterator[Finding]:
    """A note where the pictures in general were enlarged, or blurred."""
    index = patient.index
    chosen = in_the_order_of_looking(index)[:SAMPLE]
    pictures, sides = [], []
    with progress.task("looking for detail", len(chosen)) as advance:
        for i in chosen:
            try:
                pictures.append(index.decode(i, 3, MOST).pixels)
                known = index.facts and index.facts[i].header  # a large JPEG is decoded at a reduced size
                sides.append(min(known.height, known.width) if known else min(pictures[-1].shape[:2]))
            except BadImage:
                continue  # told as undecodable, or out of reach by now
            finally:
                advance(1)
    if not pictures:
        return
    side, shown = int(np.median(sides)), median_detail(pictures)
    if side >= SMALL and is_enlarged(shown, side):
        yield Finding(
            "little_detail",
            "note",
            f"the pictures have {side} pixels at the shorter side in the middle, and no more detail than {shown} would "
            "show: they were enlarged, or blurred",
            f"take them as they were, if you have that; a data.image_size beyond {shown} shows a network no more",
        )
