"""How a run ends before its time: interrupted, diverged, out of memory, the disk full. What it has by then is kept."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from cnnkit.core.errors import DataError, Interrupted, TrainingError
from cnnkit.core.lazy import tf
from cnnkit.core.signals import Terminated, handling, interrupts
from cnnkit.core.text import typed
from cnnkit.report import curves
from cnnkit.runs import checkpoints
from cnnkit.runs.run import Run


@contextmanager
def recorded(run: Run) -> Iterator[None]:
    """Where the work within ends early, records it in the run, draws the curves so far and says what there is."""
    try:
        with interrupts(signal.SIGINT, signal.SIGTERM):
            yield
    except KeyboardInterrupt as interrupt:
        code = 143 if isinstance(interrupt, Terminated) else 130
        raise Interrupted(f"Interrupted. {_close(run, 'interrupted')}", exit_code=code) from None
    except (TrainingError, DataError) as error:
        raise type(error)(*error.problems, _close(run, "failed")) from None
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        message = "out of memory; try a smaller data.batch_size or data.image_size (`cnnkit summary` estimates it)"
        raise TrainingError(message, _close(run, "failed")) from error
    except OSError as error:
        raise TrainingError(f"writing failed: {error}", _close(run, "failed")) from error
    except Exception:
        _close(run, "failed")
        raise


def _close(run: Run, state: str) -> str:
    """Records how a run ended before its time; says in a line what there is of it."""
    with handling(signal.SIGINT, signal.SIG_IGN):  # a second Ctrl-C would leave no record
        epochs = run.history()
        try:
            best = checkpoints.read(run.files.checkpoints, checkpoints.BEST)["epoch"]
        except TrainingError:
            best = None
        try:
            run.write_provenance(state=state, epochs=len(epochs), best_epoch=best)
            if epochs:
                curves.draw(epochs, best, run.files.curves)
        except OSError as error:
            # The disk is full, or gone: what has been written before still counts.
            return f"{run.folder}: its end could not be recorded: {error}"
    if best is None:
        return f"{run.folder} holds the config, but no weights yet."
    return (
        f"{run.folder} keeps epoch {best}, the best of {max(best, len(epochs))}; "
        f"see what it is worth with: cnnkit evaluate {typed(run.folder)}"
    )
