"""The label of a row of a table: what one column says, or which of several columns, one a class, is set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from cnnkit.core.text import counted, listed, printable, some
from cnnkit.data.sources.base import label_text

_WORDS = {"true": True, "t": True, "yes": True, "y": True, "false": False, "f": False, "no": False, "n": False}

# What stands between several labels in a cell.
_BETWEEN = ("|", ";", ",", "/", "+", " ")


class Wrong(NamedTuple):
    """Why a row has no label that can be used.

    Attributes:
        kind: What sort of fault: `no class`, `several` (classes) or `label`.
        message: What is wrong.
    """

    kind: str
    message: str


class Labels(Protocol):
    """Where the label of a row stands."""

    def read(self, cells: Sequence[str]) -> str | Wrong:
        """The name of the class that a row says."""
        ...


class OneColumn:
    """The label as the text of a cell."""

    def __init__(self, place: int, name: str):
        self.place = place
        self.name = name
        self.known: dict[str, str] = {}

    def read(self, cells: Sequence[str]) -> str | Wrong:
        """The text of the cell."""
        cell = cells[self.place]
        if known := self.known.get(cell):
            return known
        label = label_text(cell)
        if not label:
            return Wrong("no class", f"has no `{self.name}`")
        if not printable(label):
            return Wrong("label", f"the label {cell!r} has a control character in it")
        self.known[cell] = label
        return label


class OneOfColumns:
    """The name of the one column that is set: 1, 1.0, true or yes, where the others are 0, 0.0, false, no or empty."""

    def __init__(self, places: Sequence[int], names: Sequence[str]):
        self.places = places
        self.names = [label_text(name) for name in names]

    def read(self, cells: Sequence[str]) -> str | Wrong:
        """The name of the column that is set."""
        found = []
        for place, name in zip(self.places, self.names, strict=True):
            value = is_set(cells[place])
            if value is None:
                return Wrong(
                    "label", f"`{name}` should be 0 or 1 (or true, false, yes, no); not `{cells[place].strip()}`"
                )
            if value:
                found.append(name)
        if len(found) == 1:
            return found[0]
        if found:
            return Wrong("several", f"says several classes, {listed(found)}; an image is of one class")
        return Wrong("no class", f"says no class: none of {counted(len(self.names), 'column')} is 1")


def is_set(cell: str) -> bool | None:
    """Whether a cell says yes; None if it says neither yes nor no."""
    cell = cell.strip()
    if cell in ("1", "0", ""):
        return cell == "1"
    if (word := _WORDS.get(cell.lower())) is not None:
        return word
    return {1.0: True, 0.0: False}.get(_number(cell))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return -1.0


def several_in_one(labels: Iterable[str], counts: Counter[str]) -> str | None:
    """What is to be said of labels whose parts are classes themselves, as `a|b` beside `a` and `b`; None if none is so.

    Args:
        labels: The different ones.
        counts: How many rows have each.
    """
    labels = set(labels)
    for sign in (*_BETWEEN, "[]"):
        parts = {label: found for label in labels if len(found := _parts(label, sign)) > 1}
        in_several = Counter(part for found in parts.values() for part in set(found))
        # A comma or a blank may be within a name: then the parts have to be classes by themselves.
        own = labels if sign in (",", "/", "+", " ") else labels | {part for part, n in in_several.items() if n > 1}
        lists = sign == "[]"
        several = sorted(label for label, found in parts.items() if lists or own.issuperset(found))
        if several:
            images = sum(counts[label] for label in several)
            hold, these = ("holds", "this") if len(several) == 1 else ("hold", "each of these")
            return (
                f"{counted(len(several), 'label')} ({counted(images, 'row')}) {hold} several classes in one, "
                f"{some([f'`{label}`' for label in several], 3)}: cnnkit gives an image one class, and takes {these} "
                "for a class of its own; to have it otherwise, keep one class a row, leave those rows out, "
                "or train a network for each class, with or without it."
            )
    return None


def _parts(label: str, sign: str) -> list[str]:
    if sign != "[]":
        return [part.strip() for part in label.split(sign) if part.strip()]
    if not re.fullmatch(r"\[.*\]|\(.*\)", label):
        return []
    return [part.strip("'\" ") for part in label[1:-1].split(",") if part.strip("'\" ")]
