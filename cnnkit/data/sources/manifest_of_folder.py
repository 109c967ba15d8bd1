"""Which table in a folder, or beside it, tells the classes of its images; else what is to be said of those there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.text import listed
from cnnkit.data.files import locating
from cnnkit.data.files.finding import Ends
from cnnkit.data.files.walking import files_in, subfolders, why_not
from cnnkit.data.sources import layout, manifest_parts
from cnnkit.data.sources.manifest_columns import NoLabelsError
from cnnkit.data.sources.manifest_guess import OTHERS, POSSIBLE, SURE, Guess, NotAListError, look, of_json
from cnnkit.data.sources.tree import Tree, is_container
from cnnkit.data.split_names import split_of

TABLES = 50
"""At most so many tables of a folder are looked at."""

FAITHFUL = 0.9
"""Folders are the classes where so large a share of their images has the label that most of the folder have."""


def of_folder(root: Path) -> Guess | None:
    """The settings for the table in a folder, or beside it, that tells the classes of the images in it.

    None where there is none, or where the folders of the images say the same.

    Raises:
        DataError: There are several such tables.
    """
    fits, _ = _fits(root)
    if not fits:
        images = any(not why_not(file) for file in files_in(root))
        fits = _beside(root) if images else {}
        return _one_of(root, fits) if fits and not _is_sorted(root) else None
    guess = _one_of(root, fits)
    if _is_sorted(root, guess.labels):
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
        then = "name the one of train in place of the folder, which takes the others for validation and test"
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
            if why := of_json(path):
                others.append(Problem(why, file=str(path)))
        elif "submission" not in path.name.lower():  # Kaggle's example of an answer, with labels of no meaning
            ends = ends or Ends(root)
            try:
                fits[path] = look(path, [root], ends)
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
    ends: Ends | None = None
    for path in map(Path, files_in(root.parent)):
        if path.suffix.lower() in (*SURE, *POSSIBLE) and path.is_file() and "submission" not in path.name.lower():
            ends = ends or Ends(root)
            try:
                fits[path] = look(path, [root], ends)
            except (NotAListError, NoLabelsError, DataError):
                continue  # what lies beside the folder that was named may be of anything
    return fits


def _one_of(root: Path, fits: dict[Path, Guess]) -> Guess:
    """The table that is meant, or one of them with the others as those of its splits.

    Raises:
        DataError: That can't be told.
    """
    if len(fits) == 1:
        ((first, guess),) = fits.items()
        manifest_parts.add(guess, _unfit(root, first, fits))
        return guess
    names = {path: str(path.relative_to(root) if path.is_relative_to(root) else path) for path in fits}
    train = [path for path in names if _split_below(root, path) == "train"]
    if len(train) == 1:
        (first,) = train
        guess = fits[first]
        rest = manifest_parts.add(guess, {**fits, **_unfit(root, first, fits)})
        if rest:
            which = listed([names[path] for path in rest])
            guess.choices.append(f"`{names[first]}` is taken for its name; {which} would list images with labels too.")
        return guess
    message = (
        f"{root} holds {listed(list(names.values()))}, which all list images with labels; name the one that is meant"
    )
    raise DataError(message)


def _split_below(root: Path, table: Path) -> str | None:
    """The split that a table is of, where the name of the folder that was asked for does not count."""
    folders = table.parent.relative_to(root).parts if table.is_relative_to(root) else ()
    return next(filter(None, map(split_of, (table.stem, *reversed(folders)))), None)


def _unfit(root: Path, first: Path, fits: dict[Path, Guess]) -> dict[Path, Guess | str]:
    """The tables of other splits that belong to that of training, but can't be used, and why."""
    return {
        path: why
        for path, why in manifest_parts.beside(first).items()
        if path not in fits and (path.is_relative_to(root) or path.parent == first.parent)
    }


def _faithful(guess: Guess) -> bool:
    """Whether the folders of the images say the same as their labels."""
    folders: dict[str, Counter[str]] = defaultdict(Counter)
    for file, label in guess.labels.items():
        folders[file.rpartition("/")[0]][label] += 1
    most = sum(max(counts.values()) for counts in folders.values())
    return most >= FAITHFUL * len(guess.labels)


def _is_sorted(root: Path, listed: Iterable[str] = ()) -> bool:
    """Whether a folder may be sorted into classes; where nobody can tell how, it is sorted all the same.

    It is not by one class beside a folder that holds images of any kind, as `doc` beside `images`.

    Args:
        root: The folder.
        listed: The images of a table, as paths below it. Where all of them lie in such folders, or in splits, the
            folders beside these are no classes of theirs.
    """
    try:
        classes = {folder.path for folder in layout.find(Tree(root)).classes}
    except DataError:
        return True
    if len({each.name for each in classes if not is_container(each.name)}) < 2:
        return False
    folders = {root / name.rpartition("/")[0] for name in listed}
    homes = {next((each for each in (folder, *folder.parents) if each in classes), None) for folder in folders}
    return not homes or any(home is None or not (is_container(home.name) or split_of(home.name)) for home in homes)
