"""Images as arrays of numbers, in NumPy's files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath, Text
from cnnkit.core.text import counted, listed, printable
from cnnkit.data.files import arrays
from cnnkit.data.files.arrays import ArrayFile
from cnnkit.data.files.pixel_range import pixel_range
from cnnkit.data.index import SPLITS, Collection, ImageStack, Index, Unused
from cnnkit.data.sources.base import Source, at_path, in_order, label_text, reworded
from cnnkit.data.split_names import split_of

_IMAGES = ("images", "image", "imgs", "x", "data", "pixels")
_LABELS = ("labels", "label", "y", "targets", "target", "classes")


@dataclass(frozen=True)
class ArrayPair:
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
        pairs, others = self._pairs()
        shapes = [_shape(pair.images) for pair in pairs]
        if len(set(shapes)) > 1:
            sizes = " and ".join(f"{pair.images.key} {pair.images.shape[1:]}" for pair in pairs)
            raise at_path(f"{self.path} has images of different sizes: {sizes}")
        for pair in pairs:
            if math.prod(pair.images.shape) == 0:
                raise at_path(f"{pair.images} holds nothing: it has the shape {pair.images.shape}")
        files = [pair.labels for pair in pairs]
        values = [_values(file) for file in files]
        for pair, own in zip(pairs, values, strict=True):
            if len(own) != (count := pair.images.shape[0]):
                raise at_path(
                    f"{pair.images} has {counted(count, 'image')}, {pair.labels} {counted(len(own), 'label')}"
                )
        classes, labels = _classes(files, values, self.classes)
        if len(classes) < 2:
            raise at_path(f"{self.path} has one label only, `{classes[0]}`; at least two classes are needed")
        splits = Collection.own(pair.split for pair in pairs)
        unused = tuple(Unused(str(other), "neither images nor labels by its name") for other in others)
        return Collection(
            classes,
            splits,
            shapes[0],
            lambda progress: _index(pairs, classes, labels, unused, progress),
            counts=lambda: {
                pair.split: np.bincount(own, minlength=len(classes)).tolist()
                for pair, own in zip(pairs, labels, strict=True)
            },
            pictures=shapes[0][:2],
        )

    def _pairs(self) -> tuple[list[ArrayPair], list[ArrayFile]]:
        """What is to be read, and what else the file holds."""
        path = Path(self.path)
        kind = path.suffix.lower()
        if kind not in (".npz", ".npy"):
            raise at_path(f"{path} should be a .npz or a .npy file")
        packed = kind == ".npz"
        for key in ("images_key", "labels_key") if not packed else ("labels",):
            if getattr(self, key):
                why = "an .npz has its labels in it" if packed else "only arrays in an .npz have names"
                raise DataError(Problem(f"{why}; leave this out", key=key))
        found = _headers(path, "path")
        if packed:
            return self._pairs_in(found)
        if self.labels is None:
            raise DataError(Problem("is required beside a .npy file: the .npy file of the labels", key="labels"))
        if Path(self.labels).suffix.lower() != ".npy":
            raise DataError(Problem(f"{self.labels} should be a .npy file", key="labels"))
        return [ArrayPair(None, found[0], _headers(Path(self.labels), "labels")[0])], []

    def _pairs_in(self, found: list[ArrayFile]) -> tuple[list[ArrayPair], list[ArrayFile]]:
        """The pairs among the arrays of an .npz."""
        there = "; it holds " + (", ".join(f"{each.key} {each.shape}" for each in found) or "no arrays")
        for key in ("images_key", "labels_key"):
            if (asked := getattr(self, key)) and asked not in {each.key for each in found}:
                raise DataError(Problem(f"{self.path} has no array `{asked}`{there}", key=key))
        images = _by_split(found, _IMAGES, self.images_key)
        labels = _by_split(found, _LABELS, self.labels_key)
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
        pairs = [ArrayPair(split, images[split][0], labels[split][0]) for split in (None, *SPLITS) if split in images]
        used = {each.key for pair in pairs for each in (pair.images, pair.labels)}
        return pairs, [each for each in found if each.key not in used]


def _headers(path: Path, key: str) -> list[ArrayFile]:
    with reworded(lambda problem: replace(problem, key=key)):
        return arrays.headers(path)


def _by_split(found: list[ArrayFile], words: Sequence[str], key: str | None) -> dict[str | None, list[ArrayFile]]:
    """The array of a key, else those that one of the words names: `x`, `x_train`, `train_x`; by split."""
    if key:
        return {None: [each for each in found if each.key == key]}
    result: dict[str | None, list[ArrayFile]] = {}
    for each in found:
        names = (each.key or "").lower().split("_")
        splits = [split for name in names if (split := split_of(name))]
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


def _values(labels: ArrayFile) -> Any:
    """The labels in a file: an array (n,) of whole numbers, or of text.

    Raises:
        DataError: They are no labels; with the first that is wrong.
    """
    values = labels.read()
    if len(values.shape) == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError:
            raise at_path(f"{labels} holds bytes that are no text in UTF-8") from None
    if values.dtype.kind not in "buifU" or len(values.shape) not in (1, 2) or 0 in values.shape:
        form = f"{labels} has the shape {values.shape} and the type {values.dtype}"
        raise at_path(f"{form}: labels should be (n,), or one-hot (n, classes), of whole numbers or text")
    if values.dtype.kind == "U":
        if len(values.shape) == 1:
            different, places = np.unique(values, return_inverse=True)
            return np.asarray([label_text(label) for label in different.tolist()])[places]
        raise at_path(f"{labels} has {values.shape[1]} texts an image; one is needed")
    if len(values.shape) == 2:
        right = np.isin(values, (0, 1)).all(axis=1) & ((values == 1).sum(axis=1) == 1)
        _all(right, labels, "is not one-hot: a single 1, and 0 in the other places")
        return values.argmax(axis=1)
    if values.dtype.kind == "f":
        _all(np.isfinite(values) & (np.rint(values) == values), labels, "is no whole number")
    _all(values >= 0, labels, "is negative")
    _all(values < 2**31, labels, "is too large a number for a label")
    return values.astype(np.int64)


def _all(right: Any, labels: ArrayFile, what: str) -> None:
    if not right.all():
        wrong = int((~right).argmax())
        more = f", as are {counted(int((~right).sum()) - 1, 'other')}" if (~right).sum() > 1 else ""
        raise at_path(f"{labels}: label number {wrong} (the first is 0) {what}{more}")


def _classes(
    files: list[ArrayFile], values: list[Any], names: tuple[str, ...] | None
) -> tuple[tuple[str, ...], list[Any]]:
    """Names of the classes, and the number of the class of each image, file by file; training is the first.

    Raises:
        DataError: The names don't suit the labels, or one that training lacks is in another split.
    """
    text = {each.dtype.kind == "U" for each in values}
    if len(text) > 1:
        raise at_path("labels are numbers in one split and text in another")
    if names and (twice := sorted({name for name in names if names.count(name) > 1})):
        raise DataError(Problem(f"two classes are called `{twice[0]}`", key="classes"))
    trained = np.unique(values[0])
    for file, own in zip(files, values, strict=True):
        if unknown := [str(label) for label in np.setdiff1d(own, trained)]:
            raise at_path(f"{file} has labels that {files[0].key} lacks: {listed(unknown)}")
    if text == {True}:
        if odd := [name for name in trained.tolist() if not name or not printable(name)]:
            raise at_path(f"{files[0]}: {odd[0]!r} can't be the name of a class")
        order = in_order(trained.tolist()) if names is None else names
        places = {label_text(name): i for i, name in enumerate(order)}
        if unnamed := [name for name in trained.tolist() if name not in places]:
            raise DataError(Problem(f"there are labels that are not named here: {listed(unnamed)}", key="classes"))
        return order, [np.array([places[name] for name in each.tolist()]) for each in values]
    if names:
        if len(names) <= trained.max():
            message = f"{len(names)} names, but the labels go from {trained.min()} to {trained.max()}, counted from 0"
            raise DataError(Problem(message, key="classes"))
        return names, values
    return tuple(str(label) for label in trained.tolist()), [np.searchsorted(trained, each) for each in values]


# Images


def _index(
    pairs: list[ArrayPair], classes: tuple[str, ...], labels: list[Any], unused: tuple[Unused, ...], progress: Progress
) -> Index:
    stacks = []
    for pair, numbers in zip(pairs, labels, strict=True):
        images = pair.images.read()
        images = images[..., 0] if images.shape[3:] == (1,) else images
        stacks.append(ImageStack(pair.split or "arrays", pair.split, images, numbers))
    path = pairs[0].images.path
    if len({stack.numbers.dtype for stack in stacks}) > 1:
        types = " and ".join(f"{pair.images.key} {pair.images.dtype}" for pair in pairs)
        raise DataError(f"{path} has images of different types: {types}; save them in one")
    arrays = [stack.numbers for stack in stacks]
    found = pixel_range(arrays, lambda i, number: f"{pairs[i].images}: {stacks[i].name(number)}")
    if found.taken_for:
        progress.say(f"{path}: {found.taken_for}")
    return Index.of_stacks(classes, stacks, progress, found.convert, unused)
