"""What follows a training in order to record it elsewhere than in metrics.jsonl."""

from __future__ import annotations

from typing import Any, ClassVar

from cnnkit.core.errors import DiskError
from cnnkit.training.observers import Observer


class Recorder(Observer):
    """Records a run somewhere. An error of `errors` ends its work, and nothing else."""

    errors: ClassVar[tuple[type[Exception], ...]] = (DiskError, OSError)
    """What may go wrong without being a bug of ours."""

    title: str
    """What people call it."""
    key: str
    """What it is called in the record of the run."""

    @property
    def where(self) -> str | None:
        """Where the run is found there, for the record of the run; None where that goes without saying."""
        return None

    def begin(self) -> None:
        """Before the training begins, or goes on."""

    def epoch(self, metrics: dict[str, Any]) -> None:
        """An epoch is over, of whatever stage.

        Args:
            metrics: A line of metrics.jsonl; NaN and infinity are still what they are.
        """

    def end(self, state: str) -> None:
        """After all else: `finished`, `unfinished`, `interrupted` or `failed`."""

    def close(self) -> None:
        """Lets go of what it has open: it has failed, and is told no more."""
