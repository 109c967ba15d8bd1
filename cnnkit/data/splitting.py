"""Split: which images train, which choose between epochs, which judge at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Self

from pydantic import Field

from cnnkit.core.errors import DataError
from cnnkit.core.spec import Seed, Spec
from cnnkit.core.text import counted
from cnnkit.data.index import ranked

Share = Annotated[float, Field(gt=0, lt=1)]


class Split(Spec):
    """Shares of the images that are set apart, class by class; what the source itself sets apart is kept."""

    validation: Share | None = None
    """Share of the images to choose the best epoch on; 0.15 if left out and the source sets none apart."""
    test: Share | None = None
    """Share of the images to judge the result on, once; 0.15 if left out and the source sets none apart."""

    seed: Seed = 0
    """Which images these are; also which those of `data.limit` are. The training's chance has a seed of its own."""

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
    ) -> list[str]:
        """The split of each image.

        Within a class the images are ranked by a hash of content and seed, and the first ones are set apart. So
        membership depends on what a file holds, not on its name or the order of a folder, and files of equal content
        always share a split, unless the source itself has parted them.

        Args:
            classes: Names of the classes.
            labels: Label of each image.
            digests: Hash of each image's content.
            own: The split that the source itself gives each image, or None.

        Raises:
            DataError: A class has too few different images to be in every split.
        """
        result = [name or "train" for name in own]
        shares = self.shares(frozenset(name for name in own if name and name != "train"))
        groups = _groups([i for i, split in enumerate(result) if split == "train"], labels, digests, self._rank)
        if small := [(name, len(groups[i])) for i, name in enumerate(classes) if len(groups[i]) <= len(shares)]:
            raise DataError(*(_too_few(name, found, shares) for name, found in small))
        for label in range(len(classes)):
            remaining = groups[label][::-1]
            total = sum(map(len, remaining))
            for left, (split, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
                taken = 0
                # At least one group, and never so many that a later split or training gets none.
                while taken == 0 or (taken < round(share * total) and len(remaining) > left):
                    group = remaining.pop()
                    taken += len(group)
                    for i in group:
                        result[i] = split
        return result

    def _rank(self, digest: str) -> str:
        return ranked(digest, self.seed, "split")


def _groups(
    images: Iterable[int], labels: Sequence[int], digests: Sequence[str], rank: Callable[[str], str]
) -> dict[int, list[list[int]]]:
    """Images that may not part, of each class in the order of their rank; those of two classes are with the first."""
    equal: dict[str, list[int]] = defaultdict(list)
    for i in images:
        equal[digests[i]].append(i)
    groups: dict[int, list[list[int]]] = defaultdict(list)
    for digest in sorted(equal, key=rank):
        groups[min(labels[i] for i in equal[digest])].append(equal[digest])
    return groups


def _too_few(name: str, found: int, shares: Iterable[str]) -> str:
    images = "no image" if found == 0 else counted(found, "different image")
    shared = " that no other class has" if found == 0 else ""
    splits = ["train", *sorted(shares, reverse=True)]
    needed = f"at least {len(splits)} are needed to have one in each of: {', '.join(splits)}"
    return f"class `{name}` has {images}{shared} to divide; {needed}"
