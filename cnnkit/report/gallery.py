"""Gallery: the pictures of a report, chosen by what the network says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnnkit.core.errors import DataError
from cnnkit.core.text import counted, enumerated, typed
from cnnkit.evaluation import label_errors
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.exam import Shown
from cnnkit.report import confusion
from cnnkit.report.augmentation import Augmented, augmented
from cnnkit.report.bidi import isolated
from cnnkit.report.pictures import Album, Picture
from cnnkit.report.suspected import Suspected
from cnnkit.report.tables import percent
from cnnkit.runs.run import Run

MISTAKES, UNSURE, SUSPECTS, SAMPLES = 24, 24, 24, 24
"""Pictures of each of these, at most."""

OF_A_CELL, OF_RIGHT, OF_A_PAIR = 12, 4, 6
"""Pictures behind a cell of the confusion matrix, of wrong and of right answers; and behind a pair of many classes."""

JUDGED = ("test", "validation")
"""The splits in which labels are judged: a network has learnt the labels of the others, right or wrong."""

Of = Callable[[str], Shown]
"""The images of a split, read when they are first asked for."""


class Gallery:
    """The pictures of a page; where images are gone, it goes without them and says so."""

    def __init__(self, run: Run, of: Of, split: str | None, album: Album | None = None):
        """Chooses none yet.

        Args:
            run: The run.
            of: The images of its splits.
            split: The split that the page is about; None where none was evaluated.
            album: Where its pictures go; into one of its own by default.
        """
        self._run, self._of, self._split = run, of, split
        self._album, self._unanswered, self._without = album or Album(), "", dict[str, list[str]]()
        self._shown = dict[str, Shown | None]()
        self._where = dict[str, dict[str, int]]()
        self._answers = Answers.read(run, split) if split else None
        if split and self._answers is None:
            again = f"cnnkit evaluate {typed(run.folder)} --split {split}"
            self._unanswered = f"There are no answers of the {split} images; {again} gives them."

    def _images(self, split: str) -> Shown | None:
        """The images of a split, None where they are gone."""
        if split not in self._shown:
            try:
                self._shown[split] = shown = self._of(split)
                self._where[split] = {name: k for k, name in enumerate(shown.names)}
            except DataError as error:
                self._gone(split, error)
                self._shown[split] = None
        return self._shown[split]

    def _gone(self, split: str, error: DataError) -> None:
        self._without.setdefault(str(error), []).append(split)

    def _of_split(self, split: str, names: Sequence[str], told: Sequence[str]) -> list[Picture]:
        """Pictures of images of a split, by their names, with what is said of each."""
        if not names or (shown := self._images(split)) is None:
            return []
        where = self._where[split]
        known = [(where[name], words) for name, words in zip(names, told, strict=True) if name in where]
        try:
            return self._album.of(shown, [place for place, _ in known], [words for _, words in known])
        except DataError as error:
            self._gone(split, error)
            return []

    def of_answers(self, places: Sequence[int]) -> list[Picture]:
        """Pictures of images of the split that the page is about, by the places of their answers."""
        answers, split = self._answers, self._split
        if answers is None or split is None:
            return []
        names = [answers.names[place] for place in places]
        return self._of_split(split, names, [_told(answers, place) for place in places])

    def mistakes(self) -> list[Picture]:
        """Of wrong answers, the surest."""
        return self.of_answers(surest_mistakes(self._answers)) if self._answers else []

    def unsure(self) -> list[Picture]:
        """The answers that are the least sure."""
        return self.of_answers(least_sure(self._answers)) if self._answers else []

    def suspects(self) -> tuple[list[Picture], Suspected]:
        """Images of validation and test whose label may be wrong (confident learning), and how far to believe that."""
        found, judged, contradicted = [], 0, 0
        for split in JUDGED:
            if answers := self._answers if split == self._split else Answers.read(self._run, split):
                labels, probabilities = answers.labels, answers.probabilities
                judged += len(labels)
                contradicted += int((labels != answers.predicted).sum())
                order, count = label_errors.ranked(labels, probabilities)
                quality = label_errors.quality(labels, probabilities)
                for place in order[:count].tolist():
                    found.append((float(quality[place]), split, place, int(answers.predicted[place]), answers))
        found.sort(key=lambda entry: entry[:3])
        pictures = []
        for _, split, place, other, answers in found[:SUSPECTS]:
            label = _sure(answers, place, int(answers.labels[place]))
            told = f"labelled {label}\nlooks like {_sure(answers, place, other)}"
            pictures += self._of_split(split, [answers.names[place]], [told])
        return pictures, Suspected(len(found), judged, contradicted, len(pictures))

    def cells(self, counts: Sequence[Sequence[int]]) -> dict[str, list[Picture]]:
        """Pictures of each cell of the confusion matrix, or of each pair."""
        return of_cells(self._answers, counts, self.of_answers) if self._answers else {}

    def samples(self) -> list[Picture]:
        """Images that train, of each class as many, as far as there is room."""
        if (shown := self._images("train")) is None:
            return []
        labels, names = shown.labels, self._run.classes
        seen = dict[int, int]()
        turns = []
        for place, label in enumerate(labels):
            seen[label] = seen.get(label, 0) + 1
            turns.append((seen[label], label, place))
        chosen = sorted(place for _, _, place in sorted(turns)[:SAMPLES])
        chosen.sort(key=lambda place: labels[place])
        try:
            return self._album.of(shown, chosen, [names[labels[place]] for place in chosen])
        except DataError as error:
            self._gone("train", error)
            return []

    def augmented(self) -> list[Augmented]:
        """Images that train, as they are augmented."""
        if not self._run.experiment.augment or (shown := self._images("train")) is None:
            return []
        try:
            return augmented(self._run.experiment, shown, self._album)
        except DataError as error:
            self._gone("train", error)
            return []

    def notes(self) -> list[str]:
        """What is missing, and why."""
        notes = [self._unanswered] if self._unanswered else []
        for error, splits in self._without.items():
            notes.append(f"Pictures of {enumerated(dict.fromkeys(splits), 'and')} images are missing: {error}")
        if left_out := self._album.left_out:
            notes.append(f"{counted(left_out, 'picture')} more had no room on this page.")
        return notes


def surest_mistakes(answers: Answers) -> list[int]:
    """The places of wrong answers, the surest first."""
    wrong, sureness = (answers.labels != answers.predicted).nonzero()[0], answers.probabilities.max(axis=1)
    chosen: list[int] = wrong[(-sureness[wrong]).argsort(kind="stable")][:MISTAKES].tolist()
    return chosen


def least_sure(answers: Answers) -> list[int]:
    """The places of the answers that are the least sure."""
    chosen: list[int] = answers.probabilities.max(axis=1).argsort(kind="stable")[:UNSURE].tolist()
    return chosen


def of_cells(
    answers: Answers, counts: Sequence[Sequence[int]], pictures_of: Callable[[Sequence[int]], list[Picture]]
) -> dict[str, list[Picture]]:
    """Pictures of each cell of the confusion matrix, or of each pair.

    Args:
        answers: All that are counted.
        counts: How many images of each class (rows) are taken for each (columns), classes by classes.
        pictures_of: Makes them of the places of answers.

    Returns:
        Of each cell with pictures, by `ROW,COLUMN` as numbers of classes from 0, at the most OF_RIGHT of right answers
        and OF_A_CELL, or where there are many classes OF_A_PAIR, of wrong ones, the most telling first.
    """
    of_wrong = OF_A_CELL if len(counts) <= confusion.MOST_CLASSES else OF_A_PAIR
    found = {}
    for i, j in confusion.shown_cells(counts):
        places = confusion.places(answers, i, j, OF_RIGHT if i == j else of_wrong)
        if pictures := pictures_of(places):
            found[f"{i},{j}"] = pictures
    return found


def _told(answers: Answers, place: int) -> str:
    label, predicted = int(answers.labels[place]), int(answers.predicted[place])
    if label == predicted:
        return f"right: {_sure(answers, place, label)}"
    return f"is {_sure(answers, place, label)}\ntaken for {_sure(answers, place, predicted)}"


def _sure(answers: Answers, place: int, label: int) -> str:
    return f"{isolated(answers.classes[label])} ({percent(answers.probabilities[place, label])})"
