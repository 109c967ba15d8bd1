"""What all trackers share: their section of a config, and the session that it begins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from cnnkit.core.errors import Problem
from cnnkit.core.spec import Spec


@dataclass(frozen=True)
class TrackedRun:
    """A run, as trackers are told of it.

    Attributes:
        folder: Of the run, absolute.
        id: What no other run is called: 16 hexadecimal digits.
        experiment: Name of the experiment that it is a run of.
        parameters: The settings, by their dotted keys.
        tags: The machine, the versions and the data that it is made with.
    """

    folder: Path
    id: str
    experiment: str
    parameters: Mapping[str, bool | int | float | str]
    tags: Mapping[str, str]


class Session(ABC):
    """A run in the books of a tracker. Whatever goes wrong raises, and ends the session."""

    where: str
    """Where the run is found there."""

    @abstractmethod
    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Adds an epoch.

        Args:
            number: Of the epoch, from 1; one that the tracker has already, from before a resume, is left as it is.
            metrics: By name; none is NaN or infinite.
        """

    @abstractmethod
    def end(self, state: str, figures: Mapping[str, float], files: Sequence[Path]) -> None:
        """Ends it; when this returns, all is where it belongs.

        Args:
            state: `finished`, `unfinished`, `interrupted` or `failed`.
            figures: What the evaluation found, by name.
            files: What goes along, all below the folder of the run.
        """


class Tracker(Spec):
    """Where a run is recorded beside its folder; an error there is said once, and never ends a training."""

    package: ClassVar[str]
    """What is imported for it, and the extra of cnnkit that brings it."""
    title: ClassVar[str]
    """What people call it."""
    environment: ClassVar[Mapping[str, str]] = {}
    """What is set for its process: it sends nothing that nobody asked for, and gives up in time."""

    name: str
    weights: bool = False
    """Whether the weights of the best epoch go along, once the training is over."""

    def problems(self) -> Iterator[Problem]:
        """What stands in the way on this machine."""
        found = find_spec(self.package)
        if found is None or found.origin is None:  # a folder of this name in the working folder is no package
            install = f"pip install '.[{self.package}]'"
            yield Problem(f"needs {self.title}; install it in cnnkit's clone: {install}", key="name")

    @abstractmethod
    def begin(self, run: TrackedRun, folder: Path) -> Session:
        """Begins a session, or goes on with the one that the run had before a resume.

        Args:
            run: The run.
            folder: Below the run's, for what the tracker keeps on this machine.
        """


def described(run: TrackedRun) -> dict[str, Any]:
    """The parameters and tags of a run together."""
    return {**run.parameters, **{f"run.{name}": value for name, value in run.tags.items()}}
