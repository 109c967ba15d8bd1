"""The settings of a run in one list, as trackers take them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cnnkit.config.experiment import Experiment

Value = bool | int | float | str


def flat(experiment: Experiment) -> dict[str, Value]:
    """Every setting that has a value by its dotted key, but for where the run is recorded.

    Lists of plain values are one value: `data.image_size` is `[64, 64]`.
    """
    settings = experiment.model_dump(mode="json")
    settings["train"].pop("track", None)
    return dict(_leaves("", settings))


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _leaves(f"{key}.{name}".lstrip("."), below)
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for number, below in enumerate(value):
            yield from _leaves(f"{key}.{number}", below)
    elif isinstance(value, list):
        yield key, json.dumps(value, ensure_ascii=False)
    elif value is not None:
        yield key, value


def scalars(metrics: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The figures of a line of metrics.jsonl, but for what the epoch is: those of a group as `group/name`."""
    for name, value in metrics.items():
        if isinstance(value, dict):
            yield from ((f"{name}/{below}", each) for below, each in scalars(value))
        elif isinstance(value, int | float) and not isinstance(value, bool) and name not in ("epoch", "step", "stage"):
            yield name, float(value)
