"""Worker processes: work that is mostly Python, done on all cores, where threads would wait for each other.

They are forked: so they have all that this process has, its images and its index, without a copy or a message. A fork
is safe as long as no library has threads that may hold a lock at that moment, and TensorFlow has such threads: so the
workers come before it. Where it is loaded already, or where the platform can't fork safely, there are none, and who
wanted them does the work itself.

A worker ends when it is sent home, or when the pipe that brings its jobs is closed, and with this process it is closed,
whatever ends it.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import queue
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from cnnkit.errors import DataError, Problem, TrainingError
from cnnkit.lazy import np

_HEAD = struct.Struct("<cq")
"""In front of every answer: its kind, and how many bytes follow, in shared memory or in the pipe."""

_HOME = bytes(8)
"""A job of no numbers: there are no more. The end of the pipe may be open in another process that was forked here."""

_DONE, _WRONG, _BUG = b"d", b"w", b"b"
"""Kinds of answers: the pixels are there; a DataError, as JSON; a traceback."""


@dataclass(frozen=True)
class _Worker:
    """A process, the pipes to and from it, and the memory that its results come in."""

    process: int
    jobs: int
    answers: int
    results: mmap.mmap


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
        """
        self._free: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self.size, self.count = size, count
        for worker in _forked(work, size, count):
            self._free.put(worker)

    def __call__(self, job: Any) -> Any:
        """Has a job done.

        Args:
            job: int64 (n,), not empty.

        Returns:
            What `work` returned, uint8, as one row of bytes.

        Raises:
            DataError: As `work` raised it.
            TrainingError: The worker is gone.
        """
        worker = self._free.get()
        if worker is None:
            self._free.put(None)
            raise RuntimeError("the workers have been sent home")
        try:
            return _answer(worker, np.asarray(job, np.int64).tobytes())
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """Ends the workers, each when it has done its job."""
        for _ in range(self.count):
            worker = self._free.get()
            if worker is None:  # closed before
                break
            with suppress(BrokenPipeError):  # gone already
                _write(worker.jobs, _HOME)
            os.close(worker.jobs)
            os.close(worker.answers)
            os.waitpid(worker.process, 0)
        self._free.put(None)


@contextmanager
def working(work: Callable[[Any], Any], size: int) -> Iterator[Workers | None]:
    """Workers as long as they are wanted, one for each core; None where there can be none, or one core alone."""
    count = cores()
    if count == 1 or sys.platform != "linux" or "tensorflow" in sys.modules:
        yield None
        return
    workers = Workers(work, size, count)
    try:
        yield workers
    finally:
        workers.close()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _forked(work: Callable[[Any], Any], size: int, count: int) -> Iterator[_Worker]:
    """Workers, each of which knows of no pipe but its own: one that is open elsewhere would never close."""
    others: list[int] = []
    for _ in range(count):
        its_jobs, jobs = os.pipe()
        answers, its_answers = os.pipe()
        results = mmap.mmap(-1, max(size, 1))
        process = os.fork()
        if not process:
            try:
                for file in (*others, jobs, answers):
                    os.close(file)
                _serve(work, its_jobs, its_answers, results)
            finally:
                os._exit(0)  # nothing of what this process has open, or wanted to do at its end, is the worker's
        os.close(its_jobs)
        os.close(its_answers)
        others += [jobs, answers]
        yield _Worker(process, jobs, answers, results)


def _serve(work: Callable[[Any], Any], jobs: int, answers: int, results: mmap.mmap) -> None:
    """What a worker does, until no more jobs can come."""
    # Ctrl-C reaches all processes of a terminal; the one that trains decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.freeze()  # to look for garbage among what was there before would copy its memory
    memory = np.frombuffer(results, np.uint8)
    while size := int.from_bytes(_read(jobs, 8), "little"):
        job = np.frombuffer(_read(jobs, size), np.int64)
        try:
            made = work(job).reshape(-1)
            memory[: len(made)] = made
        except DataError as error:
            _write(answers, _told(_WRONG, [asdict(problem) for problem in error.problems]))
        except BaseException:
            _write(answers, _told(_BUG, traceback.format_exc()))
        else:
            _write(answers, _HEAD.pack(_DONE, len(made)))


def _answer(worker: _Worker, job: bytes) -> Any:
    try:
        _write(worker.jobs, len(job).to_bytes(8, "little") + job)
        head = _read(worker.answers, _HEAD.size)
    except BrokenPipeError:
        head = b""
    if not head:
        raise TrainingError(
            "a process that prepared images has been ended from outside, as memory that runs out may do; train again, "
            "with a smaller data.batch_size if it happens again"
        )
    kind, size = _HEAD.unpack(head)
    if kind == _DONE:
        return np.frombuffer(worker.results, np.uint8, size).copy()  # the next job writes to the same place
    told = json.loads(_read(worker.answers, size))
    if kind == _WRONG:
        raise DataError(*(Problem(**problem) for problem in told))
    raise RuntimeError(f"in a process that prepares images:\n{told}")


def _told(kind: bytes, what: Any) -> bytes:
    content = json.dumps(what).encode()
    return _HEAD.pack(kind, len(content)) + content


def _read(pipe: int, size: int) -> bytes:
    """So many bytes; fewer, or none, if the other end is closed."""
    content = b""
    while len(content) < size and (more := os.read(pipe, size - len(content))):
        content += more
    return content


def _write(pipe: int, content: bytes) -> None:
    while content:
        content = content[os.write(pipe, content) :]
