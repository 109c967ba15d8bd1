"""The epochs of a run: a line for each in its metrics, which a crash can cut short and a resumed training cuts back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.errors import TrainingError
from cnnkit.core.text import counted, first_line
from cnnkit.runs import reading

TIMES = ("seconds", "images_per_second", "waiting")
"""What of a line of the metrics is measured by the clock: a run that is repeated has other ones."""


def seconds_of(history: Sequence[Mapping[str, Any]]) -> float:
    """How long epochs took together; of one that does not tell nothing is counted."""
    return sum(epoch.get("seconds") or 0.0 for epoch in history)


class Epochs:
    """What was measured in each epoch.

    Args:
        path: The file, JSON lines.
    """

    def __init__(self, path: Path):
        self.path = path

    def add(self, metrics: dict[str, Any]) -> None:
        """Adds one."""
        # JSON has no NaN and no infinity; a loss that is one of these is recorded as null.
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in metrics.items()}
        # A state that is saved behind it is brought to the disk too, and can't be gone on from without this line.
        atomic.append(self.path, json.dumps(finite), sync=True)

    def all(self) -> list[dict[str, Any]]:
        """Those recorded so far; a last line that a crash cut short does not count.

        Raises:
            TrainingError: A line is damaged, or the file can't be read.
        """
        return [self._epoch(number, line) for number, line in enumerate(self._recorded(), start=1)]

    def cut_back(self, epochs: int) -> None:
        """Leaves the first ones, for what came behind is trained again.

        Raises:
            TrainingError: There are not as many, or one of them is damaged.
        """
        lines = self._recorded()
        if len(lines) < epochs:
            raise TrainingError(
                f"{self.path} has {counted(len(lines), 'epoch')} of the {epochs} that the run had when it was saved, "
                "so it can't go on; somebody has changed it, or the disk has lost what was written"
            )
        kept = b"".join(line + b"\n" for line in lines[:epochs])
        for number, line in enumerate(lines[:epochs], start=1):
            self._epoch(number, line)
        if self.path.exists() and self.path.stat().st_size > len(kept):
            atomic.write_bytes(self.path, kept)

    def _recorded(self) -> list[bytes]:
        """The whole lines."""
        with reading.told(self.path):
            return self.path.read_bytes().split(b"\n")[:-1] if self.path.exists() else []

    def _epoch(self, number: int, line: bytes) -> dict[str, Any]:
        """What a line records.

        Raises:
            TrainingError: It is damaged.
        """
        try:
            metrics = json.loads(line)
            if not isinstance(metrics, dict) or not isinstance(metrics.get("epoch"), int):
                raise ValueError("it records no epoch")
        except (ValueError, RecursionError) as error:
            damaged = f"{self.path}: line {number} is damaged: {first_line(error)}"
            raise TrainingError(f"{damaged}; put it back from a copy of the run") from None
        return metrics
