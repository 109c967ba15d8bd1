"""Split: which images train, which choose between epochs, which judge at the end; and which of them never part."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.disjoint_sets import joined
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.spec import Count, Seed, Spec
from cnnkit.core.text import counted, enumerated, percent
from cnnkit.data.dividing import Division, Pool, Unit, in_folds, units_of
from cnnkit.data.index import empty_class, ranked

TINY, SMALL, LARGE = 0.005, 0.05, 0.7
"""Shares that are tiny in any set, small if few images come of them, and so large, together, that little trains."""

FEW = 30
"""So many images tell an accuracy to within 0.18 at best."""

MOST_FOLDS = 1000

Share = Annotated[float, Field(gt=0, lt=1)]


class Split(Spec):
    """Shares of the images that are set apart, class by class; what the source itself sets apart is kept.

    Equal files never part, nor do images of one group (`group_pattern`, `group_column` of the source).
    """

    validation: Share | None = None
    """Share of the images to choose the best epoch on; 0.15 if left out and the source sets none apart."""
    test: Share | None = None
    """Share of the images to judge the result on, once; 0.15 if left out and the source sets none apart."""
    folds: Annotated[int, Field(ge=2, le=MOST_FOLDS)] | None = None
    """In place of `test`: all images are divided into so many folds, class by class, and one of them is judged on.
    `cnnkit train --folds K` sets both and trains a network for each fold."""
    fold: Count | None = None
    """Which fold is judged on, from 1 to `folds`."""
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
                some = f"{percent(share, 1)} of the images" if images is None else counted(images, "image")
                yield Problem(f"{some} to {judged} tell little; 0.1 to 0.2 is usual", key=name)
        if sum(shares.values()) > LARGE:
            largest = max(shares, key=lambda name: shares[name])
            message = f"leaves {percent(1 - sum(shares.values()))} of the images to train on; 0.15 is usual"
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
        shares = self.shares(own)
        if self.folds:
            shares.pop("test", None)
        return self.model_copy(update=shares)

    def shares(self, own: frozenset[str]) -> dict[str, float]:
        """What is to be set apart, given the splits that the source has of its own."""
        wanted = {"test": 1 / self.folds if self.folds else self.test, "validation": self.validation}
        return {name: 0.15 if share is None else share for name, share in wanted.items() if name not in own}

    def assign(self, pool: Pool) -> list[str]:
        """The split of each image.

        Within a class what belongs together is ranked by a hash of content and seed, and the first are set apart. So
        membership depends on what a file holds, not on its name or the order of a folder, and files of equal content
        always share a split, unless the source itself has parted them.

        A part with images of several classes counts for each of them. The class with the fewest parts is divided
        first; the others find some of theirs divided already, and add what is missing. Of the next few parts that is
        taken which brings least too much of other classes. One that would lead further beyond the share than without it
        is missing is passed over.

        Raises:
            DataError: A class has too few different images, or groups of them, to be in every split.
        """
        classes, labels = pool.classes, pool.labels
        result = [name or "train" for name in pool.own]
        shares = self.shares(frozenset(name for name in pool.own if name and name != "train"))
        if self.folds:
            for i, fold in enumerate(self.divided(pool)):
                result[i] = "test" if fold == self.fold else "train"
            # The share is one of all images, those of the fold among them.
            shares = {"validation": shares["validation"] / (1 - shares["test"])}
        images = [i for i, split in enumerate(result) if split == "train"]
        units = self._ranked_units(images, pool)
        division = Division(units, len(classes), shares)
        grouped = any(unit.contents > 1 for unit in units)
        if small := [(name, len(division.of_class[c])) for c, name in enumerate(classes) if division.too_few(c)]:
            if self.folds:
                raise DataError(*(_too_few_beside(name, found, self.fold or 1, grouped) for name, found in small))
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

    def divided(self, pool: Pool) -> list[int]:
        """The fold of each image, from 1 to `folds`: each class is in all of them, as evenly as its parts allow.

        Which part is in which fold depends on contents and seed alone, as in `assign`, and not on which fold is judged
        on.

        Raises:
            DataError: A class has too few different images, or groups of them, to be in every fold; or the source
                itself sets images apart.
        """
        folds, classes, labels = self.folds or 1, pool.classes, pool.labels
        if apart := sorted({name for name in pool.own if name and name != "train"}):
            raise DataError(own_split(apart[0]))
        units = self._ranked_units(range(len(labels)), pool)
        holding = Counter(c for unit in units for c in unit.classes)
        grouped = any(unit.contents > 1 for unit in units)
        if small := [(name, holding[c]) for c, name in enumerate(classes) if holding[c] < folds]:
            there = {classes[label] for label in labels}
            raise DataError(*(_too_few_for(name, found, folds, grouped, name in there) for name, found in small))
        numbers = in_folds(units, len(classes), folds)
        result = [0] * len(labels)
        for unit, number in zip(units, numbers, strict=True):
            for i in unit.images:
                result[i] = number + 1
        held = {(c, number) for unit, number in zip(units, numbers, strict=True) for c in unit.classes}
        if torn := [(c, n) for c in range(len(classes)) for n in range(folds) if (c, n) not in held]:
            raise DataError(*(_torn_apart(classes[c], f"fold {n + 1}") for c, n in torn))
        return result

    def _ranked_units(self, images: Iterable[int], pool: Pool) -> list[Unit]:
        """What may not part of some images, in an order that is random in contents and seed."""
        return sorted(units_of(images, pool), key=lambda unit: ranked(unit.content, self.seed, "split"))


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


def _too_few(name: str, found: int, shares: Iterable[str], grouped: bool, held: set[str]) -> str:
    if not held:
        return "; ".join(empty_class(name))
    if "train" not in held:
        where = enumerated(sorted(held, reverse=True), "and")
        return (
            f"class `{name}` has no training images, only such of {where}; move some to train, or leave the class out"
        )
    if found == 0:
        return _none_to_divide(name)
    splits = ["train", *sorted(shares, reverse=True)]
    needed = f"at least {len(splits)} are needed to have one in each of: {', '.join(splits)}"
    return f"class `{name}` has {_of_them(found, grouped)} to divide; {needed}"


def _too_few_for(name: str, found: int, folds: int, grouped: bool, there: bool) -> str:
    if found == 0:
        return _none_to_divide(name) if there else "; ".join(empty_class(name))
    fewer = f"; with {found} folds each would" if found > 2 else "; leave the class out, or add images of it"
    return f"class `{name}` has {_of_them(found, grouped)}, and each of {folds} folds has to hold some of it{fewer}"


def _none_to_divide(name: str) -> str:
    return f"each image of class `{name}` is in another class too, so none is left to divide; keep it in one of them"


def _too_few_beside(name: str, found: int, fold: int, grouped: bool) -> str:
    return (
        f"class `{name}` has {_of_them(found, grouped)} outside fold {fold}; at least 2 are needed to have one in each "
        "of: train, validation; more folds leave more outside of one"
    )


def own_split(name: str) -> str:
    """Why there are no folds where a source sets images apart itself."""
    return (
        f"the source has a {name} split of its own, and folds divide all images anew; train without folds, or name a "
        "source without that split"
    )


def _of_them(found: int, grouped: bool) -> str:
    return counted(found, *(("group of images", "groups of images") if grouped else ("different image", None)))


def _torn_apart(name: str, split: str) -> str:
    return (
        f"no group of images with some of class `{name}` is left for {split}, as groups stay together and those of "
        "other classes took them; try another data.split.seed, or set less apart"
    )
