"""A first look at images: how many, how large, in colour or not. Decodes only a few of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

from cnnkit.core.errors import DataError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.files.orientation import ON_ITS_SIDE
from cnnkit.data.index import SPLITS, Collection, Index, in_the_order_of_looking
from cnnkit.data.likeness.pixels import COLOURLESS, colour_of, thumbnail
from cnnkit.inspection.detail import MOST, detail
from cnnkit.inspection.doctor import groups, masks
from cnnkit.inspection.doctor.base import Finding, Patient
from cnnkit.inspection.first_config.base import Traits

SAMPLE = 50
"""So many pictures are decoded."""


def look(collection: Collection, index: Index, splits: list[str], progress: Progress) -> Traits:
    """What the images are like.

    Args:
        collection: What the source told at first.
        index: The images.
        splits: The split of each.
        progress: Is told of each picture that is decoded.

    Raises:
        DataError: Not one picture of the sample can be decoded.
    """
    from PIL import Image

    sizes = _sizes(index)
    chosen = in_the_order_of_looking(index)[:SAMPLE]
    bad = {index.names[i]: f.bad for i, f in enumerate(index.facts or ()) if f.bad}
    seconds: list[float] = []
    details: list[int] = []
    small: dict[str, Any] = {}
    grey = 0
    with progress.task("looking at some pictures", len(chosen)) as advance:
        for i in chosen:
            start = time.perf_counter()
            try:
                picture = index.decode(i, 3, MOST).pixels
                sizes.setdefault(i, picture.shape[:2])  # of a file it is known already
            except BadImage as error:
                bad[index.names[i]] = str(error)
            else:
                seconds.append(time.perf_counter() - start)
                grey += colour_of(picture) <= COLOURLESS
                details.append(detail(picture))
                small[index.names[i]] = thumbnail(Image.fromarray(picture))
            advance(1)
    if not seconds:
        name, reason = next(iter(bad.items()))
        raise DataError(f"none of {counted(len(chosen), 'image')} that were looked at can be decoded; {name}: {reason}")
    heights, widths = ([size[side] for size in sizes.values()] for side in (0, 1))
    proportions = sorted(width / height for height, width in sizes.values())
    twentieth = len(proportions) // 20
    counts = np.bincount(index.labels, minlength=len(index.classes))
    return Traits(
        classes=dict(zip(index.classes, counts.tolist(), strict=True)),
        splits={name: splits.count(name) for name in SPLITS},
        own=collection.splits,
        height=round(statistics.median(heights)),
        width=round(statistics.median(widths)),
        same_size=len(set(sizes.values())) == 1,
        proportions=(proportions[twentieth], statistics.median(proportions), proportions[-1 - twentieth]),
        grey=grey / len(seconds),
        looked_at=len(seconds),
        decoding=statistics.median(seconds),  # not the mean: the first picture also imports the decoder
        detail=statistics.median_low(details),
        bad=bad,
        findings=tuple(_by_names(index, splits, small)),
    )


def _by_names(index: Index, splits: list[str], small: dict[str, Any]) -> Iterator[Finding]:
    """What the doctor finds in the names, by the small grey pictures of some: masks, and groups that are torn."""
    patient = Patient(index, splits).sound()
    like_masks = masks.black_and_white(np.stack(list(small.values())))
    yield from masks.by_some(patient, dict(zip(small, like_masks, strict=True)))
    yield from groups.unnamed(patient)


def _sizes(index: Index) -> dict[int, tuple[int, int]]:
    """Height and width of each picture, upright, as far as known without opening it."""
    sizes = {}
    for i, facts in enumerate(index.facts or ()):
        if head := facts.header:
            upright = head.orientation not in ON_ITS_SIDE
            sizes[i] = (head.height, head.width) if upright else (head.width, head.height)
    return sizes
