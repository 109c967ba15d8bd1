"""The tables of a run's page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnkit.core.text import by
from cnnkit.data.index import SPLITS
from cnnkit.evaluation.baseline import METHODS, Baseline
from cnnkit.evaluation.corruptions import Corruptions
from cnnkit.evaluation.metrics import CLASS_METRICS, METRICS, words
from cnnkit.inspection.summary import Row
from cnnkit.report.headline import SENTENCES
from cnnkit.report.tables import Cell, Table, of_lists, rows_of, tables_of, with_interval
from cnnkit.runs.run import Run

_ELSEWHERE = {"split", "images", "loss", "calibration", *SENTENCES, *(metric.name for metric in METRICS)}
"""What of a result has a place of its own on the page."""


def figures(results: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """The figures of the whole of each split, or of each run."""
    if not results:
        return None
    single = {n: v for found in results.values() for n, v in found.items() if isinstance(v, int | float)}
    known = {"images": 0, "accuracy": 0} | {metric.name: 0 for metric in METRICS} | single
    names = [name for name in known if name in single and name != "top_k"]
    rows: list[list[Cell]] = [
        [words(name), *(with_interval(found, name) for found in results.values())] for name in names
    ]
    calibrations = [found.get("calibration") or {} for found in results.values()]
    if any("ece" in found for found in calibrations):
        rows.append([words("ece"), *(with_interval(found, "ece") for found in calibrations)])
    return Table("Figures", ("", *results), rows)


def methods(result: Mapping[str, Any]) -> Table | None:
    """What simple methods reach, the network beside them."""
    found = result.get(Baseline.name)
    if not isinstance(found, dict) or "best" not in found:
        return None
    rows: list[list[Cell]] = [
        [words(method), with_interval(found[method], "accuracy")] for method in METHODS if method in found
    ]
    rows.append(["the network", with_interval(result, "accuracy")])
    return Table(f"Simple methods on {by(found['pixels'])} pixels", ("method", "accuracy"), rows)


def classes(result: Mapping[str, Any]) -> Table:
    """The figures of each class, with their intervals."""
    entries = result["classes"]
    first = ["name", "images", *(metric.name for metric in CLASS_METRICS)]
    known = dict.fromkeys(n for entry in entries for n in entry if not n.endswith("_interval"))
    names = [*(name for name in first if name in known), *(name for name in known if name not in first)]
    rows = [[with_interval(entry, name) for name in names] for entry in entries]
    return Table("Every class", ["class", *(words(name) for name in names[1:])], rows)


def calibrated(calibration: Any) -> Table | None:
    """The figures of the calibration."""
    rows = list(rows_of(calibration)) if isinstance(calibration, dict) else []
    return Table("Calibration", ("", "value"), rows) if rows else None


def more(result: Mapping[str, Any]) -> Iterator[Table]:
    """What else was asked; single figures stand in the table of all of them."""
    for name, value in result.items():
        if name == Corruptions.name:
            yield of_lists("Accuracy on corrupted images, by strength", "corruption", "12345", value["accuracy"])
        if name in _ELSEWHERE or name.endswith("_interval"):
            continue
        title = words(name).capitalize()
        if isinstance(value, dict):
            yield from tables_of(title, value)
        elif isinstance(value, list) and value:
            yield from tables_of(title, {name: value})


def images(run: Run, facts: Mapping[str, Any]) -> Table:
    """How many images of each class are in each split."""
    counts = facts["data"].get("images_per_class") or {}
    splits = [split for split in SPLITS if split in counts]
    rows = [[name, *(f"{counts[split].get(name, 0):,}" for split in splits)] for name in run.classes]
    foot = ["all", *(f"{sum(counts[split].values()):,}" for split in splits)]
    return Table("Images", ("class", *splits), rows, foot)


def layers(rows: Sequence[Row]) -> Table:
    """The layers of the network, and how the count of their parameters comes about."""
    told = [
        [
            row.name,
            row.type,
            by(row.output_shape),
            row.formula or "-",
            _field(row.receptive_field),
            f"{row.macs:,}" if row.macs else "-",
        ]
        for row in rows
    ]
    total = f"{sum(row.parameters for row in rows):,}"
    foot = ["all layers", "", "", total, "", f"{sum(row.macs for row in rows):,}"]
    head = ("layer", "type", "output", "parameters, and why as many", "sees", "multiply-adds")
    return Table("Network", head, told, foot)


def _field(field: Any) -> str:
    if field is None:
        return "-"
    return by(field) if isinstance(field, tuple) else by((field, field))


def provenance(facts: Mapping[str, Any]) -> Table:
    """How the run came about."""
    shown = {name: value for name, value in facts.items() if name not in ("remarks", "verdict", "data")}
    if isinstance(balance := shown.get("balance"), dict) and balance.get("before") == balance.get("after"):
        del shown["balance"]
    rows = list(rows_of(shown | {"data": {"fingerprint": facts["data"].get("fingerprint")}}))
    for name, value in shown.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows.append((words(name), json.dumps(value, ensure_ascii=False)))
    return Table("Provenance", ("", "value"), rows)
