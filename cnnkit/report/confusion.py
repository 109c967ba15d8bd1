"""The confusion matrix of the report: its cells, each with pictures; of many classes the pairs confused most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.core.text import counted
from cnnkit.report.tables import Table

MOST_CLASSES = 30
"""Of more, no screen has room for a matrix."""

MOST_PAIRS = 100


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix: images of one class that are taken for one.

    Attributes:
        key: Row and column, as the pictures of it are called.
        count: How many images.
        text: What it says in words.
        background: Its colour, of Cividis (Nunez, Anderton and Renslow 2018), which the colour-blind see alike.
        ink: Black or white, whichever is read on it.
    """

    key: str
    count: int
    text: str
    background: str
    ink: str


@dataclass(frozen=True)
class Matrix:
    """The confusion matrix.

    Attributes:
        classes: Names of the classes.
        rows: A row of cells for each class that images are of.
    """

    classes: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def matrix(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> Matrix | None:
    """The matrix; None of too many classes."""
    if len(classes) > MOST_CLASSES:
        return None
    return Matrix(classes, [[_cell(classes, counts, i, j) for j in range(len(classes))] for i in range(len(classes))])


def pairs(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> Table:
    """The pairs of classes that are confused, those most often first."""
    found = _confused(counts)
    rows = [
        [classes[i], classes[j], f"{count:,}", f"{100 * count / sum(counts[i]):.1f} %"]
        for count, i, j in found[:MOST_PAIRS]
    ]
    return Table("Confused most often", ("is", "taken for", "images", "of its class"), rows)


def _confused(counts: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    found = ((count, i, j) for i, row in enumerate(counts) for j, count in enumerate(row) if count and i != j)
    return sorted(found, key=lambda entry: (-entry[0], entry[1:]))


def _cell(classes: Sequence[str], counts: Sequence[Sequence[int]], i: int, j: int) -> Cell:
    from bokeh.palettes import Cividis256

    count, images = counts[i][j], sum(counts[i])
    background = Cividis256[round(255 * count / images) if images else 0]
    verb = "is" if count == 1 else "are"
    right = "rightly answered" if i == j else f"taken for {classes[j]}"
    text = f"{counted(count, 'image')} of {classes[i]} {verb} {right}"
    return Cell(f"{i},{j}", count, text, background, _ink(background))


def _ink(background: str) -> str:
    """Black or white, by the contrast of WCAG 2: both are 4.58 at a luminance of 0.179."""
    shares = [int(background[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return "#000" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 else "#fff"


def places(answers: Any, i: int, j: int, most: int) -> list[int]:
    """Images of class i that are taken for j: of wrong answers the surest first, of right ones the most unsure."""
    found = ((answers.labels == i) & (answers.predicted == j)).nonzero()[0]
    sureness = answers.probabilities[found, j]
    order = sureness.argsort(kind="stable") if i == j else (-sureness).argsort(kind="stable")
    return [int(place) for place in found[order][:most]]


def shown_cells(counts: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """The cells with images, in the order in which they get pictures: confused most first, right answers last."""
    wrong = [(i, j) for _, i, j in _confused(counts)]
    return [*wrong, *((i, i) for i in range(len(counts)) if counts[i][i])]
