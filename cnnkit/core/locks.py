"""Locks: turns, for what only one thread of one process may do at a time, and files that many use and one clears."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Busy(Exception):
    """Somebody else has the lock."""


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Holds a lock that many may hold, but none beside one who holds it alone; waits for that one.

    It is the lock of a file, so it is free again when its process is killed. A disk that has no locks gives none.
    """
    import fcntl  # here, as only Unix has it, and `--help` should answer elsewhere too

    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:  # a folder that can't be written to: nobody can clear it either
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH)
        yield
    finally:
        os.close(file)


@contextmanager
def alone(path: Path, wait: bool = False, patience: float = 0.0) -> Iterator[None]:
    """Holds the same lock alone.

    Args:
        path: The file.
        wait: Whether to wait for whoever holds it, however long.
        patience: Else so many seconds, as one that only looks whether somebody holds it has it for a moment.

    Raises:
        Busy: Somebody holds it.
        OSError: The disk has no locks.
    """
    import fcntl

    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise Busy from None
                time.sleep(patience / 20)
        yield
    finally:
        os.close(file)


class Turn:
    """A lock that a thread may take again while it has it; between processes too, once these share it.

    Between processes it is the lock of a file that is nowhere on the disk: it is free again when the one that has it is
    killed.
    """

    def __init__(self) -> None:
        """Free, and of this process alone."""
        self._threads = threading.RLock()
        self._depth = 0
        self._file: int | None = None

    def share(self) -> None:
        """From now on it is one lock for this process and those that it forks. On Linux."""
        if self._file is None:
            self._file = os.memfd_create("turn")

    def __enter__(self) -> None:
        """Waits for it."""
        self._threads.acquire()
        self._depth += 1
        if self._file is not None and self._depth == 1:
            os.lockf(self._file, os.F_LOCK, 0)

    def __exit__(self, *raised: object) -> None:
        """Gives it to the next."""
        self._depth -= 1
        if self._file is not None and self._depth == 0:
            os.lockf(self._file, os.F_ULOCK, 0)
        self._threads.release()
