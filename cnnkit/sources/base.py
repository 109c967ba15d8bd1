"""Source: where images come from, and the index of what is there."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cnnkit.lazy import np
from cnnkit.progress import Progress
from cnnkit.spec import Spec

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Unused:
    """Something that was found beside the images and not used."""

    name: str
    reason: str


@dataclass(frozen=True)
class Index:
    """What a source holds, an entry an image, in an order that does not matter.

    Attributes:
        classes: Names of the classes; a label is a place in it.
        names: Name of each image: its path below the source's folder, or its number in a file.
        labels: int64 array of shape (images,).
        digests: Hash of each image's content; equal content, equal digest.
        splits: The split each image belongs to by the source's own word, else None.
        open: Opens image number i as a `PIL.Image.Image`; raises `decoding.BadImage`.
        unused: What was found and left out, with the reason.
    """

    classes: tuple[str, ...]
    names: Sequence[str]
    labels: Any
    digests: Sequence[str]
    splits: Sequence[str | None]
    open: Callable[[int], Any]
    unused: tuple[Unused, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def take(self, chosen: Iterable[int], unused: Iterable[Unused] = ()) -> Index:
        """The index of the chosen entries alone; `unused` tells why others are left out."""
        kept = [int(i) for i in chosen]
        return replace(
            self,
            names=[self.names[i] for i in kept],
            labels=self.labels[np.asarray(kept, dtype=np.int64)],
            digests=[self.digests[i] for i in kept],
            splits=[self.splits[i] for i in kept],
            open=lambda i: self.open(kept[i]),
            unused=(*self.unused, *unused),
        )

    def limited(self, count: int, seed: int) -> Index:
        """At most `count` images of each class and own split, chosen by content and seed."""
        order = sorted(range(len(self)), key=lambda i: (ranked(self.digests[i], seed, "limit"), self.names[i]))
        seen: dict[tuple[int, str | None], int] = {}
        kept = []
        for i in order:
            group = int(self.labels[i]), self.splits[i]
            seen[group] = seen.get(group, 0) + 1
            if seen[group] <= count:
                kept.append(i)
        return self.take(sorted(kept))

    def fingerprint(self) -> str:
        """One hash of all names, labels and contents, whatever their order."""
        lines = sorted(
            f"{name}\t{self.classes[label]}\t{digest}"
            for name, label, digest in zip(self.names, self.labels, self.digests, strict=True)
        )
        return digest_of("\n".join(lines).encode(errors="surrogateescape"))


@dataclass(frozen=True)
class Collection:
    """What a quick look at a source tells, without NumPy and without reading an image.

    Attributes:
        classes: Names of the classes.
        splits: Which of `train`, `validation` and `test` the source itself sets apart.
        shape: Height, width and channels that suit its images.
        index: Reads it all; the long part.
        skip_bad: Whether files that can't be decoded are left out instead of stopping everything.
    """

    classes: tuple[str, ...]
    splits: frozenset[str]
    shape: tuple[int, int, int]
    index: Callable[[Progress], Index]
    skip_bad: bool = False


class Source(Spec):
    """Where images and their labels come from."""

    @abstractmethod
    def open(self) -> Collection:
        """Looks at what is there.

        Raises:
            DataError: Nothing is there, or it is not in the form that this source reads; the key of
                its problems is the field of this source that is to blame.
        """


def digest_of(content: bytes | memoryview) -> str:
    """The hash by which equal contents are known (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def ranked(digest: str, seed: int, purpose: str) -> str:
    """A sorting key that is random in the content, and the same for the same content and seed."""
    return digest_of(f"{purpose}:{seed}:{digest}".encode())
