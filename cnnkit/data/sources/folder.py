"""A folder of images, one subfolder a class; or folders of splits that hold those; or classes in the files' names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath, CapturePattern, Spec, Text
from cnnkit.core.text import enumerated, printable
from cnnkit.data.files.walking import files_below, files_in, refuse_run_as_images, subfolders, why_not
from cnnkit.data.index import Collection, ImageFile, Index, Unused
from cnnkit.data.sources import layout, named_files, unlabelled
from cnnkit.data.sources.base import OnBad, Source, at_path, grouped, in_order, reworded
from cnnkit.data.sources.layout import Layout
from cnnkit.data.sources.tree import Tree
from cnnkit.data.split_names import is_split_name, split_of

Files = tuple[Sequence[ImageFile], Sequence[Unused]]
"""The images that are used, and what is not."""


def _several(value: object) -> object:
    if not isinstance(value, str | list | tuple):
        raise ValueError("should be a folder by its path below the source's, or a list of some")
    return (value,) if isinstance(value, str) else value


def _one_or_several(names: tuple[str, ...]) -> str | tuple[str, ...]:
    return names[0] if len(names) == 1 else names


FolderNames = Annotated[
    tuple[Text, ...],
    BeforeValidator(_several),
    Field(min_length=1),
    PlainSerializer(_one_or_several),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A folder, or several, by the paths below the source's."""


class Splits(Spec):
    """Which folders hold the images of which split, each by its path below the source's folder."""

    train: FolderNames
    """The folder of the training images, or a list of several."""
    validation: FolderNames | None = None
    """Likewise those to choose the best epoch on; if left out they are set apart from the training images."""
    test: FolderNames | None = None
    """Likewise those to judge the result on."""

    def folders(self) -> dict[str, tuple[str, ...]]:
        """The folders of each split that has some."""
        of_each = {"train": self.train, "validation": self.validation, "test": self.test}
        return {split: names for split, names in of_each.items() if names}


class Folder(Source):
    """A folder with a subfolder of images for each class, or with train, validation and test folders of such."""

    of_files: ClassVar[bool] = True

    name: Literal["folder"] = "folder"
    path: AbsolutePath
    """The folder that holds the class folders, or the split folders that hold those."""
    splits: Splits | None = None
    """Which folders below it are splits. By their names if left out: `train`, `Training`, `valid`, `test_set`."""
    label_pattern: CapturePattern | None = None
    """A regular expression with one group, which finds the class in a file's whole path below the folder, where no
    folders tell it: `(?:.*/)?(cat|dog).*` for `train/cat.0.jpg`."""
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
        """Any folder, with the settings that say how it is understood where its names are not the usual ones.

        Whether it holds class folders is told when it is opened.
        """
        if not path.is_dir():
            return None
        tree = Tree(path)
        try:
            found = layout.find(tree)
        except DataError:
            return cls(path=str(path))  # opening it says what is wrong
        if not found.classes:
            return cls(path=str(path), label_pattern=unlabelled.pattern(tree, found))
        usual = all(folder.name in (split, "val") for folder, split in found.splits.items())
        return cls(path=str(path), splits=None if usual else Splits(**layout.setting_for(tree, found.splits)))

    def open(self, progress: Progress) -> Collection:
        """Finds out which folders are classes and which splits, or what class each name tells."""
        root = Path(self.path)
        tree = Tree(root, self.glob)
        try:
            tree.is_meant("")
        except ValueError as error:
            raise DataError(Problem(f"can't be read as a glob: {error}", key="glob")) from None
        try:
            if not root.is_dir():
                what = "is a file, not a folder" if root.exists() else "there is no such folder"
                raise at_path(f"{root}: {what}")
            with reworded(partial(replace, key="path")):
                refuse_run_as_images(root)
            return self._by_name(tree, self.label_pattern) if self.label_pattern else self._by_folder(tree)
        except OSError as error:
            raise at_path(f"{error.filename} can't be read: {error.strerror}") from None

    def _by_folder(self, tree: Tree) -> Collection:
        found = layout.mapped(tree, self.splits.folders()) if self.splits else layout.find(tree)
        classes = _checked(tree.root, (folder.path.name for folder in found.classes))
        if len(classes) < 2:
            if self.glob and not tree.holds(tree.root):
                raise DataError(Problem(_none_meant(tree, self.glob), key="glob"))
            raise at_path(unlabelled.what_is_there(tree, found))
        waiting = (folder.path for folder in found.classes if not tree.holds(folder.path))
        if unread := next(
            (f"{folder} holds no image ({why})" for folder in waiting if (why := tree.why_none(folder))), ""
        ):
            raise at_path(unread)
        files = cache(partial(_listed, tree, found))
        inhabited = {folder.path.name for folder in found.classes if tree.holds(folder.path)}
        empty = tuple(name for name in classes if name not in inhabited)
        splits = Collection.own(folder.split for folder in found.classes if tree.holds(folder.path))
        notes = (*found.notes, *([] if found.splits else _splits_beside(tree.root, classes)))
        return self._collection(tree.root, classes, files, splits=splits, notes=notes, empty=empty)

    def _by_name(self, tree: Tree, pattern: str) -> Collection:
        told = layout.folders_of(tree, self.splits.folders()) if self.splits else None
        found = named_files.find(tree, pattern, told)
        classes = _checked(tree.root, (image.label for image in found.images))
        if len(classes) < 2:
            message = unlabelled.why_no_classes(tree, found, classes)
            raise DataError(Problem(message, key="label_pattern"))
        first = min(found.images)
        note = f"the class is found in the names by label_pattern: `{first.label}` in `{first.path}`"
        splits = Collection.own(image.split for image in found.images)
        others = layout.which_is_which(tree, found.splits) if found.splits else _splits_beside(tree.root, classes)
        notes = (note, *others)
        return self._collection(tree.root, classes, lambda: (found.images, found.unused), splits=splits, notes=notes)

    def _collection(
        self, root: Path, classes: tuple[str, ...], files: Callable[[], Files], notes: tuple[str, ...], **more: Any
    ) -> Collection:
        notes = (*self._choices, *notes)

        def index(progress: Progress) -> Index:
            images, unused = files()
            return Index.of_files(root, grouped(images, self.group_pattern), classes, progress, unused, notes)

        return Collection(
            classes=classes,
            shape=(64, 64, 3),
            index=index,
            skip_bad=self.on_bad == "skip",
            notes=notes,
            counts=lambda: Collection.counted(classes, ((image.split, image.label) for image in files()[0])),
            unused=lambda: files()[1],
            **more,
        )


def _splits_beside(root: Path, classes: Sequence[str]) -> list[str]:
    """That a folder is one split of several, in a sentence, where it was named alone."""
    if not is_split_name(root.name):
        return []
    try:
        others = (each for each in subfolders(root.parent) if is_split_name(each.name))
        beside = [
            each.name
            for each in others
            if split_of(each.name) != split_of(root.name)
            and (any((each / name).is_dir() for name in classes) or any(not why_not(file) for file in files_in(each)))
        ]
    except OSError:  # beside the folder that was named may lie what nobody may read, and nothing was said of it
        return []
    if not beside:
        return []
    which, alone = enumerated((f"`{name}`" for name in beside), "and"), len(beside) == 1
    seem = "seems to be another split, and is" if alone else "seem to be other splits, and are"
    return [f"{which} beside `{root.name}` {seem} not used: to use all, name {root.parent}"]


def _none_meant(tree: Tree, glob: str) -> str:
    """That no image is meant by a glob, and what one would have to look like."""
    message = f"no image below {tree.root} is meant by {glob}"
    if first := next(filter(Tree(tree.root).is_image, files_below(tree.root)), None):
        message += f"; it has to match whole paths such as `{tree.below(first)}`"
        message += ", and braces in it stand for themselves" * ("{" in glob)
    return message


def _checked(root: Path, names: Iterable[str]) -> tuple[str, ...]:
    """The classes in their order."""
    classes = in_order(names)
    if odd := next((name for name in classes if not printable(name)), None):
        raise at_path(f"{root}: the class {odd!r} has a control character in its name; rename what is called so")
    return classes


def _listed(tree: Tree, found: Layout) -> Files:
    """The images in class folders, and all that is not used."""
    images: list[ImageFile] = []
    unused = list(found.beside)
    for folder in found.way:
        for file in files_in(folder):
            unused.append(tree.entry(file, tree.why_not(file) or "beside the class folders"))
    for split, folder in found.classes:
        for file in files_below(folder):
            if reason := tree.why_not(file):
                unused.append(tree.entry(file, reason))
            else:
                images.append(ImageFile(tree.below(file), folder.name, split))
    return images, unused
