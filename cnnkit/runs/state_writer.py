"""Saving states of a training in a thread, so that the training waits only while its arrays are copied."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.lazy import np
from cnnkit.runs import training_states
from cnnkit.runs.training_states import Position


class StateWriter:
    """Writes states one after the other, and keeps the last few.

    No more than one waits while another is written: where they come faster than the disk takes them, the newest takes
    the place of the one that waits.

    Attributes:
        last: Position of the newest state that was given to it, or from which the training went on.
    """

    def __init__(self, folder: Path, keep: int, last: Position | None = None):
        """Prepares it, and removes from the folder what a crash left half written.

        Args:
            folder: Of the checkpoints of a run, in which nobody else writes.
            keep: How many states are kept; older ones are removed once a new one is on the disk.
            last: Position of the state from which the training goes on. Newer ones are damaged, else it would go on
                from these, and so they are not counted among those that are kept.
        """
        self.folder, self.keep, self.last = folder, keep, last
        self._kept = [position for position in training_states.saved(folder) if last and position <= last]
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._writing: Position | None = None
        self._waiting: tuple[dict[str, Any], dict[str, Any]] | None = None
        self._unused: list[dict[str, Any]] = []  # arrays to copy into: new ones take several times as long
        self._error: Exception | None = None
        self._idle = threading.Event()  # to wait for it may be interrupted; `join` is broken by that (Python 3.11)
        self._idle.set()
        self._given_up = False
        atomic.remove_unfinished(folder)

    @property
    def positions(self) -> list[Position]:
        """Of the states that are kept, the one that is being written, and the one that waits."""
        with self._lock:
            under_way = [self._writing] if self._writing else []
            waits = [Position.of(self._waiting[1])] if self._waiting else []
            return [*self._kept, *under_way, *waits]

    def save(self, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Copies a state, and has it written; a position that was saved already is not saved again.

        Args:
            arrays: What NumPy makes arrays of, by their names.
            facts: As for `training_states.save`.

        Raises:
            DiskError: An earlier one could not be written.
        """
        self.check()
        position = Position.of(facts)
        if position == self.last:
            return
        copied = self._copied(arrays), copy.deepcopy(dict(facts))
        with self._lock:
            self._waiting, self.last = copied, position
            if self._thread is None:
                # Whoever ends well waits for it (`flush`); a process that is to end at once does not.
                thread = threading.Thread(target=self._write, name="states", daemon=True)
                thread.start()  # it goes on when the lock is free
                self._thread = thread
                self._idle.clear()

    def check(self) -> None:
        """Tells what has gone wrong since the last call.

        Raises:
            DiskError: A state could not be written.
        """
        error, self._error = self._error, None
        if error:
            self.last = self._kept[-1] if self._kept else None
            raise error

    def flush(self) -> None:
        """Waits until all is on the disk.

        Raises:
            DiskError: A state could not be written.
        """
        if not self._given_up:
            self._idle.wait()
        self.check()

    def give_up(self) -> None:
        """From now on nobody waits for what is being written, and nothing is removed: all is to end at once."""
        with self._lock:
            self._given_up, self._waiting = True, None

    def close(self) -> None:
        """The same, at the end; the arrays that were copied into are given back.

        Raises:
            DiskError: A state could not be written.
        """
        try:
            self.flush()
        finally:
            self._unused.clear()

    def _copied(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Copies of arrays, into others of their form where there are some that nobody needs."""
        with self._lock:
            if self._waiting:  # the new one takes its place
                self._unused.append(self._waiting[0])
                self._waiting = None
            unused = self._unused.pop() if self._unused else {}
        copied = {}
        for name, value in arrays.items():
            array = np.asarray(value)
            target = unused.get(name)
            if target is None or target.shape != array.shape or target.dtype != array.dtype:
                target = np.empty(array.shape, array.dtype)
            np.copyto(target, array)
            copied[name] = target
        return copied

    def _write(self) -> None:
        """Writes what waits, until nothing does or something goes wrong."""
        while True:
            with self._lock:
                if self._waiting is None or self._error:
                    self._thread = None
                    self._idle.set()
                    return
                (arrays, facts), self._waiting = self._waiting, None
                self._writing = Position.of(facts)
            try:
                position = training_states.save(self.folder, arrays, facts)
                if not self._given_up:  # somebody else may go on with the run by now, and have states of its own
                    self._kept = [*self._kept, position][-self.keep :]
                    training_states.remove_others(self.folder, self._kept)
            except Exception as error:  # raised in the thread that trains, by the next call
                self._error = error
            with self._lock:
                self._writing = None
                self._unused.append(arrays)
