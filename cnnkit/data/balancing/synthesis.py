"""Synthesis: new images of small classes, each between two that are there. SMOTE and its relatives share it.

Between pixels there are images only where these are few: a mean of two photographs is no photograph. So images of at
most 32 x 32 pixels are mixed themselves, of larger ones the features that a frozen backbone makes of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.lazy import np
from cnnkit.core.text import counted
from cnnkit.data.balancing.base import Balance, Pool, Ratio, Training, one_in_the_mean

LARGEST = 32
"""Images of more pixels than this in height or width are not mixed themselves, only their features."""

MANY = 20
"""So many new images of each that is there vary what these show, and add nothing."""

Neighbors = Annotated[int, Field(ge=1, le=1000)]


class Synthesis(Balance):
    """Makes images for small classes out of those that they have."""

    makes_images: ClassVar[bool] = True

    neighbors: Neighbors = 5
    """So many of the nearest neighbours of an image are those that a new one may lie towards."""
    ratio: Ratio = 1.0
    """Each class is brought to this share of the largest one; 1 for as many images in all."""

    @abstractmethod
    def sampler(self, wanted: dict[int, int], random: Any) -> Any:
        """The sampler of imbalanced-learn.

        Args:
            wanted: From the label of each class that is too small to how many images it should have.
            random: A `numpy.random.RandomState`.
        """

    def lacking(self, counts: Any, classes: Sequence[str], every: int) -> Iterator[Problem]:
        """What the neighbours of an image need and the classes do not have: images of its own class.

        Args:
            counts: int64 (K,), images of each class that is to get new ones; 0 for the others.
            classes: Names of the classes.
            every: Images of all classes.
        """
        for label in np.flatnonzero((counts > 0) & (counts <= self.neighbors)):
            count = int(counts[label])
            there = f"class `{classes[label]}` has {counted(count, 'training image')}"
            needed = f"for {counted(self.neighbors, 'neighbour')} it needs at least {self.neighbors + 1}"
            smaller = f"set neighbors to at most {count - 1}, or " if count > 1 else ""
            yield Problem(f"{there}; {needed}: {smaller}use oversample", key="data.balance.neighbors")

    def careful(self, given: Given) -> Iterator[Problem]:
        """Many images out of few."""
        yield from super().careful(given)
        times = self.ratio * (given.imbalance or 0)
        if times > MANY:
            message = f"makes {times - 1:,.0f} new images of each of {min(given.training):,} of the smallest class"
            yield Problem(f"{message}, which are hardly new; a ratio below 1 makes fewer", key="ratio")

    def __call__(self, training: Training, pool: Pool, seed: int) -> Training:
        """All images in their order, and behind them the new ones, class by class."""
        classes = pool.classes
        counts = training.counts(len(classes))
        self.check(counts, classes)
        target, small = self._wanted(counts)
        new, labels = self._new(pool.rows(), training.labels, dict.fromkeys(small.tolist(), target), seed)
        smallest = small[counts[small] == counts[small].min()]
        if len(left := np.setdiff1d(smallest, labels)):
            raise self._nothing_new(classes[left[0]], int(counts[left[0]]))
        # A new image counts for as much as those of its class do in the mean.
        mean = np.bincount(training.labels, training.weights, len(classes)) / np.maximum(counts, 1)
        return Training(
            numbers=np.concatenate([training.numbers, np.arange(pool.size, pool.size + len(new))]),
            labels=np.concatenate([training.labels, labels]),
            weights=one_in_the_mean(np.concatenate([training.weights, mean[labels]])),
            synthetic=new,
        )

    def check(self, counts: Any, classes: Sequence[str]) -> None:
        """There is an image to make, and each class that gets some has enough of them."""
        target, small = self._wanted(counts)
        if not len(small):
            raise self._nothing_to_do(counts, classes)
        growing = np.where(counts < target, counts, 0)
        if problems := list(self.lacking(growing, classes, int(counts.sum()))):
            raise DataError(*problems)

    def memory(self, counts: Any, values: int, bytes_each: int) -> int:
        """The images that it is given, float32 vectors of them twice, all together, and three times the new ones."""
        target, small = self._wanted(counts)
        new = int((target - counts[small]).sum())
        return values * (int(counts.sum()) * (bytes_each + 3 * 4) + new * 3 * 4)

    def on_features(self, shape: tuple[int, ...]) -> bool:
        """Whether images are too large to be mixed themselves."""
        return max(shape[:2]) > LARGEST

    def _wanted(self, counts: Any) -> tuple[int, Any]:
        """How many images a class should have, and the labels of those that have fewer."""
        target = round(self.ratio * int(counts.max()))
        return target, np.flatnonzero((counts > 0) & (counts < target))

    def _new(self, images: Any, labels: Any, wanted: dict[int, int], seed: int) -> tuple[Any, Any]:
        """New images in the form of those that are there, and their labels."""
        from threadpoolctl import threadpool_limits

        vectors = images.reshape(len(images), -1).astype(np.float32)
        # One stream of chance for all classes: a number would begin it anew for each of them.
        sampler = self.sampler(wanted, np.random.RandomState(seed))
        # Which of two neighbours at the same distance comes first would hang on the number of threads.
        with threadpool_limits(1):
            every, of_every = sampler.fit_resample(vectors, labels)
        # The originals come first, as they were.
        new = every[len(labels) :].reshape(-1, *images.shape[1:])
        # What lies between values of 0..255 lies there too, so nothing is cut off.
        new = np.rint(new).astype(np.uint8) if images.dtype == np.uint8 else new.copy()
        return new, of_every[len(labels) :].astype(np.int64)

    def _nothing_to_do(self, counts: Any, classes: Sequence[str]) -> DataError:
        there = np.flatnonzero(counts)
        least, most = there[np.argmin(counts[there])], np.argmax(counts)
        sizes = f"the smallest class, `{classes[least]}`, has {counts[least]:,} training images, the largest, "
        sizes += f"`{classes[most]}`, {counts[most]:,}"
        if self.ratio < 1:
            message = f"{sizes}: that is a share of {self.ratio:g} already, so no image would be made; raise ratio, or"
            return DataError(Problem(f"{message} leave data.balance out", key="data.balance.ratio"))
        each = f"each class has {counts[most]:,} training images already, so no image would be made"
        return DataError(Problem(f"{each}; leave data.balance out", key="data.balance"))

    def _nothing_new(self, name: str, count: int) -> DataError:
        message = (
            f"makes no image of the smallest class, `{name}` with {count:,} training images: none of them lies at the "
            "border, with at least half but not all of its nearest neighbours in other classes; use smote or oversample"
        )
        return DataError(Problem(message, key="data.balance"))

    def problems(self, shape: tuple[int, int, int] | None, frozen: bool, augmented: bool) -> Iterator[Problem]:
        """Large images need a frozen backbone, and then no augmentation: it could not change features."""
        if shape is None or not self.on_features(shape):
            return
        large = f"images of {shape[0]} x {shape[1]} are too large to make new ones from their pixels"
        if not frozen:
            yield Problem(
                f"{large}; set data.image_size to at most [{LARGEST}, {LARGEST}], freeze the backbone in every stage "
                "(then new features are made), or use oversample"
            )
        elif augmented:
            yield Problem(
                f"{large}, so features of the frozen backbone are made, which no augmentation can change; leave "
                "augment out, or use oversample"
            )
