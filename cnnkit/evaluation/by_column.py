"""By column: what answers are worth for each value of a column of the table that lists the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.lazy import np
from cnnkit.core.text import counted, listed, nearest
from cnnkit.data.files import tables
from cnnkit.data.index import Index
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.exam import Exam, Question
from cnnkit.evaluation.gate import of_entry, with_ends
from cnnkit.evaluation.intervals import wilson

GROUP = "group"
"""What groups are called that no column tells, but a pattern of the source."""

FIGURES = ("images", *with_ends("accuracy"), "macro_f1")
"""What is told of each value, by the names that a gate has."""

EMPTY = "(empty)"
"""What images are listed under where the column is empty."""

SHOWN = 20
"""So many values are told in lines; the document has them all."""


@dataclass(frozen=True)
class ByColumn(Question):
    """What are the answers worth for each value of a column?

    Attributes:
        column: The name of the column; `group` for the groups of a source without one.
    """

    name: ClassVar[str] = "by"
    of_answers_alone = True
    column: str

    def refuse_images(self, index: Index) -> None:
        """Refuses images without such a column, with those that there are; or without any."""
        self._values(index)

    def answered(self, exam: Exam) -> dict[str, Any]:
        """The figures of each value, the one with the least accuracy first; of equal ones that with the most images.

        Raises:
            DataError: The table has changed meanwhile.
        """
        index = exam.shown.images.index.take(exam.shown.numbers)
        return {"column": self.column, "values": figures(exam.answers, self._values(index))}

    def figures(self, classes: Sequence[str], index: Index | None = None) -> list[str] | None:
        """Those of each value; None before the images are read."""
        if index is None:
            return None
        values = dict.fromkeys(value or EMPTY for value in self._values(index))
        return [of_entry(name, value) for value in values for name in FIGURES]

    def lines(self, found: Mapping[str, Any]) -> Iterator[str]:
        """A line a value."""
        entries = found["values"]
        yield f"by {self.column}, the worst first:"
        for entry in entries[:SHOWN]:
            low, high = entry["accuracy_interval"]
            yield (
                f"  {entry['name']}: accuracy {entry['accuracy']:.4f} ({low:.4f} to {high:.4f}), "
                f"macro F1 {entry['macro_f1']:.4f}, {counted(entry['images'], 'image')}"
            )
        if len(entries) > SHOWN:
            yield f"  and {counted(len(entries) - SHOWN, 'other value')}, which --json has"

    def _values(self, index: Index) -> list[str]:
        """The value of each image."""
        if index.rows is None:
            return self._groups(index, "images that no table lists have no columns; --manifest takes a table")
        columns: dict[str, list[str]] = {}
        cells: dict[str, dict[int, list[str]]] = {}
        listing = set(index.rows)
        for table in dict.fromkeys(table for table, _ in index.rows):
            (line, first), *rest = list(tables.Table(Path(table))) or [(1, [])]
            if (table, line) in listing and not table.lower().endswith(".jsonl"):  # no names of columns, but an image
                columns[table] = [str(number) for number in range(1, len(first) + 1)]
                cells[table] = {line: first} | dict(rest)
            else:
                columns[table] = [name.strip() for name in first]
                cells[table] = dict(rest)
        there = list(dict.fromkeys(name for names in columns.values() for name in names if name))
        if any(self.column not in names for names in columns.values()):
            return self._groups(index, f"the columns are {listed(there)}{nearest(self.column, there)}")
        values = []
        for table, line in index.rows:
            row, place = cells[table].get(line, []), columns[table].index(self.column)
            if len(row) != len(columns[table]):
                raise DataError(f"{table}: line {line} has changed meanwhile; start again when it stays as it is")
            values.append(row[place].strip())
        return values

    def _groups(self, index: Index, why: str) -> list[str]:
        """The group of each image, where it is groups that are asked for and the source knows of some."""
        if self.column == GROUP and index.groups is not None:
            return [group or "" for group in index.groups]
        also = ", and --by group is for the groups of the source" if index.groups is not None else ""
        raise UsageError(f"--by {self.column}: {why}{also}")


def figures(answers: Answers, values: Sequence[str]) -> list[dict[str, Any]]:
    """What answers are worth for each value: images, accuracy with Wilson's interval, macro F1.

    The macro F1 is the mean over the classes that images with this value have: that of others says nothing of them.
    """
    from sklearn.metrics import f1_score

    of_each: dict[str, list[int]] = {}
    for place, value in enumerate(values):
        of_each.setdefault(value or EMPTY, []).append(place)
    found = []
    for name, places in of_each.items():
        labels, predicted = answers.labels[places], answers.predicted[places]
        accuracy = int(np.sum(labels == predicted)) / len(places)
        f1 = f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0.0)
        found.append(
            {
                "name": name,
                "images": len(places),
                "accuracy": accuracy,
                "accuracy_interval": wilson(accuracy, len(places)),
                "macro_f1": float(f1),
            }
        )
    return sorted(found, key=lambda entry: (entry["accuracy"], -entry["images"], entry["name"]))
