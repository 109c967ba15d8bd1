"""Closing: what comes behind the last epoch and its scores, as the baseline and the report.

None of it is what a run is trained for, so a step that fails, for whatever reason, a bug too, leaves the run finished.
It is told when it happens, with the command that makes up for it, and in the document of the training, by which the
command ends with another exit code than 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cnnkit.core.errors import DiskError
from cnnkit.core.failing import Failure, going_on
from cnnkit.core.progress import Progress
from cnnkit.core.text import first_line, typed
from cnnkit.evaluation.exam import Shown
from cnnkit.runs.run import Run


class Closing:
    """The steps behind a training.

    Attributes:
        failed: Of each step that failed `step`, `kind` of the error (as of `cnnkit.core.errors`), `message` and
            `again`, the command that makes up for it, or None.
    """

    def __init__(self, run: Run, progress: Progress):
        """Those of a run; `progress` is told of what fails."""
        self.run, self._progress = run, progress
        self.failed: list[dict[str, Any]] = []

    @contextmanager
    def step(self, what: str, again: str | None, recorded: bool = False) -> Iterator[None]:
        """Where the work within fails, says so, and what is behind it goes on.

        Args:
            what: What there is not then, as the beginning of a sentence.
            again: The command that makes up for it, without its last word, the run; None where there is none.
            recorded: Whether the run is recorded as finished by now. Then a signal ends the work within and nothing
                else; before it ends the training, as ever.
        """
        place = f"{self.run.files.log} tells where it happened"
        with going_on(lambda failure: self._fail(failure, again), what, place, interruptible=recorded):
            yield

    def _fail(self, failure: Failure, again: str | None) -> None:
        command = f"{again} {typed(self.run.folder)}" if again else None
        what, message = failure.what, first_line(failure.error)
        self.failed.append({"step": what, "kind": failure.error.kind, "message": message, "again": command})
        line = f"{what} ({message}); the run is complete without it" + (f"; make it with: {command}" if command else "")
        self._progress.say(line)
        with suppress(DiskError, OSError):  # what a full disk costs here is told by this very line
            self.run.log(line)
            for each in failure.trace.splitlines() if failure.is_bug else ():
                self.run.log(each)


def reported(run: Run, of: Callable[[str], Shown], model: Any, progress: Progress, closing: Closing) -> Path | None:
    """Writes the report of a run that is recorded, as the last of the steps.

    Returns:
        Its file; None if it is not written.
    """
    with closing.step(f"{run.files.report.name} is not written", "cnnkit report", recorded=True):
        from cnnkit.report import report

        return report.write(run, of, model, progress)
    return None
