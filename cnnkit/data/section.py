"""The section `data`: the images, where from, in what size, divided how."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from cnnkit.core import atomic
from cnnkit.core.careful import Given
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath, Count, Spec
from cnnkit.core.text import by, counted
from cnnkit.data.balancing import AnyBalance
from cnnkit.data.balancing.none import NoBalance
from cnnkit.data.dividing import Pool
from cnnkit.data.files.fitting import Fit
from cnnkit.data.index import Collection, Index, Unused
from cnnkit.data.likeness.remembered import near_parts
from cnnkit.data.preparation import AnyPreparation
from cnnkit.data.preparation.base import files_beside
from cnnkit.data.sources import AnySource
from cnnkit.data.splitting import Split, together

Size = Annotated[int, Field(ge=1, le=8192)]


ENLARGED, SHRUNK = 20, 64
"""So many times the pixels that pictures have, or have more, that hardly anyone means it. (The digits of 8 x 8 are
shown as 32 x 32.)"""

FEWEST = 8
"""Images of a batch below which none is advised: their mean and deviation tell too little of all."""


class Cache(Spec):
    """Where decoded and prepared images are kept; it changes how long a run takes and nothing else.

    In memory where that is enough for all, else on the disk, else they are decoded again for each batch. Those that
    `prepare` has made are on the disk beside the memory too, so that the next run finds them.
    """

    memory_gib: Annotated[float, Field(ge=0)] = 4.0
    """Memory they may take, in GiB; 0 for none."""
    disk_gib: Annotated[float, Field(ge=0)] = 20.0
    """Room on the disk that they and those of other runs may take together, in GiB; 0 for none."""


class Data(Spec):
    """The images: where from, in what size, divided how."""

    source: AnySource
    """Where the images and their labels come from."""
    image_size: tuple[Size, Size] | None = None
    """Height and width that images are brought to; if left out, what suits a pretrained network, else the source."""
    channels: Literal[1, 3] | None = None
    """1 for grey, 3 for colour; if left out, what suits a pretrained network, else the source."""
    fit: Fit = "crop"
    """How an image of other proportions is brought to size: `crop` its middle, `pad` it with black, or `stretch` it."""
    prepare: tuple[AnyPreparation, ...] = ()
    """What is done to every picture before it is brought to size, in this order, in training and ever after."""
    split: Split = Split()
    """What is set apart to choose (validation) and to judge (test)."""
    exclude: AbsolutePath | None = None
    """A file with the name of an image to leave out on each line, as `cnnkit data --fix-list` writes it."""
    limit: Count | None = None
    """At most so many images a class, of each split where the source has its own, for a quick try."""
    balance: AnyBalance = NoBalance()
    """What is done about classes with far fewer training images than others."""
    batch_size: Count = 32
    """Images a training step; more are faster on a GPU, fewer need less memory."""
    cache: Cache = Cache()
    """Where decoded images are kept."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """Batches that hold all images, sizes that pictures do not have, and a limit that none reaches."""
        training = given.images("train")
        if training and given.by_steps and self.batch_size > training:
            few = f" of data.limit {self.limit}" if self.limit else ""
            more = f"{self.batch_size:,} is more than the {counted(training, 'training image')}{few}"
            # Some steps an epoch, of batches that tell something of all images; of a handful there are none such.
            better = max(FEWEST, min(32, training // 8))
            hint = f"; write {better}" if better < training else ""
            yield Problem(f"{more}, so an epoch is a single step{hint}", key="batch_size")
        if self.limit and given.counts and self.limit > max(map(sum, zip(*given.counts.values(), strict=True))):
            yield Problem("no class has so many images, so none is left out; leave this out", key="limit")
        if given.pictures and not given.pretrained:
            yield from self._size_beside(given.pictures, given.shape)

    @staticmethod
    def _size_beside(pictures: tuple[int, int], shape: tuple[int, int, int]) -> Iterator[Problem]:
        """What a size of images says beside that of the pictures as they are."""
        size, have = by(shape[:2]), by(pictures)
        times = shape[0] * shape[1] / (pictures[0] * pictures[1])
        if times > ENLARGED:
            message = f"{size} is {times:.0f} times the pixels that the pictures have, {have}: it takes as much longer"
            yield Problem(f"{message} and shows no more", key="image_size")
        if 1 / times > SHRUNK and max(shape[:2]) < 24:
            message = f"{size} leaves one pixel of {1 / times:,.0f} that the pictures have, {have}; 64 x 64 shows more"
            yield Problem(message, key="image_size")

    def expected(self, counts: Mapping[str | None, Sequence[int]]) -> dict[str, list[int]]:
        """About how many images of each class each split will have; see `Split.expected`."""
        limit = self.limit
        if limit:
            counts = {name: [min(limit, count) for count in images] for name, images in counts.items()}
        return self.split.expected(counts)

    def shape(self, suggested: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        """Height, width and channels of the network's images; what is not set is as suggested; None if it can't be."""
        if suggested is None and (self.image_size is None or self.channels is None):
            return None
        height, width, channels = suggested or (0, 0, 0)
        return (*(self.image_size or (height, width)), self.channels or channels)

    def index(self, collection: Collection, progress: Progress) -> Index:
        """Every image that is asked for, not yet decoded; the masks of images are none.

        Raises:
            DataError: The images can't be read, or `exclude` names one that is not there.
        """
        index = collection.index(progress)
        masks = self._masks(index)
        if self.exclude:
            index = index.without(read_names(self.exclude), self.exclude)
        if masks:
            unused = [Unused(name, "a mask that data.prepare reads") for name in index.names if name in masks]
            index = index.take([i for i, name in enumerate(index.names) if name not in masks], unused)
        return index.limited(self.limit, self.split.seed) if self.limit else index

    def _masks(self, index: Index) -> frozenset[str]:
        """Names of the images that are the mask of another one."""
        if index.path is None or not any(step.reads_a_file for step in self.prepare):
            return frozenset()
        paths = [os.path.normpath(index.path(i)) for i in range(len(index))]
        of_others = set()
        for path in paths:
            of_others |= {os.path.normpath(file) for file in files_beside(self.prepare, Path(path))} - {path}
        return frozenset(name for name, path in zip(index.names, paths, strict=True) if path in of_others)

    def parts(self, index: Index, progress: Progress | None = None) -> list[int]:
        """Which images never part, in splits and folds alike: a number for each, the same for those of one part.

        Args:
            index: The images.
            progress: Is told how far it is where near-duplicates are looked for.

        Raises:
            DataError: A file can't be decoded any more.
        """
        near = near_parts(index, self.source, progress or Progress()) if self.split.keep_together == "near" else []
        return together(index.digests, index.groups, near)

    def splits(self, index: Index, progress: Progress | None = None) -> list[str]:
        """The split of each image.

        Args:
            index: The images.
            progress: Is told how far it is where near-duplicates are looked for.

        Raises:
            DataError: A class has too few different images, or groups of them, to be in every split.
        """
        return self.split.assign(self.pool(index, progress))

    def pool(self, index: Index, progress: Progress | None = None) -> Pool:
        """What is divided, into splits or into folds.

        Args:
            index: The images.
            progress: Is told how far it is where near-duplicates are looked for.

        Raises:
            DataError: A file can't be decoded any more.
        """
        parts = self.parts(index, progress) if index.groups or self.split.keep_together else None
        return Pool(index.classes, index.labels, index.digests, index.splits, parts)


def read_names(file: str) -> dict[str, int]:
    """The names in a list of images, each with its line; a line that begins with `#` is a comment.

    Raises:
        DataError: The file can't be read, or is no text.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig", errors=atomic.ERRORS)
    except OSError as error:
        raise DataError(Problem(f"can't be read: {error.strerror}", file=file)) from None
    if "\0" in text:
        raise DataError(Problem("is no list of names, but a binary file", file=file))
    lines = enumerate((line.removesuffix("\r") for line in text.split("\n")), start=1)
    # A name that begins with `#` itself is written `./#name`; one with spaces around it keeps them.
    return {line.removeprefix("./"): i for i, line in lines if line.strip() and not line.startswith("#")}
