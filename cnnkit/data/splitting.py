"""Split: which images train, which choose between epochs, which judge at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field

from cnnkit.core.errors import DataError
from cnnkit.core.spec import Spec
from cnnkit.core.text import counted

Share = Annotated[float, Field(gt=0, lt=1)]


class Split(Spec):
    """Shares of the images that are set apart, class by class; what the source itself sets apart is kept."""

    validation: Share | None = None
    """Share of the images to choose the best epoch on; 0.15 if left out and the source sets none apart."""
    test: Share | None = None
    """Share of the images to judge the result on, once; 0.15 if left out and the source sets none apart."""

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
        rank: Callable[[str], str],
    ) -> list[str]:
        """The split of each image.

        Within a class the images are ranked by a hash of content and seed, and the first ones are set
        apart. So membership depends on what a file holds, not on its name or the order of a folder, and
        files of equal content always share a split (in two classes too: they go with the first of them),
        unless the source itself has parted them.

        Args:
            classes: Names of the classes.
            labels: Label of each image.
            digests: Hash of each image's content.
            own: The split that the source itself gives each image, or None.
            rank: From a digest to its sorting key.

        Raises:
            DataError: A class has too few different images to be in every split.
        """
        result = [name or "train" for name in own]
        shares = self.shares(frozenset(name for name in own if name and name != "train"))
        groups: dict[str, list[int]] = defaultdict(list)
        for i, digest in enumerate(digests):
            if result[i] == "train":
                groups[digest].append(i)
        by_class: dict[int, list[str]] = defaultdict(list)
        for digest in sorted(groups, key=rank):
            by_class[min(labels[i] for i in groups[digest])].append(digest)
        wanted = ", ".join(["train", *sorted(shares, reverse=True)])
        if small := [(name, len(by_class[i])) for i, name in enumerate(classes) if len(by_class[i]) <= len(shares)]:
            raise DataError(*(_too_few(name, found, len(shares) + 1, wanted) for name, found in small))
        for label in range(len(classes)):
            ranked = by_class[label]
            total = sum(len(groups[digest]) for digest in ranked)
            position = 0
            for left, (split, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
                taken = 0
                # At least one group, and never so many that a later split or training gets none.
                while taken == 0 or (taken < round(share * total) and position < len(ranked) - left):
                    for i in groups[ranked[position]]:
                        result[i] = split
                    taken += len(groups[ranked[position]])
                    position += 1
        return result


def _too_few(name: str, found: int, needed: int, wanted: str) -> str:
    images = "no image" if found == 0 else counted(found, "different image")
    shared = " that no other class has" if found == 0 else ""
    return (
        f"class `{name}` has {images}{shared} to divide; at least {needed} are needed to have one in each of: {wanted}"
    )
