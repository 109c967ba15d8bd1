"""How fast this machine was: what trainings record at their end, and estimates of time are made by.

One small JSON file in the cache: for each machine (the kind of processor, its cores, the kernels that TensorFlow uses)
the last few speeds of each kind of work. Where several processes write it at once, the last one wins, and a speed more
or less is lost, which does no harm.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit.core import atomic, onednn
from cnnkit.core.cache import cache_folder, why_not_written
from cnnkit.core.errors import DiskError
from cnnkit.core.machine import cores, processor
from cnnkit.core.progress import Progress
from cnnkit.core.text import by

LAST = 5
"""Speeds that are kept of a kind of work; the one in the middle counts."""

KINDS, MACHINES = 60, 12
"""So many kinds of a machine, and machines, are kept: those that were seen last."""

STARTING = "starting"
"""Seconds that any training takes, whatever its images: importing TensorFlow, building the network, the first step."""

HANDLING = "handling"
"""Reading, dividing, examining and judging, in images a second."""


def training(network: str) -> str:
    """The kind of work that training a network is, in multiply-adds of its answers a second."""
    return f"training {network}"


def features(network: str, shape: Sequence[int]) -> str:
    """The kind of work that computing features of images of (height, width, ...) is, in images a second."""
    return f"features {network} at {by(shape[:2])}"


def place() -> Path:
    """The file."""
    return cache_folder() / "speeds.json"


def recorded() -> dict[str, float] | None:
    """What was recorded on this machine, each speed the median of the last few; None if the file is damaged."""
    known = _read()
    return (
        None if known is None else {kind: statistics.median(last) for kind, last in known.get(_machine(), {}).items()}
    )


def record(speeds: Mapping[str, float], progress: Progress) -> None:
    """Adds the speeds that a piece of work had; where they can't be written, one line says so."""
    known = _read()
    if known is None:
        progress.say(f"{place()} was damaged, so speeds of earlier trainings are forgotten")
        known = {}
    here = known.pop(_machine(), {})
    for kind, speed in speeds.items():
        if math.isfinite(speed) and speed > 0:
            here[kind] = [*here.pop(kind, []), float(f"{speed:.4g}")][-LAST:]
    known[_machine()] = dict(list(here.items())[-KINDS:])
    try:
        atomic.make_folder(place().parent, parents=True, exist_ok=True)
        atomic.write_json(place(), dict(list(known.items())[-MACHINES:]))
    except (OSError, DiskError) as error:
        progress.say(f"speeds are not remembered: {why_not_written(error, place())}")


def _read() -> dict[str, dict[str, list[float]]] | None:
    """The whole file: by machine and kind; empty if there is none, None if it is damaged."""
    try:
        found = json.loads(place().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return None
    return found if _sound(found) else None


def _sound(found: Any) -> bool:
    if not isinstance(found, dict) or not all(isinstance(kinds, dict) for kinds in found.values()):
        return False
    lists = [last for kinds in found.values() for last in kinds.values()]
    return all(
        isinstance(last, list)
        and last
        and all(type(speed) in (int, float) and math.isfinite(speed) and speed > 0 for speed in last)
        for last in lists
    )


def _machine() -> str:
    """What this machine is known by."""
    return f"{processor()}, {cores()} cores, oneDNN {onednn.chosen() or 'as TensorFlow chooses'}"
