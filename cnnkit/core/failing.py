"""Failing: work of which a step may fail, for whatever reason, a bug too, and what is behind it goes on.

Nothing is swallowed by that: what failed is handed to whoever asked, who tells it and ends with an error.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cnnkit.core.errors import CnnkitError, Interrupted, NobodyReads, TrainingError
from cnnkit.core.lazy import tf
from cnnkit.core.signals import ENDING, exit_code, interrupts
from cnnkit.core.text import first_line, of_system


@dataclass(frozen=True)
class Failure:
    """A step that failed.

    Attributes:
        what: What there is not then, as the beginning of a sentence.
        cause: What was raised.
        error: The same as one that tells its kind, its words and its exit code.
    """

    what: str
    cause: BaseException
    error: CnnkitError

    @property
    def is_bug(self) -> bool:
        """Whether nobody but those who make cnnkit can mend it."""
        return self.error.kind == CnnkitError.kind

    @property
    def trace(self) -> str:
        """Where it was raised, the lines of a traceback."""
        return "".join(traceback.format_exception(self.cause))


@contextmanager
def going_on(fail: Callable[[Failure], None], what: str, where: str, interruptible: bool = True) -> Iterator[None]:
    """Where the work within fails, `fail` is told, and what is behind it goes on.

    Args:
        fail: Is told.
        what: What there is not then, as the beginning of a sentence.
        where: What tells where a bug happened, as a clause.
        interruptible: Whether a signal ends the work within and nothing else; else it ends all, as ever.
    """
    try:
        with interrupts(*ENDING):  # TensorFlow may make another error of a signal
            yield
    except NobodyReads:
        raise
    except KeyboardInterrupt as error:
        if not interruptible:
            raise
        fail(Failure(what, error, Interrupted("interrupted", exit_code=exit_code(error))))
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        fail(Failure(what, error, TrainingError("out of memory")))
    except CnnkitError as error:
        fail(Failure(what, error, error))
    except OSError as error:
        fail(Failure(what, error, TrainingError(of_system(error))))
    except Exception as error:
        bug = f"this is a bug in cnnkit, please report it: {type(error).__name__}: {first_line(error)}; {where}"
        fail(Failure(what, error, CnnkitError(bug)))
