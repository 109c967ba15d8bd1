"""Turns: what takes so much memory that only one thread, of one process, may do it at a time."""

from __future__ import annotations

import os
import threading


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
