"""What the columns of a table are, by what stands in them: which one names images, says the class, or the split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from cnnkit.core.text import counted, listed
from cnnkit.data.sources.manifest_labels import is_set
from cnnkit.data.split_names import split_of

PATHS = (
    *("path", "image_path", "file_path", "filepath", "file", "filename", "file_name", "image", "image_name", "img"),
    *("img_path", "image_id", "id", "id_code", "name"),
)
"""What people call the column of the paths, in the order in which they are looked for."""

LABELS = (
    *("label", "labels", "class", "class_name", "label_name", "category", "target", "species", "breed", "diagnosis"),
    *("dx", "y"),
)
"""What people call the column of the labels, likewise."""

SAMPLE = 200
"""So many cells of a column tell whether it names images."""

MOSTLY = 0.5
"""A column names images where so large a share of the sample is there."""

ONE_HOT = 0.9
"""Columns are one a class where so large a share of the rows sets just one of them."""

# The words of a name that are those of a label, also as a part of it: `LabelName`, `category_id`, `disease_class`.
_LABEL_WORDS = ("label", "labels", "class", "category", "categories", "target", "species", "breed", "diagnosis", "dx")
# The words of a name that are those of an image: `Image_ID`, `X_ray_image_name`.
_PATH_WORDS = {"image", "images", "img", "file", "files", "filename", "path", "paths", "id", "ids", "name", "photo"}

# The words of a name that are those of what several images may be of: `patient_id`, `lesion_id`.
_GROUP_WORDS = {"patient", "patients", "subject", "lesion", "specimen", "animal", "plant", "film", "video", "slide"}

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_INDEX = re.compile(r"(unnamed: ?\d+|index|level_\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """A table, read.

    Attributes:
        columns: What its columns are called.
        header: Whether the first line says so.
        rows: Those with as many cells as there are columns, without blanks around them.
        lines: Where each begins.
    """

    columns: list[str]
    header: bool
    rows: list[list[str]]
    lines: list[int]

    def column(self, place: int) -> list[str]:
        """The cells of a column."""
        return [row[place] for row in self.rows]


@dataclass
class Labelling:
    """Which columns say the class.

    Attributes:
        column: The one that does, if it is one.
        columns: Those that do, if it is one a class.
        choices: What was chosen, where it might be meant otherwise.
    """

    column: int | None = None
    columns: list[int] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)


class NoLabelsError(Exception):
    """No column says a class that can be used; the message says why."""


def paths_in(cells: Sequence[Sequence[str]], names: Sequence[str], is_there: Callable[[str], bool]) -> list[int]:
    """The columns that name images, the likeliest first.

    Args:
        cells: The rows.
        names: What the columns are called, or the cells of the first line where that does not say it.
        is_there: Whether a path is the end of that of an image.
    """
    step = max(1, len(cells) // SAMPLE)
    sample = cells[::step][:SAMPLE]
    found = []
    for place, name in enumerate(names):
        texts = [row[place] for row in sample if row[place]]
        if not texts or not any(map(is_there, texts[:20])):
            continue
        if all(map(_is_number, texts)) and not _may_name_images(name):
            continue  # 1, 2, 3 may be what an image is called, and anything else too
        share = sum(map(is_there, texts)) / len(texts)
        if share >= MOSTLY:
            different = len(set(texts)) / len(texts)
            # Small numbers may be the names of images by chance: a column of paths hardly repeats itself.
            found.append((different > 0.5, any("." in text[-5:] for text in texts), round(share, 1), different, -place))
    return [-place for *_, place in sorted(found, reverse=True)]


def _may_name_images(name: str) -> bool:
    words = {word.lower() for word in _WORD.findall(name)}
    return name.lower() in PATHS or not words.isdisjoint(_PATH_WORDS)


def _may_name_groups(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    return not _GROUP_WORDS.isdisjoint(words) and not {*words} & {"age", "sex", "count"}


def split_column(table: Table, path: int) -> int | None:
    """The column whose cells are all names of splits, train among them."""
    for place in range(len(table.columns)):
        if place != path:
            different = set(table.column(place)[:1000])
            if len(different) <= 10 and all(map(split_of, different)):
                splits = {split_of(cell) for cell in set(table.column(place))}
                if None not in splits and len(splits) > 1 and "train" in splits:
                    return place
    return None


def labelling(table: Table, path: int, split: int | None) -> Labelling:
    """Which columns say the class.

    Raises:
        NoLabelsError: None does, or not in a way that can be used.
    """
    places = [place for place in range(len(table.columns)) if place not in (path, split)]
    places = [place for place in places if table.columns[place].lower() not in ("weight", "split")]
    places = [place for place in places if not _is_index(table, place)]
    different = {place: Counter(table.column(place)) for place in places}
    known = sorted((rank, place) for place in places if (rank := _rank(table.columns[place])) is not None)
    usable = {place for place in places if _repeats(different[place], len(table.rows))}
    named = [place for _, place in known if place in usable]
    if named:
        return _chosen(table, named, usable - {*named}, different)
    if run := _one_hot(table, places, different):
        return run
    if len(places) == 1 and (known or len(usable) == 1):
        return Labelling(places[0])
    return _chosen(table, *_by_content(table, usable, different), different)


def _by_content(table: Table, usable: set[int], different: dict[int, Counter[str]]) -> tuple[list[int], set[int]]:
    texts = {place for place in usable if not all(map(_is_number, different[place]))}
    order = sorted(texts or usable, key=lambda place: (len(different[place]), place))
    if not order:
        raise NoLabelsError(_why_none(table, different))
    return order, usable - set(order)


def _chosen(table: Table, order: list[int], others: set[int], different: dict[int, Counter[str]]) -> Labelling:
    """The first, and what is to be said of the others; a text in place of its number, where both say the same."""
    best = order[0]
    if all(map(_is_number, different[best])):
        for place in order[1:]:
            same = len(set(zip(table.column(best), table.column(place), strict=True)))
            if same == len(different[best]) == len(different[place]) and not all(map(_is_number, different[place])):
                best = place
                break
    grouping = [place for place in sorted(different.keys() - {best}) if _may_name_groups(table.columns[place])]
    choices = [
        f"Images of the same `{table.columns[place]}` may belong together: group_column: {table.columns[place]} keeps "
        "them in one split, or has `cnnkit data` tell where the data's own splits tear them apart."
        for place in grouping[:1]
        if len(different[best]) < len(different[place]) < len(table.rows)
    ]
    more = [place for place in (*order, *sorted(others)) if place != best and len(different[place]) <= 100]
    more = [place for place in more if place not in grouping]
    if more and table.header:
        choices.append(
            f"The label is taken from the column `{table.columns[best]}`; "
            f"{listed([table.columns[place] for place in more])} may be meant instead: then set label_column."
        )
    elif more:
        choices.append(
            f"The label is taken from column {table.columns[best]}; others may be meant instead: then set label_column."
        )
    return Labelling(best, choices=choices)


def _one_hot(table: Table, places: Sequence[int], different: dict[int, Counter[str]]) -> Labelling | None:
    """The longest run of columns of which each row sets one.

    Raises:
        NoLabelsError: Such columns are there, but many rows set several or none of them.
    """
    binary = [place for place in places if all(is_set(cell) is not None for cell in different[place])]
    binary = [place for place in binary if any(map(is_set, different[place]))]
    runs = [[place for _, place in group] for _, group in groupby(enumerate(binary), lambda pair: pair[1] - pair[0])]
    for run in sorted((run for run in runs if len(run) > 1), key=len, reverse=True):
        for part in (run, run[1:], run[:-1]):
            if len(part) > 1 and (sums := _sums(table, part)) and sums[1] >= ONE_HOT * len(table.rows):
                return Labelling(columns=part)
    runs = [run for run in runs if len(run) > 2]
    if not runs:
        return None
    run = max(runs, key=len)
    sums = _sums(table, run)
    several, none = sum(count for number, count in sums.items() if number > 1), sums[0]
    line = next(
        line for line, row in zip(table.lines, table.rows, strict=True) if sum(bool(is_set(row[i])) for i in run) != 1
    )
    raise NoLabelsError(
        f"its columns {listed([table.columns[place] for place in run])} look like one a class, but "
        f"{counted(several, 'row says', 'rows say')} several and {counted(none, 'row')} none, first line {line}: "
        "images may be of several classes, and cnnkit gives it one. Keep the rows with one and set label_columns; "
        "or train a network for each class, with label_column its column"
    )


def _sums(table: Table, places: Sequence[int]) -> Counter[int]:
    """How many rows set none, one, two, ... of some columns."""
    return Counter(sum(bool(is_set(row[place])) for place in places) for row in table.rows)


def is_label(name: str) -> bool:
    """Whether a column is one of labels by its name."""
    return _rank(name) is not None


def _rank(name: str) -> int | None:
    """How surely a column of this name is one of labels, 0 the surest; None for another name."""
    if name.lower() in LABELS:
        return LABELS.index(name.lower())
    words = [word.lower() for word in _WORD.findall(name)]
    return next((len(LABELS) + i for i, word in enumerate(_LABEL_WORDS) if word in words), None)


def _repeats(counts: Counter[str], rows: int) -> bool:
    """Whether there are few different texts, each in several rows."""
    different = len(counts) - ("" in counts)
    return different > 1 and (2 * different <= rows or rows < 8) and not _is_measure(counts)


def _is_measure(counts: Counter[str]) -> bool:
    """Whether the cells are numbers with something behind the point: lengths, shares, probabilities."""
    return any("." in cell and not re.fullmatch(r"-?\d+\.0*", cell) for cell in counts) and all(map(_is_number, counts))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == ""
    return True


def _is_index(table: Table, place: int) -> bool:
    """Whether a column only counts the rows, as pandas writes one without a name."""
    if not _INDEX.fullmatch(table.columns[place] if table.header else "x"):
        return False
    cells = table.column(place)
    return len(set(cells)) == len(cells) or table.columns[place] != "index"


def _why_none(table: Table, different: dict[int, Counter[str]]) -> str:
    rows = len(table.rows)
    told = []
    for place, counts in different.items():
        name = f"`{table.columns[place]}`"
        if table.columns.count(table.columns[place]) > 1:
            name += f" (column {place + 1})"
        if len(counts) == 1:
            told.append(f"{name} says the same in all rows")
        elif _is_measure(counts):
            told.append(f"{name} is a measure")
        else:
            told.append(f"{name} has {len(counts):,} different texts in {counted(rows, 'row')}")
    if not told:
        return "no other column says a class"
    return f"no other column says a class: {'; '.join(told[:5])}" + (f"; {len(told) - 5:,} more" if told[5:] else "")
