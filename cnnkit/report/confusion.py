"""The confusion matrix of the report: its cells, each with pictures; of many classes the pairs confused most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.core.text import counted
from cnnkit.report.bidi import isolated
from cnnkit.report.tables import percent

MOST_CLASSES = 30
"""Of more, no screen has room for a matrix."""

MOST_PAIRS = 100


@dataclass(frozen=True)
class MatrixCell:
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
    rows: Sequence[Sequence[MatrixCell]]

    @property
    def longest(self) -> int:
        """Signs of the longest name, and some beside it."""
        return max(map(len, self.classes)) + 2


@dataclass(frozen=True)
class Pair:
    """Two classes of which one is taken for the other.

    Attributes:
        key: As the pictures of it are called.
        label: What the images are.
        predicted: What they are taken for.
        count: How many.
        share: Their share of the images of their class.
        text: The same in words.
    """

    key: str
    label: str
    predicted: str
    count: int
    share: str
    text: str


def matrix(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> Matrix | None:
    """The matrix; None of too many classes."""
    if len(classes) > MOST_CLASSES:
        return None
    return Matrix(classes, [[_cell(classes, counts, i, j) for j in range(len(classes))] for i in range(len(classes))])


def pairs(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> list[Pair]:
    """The pairs of classes that are confused, those most often first."""
    return [
        Pair(
            f"{i},{j}", classes[i], classes[j], count, percent(count / sum(counts[i])), _in_words(classes, i, j, count)
        )
        for count, i, j in _confused(counts)[:MOST_PAIRS]
    ]


def _confused(counts: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    found = ((count, i, j) for i, row in enumerate(counts) for j, count in enumerate(row) if count and i != j)
    return sorted(found, key=lambda entry: (-entry[0], entry[1:]))


def _in_words(classes: Sequence[str], i: int, j: int, count: int) -> str:
    verb = "is" if count == 1 else "are"
    right = "rightly answered" if i == j else f"taken for {isolated(classes[j])}"
    return f"{counted(count, 'image')} of {isolated(classes[i])} {verb} {right}"


def _cell(classes: Sequence[str], counts: Sequence[Sequence[int]], i: int, j: int) -> MatrixCell:
    from bokeh.palettes import Cividis256

    count, images = counts[i][j], sum(counts[i])
    background = Cividis256[round(255 * count / images) if images else 0]
    return MatrixCell(f"{i},{j}", count, _in_words(classes, i, j, count), background, _ink(background))


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
    """The cells that can be chosen, in the order in which they get pictures: confused most first, right answers last.

    They are all with images of a matrix, and else the pairs that are confused most.
    """
    wrong = [(i, j) for _, i, j in _confused(counts)]
    if len(counts) > MOST_CLASSES:
        return wrong[:MOST_PAIRS]
    return [*wrong, *((i, i) for i in range(len(counts)) if counts[i][i])]


def most(pairs: Sequence[Pair]) -> Iterator[str]:
    """The first of the pairs in a sentence; none where nothing is confused."""
    if pairs:
        yield f"confused most: {pairs[0].text}, {pairs[0].share} of that class"
