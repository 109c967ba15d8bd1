"""What long work tells whoever watches. The work calls it, the console draws it; this one is silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


class Line(str):
    """A line that can be said more shortly, for screens that are too narrow for it.

    Attributes:
        shorter: The same with less in it, the longest first.
    """

    shorter: tuple[str, ...] = ()

    def __new__(cls, line: str, *shorter: str) -> Line:
        """With its shorter forms."""
        made = super().__new__(cls, line)
        made.shorter = shorter
        return made


@dataclass(frozen=True)
class Step:
    """Where an epoch stands: `step` of `steps`, and how it goes so far in this epoch.

    Before the first step of all, which takes seconds to be made, `step` is 0 and the rest means nothing.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    images_per_second: float = 0.0
    seconds_left: float = 0.0


class Progress:
    """The silent watcher; a subclass shows what it is told."""

    def say(self, line: str) -> None:
        """One line that is worth keeping."""

    @contextmanager
    def task(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Work of `total` parts; yields the function that says how many more are done."""
        yield lambda done: None

    def step(self, step: Step) -> None:
        """Within an epoch, a few times a second."""

    def epoch(self, line: str) -> None:
        """An epoch has ended; `line`, which may be a `Line`, says how it went."""


class Live(Progress):
    """Shows an attempt while it goes on, and leaves no line behind."""

    def __init__(self, watcher: Progress):
        self._watcher = watcher

    @contextmanager
    def task(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """As told."""
        with self._watcher.task(what, total) as advance:
            yield advance

    def step(self, step: Step) -> None:
        """As told."""
        self._watcher.step(step)
