"""Who trains a run holds it: a lock on its log, which no other process gets, free again when the process is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cnnkit.core import locks
from cnnkit.core.errors import UsageError
from cnnkit.runs.files import Files


@contextmanager
def held(files: Files, patience: float) -> Iterator[None]:
    """Holds the run with these files.

    Args:
        files: The files.
        patience: Seconds that it is tried.

    Raises:
        UsageError: Another process holds it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.alone(files.log, patience=patience))
        except locks.Busy:
            raise UsageError(f"{files.folder} is being trained by another process; wait until that ends") from None
        except OSError:
            pass  # a disk without locks; and one that can't be written to is told of by the first write
        yield
