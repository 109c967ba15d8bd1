"""The files of MNIST and its relatives (Fashion-MNIST, KMNIST): images and labels in `idx` form.

The format, from the page of MNIST (Y. LeCun, C. Cortes, C. Burges): two zero bytes, the type (0x08 for
unsigned bytes), the number of dimensions, then each dimension as a big-endian 32-bit number, then the data.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import Literal, Self

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath, Text
from cnnkit.core.text import counted
from cnnkit.data.files.archive_members import most_out_of, too_much
from cnnkit.data.files.arrays import lacking_memory
from cnnkit.data.index import Collection, ImageStack, Index
from cnnkit.data.sources.base import Source, at_path

_PREFIXES = {None: "train", "test": "t10k"}
"""How the names of a split's files begin."""


class Idx(Source):
    """The four files of MNIST, Fashion-MNIST and the like, gzipped or not; `t10k` is the test split."""

    name: Literal["idx"] = "idx"
    path: AbsolutePath
    """Folder of train-images-idx3-ubyte, train-labels-idx1-ubyte and the same of t10k, each also as .gz."""
    classes: tuple[Text, ...] | None = None
    """Names of the classes in the order of their labels; the labels themselves if left out."""

    @classmethod
    def recognise(cls, path: Path) -> Self | None:
        """A folder that holds the training images."""
        return cls(path=str(path)) if path.is_dir() and _find(path, _PREFIXES[None]) else None

    def open(self, progress: Progress) -> Collection:
        """Reads the labels and the size of the images."""
        folder = Path(self.path)
        if not folder.is_dir():
            raise at_path(f"there is no folder {folder}")
        files = {split: found for split, prefix in _PREFIXES.items() if (found := _find(folder, prefix))}
        if None not in files:
            wanted = "train-images-idx3-ubyte and train-labels-idx1-ubyte (or .gz)"
            raise at_path(f"{folder} does not hold {wanted}")
        highest = max(max(_read(labels, 1)[1], default=0) for _, labels in files.values())
        if self.classes and len(self.classes) <= highest:
            raise DataError(Problem(f"{len(self.classes)} names, but the labels go from 0 to {highest}", key="classes"))
        if self.classes and (twice := sorted({name for name in self.classes if self.classes.count(name) > 1})):
            raise DataError(Problem(f"two classes are called `{twice[0]}`", key="classes"))
        classes = self.classes or tuple(str(label) for label in range(highest + 1))
        if len(classes) < 2:
            raise at_path(f"{folder} holds one label only; at least two classes are needed")
        height, width = _read(files[None][0], 3, header_only=True)[0][1:]
        return Collection(
            classes,
            Collection.own(files),
            (height, width, 1),
            lambda progress: _index(classes, files),
            counts=lambda: _counts(len(classes), files),
            pictures=(height, width),
        )


def _counts(classes: int, files: dict[str | None, tuple[Path, Path]]) -> dict[str | None, list[int]]:
    """Images of each class, by their own split."""
    found = {split: Counter(_read(labels, 1)[1]) for split, (_, labels) in files.items()}
    return {split: [labels[label] for label in range(classes)] for split, labels in found.items()}


def _index(classes: tuple[str, ...], files: dict[str | None, tuple[Path, Path]]) -> Index:
    stacks = []
    for split, (image_file, label_file) in files.items():
        (count, height, width), image_bytes = _read(image_file, 3)
        (label_count,), label_bytes = _read(label_file, 1)
        if count != label_count:
            raise DataError(f"{image_file} has {counted(count, 'image')}, {label_file} {counted(label_count, 'label')}")
        pixels = np.frombuffer(image_bytes, np.uint8).reshape(count, height, width)
        stacks.append(ImageStack(_PREFIXES[split], split, pixels, np.frombuffer(label_bytes, np.uint8)))
    if len({stack.numbers.shape[1:] for stack in stacks}) > 1:
        raise DataError(f"{image_file.parent}: train and t10k have images of different sizes")
    return Index.of_stacks(classes, stacks, Progress())


def _find(folder: Path, prefix: str) -> tuple[Path, Path] | None:
    """The image and the label file of a part, or None if neither is there."""
    found = []
    for kind in ("images{}idx3-ubyte", "labels{}idx1-ubyte"):
        names = [f"{prefix}-{kind.format(sign)}{gz}" for sign in "-." for gz in ("", ".gz")]
        found.append(next((folder / name for name in names if (folder / name).is_file()), None))
    images, labels = found
    if images and labels:
        return images, labels
    if alone := images or labels:
        raise at_path(f"{folder} holds {alone.name} without its {'labels' if images else 'images'}")
    return None


def _read(path: Path, dimensions: int, header_only: bool = False) -> tuple[tuple[int, ...], bytearray]:
    """The sizes and the data of an idx file of unsigned bytes.

    Raises:
        DataError: It is not such a file, it is cut short, or there is no memory for it.
    """
    head = 4 + 4 * dimensions
    packed = path.suffix == ".gz"
    try:
        size = path.stat().st_size
        with gzip.open(path) if packed else path.open("rb") as file:
            header = file.read(head)
            if len(header) < head or header[:4] != bytes([0, 0, 8, dimensions]):
                raise at_path(f"{path} is not an idx file of {dimensions} dimensions")
            sizes = struct.unpack(f">{dimensions}I", header[4:])
            expected = math.prod(sizes)
            if packed and expected > most_out_of(size):
                raise at_path(f"{path} {too_much(most_out_of(size))}unpack it yourself, with gunzip")
            if not header_only and (lacking := lacking_memory(expected if packed else min(expected, size))):
                raise at_path(f"{path} {lacking}")
            # One byte more than there should be, so that a file too long shows as well; in blocks, so that a
            # header that lies does not cost its word in memory.
            content = bytearray()
            while not header_only and (block := file.read(min(expected + 1 - len(content), 2**20))):
                content += block
    except (OSError, EOFError, zlib.error) as error:
        raise at_path(f"{path} can't be read: {error}") from None
    except MemoryError:
        raise at_path(f"{path} can't be read: there is no memory for it") from None
    if not header_only and len(content) != expected:
        there = f"{len(content):,}" if len(content) < expected else f"more than {expected:,}"
        raise at_path(f"{path} holds {there} values; its header says {expected:,}")
    return sizes, content
