"""How images are divided: which are one unit, as they never part, and which units go to which split or fold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

WINDOW = 32
"""So many groups with images of several classes are tried for the one that suits all shares best."""


class Pool(NamedTuple):
    """Images that are to be divided.

    Attributes:
        classes: Names of the classes.
        labels: Label of each image.
        digests: Hash of each image's content.
        own: The split that the source itself gives each image, or None.
        parts: A number for each image, the same for those that belong together, as `splitting.together` gives it; None
            where only equal files do.
    """

    classes: Sequence[str]
    labels: Sequence[int]
    digests: Sequence[str]
    own: Sequence[str | None]
    parts: Sequence[int] | None = None


class Unit(NamedTuple):
    """Images that may not part.

    Attributes:
        content: The digest that ranks them.
        contents: How many different ones there are.
        images: Their numbers.
        classes: How many of them count for each class; copies in several classes count for the first of these.
    """

    content: str
    contents: int
    images: list[int]
    classes: dict[int, int]


def units_of(images: Iterable[int], pool: Pool) -> Iterator[Unit]:
    """The units of some images of a pool, of which these are the numbers."""
    _, labels, digests, _, parts = pool
    equal: dict[str, list[int]] = defaultdict(list)
    for i in images:
        equal[digests[i]].append(i)
    by_part: dict[int, list[str]] = defaultdict(list)
    for digest, copies in equal.items():
        by_part[parts[copies[0]] if parts else copies[0]].append(digest)
    for group in by_part.values():
        counts: Counter[int] = Counter()
        for digest in group:
            counts[min(int(labels[i]) for i in equal[digest])] += len(equal[digest])
        yield Unit(min(group), len(group), [i for digest in group for i in equal[digest]], counts)


def in_folds(units: Sequence[Unit], classes: int, folds: int) -> list[int]:
    """The fold of each unit, from 0 on.

    Parts of the rarest class come first, of these the largest; each goes to the fold that has least of its classes so
    far, of such equal ones to the one with the fewest images. Greedy as in scikit-learn's StratifiedGroupKFold, but no
    fold goes without a class where that can be helped.

    Args:
        units: In an order that depends on nothing but their contents.
        classes: How many there are.
        folds: How many.
    """
    left = Counter(c for unit in units for c in unit.classes)
    images: Counter[int] = Counter()
    for unit in units:
        images.update(unit.classes)
    rarity = {c: place for place, c in enumerate(sorted(left, key=lambda c: (left[c], c)))}
    held = [[0] * classes for _ in range(folds)]
    totals = [0] * folds
    numbers = [0] * len(units)

    def cost(fold: int, unit: Unit) -> float:
        return sum(count * held[fold][c] / images[c] for c, count in sorted(unit.classes.items()))

    def order(n: int) -> tuple[int, int]:
        return min(rarity[c] for c in units[n].classes), -sum(units[n].classes.values())

    for n in sorted(range(len(units)), key=order):
        unit = units[n]
        allowed = set(range(folds))
        for c in sorted(unit.classes, key=rarity.__getitem__):
            lacking = {fold for fold in allowed if not held[fold][c]}
            if lacking and left[c] <= sum(not row[c] for row in held):
                allowed = lacking  # of such a class each unit that is left has to go to a fold of its own
        numbers[n] = min(sorted(allowed), key=lambda fold: (cost(fold, unit), totals[fold]))
        for c, count in unit.classes.items():
            held[numbers[n]][c] += count
            totals[numbers[n]] += count
            left[c] -= 1
    return numbers


class Division:
    """Which units are set apart.

    Attributes:
        of_class: The numbers of the units of each class, in the order of their rank.
        splits: The split of each unit that is set apart.
    """

    def __init__(self, units: Sequence[Unit], classes: int, shares: dict[str, float]):
        self.units = units
        self.shares = shares
        self.of_class: list[list[int]] = [[] for _ in range(classes)]
        for number, unit in enumerate(units):
            for c in unit.classes:
                self.of_class[c].append(number)
        self.splits: dict[int, str] = {}
        self.held: Counter[tuple[str, int]] = Counter()
        self.left = [len(numbers) for numbers in self.of_class]
        totals = [sum(units[n].classes[c] for n in numbers) for c, numbers in enumerate(self.of_class)]
        self.wanted = {(split, c): round(shares[split] * totals[c]) for split in shares for c in range(classes)}
        self.window = WINDOW if any(len(unit.classes) > 1 for unit in units) else 1

    def too_few(self, c: int) -> bool:
        """Whether a class has too few units to be in every split."""
        return len(self.of_class[c]) <= len(self.shares)

    def lacking(self) -> Iterator[tuple[int, str]]:
        """Classes without an image in some split."""
        for c in range(len(self.of_class)):
            for split in self.shares:
                if not self.held[split, c]:
                    yield c, split

    def divide(self) -> None:
        """Sets apart the shares of each class."""
        for c in sorted(range(len(self.of_class)), key=lambda c: len(self.of_class[c])):
            for later, split in zip(range(len(self.shares), 0, -1), self.shares, strict=True):
                self._fill(c, split, later)

    def _fill(self, c: int, split: str, later: int) -> None:
        """Sets images of a class apart; `later` is how many splits, training with them, want some of the rest."""
        wanted = self.wanted[split, c]
        free = [n for n in reversed(self.of_class[c]) if n not in self.splits]  # the first of them at the end
        passed = []
        # At least one unit, and never so many that a later split or training gets none.
        while free and not (self.held[split, c] and (self.held[split, c] >= wanted or self.left[c] <= later)):
            # Of the next ones that which brings least too much of other classes.
            few = range(len(free) - 1, max(-1, len(free) - 1 - self.window), -1)
            n = free.pop(min(few, key=lambda k: self._too_much(free[k], c, split)))
            unit, missing = self.units[n], wanted - self.held[split, c]
            if not all(self.left[other] > 1 for other in unit.classes):
                continue  # training keeps it: no other has images of one of its classes
            if unit.contents > 1 and unit.classes[c] - missing > missing:
                passed.append(n)
            else:
                self._take(n, split)
        if passed and not self.held[split, c]:
            self._take(min(passed, key=lambda n: self.units[n].classes[c]), split)

    def _too_much(self, number: int, c: int, split: str) -> int:
        """How many images beyond their share a unit brings of other classes than `c`."""
        counts = self.units[number].classes
        if len(counts) == 1:
            return 0
        return sum(
            max(0, self.held[split, other] + count - self.wanted[split, other])
            for other, count in counts.items()
            if other != c
        )

    def _take(self, number: int, split: str) -> None:
        self.splits[number] = split
        for c, images in self.units[number].classes.items():
            self.held[split, c] += images
            self.left[c] -= 1
