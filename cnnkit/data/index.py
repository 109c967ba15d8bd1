"""Index: what a source holds, an entry an image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from cnnkit.core.errors import DataError, Problem, UsageError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted, some, typed, without_controls
from cnnkit.data.files import decoding, file_facts
from cnnkit.data.files.decoding import Decoded
from cnnkit.data.files.file_facts import FileFacts, digest_of, digest_of_pixels
from cnnkit.data.files.walking import HIDDEN

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Unused:
    """Something that was found beside the images and not used: a file, or a folder with all that is below it.

    Attributes:
        name: Its path below the source's folder.
        reason: Why it is not used.
        files: How many files it is.
        images: How many of the files of a folder are images.
        to_predict: The path of a folder of images without labels, of which `predict` can tell the classes.
    """

    name: str
    reason: str
    files: int = 1
    images: int | None = None
    to_predict: str | None = None

    def __str__(self) -> str:
        """The name, of a folder with how much it holds: `Examples/ (3 files, 2 images)`."""
        if self.images is None:
            return self.name
        images = f", {counted(self.images, 'image')}" if 0 < self.images < self.files else ""
        what = "image" if self.images == self.files > 0 else "file"
        return f"{self.name}/ ({counted(self.files, what)}{images})"


def left_out(unused: Iterable[Unused]) -> dict[str, list[Unused]]:
    """What is not used, by the reasons; both in the order of their texts."""
    by_reason: dict[str, list[Unused]] = {}
    for entry in sorted(unused, key=lambda entry: (entry.reason, entry.name)):
        by_reason.setdefault(entry.reason, []).append(entry)
    return by_reason


def left_out_lines(unused: Sequence[Unused]) -> Iterator[str]:
    """The same in words: a line a reason, then what can be done with them."""
    yield from why_left_out(unused)
    yield from (f"after training: {command}" for command in predictions(unused))


def why_left_out(unused: Iterable[Unused]) -> Iterator[str]:
    """The same in words, a line a reason: how many files, why, and the first of them."""
    for reason, entries in left_out(unused).items():
        names = "" if reason == HIDDEN else f": {without_controls(some([str(entry) for entry in entries], 3))}"
        yield f"{counted(sum(entry.files for entry in entries), 'file')} not used: {reason}{names}"


def predictions(unused: Iterable[Unused], run: str = "RUN") -> Iterator[str]:
    """The commands by which a run tells the classes of what was left out for want of a label."""
    for entry in unused:
        if entry.to_predict:
            yield f"cnnkit predict {run} {typed(Path(entry.to_predict))}"


def empty_class(name: str) -> tuple[str, str]:
    """What to say of a class without any image, and what to do."""
    return f"class `{name}` has no image", "add images of it, or remove the class"


class ImageFile(NamedTuple):
    """An image file as a source lists it.

    Attributes:
        path: Below the source's folder; absolute where it lies elsewhere.
        label: Name of its class.
        split: The split it belongs to by the source's own word, else None.
        name: What it is called; None if that is its path.
        weight: What it counts for in training; None if all count the same.
        group: Images of the same one never part: those of a patient, a plant, a film; None if it belongs to none.
        row: The table that lists it, and the line where; None if none does.
    """

    path: str
    label: str
    split: str | None
    name: str | None = None
    weight: float | None = None
    group: str | None = None
    row: tuple[str, int] | None = None


@dataclass(frozen=True)
class ImageStack:
    """Images of one size in an array of numbers.

    Attributes:
        begin: What their names begin with, as `train` in `train/00012`.
        split: The split they belong to by the source's own word, else None.
        numbers: Theirs, (n, height, width) or (n, height, width, 3).
        labels: Theirs, (n,).
        digits: Of the number in a name.
    """

    begin: str
    split: str | None
    numbers: Any
    labels: Any
    digits: int = 5

    def name(self, i: int) -> str:
        """The name of image number i."""
        return f"{self.begin}/{i:0{self.digits}d}"


@dataclass(frozen=True)
class Index:
    """What a source holds, an entry an image, in an order that does not matter.

    Attributes:
        classes: Names of the classes; a label is a place in it.
        names: Name of each image: its path below the source's folder, or its number in a file.
        labels: int64 array of shape (images,).
        digests: Hash of each image's content; equal content, equal digest.
        splits: The split each image belongs to by the source's own word, else None.
        open: Decodes image number i, whole and upright, as a `PIL.Image.Image`; raises `decoding.BadImage`.
        path: The path of the file of image number i; None where images are no files.
        rows: The table that lists each image, and the line where; None if no table does.
        facts: What is known of the file of each image; None where images are no files.
        weights: float32 array of shape (images,), what each counts for in training; None if all count the same.
        groups: The group of each image, None for one without; None if the source knows of no groups.
        unused: What was found and left out, with the reason.
        notes: What the source understood in a way that should be known, a sentence each.
        changed: Whether the file of image number i is another than when the index was made.
    """

    classes: tuple[str, ...]
    names: Sequence[str]
    labels: Any
    digests: Sequence[str]
    splits: Sequence[str | None]
    open: Callable[[int], Any]
    facts: Sequence[FileFacts] | None = None
    weights: Any = None
    groups: Sequence[str | None] | None = None
    unused: tuple[Unused, ...] = ()
    notes: tuple[str, ...] = ()
    changed: Callable[[int], bool] = lambda i: False
    path: Callable[[int], str] | None = None
    rows: Sequence[tuple[str, int]] | None = None

    @classmethod
    def of_files(
        cls,
        root: Path,
        images: Sequence[ImageFile],
        classes: tuple[str, ...],
        progress: Progress,
        unused: Iterable[Unused] = (),
        notes: Iterable[str] = (),
    ) -> Self:
        """The index of image files.

        Args:
            root: The folder that they are below.
            images: All of them.
            classes: Names of the classes.
            progress: Is told of each file that is read.
            unused: What was found and left out.
            notes: What was understood in a way that should be known.
        """
        paths = [image.path for image in images]
        facts = file_facts.look(root, paths, progress)
        label = {name: number for number, name in enumerate(classes)}
        weights = [image.weight for image in images if image.weight is not None]
        rows = [image.row for image in images if image.row is not None]
        return cls(
            classes=classes,
            names=[image.name or image.path for image in images],
            labels=np.asarray([label[image.label] for image in images], dtype=np.int64),
            digests=[each.digest for each in facts],
            splits=[image.split for image in images],
            open=lambda i: decoding.image_of(decoding.read_bytes(root / paths[i])),
            facts=facts,
            weights=np.asarray(weights, np.float32) if weights else None,
            groups=[image.group for image in images] if any(image.group is not None for image in images) else None,
            unused=tuple(unused),
            notes=tuple(notes),
            changed=lambda i: file_facts.stamp_of(os.path.join(root, paths[i])) != facts[i].stamp,  # noqa: PTH118 - often
            path=lambda i: os.path.join(root, paths[i]),  # noqa: PTH118 - often
            rows=rows if len(rows) == len(images) else None,
        )

    @classmethod
    def of_stacks(
        cls,
        classes: tuple[str, ...],
        stacks: Sequence[ImageStack],
        progress: Progress,
        convert: Callable[[Any], Any] = lambda numbers: numbers,
        unused: tuple[Unused, ...] = (),
    ) -> Self:
        """The index of images that are arrays of numbers, not files.

        Args:
            classes: Names of the classes.
            stacks: All of them.
            progress: Is told of each image that is read.
            convert: From the numbers of an image to its pixels, uint8 (height, width) or (height, width, 3).
            unused: What was found and left out.
        """
        from PIL import Image

        places = [(stack, i) for stack in stacks for i in range(len(stack.numbers))]

        def pixels(i: int) -> Any:
            stack, place = places[i]
            return convert(stack.numbers[place])

        digests = []
        with progress.task("reading images", len(places)) as advance:
            for i in range(len(places)):
                digests.append(digest_of_pixels(pixels(i)))
                advance(1)
        return cls(
            classes=classes,
            names=[stack.name(i) for stack, i in places],
            labels=np.concatenate([stack.labels for stack in stacks]).astype(np.int64),
            digests=digests,
            splits=[stack.split for stack, _ in places],
            open=lambda i: Image.fromarray(np.ascontiguousarray(pixels(i))),
            unused=unused,
        )

    def __len__(self) -> int:
        return len(self.names)

    def decode(self, i: int, channels: int, side: int = decoding.WHOLE) -> Decoded:
        """Image number i as `decoding.decode` gives it, whatever it is stored in.

        Raises:
            BadImage: It can't be decoded.
        """
        if self.path is None:
            return Decoded(decoding.as_pixels(self.open(i), channels), None)
        facts = self.facts[i] if self.facts else None
        known = facts.header if facts and facts.settled and not self.changed(i) else None
        return decoding.decode(decoding.read_bytes(self.path(i)), channels, side, known)

    def take(self, chosen: Iterable[int], unused: Iterable[Unused] = ()) -> Index:
        """The index of the chosen entries alone; `unused` tells why others are left out."""
        places = [int(i) for i in chosen]
        numbers = np.asarray(places, dtype=np.int64)
        return replace(
            self,
            names=[self.names[i] for i in places],
            labels=self.labels[numbers],
            digests=[self.digests[i] for i in places],
            splits=[self.splits[i] for i in places],
            open=lambda i: self.open(places[i]),
            facts=None if self.facts is None else [self.facts[i] for i in places],
            weights=None if self.weights is None else self.weights[numbers],
            groups=None if self.groups is None else [self.groups[i] for i in places],
            unused=(*self.unused, *unused),
            changed=lambda i: self.changed(places[i]),
            path=_through(self.path, places),
            rows=None if self.rows is None else [self.rows[i] for i in places],
        )

    def without(self, names: dict[str, int], file: str) -> Index:
        """The index without some images.

        Args:
            names: Names of the images to leave out, each with its line in `file`.
            file: Where they are listed.

        Raises:
            DataError: A name is of no image.
        """
        if unknown := sorted(names.keys() - set(self.names), key=names.__getitem__):
            more = f", nor are {len(unknown) - 1} other lines" if len(unknown) > 1 else ""
            message = f"`{unknown[0]}` is no image of the source{more}; remove what is not there any more"
            raise DataError(Problem(message, file=file, line=names[unknown[0]]))
        left_out = [Unused(name, f"excluded by {file}") for name in self.names if name in names]
        return self.take([i for i, name in enumerate(self.names) if name not in names], left_out)

    def limited(self, count: int, seed: int) -> Index:
        """At most `count` images of each class and own split, chosen by content and seed."""
        order = sorted(range(len(self)), key=lambda i: (ranked(self.digests[i], seed, "limit"), self.names[i]))
        seen: dict[tuple[int, str | None], int] = {}
        first = []
        for i in order:
            group = int(self.labels[i]), self.splits[i]
            seen[group] = seen.get(group, 0) + 1
            if seen[group] <= count:
                first.append(i)
        return self.take(sorted(first))

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
        notes: What was understood in a way that should be known, as far as a quick look tells; a sentence each.
        counts: From each split of the source's own, and None for what it leaves open, to the images of each class;
            None where that takes longer than a quick look.
        pictures: Height and width of the pictures, where they all have the same and it is known.
        empty: Classes that have no image; in the order of `classes`.
        unused: Lists what the source leaves out, without reading an image.
    """

    classes: tuple[str, ...]
    splits: frozenset[str]
    shape: tuple[int, int, int]
    index: Callable[[Progress], Index]
    skip_bad: bool = False
    notes: tuple[str, ...] = ()
    counts: Callable[[], Mapping[str | None, Sequence[int]]] | None = None
    pictures: tuple[int, int] | None = None
    empty: tuple[str, ...] = ()
    unused: Callable[[], Sequence[Unused]] = tuple

    @staticmethod
    def counted(classes: Sequence[str], images: Iterable[tuple[str | None, str]]) -> dict[str | None, list[int]]:
        """What `counts` tells, from the split and the class of each image."""
        found = Counter(images)
        return {split: [found[split, name] for name in classes] for split in {split: None for split, _ in found}}

    @staticmethod
    def own(splits: Iterable[str | None]) -> frozenset[str]:
        """The splits that a source itself sets apart, from those that its images are in."""
        return frozenset(split for split in splits if split and split != "train")


def _through(path: Callable[[int], str] | None, places: Sequence[int]) -> Callable[[int], str] | None:
    return None if path is None else lambda i: path(places[i])


def ranked(digest: str, seed: int, purpose: str) -> str:
    """A sorting key that is random in the content, and the same for the same content and seed."""
    return digest_of(f"{purpose}:{seed}:{digest}".encode())


def in_the_order_of_looking(index: Index) -> list[int]:
    """The places of images in an order that is random in their content, so that names and their order do not matter."""
    return sorted(range(len(index)), key=lambda i: (ranked(index.digests[i], 0, "look"), index.names[i]))


def refuse_other_splits(name: str) -> None:
    """Refuses what is none of `SPLITS`.

    Raises:
        UsageError: It is none.
    """
    if name not in SPLITS:
        raise UsageError(f"there is no split `{name}`; it may be {', '.join(SPLITS)}")
