"""When a training is saved, so that it can go on after whatever ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cnnkit.core import disk
from cnnkit.core.lazy import np, tf
from cnnkit.core.text import counted, in_bytes
from cnnkit.optimization.section import Checkpoint
from cnnkit.runs.state_writer import StateWriter
from cnnkit.training.observers import Observer, sound

if TYPE_CHECKING:
    from cnnkit.training.stage_fit import StageFit

MINUTE = 60.0
"""Seconds."""


def values(variables: Mapping[str, Any]) -> dict[str, Any]:
    """What variables of Keras or TensorFlow hold at this moment, as NumPy arrays to read and copy, but not to keep.

    They are no copies, which `numpy` of a variable would make: a `StateWriter` makes these, into memory that it has.
    """
    own = (each if isinstance(each, tf.Variable) else each.value for each in variables.values())
    return {name: np.asarray(variable.read_value()) for name, variable in zip(variables, own, strict=True)}


class Saving(Observer):
    """Saves the training now and then; it comes last of those that follow it, as their states are saved too.

    Attributes:
        saved_at: When the newest state was copied, by the clock; at first when the training began.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        writer: StateWriter,
        arrays: Callable[[StageFit], Mapping[str, Any]],
        facts: Callable[[StageFit], Mapping[str, Any]],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        """Follows a training, or several stages of it.

        Args:
            checkpoint: Tells how often.
            writer: Writes it.
            arrays: All that a resume needs to have of numbers.
            facts: What else it needs.
            say: Is told where the disk is too small.
            clock: Tells the time in seconds.
        """
        self.checkpoint, self.writer = checkpoint, writer
        self._arrays, self._facts, self._say, self._clock = arrays, facts, say, clock
        self.saved_at = clock()
        self._step = 0
        self._room_told = False

    def stage_begins(self, fit: StageFit) -> None:
        """Says where the disk has less room than the states are going to take."""
        self._step = fit.step
        if not self._room_told and self.checkpoint.saves and (line := self._too_little_room(fit)):
            self._room_told = True
            self._say(f"careful: {line}")

    def updates_done(self, fit: StageFit) -> None:
        """Saves if it is time to.

        Raises:
            DiskError: The one before could not be written.
        """
        self.writer.check()
        every, before, self._step = self.checkpoint.every_steps, self._step, fit.step
        if self._minutes_over() or (every and fit.step // every > before // every):
            self._save(fit)

    def epoch_ends(self, fit: StageFit, metrics: dict[str, Any]) -> None:
        """Likewise, and at the end of a stage; what has diverged is not worth the place of the state before."""
        self.writer.check()
        every = self.checkpoint.every_epochs
        over = self.checkpoint.saves and (fit.stopped or fit.epoch == fit.end)
        if (over or self._minutes_over() or (every and fit.epoch % every == 0)) and sound(metrics):
            self._save(fit)

    def save_now(self, fit: StageFit) -> None:
        """Saves whatever the time, and waits until it is on the disk.

        Raises:
            DiskError: It could not be written.
        """
        self._save(fit)
        self.writer.flush()

    def _save(self, fit: StageFit) -> None:
        self.writer.save(self._arrays(fit), self._facts(fit))
        self.saved_at = self._clock()

    def _minutes_over(self) -> bool:
        every = self.checkpoint.every_minutes
        return every is not None and self._clock() - self.saved_at >= every * MINUTE

    def _too_little_room(self, fit: StageFit) -> str:
        """What is needed and what there is, where that is less; else nothing."""
        folder, keep = self.writer.folder, self.checkpoint.keep
        size = sum(value.nbytes for value in self._arrays(fit).values())
        there = sum(file.stat().st_size for file in folder.glob("*") if file.is_file())
        # One more than are kept, as the oldest goes only when the newest is there; the weights are a part of a state.
        needed = (keep + 2) * size
        place, free = disk.free_for(folder)
        if free + there >= needed:
            return ""
        states = f"{counted(keep + 1, 'state')} of this training, of {in_bytes(size)} each, and the best weights"
        return (
            f"{states} need about {in_bytes(needed)}, and {in_bytes(free)} are free on the disk at {place}; make room "
            "there, or training ends when it is full"
        )
