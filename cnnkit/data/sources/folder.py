"""A folder of images, one subfolder a class; or `train`, `validation` and `test` folders that hold those."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, Self

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath, CapturePattern, Text
from cnnkit.core.text import listed, printable
from cnnkit.data.files.walking import files_below, files_in, matcher, subfolders, why_not
from cnnkit.data.index import LIKE_SPLITS, SPLIT_NAMES, Collection, ImageFile, Index, Unused
from cnnkit.data.sources.base import OnBad, Source, at_path, grouped, in_order

ClassFolder = tuple[str | None, Path]
"""A class folder, and the split that it is in by the folders' own names, if any."""


class Folder(Source):
    """A folder with a subfolder of images for each class, or with train, validation (val) and test folders of such."""

    of_files: ClassVar[bool] = True

    name: Literal["folder"] = "folder"
    path: AbsolutePath
    """The folder that holds the class folders, or the split folders that hold those."""
    glob: Text | None = None
    """Which files count, by their path below the folder: `*/images/*`, `**/*_photo.jpg`; `*` stays within a name,
    `**/` is any folders. All images if left out."""
    group_pattern: CapturePattern | None = None
    """Which images belong together and never part, as those of one patient: a regular expression that matches the whole
    path below the folder, whose one group (in round brackets) names it; for example `.*/(patient[0-9]+)_.*`."""
    on_bad: OnBad = "error"
    """What a file that can't be decoded does: stop everything and be named, or be left out, counted and listed."""

    @classmethod
    def recognise(cls, path: Path) -> Self | None:
        """Any folder; whether it holds class folders is seen when it is opened."""
        return cls(path=str(path)) if path.is_dir() else None

    def open(self, progress: Progress) -> Collection:
        """Lists the class folders; with a glob those that hold a file that counts."""
        root = Path(self.path)
        try:
            counts = matcher(self.glob or "**")
        except ValueError as error:
            raise DataError(Problem(f"can't be read as a glob: {error}", key="glob")) from None
        try:
            if not root.is_dir():
                what = "is a file, not a folder" if root.exists() else "there is no such folder"
                raise at_path(f"{root}: {what}")
            folders = _class_folders(root)
        except OSError as error:
            raise at_path(f"{error.filename} can't be read: {error.strerror}") from None
        others: list[ClassFolder] = []
        if self.glob:
            meant = [any(counts(_below(root, file)) for file in files_below(folder)) for _, folder in folders]
            others = [folder for folder, used in zip(folders, meant, strict=True) if not used]
            folders = [folder for folder, used in zip(folders, meant, strict=True) if used]
            if not folders:
                raise DataError(Problem(f"no file below a class folder of {root} is meant by {self.glob}", key="glob"))
        classes = in_order(folder.name for _, folder in folders)
        if odd := next((name for name in classes if not printable(name)), None):
            raise at_path(f"{root}: the class {odd!r} has a control character in its name")
        if len(classes) < 2:
            found = f"only one, `{classes[0]}`" if classes else "none"
            raise at_path(
                f"{root} should hold a subfolder of images for each of at least two classes; it holds {found}"
            )
        index = partial(self._index, root, folders, others, classes)
        splits = Collection.own(split for split, _ in folders)
        return Collection(classes, splits, (64, 64, 3), index, self.on_bad == "skip")

    def _index(
        self,
        root: Path,
        folders: list[ClassFolder],
        others: list[ClassFolder],
        classes: tuple[str, ...],
        progress: Progress,
    ) -> Index:
        counts = matcher(self.glob or "**")
        images: list[ImageFile] = []
        unused: list[Unused] = []
        for top in sorted({root, *(folder.parent for _, folder in folders)}):
            unused += [
                Unused(_below(root, file), why_not(file) or "beside the class folders") for file in files_in(top)
            ]
        for _, folder in others:
            unused.append(Unused(_below(root, str(folder)), f"a folder without a file that {self.glob} means"))
        for split, folder in folders:
            for file in files_below(folder):
                name = _below(root, file)
                reason = why_not(file, name) or (None if counts(name) else f"not meant by {self.glob}")
                if reason:
                    unused.append(Unused(name, reason))
                else:
                    images.append(ImageFile(name, folder.name, split))
        return Index.of_files(root, grouped(images, self.group_pattern), classes, progress, unused)


def _class_folders(root: Path) -> list[ClassFolder]:
    tops = subfolders(root)
    names = {folder.name for folder in tops}
    if "train" not in names or not subfolders(root / "train"):
        if likely := sorted(name for name in names if name.lower() in LIKE_SPLITS and subfolders(root / name)):
            raise at_path(f"{root} holds {listed(likely)} of folders; call splits train, validation and test")
        return [(None, folder) for folder in tops]
    if strangers := sorted(names - SPLIT_NAMES.keys()):
        raise at_path(
            f"{root} holds train/ beside {listed(strangers)}; move what is neither train, validation nor test"
        )
    if {"val", "validation"} <= names:
        raise at_path(f"{root} holds both val/ and validation/; keep one of them")
    found: list[tuple[str | None, Path]] = [
        (SPLIT_NAMES[top.name], folder) for top in tops for folder in subfolders(top)
    ]
    trained = {folder.name for split, folder in found if split == "train"}
    if unknown := sorted({folder.name for _, folder in found} - trained):
        raise at_path(f"{root}: no training images for {listed(unknown)}, which other splits have")
    return found


def _below(root: Path, file: str) -> str:
    """A file's path below `root`, which it begins with."""
    return file[len(str(root)) :].lstrip("/")
