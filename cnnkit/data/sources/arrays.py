"""Images as arrays of numbers, in NumPy's files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath, Text
from cnnkit.core.text import listed, printable
from cnnkit.data.files import arrays
from cnnkit.data.files.arrays import ArrayFile
from cnnkit.data.files.pixel_range import pixel_range
from cnnkit.data.index import SPLIT_NAMES, SPLITS, Collection, Index, Unused
from cnnkit.data.sources.base import Source, at_path, in_order, label_text

_IMAGES = ("images", "image", "imgs", "x", "data", "pixels")
_LABELS = ("labels", "label", "y", "targets", "target", "classes")
_SPLIT_WORDS = SPLIT_NAMES | {"valid": "validation"}


@dataclass(frozen=True)
class Part:
    """Images and their labels, all of one split, or of none."""

    split: str | None
    images: ArrayFile
    labels: ArrayFile


class Arrays(Source):
    """Images (n, height, width) or (n, height, width, 3) and labels, in an .npz file or a pair of .npy files."""

    name: Literal["arrays"] = "arrays"
    path: AbsolutePath
    """The .npz file, or the .npy file of the images."""
    labels: AbsolutePath | None = None
    """The .npy file of the labels; an .npz has them in it."""
    images_key: Text | None = None
    """What the images are called in the .npz; found if left out, also x_train, x_val and x_test, which are kept as
    splits."""
    labels_key: Text | None = None
    """What the labels are called in the .npz; found if left out."""
    classes: tuple[Text, ...] | None = None
    """Names of the classes in the order of their labels, from 0; the labels themselves if left out."""

    @classmethod
    def recognise(cls, path: Path) -> Self | None:
        """A .npz file, or a .npy file with labels beside it, or a folder with one of these alone."""
        if path.is_dir():
            there = list(path.iterdir())
            packed = [file for file in there if file.suffix.lower() == ".npz"]
            images = [file for file in there if file.suffix.lower() == ".npy" and _labels_beside(file)]
            folders = any(each.is_dir() and not each.name.startswith(".") for each in there)
            return None if folders or len(packed + images) != 1 else cls.recognise((packed + images)[0])
        if path.suffix.lower() == ".npz" and path.is_file():
            return cls(path=str(path))
        if path.suffix.lower() != ".npy" or not path.is_file():
            return None
        labels = _labels_beside(path)
        if labels is None:
            raise DataError(f"{path}: there are no labels beside it; a file such as labels.npy should hold them")
        return cls(path=str(path), labels=str(labels))

    def open(self, progress: Progress) -> Collection:
        """Reads the labels and the sizes of the images."""
        parts, others = self._parts()
        shapes = [_shape(part.images) for part in parts]
        if len(set(shapes)) > 1:
            told = " and ".join(f"{part.images.key} {part.images.shape[1:]}" for part in parts)
            raise at_path(f"{self.path} has images of different sizes: {told}")
        for part in parts:
            if math.prod(part.images.shape) == 0:
                raise at_path(f"{part.images} holds nothing: it has the shape {part.images.shape}")
        labels = [_values(part) for part in parts]
        for part, values in zip(parts, labels, strict=True):
            if len(values) != part.images.shape[0]:
                images, labelled = f"{part.images.shape[0]:,} images", f"{len(values):,} labels"
                raise at_path(f"{part.images} has {images}, {part.labels} {labelled}")
        classes, numbers = _classes(list(zip(parts, labels, strict=True)), self.classes)
        if len(classes) < 2:
            raise at_path(f"{self.path} has one label only, `{classes[0]}`; at least two classes are needed")
        own = Collection.own(part.split for part in parts)
        unused = tuple(Unused(str(other), "neither images nor labels by its name") for other in others)
        return Collection(classes, own, shapes[0], lambda progress: _index(parts, classes, numbers, unused, progress))

    def _parts(self) -> tuple[list[Part], list[ArrayFile]]:
        """What is to be read, and what else the file holds."""
        path = Path(self.path)
        kind = path.suffix.lower()
        if kind not in (".npz", ".npy"):
            raise at_path(f"{path} should be a .npz or a .npy file")
        packed = kind == ".npz"
        for key in ("images_key", "labels_key") if not packed else ("labels",):
            if getattr(self, key):
                told = "an .npz has its labels in it" if packed else "only arrays in an .npz have names"
                raise DataError(Problem(f"{told}; leave this out", key=key))
        found = _headers(path, "path")
        if packed:
            return self._parts_of(found)
        if self.labels is None:
            raise DataError(Problem("is required beside a .npy file: the .npy file of the labels", key="labels"))
        if Path(self.labels).suffix.lower() != ".npy":
            raise DataError(Problem(f"{self.labels} should be a .npy file", key="labels"))
        return [Part(None, found[0], _headers(Path(self.labels), "labels")[0])], []

    def _parts_of(self, found: list[ArrayFile]) -> tuple[list[Part], list[ArrayFile]]:
        """The parts among the arrays of an .npz."""
        there = "; it holds " + (", ".join(f"{each.key} {each.shape}" for each in found) or "no arrays")
        by_name = {each.key: each for each in found}
        for key in ("images_key", "labels_key"):
            if (asked := getattr(self, key)) and asked not in by_name:
                raise DataError(Problem(f"{self.path} has no array `{asked}`{there}", key=key))
        images, labels = _by_split(found, _IMAGES), _by_split(found, _LABELS)
        if self.images_key:
            images = {None: [by_name[self.images_key]]}
        if self.labels_key:
            labels = {None: [by_name[self.labels_key]]}
        if self.images_key or self.labels_key:  # one of them alone names no splits
            images = {split: each for split, each in images.items() if split is None}
            labels = {split: each for split, each in labels.items() if split is None}
        if len(found) == 2 and not (images and labels):
            # Names of no meaning, such as arr_0 and arr_1: then only one has the axes of images.
            first, second = sorted(found, key=lambda each: -len(each.shape))
            if len(first.shape) >= 3 > len(second.shape) and self.images_key in (None, first.key):
                images, labels = {None: [first]}, {None: [second]}
        single = all(len(each) == 1 for each in (*images.values(), *labels.values()))
        if not images or images.keys() != labels.keys() or not single or (None in images and len(images) > 1):
            raise at_path(f"{self.path}: which arrays are images and labels? Set images_key and labels_key{there}")
        if None not in images and "train" not in images:
            raise at_path(f"{self.path} has no images to train on{there}")
        parts = [Part(split, images[split][0], labels[split][0]) for split in (None, *SPLITS) if split in images]
        used = {each.key for part in parts for each in (part.images, part.labels)}
        return parts, [each for each in found if each.key not in used]


def _headers(path: Path, key: str) -> list[ArrayFile]:
    try:
        return arrays.headers(path)
    except DataError as error:
        raise DataError(*(Problem(problem.message, key=key) for problem in error.problems)) from None


def _by_split(found: list[ArrayFile], words: Sequence[str]) -> dict[str | None, list[ArrayFile]]:
    """The arrays that one of the words names: `x`, `x_train`, `train_x`; by split."""
    result: dict[str | None, list[ArrayFile]] = {}
    for each in found:
        names = (each.key or "").lower().split("_")
        splits = [_SPLIT_WORDS[name] for name in names if name in _SPLIT_WORDS]
        if len(names) == 1 + len(splits) <= 2 and any(name in words for name in names):
            result.setdefault(splits[0] if splits else None, []).append(each)
    return result


def _labels_beside(images: Path) -> Path | None:
    """The file of labels that belongs to a file of images, by its name."""
    stem = images.stem.lower()
    twins = [stem.replace("images", "labels"), stem.replace("data", "labels"), f"{stem}_labels"]
    twins += [f"y{stem[1:]}"] if stem == "x" or stem.startswith("x_") else []
    there = {file.stem.lower(): file for file in sorted(images.parent.glob("*.npy"))}
    usual = (name for name in (*twins, "labels", "y", "targets") if name != stem)
    return next((there[name] for name in usual if name in there), None)


def _shape(images: ArrayFile) -> tuple[int, int, int]:
    """Height, width and channels of images.

    Raises:
        DataError: They are not in a form that is read.
    """
    axes = images.shape[1:]
    if len(images.shape) == 3:
        return axes[0], axes[1], 1
    if len(images.shape) == 4 and axes[2] in (1, 3):
        return axes[0], axes[1], axes[2]
    if len(images.shape) == 4 and axes[0] in (1, 3):
        hint = "its channels come first; move them to the end with np.moveaxis(images, 1, -1)"
    elif len(images.shape) == 2:
        hint = "each image is a row; bring it to its height and width with images.reshape(-1, height, width)"
    else:
        hint = "images should be (n, height, width), (n, height, width, 1) or (n, height, width, 3)"
    raise at_path(f"{images} has the shape {images.shape}: {hint}")


# Labels


def _values(part: Part) -> Any:
    """The labels of a part: an array (n,) of whole numbers, or of text.

    Raises:
        DataError: They are no labels; with the first that is wrong.
    """
    values = part.labels.read()
    if len(values.shape) == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError:
            raise at_path(f"{part.labels} holds bytes that are no text in UTF-8") from None
    if values.dtype.kind not in "buifU" or len(values.shape) not in (1, 2) or 0 in values.shape:
        told = f"{part.labels} has the shape {values.shape} and the type {values.dtype}"
        raise at_path(f"{told}: labels should be (n,), or one-hot (n, classes), of whole numbers or text")
    if values.dtype.kind == "U":
        if len(values.shape) == 1:
            known, places = np.unique(values, return_inverse=True)
            return np.asarray([label_text(label) for label in known.tolist()])[places]
        raise at_path(f"{part.labels} has {values.shape[1]} texts an image; one is needed")
    if len(values.shape) == 2:
        right = (values == 1).sum(axis=1) + (values == 0).sum(axis=1) == values.shape[1]
        right &= (values == 1).sum(axis=1) == 1
        _all(right, part, "is not one-hot: a single 1, and 0 in the other places")
        return values.argmax(axis=1)
    if values.dtype.kind == "f":
        _all(np.isfinite(values) & (np.rint(values) == values), part, "is no whole number")
    _all(values >= 0, part, "is negative")
    _all(values < 2**31, part, "is too large a number for a label")
    return values.astype(np.int64)


def _all(right: Any, part: Part, what: str) -> None:
    if not right.all():
        wrong = int((~right).argmax())
        more = f", as are {int((~right).sum()) - 1:,} others" if (~right).sum() > 1 else ""
        raise at_path(f"{part.labels}: label number {wrong} (the first is 0) {what}{more}")


def _classes(parts: list[tuple[Part, Any]], names: tuple[str, ...] | None) -> tuple[tuple[str, ...], list[Any]]:
    """Names of the classes, and the number of the class of each image, part by part.

    Raises:
        DataError: The names don't suit the labels, or one that training lacks is in another split.
    """
    text = {values.dtype.kind == "U" for _, values in parts}
    if len(text) > 1:
        raise at_path("labels are numbers in one split and text in another")
    if names and (twice := sorted({name for name in names if names.count(name) > 1})):
        raise DataError(Problem(f"two classes are called `{twice[0]}`", key="classes"))
    there = [np.unique(values) for _, values in parts]
    for (part, _), own in zip(parts[1:], there[1:], strict=True):
        if unknown := [str(label) for label in np.setdiff1d(own, there[0])]:
            raise at_path(f"{part.labels} has labels that {parts[0][0].labels.key} lacks: {listed(unknown)}")
    known = there[0]
    if text == {True}:
        if odd := [name for name in known.tolist() if not name or not printable(name)]:
            raise at_path(f"{parts[0][0].labels}: {odd[0]!r} can't be the name of a class")
        order = in_order(known.tolist()) if names is None else names
        places = {label_text(name): i for i, name in enumerate(order)}
        if unnamed := [name for name in known.tolist() if name not in places]:
            raise DataError(Problem(f"there are labels that are not named here: {listed(unnamed)}", key="classes"))
        return order, [np.array([places[name] for name in values.tolist()]) for _, values in parts]
    if names:
        if len(names) <= known.max():
            message = f"{len(names)} names, but the labels go from {known.min()} to {known.max()}, counted from 0"
            raise DataError(Problem(message, key="classes"))
        return names, [values for _, values in parts]
    return tuple(str(label) for label in known.tolist()), [np.searchsorted(known, values) for _, values in parts]


# Images


def _index(
    parts: list[Part], classes: tuple[str, ...], numbers: list[Any], unused: tuple[Unused, ...], progress: Progress
) -> Index:
    stacks = [part.images.read() for part in parts]
    stacks = [stack[..., 0] if stack.shape[3:] == (1,) else stack for stack in stacks]
    if len({stack.dtype for stack in stacks}) > 1:
        told = " and ".join(f"{part.images.key} {part.images.dtype}" for part in parts)
        raise DataError(f"{parts[0].images.path} has images of different types: {told}; save them in one")

    def name(part: int, number: int) -> str:
        return f"{parts[part].split or 'arrays'}/{number:05d}"

    found = pixel_range(stacks, lambda part, number: f"{parts[part].images}: {name(part, number)}")
    if found.taken_for:
        progress.say(f"{parts[0].images.path}: {found.taken_for}")
    where = [(part, number) for part, stack in enumerate(stacks) for number in range(len(stack))]

    def pixels(i: int) -> Any:
        part, number = where[i]
        return found.convert(stacks[part][number])

    return Index.of_pixels(
        classes,
        [name(part, number) for part, number in where],
        np.concatenate(numbers),
        [parts[part].split for part, _ in where],
        pixels,
        progress,
        unused,
    )
