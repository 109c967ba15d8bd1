"""From a table to the settings of a manifest that reads it; or why there are none.

A table is understood by what stands in it: the column that names images which are there, the one whose few texts
repeat, the one that names splits. What columns are called only decides where several may be meant.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.text import counted, enumerated, in_bytes, listed
from cnnkit.data.files import formats, locating, tables
from cnnkit.data.files.finding import Ends, Found
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

LEFT_OUT = 0.05
"""Where no more than this share of the rows can't be used, they are left out and counted."""

SMALL = 100_000
"""A folder above the table's is looked through where it holds no more files than this."""

_NAMES = ("classes.txt", "class_names.txt", "labels.txt", "names.txt", "label_names.txt", "class.txt")


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
        names: The first of the paths that it names, as they are written, but for those from the top of a disk.
        left_out: Which rows are left out, as a sentence; empty if none are.
    """

    settings: dict[str, Any]
    choices: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    root: Path = Path()
    known: bool = True
    split: bool = False
    names: list[str] = field(default_factory=list)
    left_out: str = ""


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
    if ending == ".json" and (why := of_json(path)):
        raise DataError(Problem(why, file=str(path)))
    if ending not in (*SURE, *POSSIBLE) or path.name.startswith("."):
        return None
    try:
        return look(path, [path.parent, path.parent.parent])
    except NotAListError as error:
        if ending in POSSIBLE:
            return None
        raise DataError(Problem(str(error), file=str(path))) from None
    except NoLabelsError as error:
        raise DataError(Problem(str(error), file=str(path))) from None


def look(path: Path, roots: Sequence[Path], ends: Ends | None = None) -> Guess:
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
        raise NotAListError("it is empty")
    width = len(all_rows[0][1])
    cells = [(line, [cell.strip() for cell in row]) for line, row in all_rows if len(row) == width]
    if width == 1:
        raise NotAListError(f"it has one column only; a path and a label are two, and {tables.SEPARATED}")
    if len(cells) == 1 < len(all_rows):
        line, row = all_rows[1]
        raise NotAListError(
            f"its first line has {width} columns, but line {line} has {len(row)}, and no other line as many"
        )
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
    guess.names = [text for text in paths if not is_absolute(text)][: locating.SAMPLE]
    _set_columns(guess, table, place, said, split)
    found = _set_place(guess, path, root, files, paths)
    _set_labels(guess, table, place, said, found)
    if not root.is_relative_to(path.parent):
        place_of_images = guess.settings.get("folder", root)
        guess.choices.append(f"None of its images is below {path.parent}: they are those in {place_of_images}.")
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
        folder = _likeliest(whole, table, root)
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


def _likeliest(folders: Sequence[str], table: Path, root: Path) -> str:
    """Of folders that hold all images of a table the one that is meant.

    Raises:
        DataError: That can't be told.
    """
    if len(folders) == 1:
        return folders[0]
    name = table.stem.lower()
    above = table.parent.relative_to(root).parts if table.is_relative_to(root) else ()
    split = next(filter(None, map(split_of, (table.stem, *reversed(above)))), None)

    def unlikely(folder: str) -> tuple[bool, bool, bool, bool]:
        last = _last(folder).lower()
        of_split = split is not None and split in map(split_of, folder.split("/"))
        return root / folder != table.parent, last != name, not of_split, last not in (*locating.LIKELY, "")

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
    lines: dict[tuple[str, str], list[int]] = defaultdict(list)
    for line, row in zip(table.lines, table.rows, strict=True):
        text, label = _plain(row[place]), labels.read(row)
        if isinstance(label, Wrong):
            lines["says no class or several", "say no class or several"].append(line)
        elif text not in files:
            lines["names a file that is not there", "name files that are not there"].append(line)
        else:
            guess.labels[files[text]] = label
    if 0 < sum(map(len, lines.values())) <= LEFT_OUT * len(table.rows):
        guess.settings["on_bad"] = "skip"
        told = [f"{counted(len(at), 'row')} that {what[len(at) > 1]}, first line {at[0]}" for what, at in lines.items()]
        guess.left_out = f"`on_bad: skip` leaves out {enumerated(told, 'and')}."
        guess.choices.append(guess.left_out)
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
    if len(cells) == 1:
        raise NotAListError(f"it has one line only, {listed(first)}, which names no image that is there")
    there = f"its columns are {listed(first)}" if any(first) else "it is empty"
    if likely:
        shown = cells[1][1][likely[0]]
        there = f"`{first[likely[0]]}` should, but `{shown}` is no file below {path.parent}; {there}"
    message = f"no column of it names images that lie below its folder; {there}"
    raise NotAListError(f"{message}; set path_column, label_column, folder and extension")


def of_json(path: Path) -> str:
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
