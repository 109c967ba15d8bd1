"""From a table, or a folder with tables, to the settings of a manifest that reads it; or why there are none.

A table is understood by what stands in it: the column that names images which are there, the one whose few texts
repeat, the one that names splits. What columns are called only decides where several may be meant.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.text import counted, enumerated, in_bytes, listed
from cnnkit.data.files import formats, locating, tables
from cnnkit.data.files.finding import Ends, Found
from cnnkit.data.files.walking import files_below, files_in, subfolders, why_not
from cnnkit.data.sources import manifest_columns
from cnnkit.data.sources.base import as_whole_numbers, label_text
from cnnkit.data.sources.manifest_columns import PATHS, Labelling, NoLabelsError, Table
from cnnkit.data.sources.manifest_labels import OneColumn, OneOfColumns, Wrong
from cnnkit.data.sources.manifest_rows import is_absolute, with_slashes
from cnnkit.data.split_names import split_of

SURE = (".csv", ".tsv", ".jsonl")
"""Endings of files that are tables; those of POSSIBLE may be."""

POSSIBLE = (".txt", ".lst", ".list", ".dat")

OTHERS = {
    ".xlsx": "an Excel file",
    ".xls": "an Excel file",
    ".ods": "a spreadsheet",
    ".parquet": "a Parquet file",
    ".feather": "a Feather file",
}
"""Tables in other forms, which are told."""

ROWS = 300_000
"""So many rows are looked at."""

TABLES = 50
"""At most so many tables of a folder are looked at."""

LEFT_OUT = 0.05
"""Where no more than this share of the rows can't be used, they are left out and counted."""

FAITHFUL = 0.9
"""Folders are the classes where so large a share of their images has the label that most of the folder have."""

SMALL = 100_000
"""A folder above the table's is looked through where it holds no more files than this."""

_NAMES = ("classes.txt", "class_names.txt", "labels.txt", "names.txt", "label_names.txt", "class.txt")

_NO_CLASSES = {"images", "image", "img", "data"}


@dataclass
class Guess:
    """The settings of a manifest that reads a table.

    Attributes:
        settings: They.
        choices: What was chosen and might be meant otherwise, a sentence each.
        labels: From the path of each image that is there, below `root`, to its label.
        root: The folder.
        known: Whether the columns of the labels are known as such by their name, or are one a class.
        split: Whether a column says the split.
    """

    settings: dict[str, Any]
    choices: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    root: Path = Path()
    known: bool = True
    split: bool = False


class NotAListError(Exception):
    """A file names no images."""


def of_table(path: Path) -> Guess | None:
    """The settings for a table; None for a file that is none.

    Raises:
        DataError: It is one, but can't be read as a manifest.
    """
    ending = path.suffix.lower()
    if ending in OTHERS:
        raise DataError(f"{path} is {OTHERS[ending]}; save it as CSV in UTF-8")
    if ending == ".json" and (why := _of_json(path)):
        raise DataError(Problem(why, file=str(path)))
    if ending not in (*SURE, *POSSIBLE) or path.name.startswith("."):
        return None
    try:
        return _look(path, [path.parent, path.parent.parent])
    except NotAListError as error:
        if ending in POSSIBLE:
            return None
        raise DataError(Problem(str(error), file=str(path))) from None
    except NoLabelsError as error:
        raise DataError(Problem(str(error), file=str(path))) from None


def of_folder(root: Path) -> Guess | None:
    """The settings for the table in a folder, or beside it, that tells the classes of the images in it.

    None where there is none, or where the folders of the images say the same.

    Raises:
        DataError: There are several such tables.
    """
    fits, _ = _fits(root)
    if not fits and not _has_class_folders(root) and any(not why_not(file) for file in files_in(root)):
        fits = _beside(root)
    if not fits:
        return None
    guess = _one_of(root, fits)
    if _has_class_folders(root):
        if not guess.known or _faithful(guess):
            return None
        name = Path(guess.settings["path"]).name
        guess.choices.append(f"The classes are those of {name}, not the folders, which hold several of them each.")
    return guess


def beside_folders(root: Path) -> tuple[list[Problem], list[str]]:
    """Why the tables in a folder that is read by its subfolders are not: problems, and what to say of the others."""
    fits, problems = _fits(root)
    names = sorted(str(path.relative_to(root)) for path in fits)
    if not names:
        return problems, []
    splits = {split_of(path.stem) for path in fits} - {None}
    if not all(map(_faithful, fits.values())):
        what = "with other labels than their folders"
    elif len(splits) > 1 or any(guess.split for guess in fits.values()):
        what = "and their splits"
    else:
        what = "with the same classes"
    one, many = "lists images of these folders", "list images of these folders"
    then = "name it in place of the folder" if len(names) == 1 else "name one in place of the folder"
    if len(splits) > 1:
        then = "name the one of train in place of the folder, and set validation_path and test_path to the others"
    return problems, [f"{listed(names)} {one if len(names) == 1 else many} {what}: to go by that, {then}."]


def _fits(root: Path) -> tuple[dict[Path, Guess], list[Problem]]:
    """The tables in a folder that list images with labels, and what is to be said of the others."""
    fits: dict[Path, Guess] = {}
    others: list[Problem] = []
    ends: Ends | None = None
    for path in islice(_tables_in(root), TABLES):
        ending = path.suffix.lower()
        if ending in OTHERS:
            others.append(Problem(f"{path} is {OTHERS[ending]}; save it as CSV in UTF-8"))
        elif ending == ".json":
            if why := _of_json(path):
                others.append(Problem(why, file=str(path)))
        elif "submission" not in path.name.lower():  # Kaggle's example of an answer, with labels of no meaning
            ends = ends or Ends(root)
            try:
                fits[path] = _look(path, [root], ends)
            except (NotAListError, NoLabelsError) as error:
                if ending in SURE or isinstance(error, NoLabelsError):
                    others.append(Problem(str(error), file=str(path)))
            except DataError as error:
                if ending in SURE:
                    others += error.problems
    return fits, others


def _tables_in(root: Path) -> Iterator[Path]:
    """What may be a table in a folder, and in the folders two below it."""
    for depth, folders in enumerate(_levels(root)):
        for folder in folders:
            for path in map(Path, files_in(folder)):
                ending = path.suffix.lower()
                if ending in (*SURE, *POSSIBLE, *OTHERS, ".json") and not path.name.startswith(".") and path.is_file():
                    yield path
        if depth == 2:
            return


def _levels(root: Path) -> Iterator[list[Path]]:
    folders = [root]
    while folders:
        yield folders
        folders = [below for folder in folders for below in subfolders(folder)][: locating.FOLDERS]


def _beside(root: Path) -> dict[Path, Guess]:
    """The tables beside a folder of images that list these."""
    fits = {}
    ends = Ends(root)
    for path in map(Path, files_in(root.parent)):
        if path.suffix.lower() in (*SURE, *POSSIBLE) and path.is_file() and "submission" not in path.name.lower():
            try:
                fits[path] = _look(path, [root], ends)
            except (NotAListError, NoLabelsError, DataError):
                continue  # what lies beside the folder that was named may be of anything
    return fits


def _one_of(root: Path, fits: dict[Path, Guess]) -> Guess:
    """The table that is meant, or one of them with the others as those of its splits.

    Raises:
        DataError: That can't be told.
    """
    if len(fits) == 1:
        return next(iter(fits.values()))
    names = {path: str(path.relative_to(root) if path.is_relative_to(root) else path) for path in fits}
    by_split: dict[str, list[Path]] = defaultdict(list)
    for path in names:
        if split := split_of(path.stem) or split_of(path.parent.name if path.parent != root else ""):
            by_split[split].append(path)
    if len(by_split["train"]) == 1:
        (first,) = by_split["train"]
        guess = fits[first]
        parts = {split: by_split[split] for split in ("validation", "test") if len(by_split[split]) == 1}
        for split, (path,) in parts.items():
            if _same_columns(guess, fits[path]) and not guess.labels.keys() & fits[path].labels.keys():
                guess.settings[f"{split}_path"] = str(path)
                if guess.settings.get("folder") != fits[path].settings.get("folder"):
                    guess.settings.pop("folder", None)
        used = {value for key, value in guess.settings.items() if key.endswith("path")}
        if rest := [names[path] for path in fits if str(path) not in used]:
            guess.choices.append(
                f"{names[first]} is taken for its name; {listed(rest)} would list images with labels too."
            )
        with_parts = guess.settings.keys() & {"validation_path", "test_path"}
        if with_parts and guess.settings.get("folder") is None and guess.root != first.parent:
            guess.settings["folder"] = str(guess.root)
        return guess
    message = (
        f"{root} holds {listed(list(names.values()))}, which all list images with labels; name the one that is meant"
    )
    raise DataError(message)


def _same_columns(one: Guess, other: Guess) -> bool:
    keys = ("header", "path_column", "label_column", "label_columns", "split_column")
    return all(one.settings.get(key) == other.settings.get(key) for key in keys)


def _look(path: Path, roots: Sequence[Path], ends: Ends | None = None) -> Guess:
    """The settings for a table whose images lie below one of some folders.

    Args:
        path: The table.
        roots: Where to look, the likeliest first; those behind the first only if they are small.
        ends: The files of the first, where these are known.

    Raises:
        NotAListError: It names no images that are there.
        NoLabelsError: It does, but not their classes.
        DataError: It can't be read.
    """
    all_rows = list(islice(tables.Table(path), ROWS))
    if not all_rows:
        raise NotAListError("is empty")
    width = len(all_rows[0][1])
    cells = [(line, [cell.strip() for cell in row]) for line, row in all_rows if len(row) == width]
    if width == 1:
        raise NotAListError(f"has one column only; a path and a label are two, and {tables.SEPARATED}")
    sample = [row for _, row in cells[1:]] or [cells[0][1]]
    for number, root in enumerate(roots):
        try:
            ends = Ends(root, SMALL if number else None) if number or ends is None else ends
        except DataError:
            if number == 0:
                raise
            continue  # above the table's folder may be what nobody may read, and nothing was said of it
        files = ends
        if names := manifest_columns.paths_in(sample, cells[0][1], partial(_is_there, ends)):
            break
    else:
        return _in_archives(path, cells)
    place = names[0]
    table = _table(cells, files, place)
    split = manifest_columns.split_column(table, place)
    said = manifest_columns.labelling(table, place, split)
    guess = Guess({"path": str(path)}, root=root)
    paths = [_plain(text) for text in table.column(place) if text]
    _set_columns(guess, table, place, said, split)
    found = _set_place(guess, path, root, files, paths)
    _set_labels(guess, table, place, said, found)
    return guess


def _is_there(ends: Ends, text: str) -> bool:
    return bool(ends.called(with_slashes(text)))


def _table(cells: list[tuple[int, list[str]]], ends: Ends | None, place: int) -> Table:
    """The table, with or without names of its columns, by whether the first cell of the paths is a path."""
    first = cells[0][1]
    text = with_slashes(first[place])
    image = os.path.splitext(text)[1].lower() in formats.EXTENSIONS  # noqa: PTH122
    header = not (image or (ends is not None and ends.called(text)))
    body = cells[1:] if header else cells
    columns = first if header else [str(number) for number in range(1, len(first) + 1)]
    return Table(columns, header, [row for _, row in body], [line for line, _ in body])


def _set_columns(guess: Guess, table: Table, place: int, said: Labelling, split: int | None) -> None:
    """Sets which column is which, where that is not the default."""
    names, settings = table.columns, guess.settings
    if not table.header:
        settings["header"] = False
        guess.choices.append(
            "The first line names an image, not the columns: these are called by their numbers (header: false)."
        )
    if names[place] != ("path" if table.header else "1"):
        settings["path_column"] = names[place]
    if said.columns:
        settings["label_columns"] = tuple(names[column] for column in said.columns)
        shown = listed([names[column] for column in said.columns])
        guess.choices.append(f"The {len(said.columns)} columns {shown} are taken for one a class.")
    elif said.column is not None and names[said.column] != ("label" if table.header else "2"):
        settings["label_column"] = names[said.column]
    if split is not None and names[split] != "split":
        settings["split_column"] = names[split]
    guess.choices += said.choices
    guess.split = split is not None
    guess.known = bool(said.columns) or (said.column is not None and manifest_columns.is_label(names[said.column]))


def _set_place(guess: Guess, table: Path, root: Path, ends: Ends, paths: Sequence[str]) -> dict[str, str]:
    """Sets the folder and the ending of the images; gives the file of each path that is there.

    Raises:
        DataError: A path may be one of several files.
    """
    wanted = {path: is_absolute(path) for path in paths}
    relative = [path for path, absolute in wanted.items() if not absolute]
    there = sum(bool(ends.called(path)) for path in relative)
    holding = ends.holding(relative)
    folder = ""
    if whole := [folder for folder, files in holding.items() if len(files) == there]:
        folder = _likeliest(whole, table)
        found = Found(holding[folder] | ends.find({path: True for path in wanted if wanted[path]}).files)
    else:
        found = ends.find(wanted)
    if found.several and not found.files:
        name, files = next(iter(found.several.items()))
        message = f"`{name}` may be {enumerated(files[:3], 'or')}; set folder to the one that is meant"
        raise DataError(Problem(message, file=str(table)))
    if root / folder != table.parent:
        guess.settings["folder"] = str(root / folder)
    endings = {os.path.splitext(file)[1] if _lacks_ending(path, file) else "" for path, file in found.files.items()}  # noqa: PTH122
    if len(endings) == 1 and "" not in endings:
        guess.settings["extension"] = endings.pop()
    return found.files


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _lacks_ending(path: str, file: str) -> bool:
    """Whether a path is that of a file but for its ending."""
    return len(_last(path)) < len(_last(file))


def _plain(text: str) -> str:
    """A path as the reader of the rows takes it."""
    path = with_slashes(text)
    return path if is_absolute(path) or not path else os.path.normpath(path)


def _likeliest(folders: Sequence[str], table: Path) -> str:
    """Of folders that hold all images of a table the one that is meant.

    Raises:
        DataError: That can't be told.
    """
    if len(folders) == 1:
        return folders[0]
    name = table.stem.lower()
    split = split_of(name)

    def unlikely(folder: str) -> tuple[bool, bool, bool]:
        last = _last(folder).lower()
        return last != name, split is None or split_of(last) != split, last not in (*locating.LIKELY, "")

    order = sorted(folders, key=unlikely)
    if unlikely(order[0]) == unlikely(order[1]):
        message = (
            f"all of its images are in {enumerated(sorted(folders)[:3], 'and')} alike; set folder to the one meant"
        )
        raise DataError(Problem(message, file=str(table)))
    return order[0]


def _set_labels(guess: Guess, table: Table, place: int, said: Labelling, files: dict[str, str]) -> None:
    """Keeps the labels, names them where that is told, and sets what becomes of rows that can't be used."""
    column = said.column or 0
    names = [table.columns[i] for i in said.columns]
    labels = OneOfColumns(said.columns, names) if names else OneColumn(column, table.columns[column])
    lines: dict[str, list[int]] = defaultdict(list)
    for line, row in zip(table.lines, table.rows, strict=True):
        text, label = _plain(row[place]), labels.read(row)
        if isinstance(label, Wrong):
            lines["says no class or several"].append(line)
        elif text not in files:
            lines["names a file that is not there"].append(line)
        else:
            guess.labels[files[text]] = label
    if 0 < sum(map(len, lines.values())) <= LEFT_OUT * len(table.rows):
        guess.settings["on_bad"] = "skip"
        told = (f"{counted(len(at), 'row')} that {what}, first line {at[0]}" for what, at in lines.items())
        guess.choices.append(f"`on_bad: skip` leaves out {enumerated(told, 'and')}.")
    different = Counter(guess.labels.values())
    numbers = as_whole_numbers(different) or {label: label for label in different}
    if not said.columns and {*numbers.values()} == {str(i) for i in range(len(different))}:
        _set_names(guess, Path(guess.settings["path"]).parent, len(different))


def _set_names(guess: Guess, folder: Path, count: int) -> None:
    """Sets the names of numbered classes, where a file beside the table has as many."""
    for name in _NAMES:
        path = folder / name
        if str(path) != guess.settings["path"] and path.is_file() and path.stat().st_size < 100_000:
            try:
                lines = [label_text(line) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
            except UnicodeDecodeError:
                continue
            if len(set(lines)) == len(lines) == count and all(line.isprintable() for line in lines):
                guess.settings["classes"] = tuple(lines)
                guess.choices.append(f"The classes 0 to {count - 1} have the names that {name} lists.")
                return


def _in_archives(path: Path, cells: list[tuple[int, list[str]]]) -> Guess:
    """The settings where the images lie in an archive beside the table.

    Raises:
        NotAListError: They do not.
    """
    first = cells[0][1]
    lower = [name.lower() for name in first]
    likely = [lower.index(name) for name in PATHS if name in lower]
    likely += [
        place
        for place, text in enumerate(cells[-1][1])
        if place not in likely and os.path.splitext(text)[1].lower() in formats.EXTENSIONS  # noqa: PTH122
    ]
    for place in likely:
        table = _table(cells, None, place)
        names = [with_slashes(text) for text in table.column(place) if text]
        try:
            found = locating.in_archives(path.parent, names, path.stem)
        except OSError as error:
            raise DataError(f"{error.filename} can't be read: {error.strerror}") from None
        if found:
            split = manifest_columns.split_column(table, place)
            said = manifest_columns.labelling(table, place, split)
            guess = Guess({"path": str(path), "folder": str(found[0])}, root=path.parent)
            if found[1]:
                guess.settings["extension"] = found[1]
            _set_columns(guess, table, place, said, split)
            return guess
    there = f"its columns are {listed(first)}" if any(first) else "it is empty"
    if likely:
        shown = cells[min(1, len(cells) - 1)][1][likely[0]]
        there = f"`{first[likely[0]]}` should, but `{shown}` is no file below {path.parent}; {there}"
    message = f"no column of it names images that lie below its folder; {there}"
    raise NotAListError(f"{message}; set path_column, label_column, folder and extension")


def _faithful(guess: Guess) -> bool:
    """Whether the folders of the images say the same as their labels."""
    folders: dict[str, Counter[str]] = defaultdict(Counter)
    for file, label in guess.labels.items():
        folders[file.rpartition("/")[0]][label] += 1
    most = sum(max(counts.values()) for counts in folders.values())
    return most >= FAITHFUL * len(guess.labels)


def _has_class_folders(root: Path) -> bool:
    """Whether a folder may be sorted into classes."""
    tops = subfolders(root)
    for folder in (root, *(each for each in tops if split_of(each.name))):
        below = tops if folder == root else subfolders(folder)
        likely = (each for each in below if each.name.lower() not in _NO_CLASSES and not split_of(each.name))
        holding = (each for each in likely if any(not why_not(file) for file in files_below(each)))
        if len(list(islice(holding, 2))) == 2:
            return True
    return False


def _of_json(path: Path) -> str:
    """What a JSON file is by its keys, where it lists images, and what to do."""
    with path.open("rb") as file:
        begin = file.read(2**20)
    if sum(f'"{key}"'.encode() in begin for key in ("images", "annotations", "categories")) >= 2:
        size = in_bytes(path.stat().st_size)
        return (
            f"looks like COCO ({size}): images, annotations with boxes, categories. cnnkit gives each image one class: "
            "write a table with file_name and category, a row an image, and name that"
        )
    return (
        "" if not _lists_images(begin) else "lists images in JSON; write it as CSV, or as .jsonl with an object a line"
    )


def _lists_images(begin: bytes) -> bool:
    return any(f'{ending}"'.encode() in begin.lower() for ending in formats.EXTENSIONS)
