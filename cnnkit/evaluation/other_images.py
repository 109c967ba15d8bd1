"""Other images: those that a run never had as a split, with the classes that they are of, matched by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnnkit.core.errors import DataError, Problem, UsageError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import FIRST, composed, counted, listed, nearest, typed
from cnnkit.data.files import archives, tables
from cnnkit.data.files.walking import files_below, files_in, subfolders, why_not
from cnnkit.data.index import Collection, ImageFile, Index, why_left_out
from cnnkit.data.sources import recognised
from cnnkit.data.sources.base import in_order, reworded
from cnnkit.data.sources.folder import Folder
from cnnkit.data.sources.manifest import Manifest
from cnnkit.data.sources.tree import Tree, is_table
from cnnkit.evaluation.exam import Shown
from cnnkit.evaluation.new_images import left_out, no_images
from cnnkit.runs.run import Run


@dataclass(frozen=True)
class OtherImages:
    """Where other images are, with their classes.

    Attributes:
        path: A folder of class folders, an archive of such, or what else a source reads; or a table of images.
        table: Whether it has to be a table.
    """

    path: Path
    table: bool = False

    def __post_init__(self) -> None:
        if not self.path.exists():
            what = "file" if self.table else "file or folder"
            raise UsageError(f"{self.path}: there is no such {what}")
        if self.table and self.path.is_dir():
            raise UsageError(f"--manifest {self.path}: is a folder, not a table; --images is for folders of images")

    def shown(self, run: Run, progress: Progress) -> Shown:
        """The images, with labels that are places in the run's classes.

        Raises:
            DataError: They can't be read or decoded, or a class has no name that the run knows.
        """
        index = _of_run(self._index(run, progress), run.classes, self.path)
        for line in (*index.notes, *why_left_out(index.unused), *_what_is_in(index, run)):
            progress.say(line)
        return Shown.of(
            run, index, f"images of {self.path} can't be decoded; put them right, or take them out", progress
        )

    def facts(self, run: Run, shown: Shown) -> dict[str, Any]:
        """What the result tells of where the figures are from."""
        return {"path": str(self.path), "known_from_training": _known(shown.images.index, run)}

    @staticmethod
    def figures() -> list[str]:
        """The figures of these facts, by the names that a gate has for them."""
        return ["known_from_training"]

    def _index(self, run: Run, progress: Progress) -> Index:
        """The images of whatever classes, without the masks of others."""
        collection = Collection((), frozenset(), run.shape, lambda progress: self._all(run, progress))
        data = run.experiment.data.model_copy(update={"exclude": None, "limit": None})
        try:
            return data.index(collection, progress)
        except OSError as error:
            raise DataError(f"{error.filename} can't be read: {error.strerror}") from None

    def _all(self, run: Run, progress: Progress) -> Index:
        with reworded(_without_settings):
            if self.table:
                return _manifest(self.path, run, progress).labelled(progress)
            if found := _class_folders(self.path, run.classes, progress):
                return found
            if _is_flat(self.path) and not getattr(Folder.recognise(self.path.absolute()), "label_pattern", None):
                raise _without_classes(self.path, run.classes)  # a table above it may be of anything
            try:
                source = recognised(self.path.absolute())
                if isinstance(source, Manifest):
                    return _by_classes(source, run, progress).labelled(progress)
                # What was chosen for a config might be meant otherwise: here the run's classes tell.
                return replace(source.open(progress).index(progress), notes=())
            except DataError as error:
                if self.path.is_dir() and error.problems[0].key == "path":
                    raise _without_classes(self.path, run.classes) from None
                raise


def _without_settings(problem: Problem) -> Problem:
    """What is wrong with images that no config names: without the settings of one."""
    return replace(problem, key=None, message=_SETTING.sub("", problem.message))


_SETTING = re.compile(
    r"; set (?:path_column|folder|extension|label_column|label_pattern)\b[^;]*$|(?<=one) and set label_columns;.*$"
)


def _without_classes(path: Path, classes: Sequence[str]) -> DataError:
    """Why a folder can't be read."""
    count = sum(not why_not(file) for file in files_below(path))
    if not count:
        return no_images(path, left_out(files_below(path)))
    named = path if path.name not in ("", "..") else path.resolve()
    if composed(named.name) in map(composed, classes):
        return DataError(
            f"{path} is the folder of a class, with {counted(count, 'image')}; name that of all classes, even where it "
            f"holds this one alone: --images {typed(named.parent)}"
        )
    return DataError(
        f"{path} holds {counted(count, 'image')} and no folders that tell their classes; put those of each class into "
        "a folder called as it, or list them with their classes in a table (--manifest); what images without a class "
        "show, cnnkit predict tells"
    )


def _is_flat(path: Path) -> bool:
    """Whether images lie right in a folder, and neither folders nor a table that may tell what they are."""
    if not path.is_dir() or subfolders(path):
        return False
    files = list(files_in(path))
    return any(not why_not(file) for file in files) and not any(map(is_table, files))


def _class_folders(path: Path, classes: Sequence[str], progress: Progress) -> Index | None:
    """The images in folders that are called like classes of a run, be it one only; None where none is."""
    packed = path.is_file() and path.suffix.lower() != ".npz" and archives.is_archive(path)
    if not packed and not path.is_dir():
        return None
    # Absolute, as what lies below `.` does not begin with that.
    root = (archives.unpacked(path, progress) if packed else path).absolute()
    folders, known = subfolders(root), set(map(composed, classes))
    if packed and len(folders) == 1 and composed(folders[0].name) not in known:
        root, folders = folders[0], subfolders(folders[0])
    # A single folder with images in it is a class too, of whatever name; other folders are for the sources to make out.
    alone = len(folders) == 1 and any(not why_not(file) for file in files_in(folders[0]))
    if not alone and not known.intersection(composed(folder.name) for folder in folders):
        return None
    images: list[ImageFile] = []
    tree = Tree(root)
    unused = [tree.entry(file, why_not(file) or "beside the class folders") for file in files_in(root)]
    for folder in folders:
        for file in files_below(folder):
            if reason := why_not(file):
                unused.append(tree.entry(file, reason))
            else:
                images.append(ImageFile(tree.below(file), folder.name, None))
    if not images:
        raise no_images(path, left_out(files_below(root)))
    return Index.of_files(root, images, in_order(image.label for image in images), progress, unused)


def _manifest(path: Path, run: Run, progress: Progress) -> Manifest:
    """How a table is read: as that of the run if it has the same columns, else as its columns tell.

    Raises:
        DataError: They don't tell.
    """
    path = path.absolute()
    trained = run.experiment.data.source
    if isinstance(trained, Manifest) and trained.header:
        needed = {trained.path_column, *(trained.label_columns or (trained.label_column,))}
        if needed.issubset(_rows(path)[0]):
            # Where the images lie the table tells; splits, weights and groups are for training.
            left_out = ("validation_path", "test_path", "split_column", "weight_column", "group_column", "folder")
            return trained.model_copy(update=dict.fromkeys(left_out) | {"path": str(path)})
    source = Manifest.recognise(path)
    if source is None:
        message = "is no table of images and classes: it should have a column of paths and one of labels"
        raise DataError(Problem(message, file=str(path)))
    return _by_classes(source.model_copy(update={"validation_path": None, "test_path": None}), run, progress)


def _by_classes(found: Manifest, run: Run, progress: Progress) -> Manifest:
    """A table that was recognised by its columns, read by that which has the classes of a run, if one has."""
    path = Path(found.path)
    columns = _columns_of_classes(path, run.classes) if found.header and not found.label_columns else []
    if columns and found.label_column not in columns:
        found = found.model_copy(update={"label_column": columns[0], "classes": None})
    if others := [column for column in columns if column != found.label_column]:
        progress.say(
            f"the classes are taken from the column `{found.label_column}` of {path.name}; {listed(others)} could tell "
            "them as well: if that is meant, call it `label`, and no other so"
        )
    return found


def _columns_of_classes(path: Path, classes: Sequence[str]) -> list[str]:
    """The columns of a table in which most rows have the name of a class; none if none has any."""
    header, *rows = _rows(path)
    known = set(map(composed, classes))
    counts = [
        sum(len(row) > place and composed(row[place].strip()) in known for row in rows) for place in range(len(header))
    ]
    most = max(counts, default=0)
    return [name for name, count in zip(header, counts, strict=True) if count == most > 0]


def _rows(path: Path) -> list[list[str]]:
    """The rows of a table, the first with the names of its columns."""
    header, *rows = [row for _, row in tables.Table(path)] or [[]]
    return [[name.strip() for name in header], *rows]


def _of_run(index: Index, classes: Sequence[str], path: Path) -> Index:
    """The same images with labels that are places in the classes of a run.

    Raises:
        DataError: The run knows no class of some name.
    """
    places = {composed(name): place for place, name in enumerate(classes)}
    used = np.unique(index.labels).tolist()
    unknown = [index.classes[label] for label in used if composed(index.classes[label]) not in places]
    if unknown:
        problems = [f"{path}: `{name}` is no class of the run{nearest(name, classes)}" for name in unknown[:FIRST]]
        problems += [f"and {len(unknown) - FIRST:,} more are none"] if len(unknown) > FIRST else []
        its = f"its {counted(len(classes), 'class is', 'classes are')} {listed(classes)}"
        raise DataError(*problems, f"{its}; call yours so, or take out the images of others")
    of = np.asarray([places.get(composed(name), -1) for name in index.classes], np.int64)
    return replace(index, classes=tuple(classes), labels=of[index.labels])


def _what_is_in(index: Index, run: Run) -> list[str]:
    """What should be known of other images before their figures are read."""
    lines = []
    there = set(index.labels.tolist())
    if missing := [name for label, name in enumerate(run.classes) if label not in there]:
        lines.append(f"no image of {len(missing):,} of the run's {len(run.classes):,} classes: {listed(missing)}")
    if known := _known(index, run):
        of = f"{known:,} of the {counted(len(index), 'image')}"
        lines.append(f"careful: {of} {'is one' if known == 1 else 'are some'} that the run was trained or chosen on")
    return lines


def _known(index: Index, run: Run) -> int:
    """How many are, by their content, among those that a run was trained on, or its best epoch chosen."""
    known = {row.digest for split in ("train", "validation") for row in run.split(split)}
    return sum(digest in known for digest in index.digests)
