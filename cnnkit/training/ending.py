"""How a run ends before its time: interrupted, diverged, out of memory, the disk full. What it has by then is kept.

What comes behind the last epoch, and may fail without that: `closing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.core.errors import DataError, DiskError, Interrupted, NobodyReads, TrainingError
from cnnkit.core.lazy import tf
from cnnkit.core.signals import ENDING, exit_code, interrupts, unheard
from cnnkit.core.text import counted, typed
from cnnkit.runs import checkpoints, training_states
from cnnkit.runs.run import Run
from cnnkit.runs.training_states import State
from cnnkit.training.stage_fit import Diverged


@contextmanager
def recorded(run: Run, new: bool = True) -> Iterator[None]:
    """Where the work within ends early, records it in the run and says what there is.

    Args:
        run: The run.
        new: Whether it was made just now: then nothing is left of it where it has no record yet.
    """
    close = partial(_close, run, new)
    try:
        with interrupts(*ENDING):
            yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(f"Interrupted. {close('interrupted')}", exit_code=exit_code(interrupt)) from None
    except NobodyReads:
        close("interrupted")
        raise
    except DiskError as error:
        raise DiskError(f"{error}. {close('failed')}") from error
    except Diverged as error:
        raise Diverged(*error.problems, close("failed", goes_on=False)) from None
    except (TrainingError, DataError) as error:
        raise type(error)(*error.problems, close("failed")) from None
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        message = "out of memory; try a smaller data.batch_size or data.image_size (`cnnkit summary` estimates it)"
        raise TrainingError(message, close("failed")) from error
    except OSError as error:
        raise TrainingError(f"writing failed: {error}", close("failed")) from error
    except Exception:
        close("failed")
        raise


def _close(run: Run, new: bool, state: str, goes_on: bool = True) -> str:
    """Records how a run ended before its time; says in a line what there is of it.

    Args:
        run: The run.
        new: Whether it was made just now.
        state: How it ended.
        goes_on: Whether it may end otherwise where it is resumed: what is computed is not.
    """
    with unheard():  # a second Ctrl-C would leave no record
        if not run.files.provenance.exists():
            if not new:
                return f"Nothing was trained; {going_on(run)}"
            run.remove()
            return "Nothing was trained, and nothing is left."
        epochs = run.history()
        try:
            best = checkpoints.read(run.files.checkpoints, checkpoints.BEST)["epoch"]
        except TrainingError:
            best = None
        unrecorded = _record(run, state, epochs, best)
    then = going_on(run) if goes_on else "resumed as it is, it would come to the same"
    if best is None:
        return f"{run.folder} holds the config, but no weights yet{unrecorded}; {then}"
    return (
        f"{run.folder} keeps epoch {best}, the best of {max(best, len(epochs))}{unrecorded}; "
        f"see what it is worth with: cnnkit evaluate {typed(run.folder)}; {then}"
    )


def time_is_up(run: Run, experiment: Experiment, begun: State | None) -> str:
    """What is said of a run whose time was up; where it has come no farther, the same time would never take it farther.

    Args:
        run: The run.
        experiment: Has the limit.
        begun: The state that it went on from, if it did.
    """
    limit = experiment.train.time_limit or 0
    if begun and training_states.saved(run.files.checkpoints)[-1:] == [begun.position]:
        return (
            f"train.time_limit ({limit:g} minutes) is up, and the run is where it was, after {begun.position}: "
            f"starting and validating take longer; {going_on(run)} --set train.time_limit={2 * limit:g}, or more"
        )
    epochs = counted(len(run.history()), "epoch")
    return f"train.time_limit ({limit:g} minutes) is up after {epochs}; {going_on(run)}"


def going_on(run: Run) -> str:
    """How a run goes on that has ended before its time; what saved no state can only begin anew."""
    how = "go on" if training_states.saved(run.files.checkpoints) else "no state of it was saved, so begin anew"
    return f"{how} with: cnnkit train --resume {typed(run.folder)}"


def _record(run: Run, state: str, epochs: list[dict[str, Any]], best: int | None) -> str:
    """Writes the end of a run; says if it could not be written, for what was before still counts."""
    try:
        run.write_provenance(state=state, epochs=len(epochs), best_epoch=best, files=run.hashes_at_end())
    except (OSError, DiskError) as error:
        return f" (its end could not be recorded: {error})"
    return ""
