"""The tables of the other splits that belong to one of training: which they are, or why they can't be used."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from cnnkit.core.errors import DataError
from cnnkit.core.text import counted, enumerated, listed
from cnnkit.data.files import locating
from cnnkit.data.files.walking import files_in, subfolders
from cnnkit.data.sources.base import as_whole_numbers
from cnnkit.data.sources.manifest_columns import NoLabelsError
from cnnkit.data.sources.manifest_guess import POSSIBLE, SURE, Guess, NotAListError, look
from cnnkit.data.split_names import split_of

_OF_TABLES = {
    *("label", "labels", "labelled", "labeled", "class", "classes", "annotation", "annotations", "gt", "truth"),
    *("list", "lists", "file", "files", "table", "csv", "metadata", "meta", "info", "index", "df", "data", "dataset"),
    *("set", "split", "image", "images", "img", "imgs", "with", "and", "solution", "answers"),
}
"""Words in the names of tables that say nothing of which images they list."""

_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


def split_of_table(table: Path) -> str | None:
    """The split that a table is of, by its name or that of its folder or of the one above."""
    names = (table.stem, table.parent.name, table.parent.parent.name)
    return next(filter(None, map(split_of, names)), None)


def beside(table: Path) -> dict[Path, Guess | str]:
    """The tables of the other splits beside one of training that was named, or why they list no images with labels."""
    if split_of_table(table) != "train":
        return {}
    files = [Path(file) for file in files_in(table.parent)] if split_of(table.stem) else []
    for folder in (table.parent, table.parent.parent):
        if split_of(folder.name) == "train":
            others = (each for each in subfolders(folder.parent) if split_of(each.name) not in (None, "train"))
            places = (other / table.parent.relative_to(folder) for other in others)
            files += [Path(file) for place in places if place.is_dir() for file in files_in(place)]
    return {
        file: _looked_at(file)
        for file in files
        if file.suffix.lower() in (*SURE, *POSSIBLE)
        and split_of_table(file) not in (None, "train")
        and _rest(file) == _rest(table)
        and file.is_file()
    }


def _looked_at(table: Path) -> Guess | str:
    try:
        return look(table, [table.parent, table.parent.parent])
    except (NotAListError, NoLabelsError) as error:
        return str(error)
    except DataError as error:
        return str(error)


def add(guess: Guess, tables: Mapping[Path, Guess | str]) -> list[Path]:
    """Sets the tables of validation and of test, of some that may be such, and says of the others why they are not.

    Gives those of which nothing is said, as they are of no such split.
    """
    first = Path(guess.settings["path"])
    used: dict[str, Path] = {}
    top = os.path.commonpath([str(path.parent) for path in (first, *tables)])
    parts: dict[Path, Guess] = {first: guess}
    tables = {path: part for path, part in tables.items() if path != first}
    for split in ("validation", "test"):
        of_split = {path: part for path, part in tables.items() if split_of_table(path) == split}
        like = _likest(of_split, first)
        for path, part in of_split.items():
            if isinstance(part, str):
                why = part
            elif like != [path]:
                why = f"{listed([str(other.relative_to(top)) for other in of_split])} are all of {split}"
            else:
                why = _why_not(parts, part)
            if not why and not isinstance(part, str):
                used[split], parts[path] = path, part
            else:
                guess.choices.append(f"`{path.relative_to(top)}` is not taken for {split}: {why}.")
    if not used:
        return [path for path in tables if split_of_table(path) not in ("validation", "test")]
    guess.settings |= {f"{split}_path": str(path) for split, path in used.items()}
    folder = _common(parts)
    guess.settings.pop("folder", None)
    if folder != first.parent:
        guess.settings["folder"] = str(folder)
    for split, path in used.items():
        part, name = parts[path], path.relative_to(top)
        if part.left_out:
            guess.settings["on_bad"] = "skip"
            guess.choices.append(f"Of {name} {part.left_out}")
        if len(part.labels) > 1 == len(labels := {*part.labels.values()}):
            only = f"All {len(part.labels):,} images of {name} have the label {listed([*labels])}"
            guess.choices.append(f"{only}; if it only stands where the true one is not told, leave out {split}_path.")
    others = [f"{path.relative_to(top)} for {split}" for split, path in used.items()]
    taken = enumerated([f"{first.relative_to(top)} is taken for training", *others], "and")
    guess.choices.append(f"By their names, {taken}.")
    return [path for path in tables if split_of_table(path) not in ("validation", "test")]


def _rest(table: Path) -> list[str]:
    """What the name of a table has beside the split and that it is a table: `fold`, `1` of `fold1_train_labels`."""
    words = [word.lower() for word in _TOKEN.findall(table.stem)]
    return [word for word in words if split_of(word) is None and word not in _OF_TABLES]


def _likest(tables: Mapping[Path, Guess | str], first: Path) -> list[Path]:
    """Of the tables of a split that which is called like the one of training, or lists labels; several if many do.

    Beside `train.csv` lie both `test.csv`, which tells no labels, and `test_labels.csv`.
    """
    like = [path for path in tables if _rest(path) == _rest(first)] or list(tables)
    labelled = [path for path in like if not isinstance(tables[path], str)]
    return labelled if labelled else like


def _why_not(parts: dict[Path, Guess], part: Guess) -> str:
    """Why a table can't be read with others, the first of which is that of training; empty if it can."""
    first = next(iter(parts.values()))
    if first.split or part.split:
        return "a column says the splits"
    if (one := first.settings.get("extension")) != (other := part.settings.get("extension")):
        lack = f"its paths lack {other or 'no ending'}, those of {first.settings['path']} {one or 'none'}"
        return f"{lack}; write the paths of both with their endings"
    for key in ("header", "path_column", "label_column", "label_columns"):
        one, other = first.settings.get(key), part.settings.get(key)
        if (set(one) if isinstance(one, tuple) else one) != (set(other) if isinstance(other, tuple) else other):
            return f"its columns are others than those of {first.settings['path']} ({key})"
    for path, known in parts.items():
        if both := _images(known) & _images(part):
            return f"it lists {counted(len(both), 'image')} that {path} lists too, first {min(both)}"
    names = as_whole_numbers({*first.labels.values(), *part.labels.values()})
    trained = {names.get(label, label) for label in first.labels.values()}
    if first.labels and (new := {names.get(label, label) for label in part.labels.values()} - trained):
        return f"no image of training has the label {listed(sorted(new)[:3])}"
    path = Path(part.settings["path"])
    return _why_apart(parts | {path: part})


def _why_apart(parts: dict[Path, Guess]) -> str:
    """Why the images of tables are not found from one folder; empty if they are."""
    folders = {path: _folder(part) for path, part in parts.items()}
    if len(set(folders.values())) == 1:
        return ""
    common = _common(parts)
    for path, part in parts.items():
        given = common != next(iter(parts)).parent
        names = [f"{name}{part.settings.get('extension', '')}" for name in part.names]
        found = locating.of_table(names, path, split_of_table(path) or "train", common, given)
        if found != folders[path]:
            return f"its images are in {folders[path]}, which can't be told from the name of its split"
    return ""


def _images(part: Guess) -> set[str]:
    return {f"{part.root}/{file}" for file in part.labels}


def _folder(part: Guess) -> Path:
    return Path(part.settings.get("folder") or Path(part.settings["path"]).parent)


def _common(parts: Mapping[Path, Guess]) -> Path:
    """The folder that those of the images of some tables are below."""
    return Path(os.path.commonpath([_folder(part) for part in parts.values()]))
