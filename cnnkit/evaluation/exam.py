"""Exam: a run's network, some images and its answers; and what may be asked of it beyond the metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.data.feeding import batches
from cnnkit.data.feeding.images import Images
from cnnkit.data.feeding.loading import BAD_FILES, load
from cnnkit.data.index import Index
from cnnkit.evaluation.answers import Answers
from cnnkit.runs.run import Run

IMPOSSIBLE = "impossible"
"""Under this name alone an answer says why there is none, where that is no error."""


@dataclass(frozen=True)
class Shown:
    """Images that can be shown to a network.

    Attributes:
        images: Where they are from.
        numbers: Which of `images`, in this order.
        others: How many more there are, which were not asked for.
    """

    images: Images
    numbers: Sequence[int]
    others: int = 0

    @classmethod
    def of(cls, run: Run, index: Index, bad: str, progress: Progress) -> Shown:
        """All images of an index, as a run's network is shown them.

        Args:
            run: The run.
            index: The images.
            bad: What is said of those that can't be, behind how many of how many they are.
            progress: Is told how far it is.

        Raises:
            DataError: Some can't be decoded.
        """
        # All of them count: what can't be decoded is told below, and not left out.
        images = load(index, run.preprocessing, run.experiment.data.cache, progress, skip_bad=True)
        if unused := images.index.unused[len(index.unused) :]:
            problems = [Problem(entry.reason, file=entry.name) for entry in unused[:BAD_FILES]]
            raise DataError(*problems, f"{len(unused)} of the {len(index)} {bad}")
        return cls(images, range(len(images.index)))

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return [self.images.index.names[i] for i in self.numbers]

    @property
    def labels(self) -> list[int]:
        """Their classes."""
        return [int(self.images.index.labels[i]) for i in self.numbers]

    @property
    def keys(self) -> Any:
        """What chance knows each of them by, int64 (images,): equal contents have the same, whatever else is there."""
        return np.asarray([int(self.images.index.digests[i][:15], 16) for i in self.numbers], np.int64)

    def sample(self, most: int) -> list[int]:
        """Places of all, or of as many as are wanted, whichever their contents say: the same in whatever order."""
        return sample(self.images.index, self.numbers, most)


def sample(index: Index, numbers: Sequence[int], most: int) -> list[int]:
    """The same of an index, before its images are decoded: places in `numbers`."""
    return sorted(range(len(numbers)), key=lambda place: index.digests[numbers[place]])[:most]


class Splits(Protocol):
    """The images of a run's splits, read when they are first asked for."""

    def __call__(self, split: str, most: int | None = None) -> Shown:
        """Those of a split.

        Args:
            split: `train`, `validation` or `test`.
            most: Where there are more, others than the first of `Shown.sample` may be left out.
        """


@dataclass(frozen=True)
class Exam:
    """A run that is being evaluated.

    Attributes:
        run: The run.
        network: Its network, a Keras model with the weights of its best epoch.
        split: Which of its splits is asked about; None where it is other images.
        shown: The images that it is asked about.
        answers: What it says of them.
        of: The images of the run's splits: what a question needs beside.
        progress: Is told how far it is.
    """

    run: Run
    network: Any
    split: str | None
    shown: Shown
    answers: Answers
    of: Splits
    progress: Progress

    @classmethod
    def taken(cls, run: Run, network: Any, split: str | None, shown: Shown, of: Splits, progress: Progress) -> Exam:
        """Shows a network the images, and takes down what it says.

        Raises:
            TrainingError: It answers what is no number.
        """
        logits = logits_of(run, network, shown, progress)
        answers = Answers.of(run, np.asarray(shown.labels), logits, shown.names)
        return cls(run, network, split, shown, answers, of, progress)

    def answers_of(self, split: str) -> Answers:
        """What the run's network says of one of its splits: what is asked about, what was kept, or computed now.

        Raises:
            DataError: Its images are gone, or are not the ones of the run.
        """
        if split == self.split:
            return self.answers
        if kept := Answers.read(self.run, split):
            return kept
        shown = self.of(split)
        logits = logits_of(self.run, self.network, shown, self.progress)
        return Answers.of(self.run, np.asarray(shown.labels), logits, shown.names)


def logits_of(run: Run, model: Any, shown: Shown, progress: Progress) -> Any:
    """What a network answers to images, float32 (images, logits).

    Raises:
        DataError: An image can't be read any more.
    """
    with progress.task("evaluating", len(shown.numbers)) as advance:
        size = run.experiment.data.batch_size
        return np.concatenate(list(batches.outputs(model, shown.images, shown.numbers, size, advance)))


class Question(ABC):
    """Something to ask of an exam: its name is the key of what is found in the result of `evaluate`.

    A question is a frozen dataclass whose fields are what the options of the command say.
    """

    name: ClassVar[str]
    of_answers_alone: ClassVar[bool] = False
    """Whether no probability has a say in it, only which class is answered: no matter of the temperature."""

    def refuse(self, run: Run) -> None:
        """Refuses a run that this can't be asked of, before anything is computed.

        Raises:
            UsageError: It is one.
        """
        return

    def refuse_images(self, index: Index) -> None:
        """Refuses images that this can't be asked about, before the network is.

        Raises:
            UsageError: They are such.
        """
        return

    def figures(self, classes: Sequence[str], index: Index | None = None) -> list[str] | None:
        """The names of all figures that `answered` can find, as a gate has them; None where only the images tell them.

        Args:
            classes: Names of the run's classes.
            index: The images that are asked about; None before they are read.
        """
        return []

    @classmethod
    def renewed(
        cls, found: Mapping[str, Any], answers: Answers, validation: Answers, chosen_here: bool
    ) -> dict[str, Any] | None:
        """What was found, for a run that was calibrated since; None where the network would have to be asked again.

        Args:
            found: That by the probabilities of before.
            answers: Those that it was asked of, with the probabilities of now.
            validation: The same of the validation images.
            chosen_here: Whether these are the same images.
        """
        return dict(found) if cls.of_answers_alone else None

    @abstractmethod
    def answered(self, exam: Exam) -> dict[str, Any]:
        """What is found, as JSON has it.

        Args:
            exam: Of which it is asked.

        Raises:
            CnnkitError: It can't be found, as images that it needs beside are gone (DataError); `evaluate` then goes
                on with what else is asked, as it does behind any other exception.
        """

    @abstractmethod
    def lines(self, found: Mapping[str, Any]) -> Iterator[str]:
        """The same in sentences, for people."""
