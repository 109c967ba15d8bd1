"""Worker processes: work that is mostly Python, done on all cores, where threads would wait for each other.

They are forked: so they have all that this process has, its images and its index, without a message; what they only
read is not copied, but for the pages that count who refers to an object. A fork is safe as long as no library has
threads that may hold a lock at that moment, and TensorFlow has such threads: so the workers come before it. Where it is
loaded already, or where the platform can't fork safely, there are none, and who wanted them does the work itself.

A worker ends when the pipe that brings its jobs is closed, and with this process it is closed, whatever ends it.
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
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from cnnkit.errors import DataError, Problem, TrainingError
from cnnkit.lazy import np
from cnnkit.machine import cores
from cnnkit.progress import Progress

MOST = 16
"""Workers, however many cores there are."""

_HEAD = struct.Struct("<cq")
"""In front of every answer: its kind, and how many bytes follow, in shared memory or in the pipe."""

_DONE, _WRONG, _NO_MEMORY, _BUG = b"d", b"w", b"m", b"b"
"""Kinds of answers: the pixels are there; a DataError, as JSON; a MemoryError; a traceback."""


@dataclass
class _Worker:
    """A process, the pipes to and from it, and the memory that its results come in."""

    process: int
    jobs: int
    answers: int
    results: mmap.mmap
    gone: bool = False


class _Gone(Exception):
    """A worker that did not answer to the end."""


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
                    self._all.append(_forked(work, size, [file for w in self._all for file in (w.jobs, w.answers)]))
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
            kind, content = _asked(worker, np.asarray(job, np.int64).tobytes())
        except _Gone:
            worker.gone = True
            raise TrainingError(
                "a process that prepared images has been ended from outside, as memory that runs out may do; train "
                "again, with a smaller data.batch_size if it happens again"
            ) from None
        except BaseException:
            worker.gone = True  # its answer may come yet, and is not to be taken for that to another question
            raise
        finally:
            self._free.put(worker)
        if kind == _DONE:
            return content
        if kind == _NO_MEMORY:
            raise MemoryError
        told = json.loads(content)
        if kind == _WRONG:
            raise DataError(*(Problem(**problem) for problem in told))
        raise RuntimeError(f"in a process that prepares images:\n{told}")

    def close(self) -> None:
        """Ends the workers at once; what they are at is not wanted any more."""
        self._closed = True
        for worker in self._all:
            os.kill(worker.process, signal.SIGKILL)  # of no other process: it has not been waited for
        for _ in self._all:
            self._free.get()  # whoever asked one has an answer now, or that there is none
        for worker in self._all:
            os.close(worker.jobs)
            os.close(worker.answers)
            os.waitpid(worker.process, 0)
        self._all.clear()
        self._free.put(None)


_one_at_a_time = threading.Lock()
"""Held while workers are forked, so that none has an end of a pipe that is just being made for another one."""


def possible() -> bool:
    """Whether there can be workers, and more than one core for them."""
    return cores() > 1 and sys.platform == "linux" and "tensorflow" not in sys.modules


@contextmanager
def working(work: Callable[[Any], Any], size: int, progress: Progress) -> Iterator[Workers | None]:
    """Workers as long as they are wanted, one for each core; None where there can be none."""
    workers = None
    if possible():
        try:
            workers = Workers(work, size, min(cores(), MOST))
        except OSError as error:
            progress.say(f"careful: no processes could be had to prepare images ({error}); threads do it, more slowly")
    if workers is None:
        yield None
        return
    try:
        yield workers
    finally:
        workers.close()


def _forked(work: Callable[[Any], Any], size: int, others: list[int]) -> _Worker:
    """A worker, which knows of no pipe but its own: one that is open elsewhere would never close."""
    results = mmap.mmap(-1, max(size, 1))
    its_jobs, jobs = os.pipe()
    answers, its_answers = os.pipe()
    # A signal that came to the child before it is ready would have it do what its parent does about it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        process = os.fork()
        if not process:
            try:
                # They reach all processes of a terminal or of a job; the one that trains decides what becomes of it.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                for file in (*others, jobs, answers):
                    os.close(file)
                _serve(work, its_jobs, its_answers, results)
            finally:
                os._exit(0)  # nothing of what this process has open, or wanted to do at its end, is the worker's
    except OSError:
        os.close(jobs)
        os.close(answers)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(its_jobs)
        os.close(its_answers)
    return _Worker(process, jobs, answers, results)


def _serve(work: Callable[[Any], Any], jobs: int, answers: int, results: mmap.mmap) -> None:
    """What a worker does, until no more jobs can come."""
    gc.freeze()  # to look for garbage among what was there before would copy its memory
    memory = np.frombuffer(results, np.uint8)
    with suppress(_Gone):
        while True:
            size = int.from_bytes(_read(jobs, 8), "little")
            answer = _done(work, np.frombuffer(_read(jobs, size), np.int64), memory)
            _write(answers, answer)


def _done(work: Callable[[Any], Any], job: Any, memory: Any) -> bytes:
    """The answer to a job."""
    try:
        try:
            made = work(job).reshape(-1)
            memory[: len(made)] = made
        except DataError as error:
            return _told(_WRONG, [asdict(problem) for problem in error.problems])
        return _HEAD.pack(_DONE, len(made))
    except MemoryError:
        return _HEAD.pack(_NO_MEMORY, 0)
    except Exception:
        return _told(_BUG, traceback.format_exc())


def _told(kind: bytes, what: Any) -> bytes:
    content = json.dumps(what).encode()
    return _HEAD.pack(kind, len(content)) + content


def _asked(worker: _Worker, job: bytes) -> tuple[bytes, Any]:
    """The kind of an answer, and what it holds.

    Raises:
        _Gone: The worker has ended, or has an answer to another question.
    """
    if worker.gone:
        raise _Gone
    _write(worker.jobs, len(job).to_bytes(8, "little") + job)
    kind, size = _HEAD.unpack(_read(worker.answers, _HEAD.size))
    if kind == _DONE:
        return kind, np.frombuffer(worker.results, np.uint8, size).copy()  # the next job writes to the same place
    return kind, _read(worker.answers, size)


def _read(pipe: int, size: int) -> bytes:
    """So many bytes."""
    content = b""
    while len(content) < size:
        more = os.read(pipe, size - len(content))
        if not more:
            raise _Gone
        content += more
    return content


def _write(pipe: int, content: bytes) -> None:
    try:
        while content:
            content = content[os.write(pipe, content) :]
    except BrokenPipeError:
        raise _Gone from None
