"""Split: which images train, which choose between epochs, which judge at the end; and which of them never part."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.disjoint_sets import joined
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.spec import Seed, Spec
from cnnkit.core.text import counted, enumerated
from cnnkit.data.index import empty_class, ranked

WINDOW = 32
"""So many groups with images of several classes are tried for the one that suits all shares best."""

TINY, SMALL, LARGE = 0.005, 0.05, 0.7
"""Shares that are tiny in any set, small if few images come of them, and so large, together, that little trains."""

FEW = 30
"""So many images tell an accuracy to within 0.18 at best."""

Share = Annotated[float, Field(gt=0, lt=1)]


class Split(Spec):
    """Shares of the images that are set apart, class by class; what the source itself sets apart is kept.

    Equal files never part, nor do images of one group (`group_pattern`, `group_column` of the source).
    """

    validation: Share | None = None
    """Share of the images to choose the best epoch on; 0.15 if left out and the source sets none apart."""
    test: Share | None = None
    """Share of the images to judge the result on, once; 0.15 if left out and the source sets none apart."""
    seed: Seed = 0
    """Which images these are; also which those of `data.limit` are. The training's chance has a seed of its own."""
    keep_together: Literal["near"] | None = None
    """What lies in one split together besides equal files and groups: `near` for near-duplicates, as `cnnkit data`
    finds them, so that no shot of a series is judged on by a network that was shown the next one."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """Shares that set apart nearly nothing, or nearly all; a source's own split stays null here."""
        shares = {name: share for name in ("validation", "test") if (share := getattr(self, name)) is not None}
        for name, share in shares.items():
            images = given.images(name)
            few = share < TINY if images is None else share < SMALL and images < FEW
            if few:
                judged = "choose the best epoch on" if name == "validation" else "judge the result on"
                some = f"{share:.1%} of the images" if images is None else counted(images, "image")
                yield Problem(f"{some} to {judged} tell little; 0.1 to 0.2 is usual", key=name)
        if sum(shares.values()) > LARGE:
            largest = max(shares, key=lambda name: shares[name])
            message = f"leaves {1 - sum(shares.values()):.0%} of the images to train on; 0.15 is usual"
            yield Problem(message, key=largest)

    def expected(self, counts: Mapping[str | None, Sequence[int]]) -> dict[str, list[int]]:
        """About how many images of each class each split will have.

        Args:
            counts: From each split that a source has of its own, and None for what it leaves open, to the images of
                each class.
        """
        own = {name: list(images) for name, images in counts.items() if name and name != "train"}
        pools = [images for name, images in counts.items() if not name or name == "train"]
        pool = [sum(of_class) for of_class in zip(*pools, strict=True)]
        shares = self.shares(frozenset(own))
        apart = {
            name: [max(1, round(share * count)) if count else 0 for count in pool] for name, share in shares.items()
        }
        left = [count - sum(taken) for count, *taken in zip(pool, *apart.values(), strict=True)]
        return own | apart | {"train": [max(0, count) for count in left]}

    def completed(self, own: frozenset[str]) -> Self:
        """The same with all shares filled in, but those of the splits that the source has of its own."""
        return self.model_copy(update=self.shares(own))

    def shares(self, own: frozenset[str]) -> dict[str, float]:
        """What is to be set apart, given the splits that the source has of its own."""
        wanted = {"test": self.test, "validation": self.validation}
        return {name: 0.15 if share is None else share for name, share in wanted.items() if name not in own}

    def assign(
        self,
        classes: Sequence[str],
        labels: Sequence[int],
        digests: Sequence[str],
        own: Sequence[str | None],
        parts: Sequence[int] | None = None,
    ) -> list[str]:
        """The split of each image.

        Within a class what belongs together is ranked by a hash of content and seed, and the first are set apart. So
        membership depends on what a file holds, not on its name or the order of a folder, and files of equal content
        always share a split, unless the source itself has parted them.

        A part with images of several classes counts for each of them. The class with the fewest parts is divided
        first; the others find some of theirs divided already, and add what is missing. Of the next few parts that is
        taken which brings least too much of other classes. One that would lead further beyond the share than without it
        is missing is passed over.

        Args:
            classes: Names of the classes.
            labels: Label of each image.
            digests: Hash of each image's content.
            own: The split that the source itself gives each image, or None.
            parts: A number for each image, the same for those that belong together, as `together` gives it; None where
                only equal files do.

        Raises:
            DataError: A class has too few different images, or groups of them, to be in every split.
        """
        result = [name or "train" for name in own]
        shares = self.shares(frozenset(name for name in own if name and name != "train"))
        images = [i for i, split in enumerate(result) if split == "train"]
        units = sorted(
            _units(images, labels, digests, parts), key=lambda unit: ranked(unit.content, self.seed, "split")
        )
        division = _Division(units, len(classes), shares)
        grouped = any(unit.contents > 1 for unit in units)
        if small := [(name, len(division.of_class[c])) for c, name in enumerate(classes) if division.too_few(c)]:
            held: dict[str, set[str]] = defaultdict(set)
            for label, split in zip(labels, result, strict=True):
                held[classes[label]].add(split)
            raise DataError(*(_too_few(name, found, shares, grouped, held[name]) for name, found in small))
        division.divide()
        for unit, split in division.splits.items():
            for i in units[unit].images:
                result[i] = split
        if lacking := list(division.lacking()):
            raise DataError(*(_torn_apart(classes[c], split) for c, split in lacking))
        return result


def together(
    digests: Sequence[str], groups: Sequence[str | None] | None = None, near: Iterable[Sequence[int]] = ()
) -> list[int]:
    """Which images never part: those of equal content, of one group, or near-duplicates, and so on from one to another.

    Splits are made by it, and whatever else divides images.

    Args:
        digests: Hash of each image's content.
        groups: The group that the source gives each image; None for one that it gives none.
        near: Numbers of images that belong together otherwise.

    Returns:
        A number for each image, the same for those that belong together: that of the first of them.
    """
    pairs: list[Sequence[int]] = list(near)
    for names in (digests, groups or ()):
        seen: dict[str, int] = {}
        pairs += [(seen.setdefault(name, i), i) for i, name in enumerate(names) if name is not None]
    return joined(len(digests), pairs)


class _Unit(NamedTuple):
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


def _units(
    images: Iterable[int], labels: Sequence[int], digests: Sequence[str], parts: Sequence[int] | None
) -> Iterator[_Unit]:
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
        yield _Unit(min(group), len(group), [i for digest in group for i in equal[digest]], counts)


class _Division:
    """Which units are set apart.

    Attributes:
        of_class: The numbers of the units of each class, in the order of their rank.
        splits: The split of each unit that is set apart.
    """

    def __init__(self, units: Sequence[_Unit], classes: int, shares: dict[str, float]):
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


def _too_few(name: str, found: int, shares: Iterable[str], grouped: bool, held: set[str]) -> str:
    if not held:
        return "; ".join(empty_class(name))
    if "train" not in held:
        where = enumerated(sorted(held, reverse=True), "and")
        return (
            f"class `{name}` has no training images, only such of {where}; move some to train, or leave the class out"
        )
    if found == 0:
        return (
            f"each image of class `{name}` is in another class too, so none is left to divide; keep it in one of them"
        )
    what = ("group of images", "groups of images") if grouped else ("different image", None)
    splits = ["train", *sorted(shares, reverse=True)]
    needed = f"at least {len(splits)} are needed to have one in each of: {', '.join(splits)}"
    return f"class `{name}` has {counted(found, *what)} to divide; {needed}"


def _torn_apart(name: str, split: str) -> str:
    return (
        f"no group of images with some of class `{name}` is left for {split}, as groups stay together and those of "
        "other classes took them; try another data.split.seed, or set less apart"
    )
