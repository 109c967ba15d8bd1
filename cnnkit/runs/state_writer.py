"""Saving a training in a thread, so that the training waits only while its arrays are copied.

What is saved are states, and the weights of the best epoch. They come to the disk in the order in which they were
given, so the weights that a state names as the best are there before it is.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.lazy import np
from cnnkit.runs import checkpoints, training_states
from cnnkit.runs.training_states import Position


@dataclass(frozen=True, eq=False)
class _Given:
    """What is to be written.

    Attributes:
        arrays: Copies.
        facts: Those of a state; or those of the best weights, with `epoch`.
        layers: Of the best weights; None for a state.
    """

    arrays: dict[Any, Any]
    facts: dict[str, Any]
    layers: list[tuple[str, dict[str, Any] | None]] | None = None


class StateWriter:
    """Writes states and best weights one after the other, and keeps the last few states and what they name as the best.

    Where they come faster than the disk takes them, no more wait than are needed: the newest state, the newest of the
    best weights, and those that the state names. Behind what can't be written nothing is any more, and every call says
    so.

    Work that gives it something is done within it, as a context: whatever ends that, what was given is written, as it
    is of before and good, and then nobody writes any more and the copies are gone. An error of the work is the one that
    comes out. Who is interrupted while waiting there has given up.

    Attributes:
        last: Position of the newest state that was given to it, or from which the training went on.
        best: What is known of the best weights on the disk; None before there are any.
    """

    def __init__(self, folder: Path, keep: int, last: Position | None = None, best: dict[str, Any] | None = None):
        """Prepares it, and removes from the folder what a crash left half written.

        Args:
            folder: Of the checkpoints of a run, in which nobody else writes.
            keep: How many states are kept; older ones are removed once a new one is on the disk.
            last: Position of the state from which the training goes on. Newer ones are damaged, else it would go on
                from these, and so they are not counted among those that are kept.
            best: What that state names as the best weights.
        """
        self.folder, self.keep, self.last, self.best = folder, keep, last, best
        # With the files that each may name as the best; into earlier states nobody has looked.
        files = checkpoints.files(folder, checkpoints.BEST)
        self._kept = {position: files for position in training_states.saved(folder) if last and position <= last}
        self._lock = threading.Lock()
        self._waiting: list[_Given] = []
        self._unused: list[_Given] = []  # with arrays to copy into: new ones take several times as long
        self._error: Exception | None = None
        # Set but while a thread writes; to wait for it may be interrupted, `join` is broken by that (Python 3.11).
        self._idle = threading.Event()
        self._idle.set()
        self._given_up = False
        atomic.remove_unfinished(folder)

    def __enter__(self) -> StateWriter:
        """It, to be given something."""
        return self

    def __exit__(self, raised: type[BaseException] | None, *more: object) -> None:
        """Waits until nobody writes any more; raises as `check` does, unless an error is on its way already."""
        try:
            self._wait()
        except BaseException:
            self.give_up()
            raise
        finally:
            self._unused.clear()
        if raised is None:
            self.check()

    def save(self, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Copies a state, and has it written; a position that was saved already is not saved again.

        Args:
            arrays: What NumPy makes arrays of, by their names.
            facts: As for `training_states.save`; what is known of the best weights is added, as `best_checkpoint`.

        Raises:
            Exception: As of `check`.
        """
        self.check()
        position = Position.of(facts)
        if position == self.last:
            return
        with self._lock:
            best = [given for given in self._waiting if given.layers is not None][-1:]
            self._drop([given for given in self._waiting if given not in best])
        self._give(_Given(self._copied(arrays, False), copy.deepcopy(dict(facts))))
        self.last = position

    def save_best(self, weights: checkpoints.Weights, epoch: int, facts: Mapping[str, Any]) -> None:
        """Copies the weights of the best epoch so far, and has them written.

        Args:
            weights: They.
            epoch: Counted from 1.
            facts: As for `checkpoints.save`.

        Raises:
            Exception: As of `check`.
        """
        self.check()
        with self._lock:
            if self._waiting and self._waiting[-1].layers is not None:
                self._drop(self._waiting[-1:])
        known = copy.deepcopy({"epoch": epoch, **facts})
        self._give(_Given(self._copied(weights.arrays, True), known, weights.layers))

    def _drop(self, given: list[_Given]) -> None:
        """Something newer takes the place of some that wait."""
        self._waiting = [each for each in self._waiting if each not in given]
        self._unused += given

    def _give(self, given: _Given) -> None:
        """Has something written when the thread has done what was given before."""
        with self._lock:
            self._waiting.append(given)
            if not self._idle.is_set():
                return  # the thread takes it, too
            try:
                self._idle.clear()
                # Whoever ends well waits for it; a process that is to end at once does not.
                thread = threading.Thread(target=self._write, name="states", daemon=True)
                thread.start()  # it goes on when the lock is free
            except BaseException:  # interrupted, or no thread can be had; one that has begun nevertheless finds nothing
                self._waiting.remove(given)
                self._idle.set()
                raise

    def check(self) -> None:
        """Tells what has gone wrong, each time that it is asked.

        Raises:
            DiskError: A state, or the best weights, could not be written.
            Exception: The same, where it is not the disk, for example for lack of memory.
        """
        if self._error:
            raise self._error

    def flush(self) -> None:
        """Waits until all is on the disk.

        Raises:
            Exception: As of `check`.
        """
        self._wait()
        self.check()

    def _wait(self) -> None:
        """Waits until nobody writes any more, unless all was given up."""
        if not self._given_up:
            self._idle.wait()

    def give_up(self) -> None:
        """From now on nobody waits for what is being written, and nothing is removed: all is to end at once."""
        with self._lock:
            self._given_up, self._waiting = True, []

    def _copied(self, arrays: Mapping[Any, Any], best: bool) -> dict[Any, Any]:
        """Copies of arrays of a state, or of best weights, into others where there are some that nobody needs."""
        with self._lock:
            unused: dict[Any, Any] = {}
            for given in [each for each in self._unused if (each.layers is not None) == best][:1]:
                self._unused.remove(given)
                unused = given.arrays
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
                if not self._waiting or self._error:
                    self._idle.set()
                    return
                # All of it, so that a state comes to the disk however fast others come to take its place.
                taken, self._waiting = self._waiting, []
            try:
                while taken and not self._given_up:
                    self._save(taken[0])
                    with self._lock:
                        self._unused.append(taken.pop(0))
            except Exception as error:  # raised in the thread that trains
                self._error = error

    def _save(self, given: _Given) -> None:
        """Writes one, and removes what is not needed any more."""
        if given.layers is not None:
            facts = given.facts.copy()
            weights = checkpoints.Weights(given.layers, given.arrays)
            self.best = checkpoints.save(weights, self.folder, checkpoints.BEST, facts.pop("epoch"), facts)
        else:
            facts = given.facts | {"best_checkpoint": self.best}
            position = training_states.save(self.folder, given.arrays, facts)
            if not self._given_up:
                kept = self._kept | {position: [self.best["file"]] if self.best else []}
                self._kept = dict([*kept.items()][-self.keep :])
                training_states.remove_others(self.folder, [*self._kept])
        if self.best and not self._given_up:  # somebody else may go on with the run by then, and have files of its own
            needed = {file for files in self._kept.values() for file in files}
            checkpoints.remove_others(self.folder, checkpoints.BEST, {self.best["file"], *needed})
