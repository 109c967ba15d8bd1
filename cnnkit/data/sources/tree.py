"""A tree of folders, of which is asked what they hold; it answers without reading more of the disk than it must."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

from cnnkit.core import own_folders
from cnnkit.core.text import counted
from cnnkit.data.files.walking import (
    HIDDEN,
    any_file,
    counts_below,
    files_below,
    files_in,
    how_many,
    is_picture,
    matcher,
    subfolders,
    why_not,
)
from cnnkit.data.index import Unused
from cnnkit.data.split_names import split_of

LOOKED_AT = 20_000
"""So many files are looked at, to tell what a folder may be."""

# What holds images, or folders of them, and says nothing of what they show.
_CONTAINERS = {"data", "dataset", "datasets", "image", "images", "img", "imgs", "jpegimages", "photos", "pictures"}

# What lies beside other folders and is called so holds no class of its own. `mask` alone may well be one.
_ASIDE = {
    *("annotation", "annotations", "example", "examples", "groundtruth", "gt", "labels", "masks", "segmentation"),
    *("segmentations", "segmentationclass", "segmentationobject", "thumbnails", "thumbs", "trimaps"),
}


@dataclass
class Tree:
    """The folders below one.

    Attributes:
        root: The folder.
        glob: Which images count, by their paths below the root; None if all do.
    """

    root: Path
    glob: str | None = None
    _holding: dict[Path, bool] = field(default_factory=dict)

    @cached_property
    def is_meant(self) -> Callable[[str], bool]:
        """Whether a path below the root counts by the glob.

        Raises:
            ValueError: It can't be read.
        """
        return matcher(self.glob or "**")

    def below(self, path: Path | str) -> str:
        """A path below the root, which it begins with."""
        return str(path)[len(str(self.root)) :].lstrip("/")

    def is_image(self, file: str) -> bool:
        """Whether a file is an image that counts."""
        return self.why_not(file) is None

    def why_not(self, file: str) -> str | None:
        """Why a file is no image that counts; None if it is one."""
        name = self.below(file)
        return why_not(file, name) or (None if self.is_meant(name) else f"not meant by {self.glob}")

    def why_not_used(self, folder: Path, otherwise: str) -> str:
        """Why a folder beside those that are used is none of them."""
        if self.holds(folder):
            return otherwise
        below = islice(files_below(folder), LOOKED_AT)
        if own := next(filter(None, map(own_folders.whose, below)), None):
            return own
        return f"a folder without a file that matches {self.glob}" if self.glob else "a folder without an image"

    def has_image_right_in(self, folder: Path) -> bool:
        """Whether an image lies right in it."""
        return any(map(self.is_image, files_in(folder)))

    def holds(self, folder: Path) -> bool:
        """Whether it holds an image, at any depth."""
        if folder not in self._holding:
            self._holding[folder] = any_file(folder, self.is_image)
        return self._holding[folder]

    def kept(self, folder: Path) -> list[Path]:
        """The folders right in it that hold an image."""
        return [each for each in subfolders(folder) if self.holds(each)]

    def likely(self, folder: Path) -> list[Path]:
        """The same but for those that by their names hold no class; a glob makes all of them count."""
        kept = self.kept(folder)
        others = [each for each in kept if not is_aside(each.name) and not _is_beside_its_split(each, kept)]
        alone = len(others) == 1 and (self.kept(others[0]) or is_container(others[0].name))
        return kept if self.glob or not (len(others) > 1 or alone) else others

    def inner(self, folder: Path) -> list[Path]:
        """The folders with images in what may be a split: right in it, or where a single folder leads to several."""
        kept = self.likely(folder)
        if len(kept) != 1:
            return kept
        further = self.inner(kept[0])
        return further if len(further) > 1 or is_container(kept[0].name) else kept

    def awaiting(self, folder: Path) -> list[Path]:
        """The folders right in it that wait for images: empty ones, or with pictures in a format that is not read."""
        if self.glob:
            return []
        above = {folder.resolve(), *folder.resolve().parents}  # no class is a link to one of these
        empty = [each for each in subfolders(folder) if not self.holds(each) and each.resolve() not in above]
        return [each for each in empty if not any_file(each, lambda file: not is_picture(file))]

    def why_none(self, folder: Path) -> str:
        """Why none of the files below a folder is an image: how many there are, and the most frequent reason."""
        reasons: Counter[str | None] = Counter()
        for file in islice(files_below(folder), LOOKED_AT):
            reasons[self.why_not(file)] += how_many(file)
        del reasons[HIDDEN]
        for reason, count in reasons.most_common(1):
            return f"{counted(count, 'file')}: {reason}"
        return ""

    def unused(self, folder: Path | str, reason: str, to_predict: bool = False) -> Unused:
        """The entry of a folder that is not used."""
        return Unused(self.below(folder), reason, *counts_below(folder), str(folder) if to_predict else None)

    def entry(self, path: str, reason: str) -> Unused:
        """The entry of a file, or of a closed folder, that is not used."""
        return self.unused(path, reason) if os.path.isdir(path) else Unused(self.below(path), reason)  # noqa: PTH112


def plain(name: str) -> str:
    """A name in small letters, without what stands between its words."""
    return re.sub(r"[\W_]+", "", name.casefold())


def is_table(file: str) -> bool:
    """Whether a file may hold a table, by its ending."""
    return Path(file).suffix.lower() in (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".json", ".jsonl", ".parquet")


def is_aside(name: str) -> bool:
    """Whether what lies beside other folders and is called so holds no class of its own."""
    return plain(name) in _ASIDE


def _is_beside_its_split(folder: Path, kept: Sequence[Path]) -> bool:
    """Whether a folder holds what belongs to the images of a split, by their names: `train_masks` beside `train`."""
    if not _says_aside(folder.name) or not (split := split_of(folder.name)):
        return False
    return any(split_of(each.name) == split and not _says_aside(each.name) for each in kept)


def _says_aside(name: str) -> bool:
    return any(word.lower() in (*_ASIDE, "mask") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name))


def is_container(name: str) -> bool:
    """Whether a folder of that name holds images, or folders of them, whatever these show."""
    return re.sub("[0-9]", "", plain(name)) in _CONTAINERS
