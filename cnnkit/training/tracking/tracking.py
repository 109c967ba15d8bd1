"""All that records a run elsewhere than in metrics.jsonl, behind one guard: what goes wrong there is said, no more."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from cnnkit.config.experiment import Experiment
from cnnkit.core.errors import DiskError, NobodyReads
from cnnkit.core.progress import Progress
from cnnkit.core.text import first_line
from cnnkit.runs.run import Run
from cnnkit.training.observers import Observer
from cnnkit.training.tracking.apart import Apart
from cnnkit.training.tracking.base import Recorder

if TYPE_CHECKING:
    from cnnkit.training.stage_fit import StageFit


class Tracking(Observer):
    """Hands on to several recorders what they follow, and lets go of one that fails."""

    def __init__(self, run: Run, progress: Progress, recorders: Sequence[Recorder]):
        """Begins nothing yet.

        Args:
            run: The run.
            progress: Is told of one that fails.
            recorders: What records it.
        """
        self._run, self._progress = run, progress
        self._recorders = list(recorders)

    @classmethod
    def of(cls, run: Run, experiment: Experiment, classes: Sequence[str], progress: Progress) -> Tracking:
        """That of a run: TensorBoard's and those of its config."""
        from cnnkit.training.tracking.tensorboard import TensorBoard

        others = [Apart(tracker, number, run, progress) for number, tracker in enumerate(experiment.train.track)]
        return cls(run, progress, [TensorBoard(run, experiment, list(classes)), *others])

    @contextmanager
    def following(self) -> Iterator[Tracking]:
        """Follows what is done within; at the end tells how it ended, and waits a while until that is handed over."""
        self._note(id=self._recorded().get("id") or secrets.token_hex(8))
        self._each(lambda recorder: recorder.begin())
        state = "failed"
        try:
            yield self
            state = str(self._run.provenance().get("state"))
        except (KeyboardInterrupt, NobodyReads):
            state = "interrupted"
            raise
        finally:
            self._each(lambda recorder: recorder.end(state))
            self._note(**{each.key: each.where for each in self._recorders if each.where})

    def stage_begins(self, fit: StageFit) -> None:
        """Hands it on."""
        self._each(lambda recorder: recorder.stage_begins(fit))

    def updates_done(self, fit: StageFit) -> None:
        """Hands it on."""
        self._each(lambda recorder: recorder.updates_done(fit))

    def trained(self, fit: StageFit) -> None:
        """Hands it on."""
        self._each(lambda recorder: recorder.trained(fit))

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Hands on an epoch that is recorded, of whatever stage."""
        self._each(lambda recorder: recorder.epoch(metrics))

    def state(self) -> dict[str, Any]:
        """Those of all that record, by their keys."""
        return {recorder.key: recorder.state() for recorder in self._recorders}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from these; one that had failed before begins with what there is."""
        for recorder in self._recorders:
            if found := state.get(recorder.key):
                recorder.restore(found)

    def _each(self, what: Callable[[Recorder], None]) -> None:
        for recorder in tuple(self._recorders):
            try:
                what(recorder)
            except recorder.errors as error:
                self._recorders.remove(recorder)
                self._let_go(recorder, first_line(error))

    def _let_go(self, recorder: Recorder, why: str) -> None:
        recorder.close()
        line = f"careful: {recorder.title} does not have all of this run: {why}"
        self._progress.say(line)
        with suppress(DiskError, OSError):  # a full disk is told already, and by whatever else is written next
            self._run.log(line)
        self._note(**{recorder.key: f"failed: {why}"})

    def _recorded(self) -> dict[str, Any]:
        found = self._run.provenance().get("tracking")
        return found if isinstance(found, dict) else {}

    def _note(self, **known: str) -> None:
        """Adds to the record of the run."""
        with suppress(DiskError, OSError):
            self._run.write_provenance(tracking={**self._recorded(), **known})
