"""Sensitivity: runs that differ in one setting at a time from a base, as the classical table.

Its rows are networks, its columns the values of each setting that was varied, all else being as in the base; runs that
differ in their seed alone are one cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from cnnkit.config import yaml12
from cnnkit.config.differences import FREE, MISSING
from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.progress import Progress
from cnnkit.core.text import listed, nearest
from cnnkit.data.index import refuse_other_splits
from cnnkit.inspection import same_images
from cnnkit.inspection.comparison import flat, opened_runs, titles
from cnnkit.runs.run import Run

MODEL = "model"
"""The setting whose values are the rows."""

MERGED = ("seed", "name", *FREE)
"""Settings in which runs of one cell may differ: the seed, and what has no say in what is learnt."""

Part = tuple[tuple[str, str], ...]
"""The settings below one that is varied, with their values as YAML has them: the value of that one."""


class _Divided:
    """The settings of a run, by what of them is varied.

    Args:
        run: The run.
        varied: The settings that are varied; a setting belongs to the longest of them that it lies in.
    """

    def __init__(self, run: Run, varied: Sequence[str]):
        self.run = run
        parts: dict[str, list[tuple[str, str]]] = {key: [] for key in varied}
        rest = []
        for key, value in flat(run.experiment).items():
            owner = max((each for each in varied if _within(key, each)), key=len, default=None)
            if owner is not None:
                parts[owner].append((key, yaml12.line(value)))
            elif not any(_within(key, each) for each in MERGED):
                rest.append((key, yaml12.line(value)))
        self.parts: dict[str, Part] = {key: tuple(values) for key, values in parts.items()}
        self.rest = tuple(rest)


def sensitivity(
    runs: Sequence[Run | Path | str], vary: Sequence[str], split: str = "test", progress: Progress | None = None
) -> dict[str, Any]:
    """Groups runs into a table: one factor at a time from a base.

    The base has of each setting that is varied the commonest value, the first of them where several are as common, and
    of all others what most of the runs have. A run is left out if it differs from that in another setting, or in two
    that are varied.

    Args:
        runs: Two or more, or their folders. One that was not evaluated with its present weights is evaluated.
        vary: Dotted settings or sections, `model` among them or not: it is what the rows are of, and without another
            one there is a single column.
        split: `test`, `validation` or `train`.
        progress: Is told how far it is.

    Returns:
        The document that `cnnkit compare --vary ... --json` prints: `rows` with a cell for each of `columns`, or null.

    Raises:
        DataError: A run has to be evaluated, and its images are gone or changed.
        TrainingError: A run is damaged, or has no usable checkpoint.
        UsageError: They are not two runs, or there is no such setting or split.
    """
    opened, progress = opened_runs(runs), progress or Progress()
    refuse_other_splits(split)
    varied = [key for key in dict.fromkeys(vary) if key != MODEL]
    divided = [_Divided(run, [MODEL, *varied]) for run in opened]
    _refuse_unknown(divided, varied)
    names = dict(zip(map(id, divided), titles(opened), strict=True))
    rest = _commonest([each.rest for each in divided])
    base = {key: _commonest([each.parts[key] for each in divided if each.rest == rest]) for key in varied}
    taken, left_out = [], []
    for each in divided:
        if why := _why_not(each, rest, base):
            left_out.append({"run": names[id(each)], "why": why})
        else:
            taken.append(each)
    columns: list[tuple[str | None, Part]]
    columns = [(key, value) for key in varied for value in dict.fromkeys(each.parts[key] for each in taken)]
    columns = columns or [(None, ())]
    accuracies = {id(each): same_images.answers(each.run, split, progress).accuracy for each in taken}
    rows = []
    for model in dict.fromkeys(each.parts[MODEL] for each in taken):
        of_model = [each for each in taken if each.parts[MODEL] == model]
        cells = []
        for key, value in columns:
            parts = base | {MODEL: model} | ({key: value} if key else {})
            cells.append(_cell([each for each in of_model if each.parts == parts], accuracies))
        rows.append({"model": _label(model, [each.parts[MODEL] for each in divided], MODEL), "cells": cells})
    told = {key: [each.parts[key] for each in taken] for key in (MODEL, *varied)}
    return {
        "split": split,
        "metric": "accuracy",
        "base": {key: _label(base[key], told[key], key) for key in varied},
        "columns": [
            {
                "setting": key,
                "value": _label(value, told[key], key) if key else None,
                "base": key is None or value == base[key],
            }
            for key, value in columns
        ],
        "rows": rows,
        "left_out": left_out,
        "remarks": [*_unvaried(list(dict.fromkeys(vary)), told), *_other_images(taken, split, names), *_missing(rows)],
    }


def _within(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


def _commonest(values: Sequence[Any]) -> Any:
    """The commonest of some values; of several the first."""
    return Counter(values).most_common(1)[0][0]


def _refuse_unknown(divided: Sequence[_Divided], varied: Sequence[str]) -> None:
    """Refuses what no run has as a setting.

    Raises:
        UsageError: There is none, with the nearest one.
    """
    for key in varied:
        if not any(each.parts[key] for each in divided):
            keys = [name for each in divided for name, _ in (*each.rest, *each.parts[MODEL])]
            sections = dict.fromkeys(name.rsplit(".", cut)[0] for name in keys for cut in range(name.count(".") + 1))
            raise UsageError(f"--vary {key}: none of the runs has such a setting{nearest(key, list(sections))}")


def _why_not(each: _Divided, rest: Any, base: dict[str, Part]) -> str:
    """Why a run has no place in the table; nothing if it has one."""
    if each.rest != rest:
        ours, theirs = dict(each.rest), dict(rest)
        other = [key for key in {**theirs, **ours} if ours.get(key, MISSING) != theirs.get(key, MISSING)]
        return f"differs in {listed(other)}, which is not varied"
    off = [key for key, value in base.items() if each.parts[key] != value]
    return f"differs from the base in {listed(off)} at once, and the table is of one at a time" if len(off) > 1 else ""


def _cell(runs: Sequence[_Divided], accuracies: dict[int, float]) -> dict[str, Any] | None:
    """Mean and range of the runs of a cell; None if there is none."""
    if not runs:
        return None
    values = [accuracies[id(each)] for each in runs]
    return {"mean": fmean(values), "lowest": min(values), "highest": max(values), "runs": len(values)}


def _label(value: Part, among: Sequence[Part], section: str) -> str:
    """A value in words: a single one as it is, of a section the names in it, and what tells it from its like."""
    if [key for key, _ in value] == [section]:
        return "none" if value[0][1] in ("[]", "null") else value[0][1]
    names, alike = _names(value), [dict(other) for other in among if _names(other) == _names(value)]
    telling = [
        f"{key.rpartition('.')[2]} {text}"
        for key, text in value
        if (key, text) not in names
        and (key == f"{section}.depth" or any(other.get(key, text) != text for other in alike))
    ]
    shown = names if section == MODEL or len(alike) < len(among) else []
    return ", ".join([*(text for _, text in shown[: 1 if section == MODEL else None]), *telling]) or "none"


def _names(value: Part) -> Part:
    """The names in a value: which classes it is of."""
    return tuple((key, text) for key, text in value if key.endswith(".name"))


def _unvaried(varied: Sequence[str], told: dict[str, list[Part]]) -> list[str]:
    same = [key for key in varied if len(set(told[key])) == 1]
    return [f"{listed(same)}: all of the runs have the same value"] if same else []


def _other_images(taken: Sequence[_Divided], split: str, names: dict[int, str]) -> list[str]:
    """The runs whose images are others than those of the first."""
    others = []
    for each in taken[1:]:
        try:
            same_images.refuse_others([taken[0].run, each.run], split)
        except DataError:
            others.append(names[id(each)])
    if not others:
        return []
    return [f"the {split} images of {listed(others)} are not those of `{names[id(taken[0])]}`: luck of the images too"]


def _missing(rows: Sequence[dict[str, Any]]) -> list[str]:
    count = sum(cell is None for row in rows for cell in row["cells"])
    return [f"{count} of the cells (-) {'has' if count == 1 else 'have'} no run"] if count else []
