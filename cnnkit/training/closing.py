"""Closing: what comes behind the last epoch and its scores, as the baseline and the report.

None of it is what a run is trained for, so a step that fails, for whatever reason, a bug too, leaves the run finished.
It is told when it happens, with the command that makes up for it, and in the document of the training, by which the
command ends with another exit code than 0.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cnnkit.core.errors import CnnkitError, DiskError, Interrupted, NobodyReads, TrainingError
from cnnkit.core.lazy import tf
from cnnkit.core.progress import Progress
from cnnkit.core.signals import ENDING, interrupts
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
        try:
            with interrupts(*ENDING):  # TensorFlow may make another error of a signal
                yield
        except NobodyReads:
            raise
        except KeyboardInterrupt:
            if not recorded:
                raise
            self._fail(what, again, Interrupted.kind, "interrupted")
        except (tf.errors.ResourceExhaustedError, MemoryError):
            self._fail(what, again, TrainingError.kind, "out of memory")
        except CnnkitError as error:
            self._fail(what, again, error.kind, first_line(error))
        except OSError as error:
            self._fail(what, again, TrainingError.kind, first_line(error))
        except Exception as error:
            place = f"{self.run.files.log} tells where it happened"
            bug = f"this is a bug in cnnkit, please report it: {type(error).__name__}: {first_line(error)}; {place}"
            self._fail(what, again, CnnkitError.kind, bug, traceback.format_exc())

    def _fail(self, what: str, again: str | None, kind: str, message: str, place: str = "") -> None:
        command = f"{again} {typed(self.run.folder)}" if again else None
        self.failed.append({"step": what, "kind": kind, "message": message, "again": command})
        line = f"{what} ({message}); the run is complete without it" + (f"; make it with: {command}" if command else "")
        self._progress.say(line)
        with suppress(DiskError, OSError):  # what a full disk costs here is told by this very line
            self.run.log(line)
            for each in place.splitlines():
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
