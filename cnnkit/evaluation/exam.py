"""Exam: a run's network, some images and its answers; and what may be asked of it beyond the metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cnnkit.core.progress import Progress
from cnnkit.data.feeding.images import Images
from cnnkit.evaluation.answers import Answers
from cnnkit.runs.run import Run


@dataclass(frozen=True)
class Shown:
    """Images that can be shown to a network.

    Attributes:
        images: Where they are from.
        numbers: Which of `images`, in this order.
    """

    images: Images
    numbers: Sequence[int]

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return [self.images.index.names[i] for i in self.numbers]

    @property
    def labels(self) -> list[int]:
        """Their classes."""
        return [int(self.images.index.labels[i]) for i in self.numbers]


@dataclass(frozen=True)
class Exam:
    """A run that is being evaluated.

    Attributes:
        run: The run.
        network: Its network, a Keras model with the weights of its best epoch.
        split: Which of its splits is asked about; None where it is other images.
        shown: The images that it is asked about.
        answers: What it says of them.
        of: The images of a split of the run, read when they are first asked for: what a question needs beside.
        progress: Is told how far it is.
    """

    run: Run
    network: Any
    split: str | None
    shown: Shown
    answers: Answers
    of: Callable[[str], Shown]
    progress: Progress


class Question(ABC):
    """Something to ask of an exam: its name is the key of what is found in the result of `evaluate`.

    A question is a frozen dataclass whose fields are what the options of the command say.
    """

    name: ClassVar[str]

    @abstractmethod
    def answered(self, exam: Exam) -> dict[str, Any]:
        """What is found, as JSON has it."""

    @abstractmethod
    def lines(self, found: Mapping[str, Any]) -> Iterator[str]:
        """The same in sentences, for people."""
