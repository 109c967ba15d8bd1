"""Worker processes: work that is mostly Python, done on all cores, where threads would wait for each other.

They are forked: so they have all that this process has, its images and its index, without a message; what they only
read is not copied, but for the pages that count who refers to an object. A fork is safe as long as no library has
threads that may hold a lock at that moment, and TensorFlow has such threads: so the workers come before it. Where it is
loaded already, or where the platform can't fork safely, there are none, and who wanted them does the work itself.

A job and its answer are a message each (`multiprocessing.connection`): a job is an array of int64, an answer is JSON,
and pixels come in memory that both share. A worker ends when its connection is closed, and with this process it is
closed, whatever ends it.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any

from cnnkit.core import signals
from cnnkit.core.errors import DataError, Problem, TrainingError
from cnnkit.core.lazy import np
from cnnkit.core.machine import cores
from cnnkit.core.progress import Progress

MOST = 16
"""Workers, however many cores there are."""

_DONE, _WRONG, _NO_MEMORY, _BUG = "done", "wrong", "no memory", "bug"
"""Kinds of answers, and what comes with each: how many bytes the result has; the problems of a DataError; nothing; a
traceback."""


@dataclass
class _Worker:
    """A process, the connection to it, and the memory that its results come in."""

    process: int
    connection: Connection
    results: mmap.mmap
    gone: bool = False
    """It has ended, or its next answer may be that to an earlier job."""

    def __call__(self, job: bytes) -> Any:
        """Has a job done, as `Workers` do."""
        kind, content = self._answer(job)
        if kind == _DONE:
            return np.frombuffer(self.results, np.uint8, content).copy()  # the next job writes to the same place
        if kind == _NO_MEMORY:
            raise MemoryError
        if kind == _WRONG:
            raise DataError(*(Problem(**problem) for problem in content))
        raise RuntimeError(f"in a process that prepares images:\n{content}")

    def _answer(self, job: bytes) -> tuple[str, Any]:
        """The kind of its answer to a job, and what comes with it."""
        gone, self.gone = self.gone, True  # until its answer is here: a late one is not to be taken for that to another
        try:
            if gone:
                raise EOFError
            self.connection.send_bytes(job)
            kind, content = json.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            raise TrainingError(
                "a process that prepared images has been ended from outside, as memory that runs out may do; train "
                "again, with a smaller data.batch_size if it happens again"
            ) from None
        self.gone = False
        return kind, content


class Workers:
    """Processes that turn numbers into pixels.

    Any thread may ask for work; each waits until a worker is free.

    Attributes:
        size: Bytes that no result exceeds.
        count: How many there are.
    """

    def __init__(self, work: Callable[[Any], Any], size: int, count: int):
        """Forks.

        Args:
            work: What they do: from int64 (n,) to an array of uint8. It may raise DataError.
            size: Bytes that no result exceeds.
            count: How many workers.

        Raises:
            OSError: There is no memory, or no process, for them.
        """
        self._free: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._all: list[_Worker] = []
        self._closed = False
        self.size, self.count = size, count
        try:
            with _one_at_a_time:
                for _ in range(count):
                    self._all.append(_forked(work, size, [worker.connection for worker in self._all]))
                    self._free.put(self._all[-1])
        except BaseException:
            self.close()
            raise

    def __call__(self, job: Any) -> Any:
        """Has a job done.

        Args:
            job: int64 (n,).

        Returns:
            What `work` returned, uint8, as one row of bytes.

        Raises:
            DataError: As `work` raised it.
            MemoryError: The worker has too little.
            TrainingError: The worker is gone.
        """
        worker = self._free.get()
        if self._closed or worker is None:
            self._free.put(worker)
            raise RuntimeError("the workers have been sent home")
        try:
            return worker(np.asarray(job, np.int64).tobytes())
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """Ends the workers at once; what they are at is not wanted any more."""
        self._closed = True
        for worker in self._all:
            os.kill(worker.process, signal.SIGKILL)  # of no other process: it has not been waited for
        for _ in self._all:
            self._free.get()  # whoever asked one has an answer now, or that there is none
        for worker in self._all:
            worker.connection.close()
            os.waitpid(worker.process, 0)
        self._all.clear()
        self._free.put(None)


_one_at_a_time = threading.Lock()
"""Held while workers are forked, so that none has an end of a connection that is just being made for another one."""


def possible() -> bool:
    """Whether there can be workers, and more than one core for them."""
    return cores() > 1 and sys.platform == "linux" and "tensorflow" not in sys.modules


@contextmanager
def working(work: Callable[[Any], Any], size: int, progress: Progress) -> Iterator[Workers | None]:
    """Workers as long as they are wanted, one for each core; None where there can be none."""
    workers = None
    try:
        workers = Workers(work, size, min(cores(), MOST)) if possible() else None
    except OSError as error:
        progress.say(f"careful: no processes could be had to prepare images ({error}); threads do it, more slowly")
    try:
        yield workers
    finally:
        if workers:
            workers.close()


def _forked(work: Callable[[Any], Any], size: int, others: list[Connection]) -> _Worker:
    """A worker, which has no connection but its own: one that is open elsewhere would never close."""
    results = mmap.mmap(-1, max(size, 1))
    connection, its_own = Pipe()
    # A signal that came to the child before it is ready would have it do what its parent does about it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals.ENDING)
    try:
        process = os.fork()
        if not process:
            try:
                # They reach all processes of a terminal or of a job; the one that trains decides what becomes of it.
                for number in signals.ENDING:
                    signal.signal(number, signal.SIG_IGN)
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                for other in (*others, connection):
                    other.close()
                _serve(work, its_own, results)
            finally:
                os._exit(0)  # nothing of what this process has open, or wanted to do at its end, is the worker's
    except OSError:
        connection.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        its_own.close()
    return _Worker(process, connection, results)


def _serve(work: Callable[[Any], Any], connection: Connection, results: mmap.mmap) -> None:
    """What a worker does, until no more jobs can come."""
    gc.freeze()  # to look for garbage among what was there before would copy its memory
    memory = np.frombuffer(results, np.uint8)
    with suppress(EOFError, OSError):
        while True:
            job = np.frombuffer(connection.recv_bytes(), np.int64)
            connection.send_bytes(json.dumps(_answer(work, job, memory)).encode())


def _answer(work: Callable[[Any], Any], job: Any, memory: Any) -> tuple[str, Any]:
    """Does a job, with its result in `memory`: the kind of the answer, and what comes with it."""
    try:
        result = work(job).reshape(-1)
        memory[: len(result)] = result
        return _DONE, len(result)
    except DataError as error:
        return _WRONG, [asdict(problem) for problem in error.problems]
    except MemoryError:
        return _NO_MEMORY, None
    except Exception:
        return _BUG, traceback.format_exc()
