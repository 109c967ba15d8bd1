"""Recalibration: a run is calibrated on its validation images, and what was found of it before follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnkit.core.errors import DataError, TrainingError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import first_line
from cnnkit.evaluation import calibrate, familiarity, results
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.exam import Shown, Splits, logits_of
from cnnkit.runs.run import Run

ASKED = 200
"""Of so many validation images at the most the kept answers are held against the network."""

ALIKE = 0.05
"""Logits that differ by less, over the largest of them, are equal but for the rounding of another machine."""


@dataclass(frozen=True)
class Recalibration:
    """What a calibration comes to; nothing of it is in the run's folder before `keep`, `renew` and `make_familiar`.

    Attributes:
        run: The run as if it were calibrated.
        found: What is told of it.
        renewed: What was found before, by the calibration of now.
        unfamiliar: Whether what tells unfamiliar images is to be made anew too.
    """

    run: Run
    found: Mapping[str, Any]
    renewed: results.Renewed
    unfamiliar: bool

    @classmethod
    def of(
        cls, run: Run, split: str | None, names: Sequence[str], model: Any, shown: Shown, of: Splits, progress: Progress
    ) -> Recalibration:
        """That of a run.

        Args:
            run: The run.
            split: Which split is evaluated behind it; None for none.
            names: What is asked of it then, and need not be brought up to date.
            model: Its network.
            shown: The images of that split, or other ones.
            of: The images of another split.
            progress: Is told how far it is.

        Raises:
            UsageError: Another process trains it.
            TrainingError: What was found before is damaged.
            DataError: The validation images are asked for and gone, or are not the ones of the run.
        """
        with run.held():  # who trains it is told of before the work
            repairs = [
                _is_damaged(run, file, read, progress)
                for file, read in (
                    (run.files.calibration, lambda run: run.calibration),
                    (run.files.familiarity, familiarity.Familiarity.read),
                )
            ]
            if repairs[0]:
                run = run.uncalibrated()
            # A run of an earlier version has none.
            unfamiliar = repairs[1] or familiarity.Familiarity.read(run) is None
            before = results.documents(run, but=split)
            if split != "validation":
                before = {"validation": dict[str, Any]()} | before
            if split:
                before |= _before(run, split)
            answers = _validated(run, split, model, shown, of, progress, any(repairs))
            had = run.calibration
            run, found = calibrate.calibrated(run, answers)
            answers = Answers.of(run, answers.labels, answers.logits, answers.names)
            renewed = results.renewed(run, before, answers)
            consequences = {
                "as_before": had == run.calibration,
                "renewed": _left_out(renewed, split, names),
                "folds": _folds(run),
                "report": str(run.files.report) if run.files.report.exists() else None,
            }
            return cls(run, found | consequences, renewed, unfamiliar)

    def keep(self) -> None:
        """Keeps it with the run; what was found before, and what tells unfamiliar images, stay as they are.

        Raises:
            UsageError: Another process trains the run.
            DiskError: The disk is full, or fails.
        """
        with self.run.held():
            self.run.calibrate(**asdict(self.run.calibration))

    def is_kept(self) -> bool:
        """Whether the run has it by now, as it may after a `keep` that failed."""
        try:
            known = self.run.left(self.run.files.calibration)
            return known and self.run.afresh().calibration == self.run.calibration
        except TrainingError:  # what can't be read is none
            return False

    def renew(self) -> None:
        """Keeps what was found before, brought up to date: to be called once the calibration is kept.

        Raises:
            UsageError: Another process trains the run.
            DiskError: The disk is full, or fails.
        """
        with self.run.held():
            self.renewed.keep(self.run)

    def make_familiar(self, model: Any, of: Splits, progress: Progress) -> None:
        """Keeps with the run what tells unfamiliar images, where that is to be made anew.

        Where the images of the run that it needs can't be read, `progress` is told so.

        Args:
            model: The network of the run, with the weights of its best epoch.
            of: The images of its splits.
            progress: Is told how far it is.

        Raises:
            UsageError: Another process trains the run.
            TrainingError: The network answers what is no number.
            DiskError: The disk is full, or fails.
        """
        if self.unfamiliar:
            with self.run.held():
                _make_familiar(self.run, model, of, progress)


def _is_damaged(run: Run, file: Path, read: Callable[[Run], object], progress: Progress) -> bool:
    """Whether one of the files that a calibration makes anew was changed, lost or damaged; then that is said."""
    try:
        if run.left(file):
            read(run)
            return False
        told = f"{file} is not as the run left it"
    except TrainingError as error:
        told = str(error).partition(";")[0]
    progress.say(f"{told}; it is made anew")
    return True


def _before(run: Run, split: str) -> dict[str, dict[str, Any]]:
    """What was found of the split that is evaluated now; nothing where it is damaged, as it is written anew."""
    try:
        found, answers = results.read(run, split), Answers.read(run, split)
    except TrainingError:
        return {}
    return {split: found} if found and answers else {}


def _validated(
    run: Run, split: str | None, model: Any, shown: Shown, of: Splits, progress: Progress, repairs: bool
) -> Answers:
    """The answers to the validation images: those that were kept and are the network's, else they are asked for.

    Their hash lies in their own file, so it tells of damage, and not of who changed both. Where something else in the
    run was changed they are not believed at all.
    """
    try:
        answers = Answers.read(run, "validation")
    except TrainingError:
        if split != "validation":
            raise
        answers = None  # they are written anew
    if answers is not None and not repairs:
        try:
            some = shown if split == "validation" else of("validation", ASKED)
        except DataError as error:
            progress.say(
                "careful: whether the kept answers to the validation images are those of the network could not be "
                f"looked at, and they are believed: {first_line(error)}"
            )
            return answers
        if _are_answers(run, answers, model, some, progress):
            return answers
        progress.say(f"{run.files.answers('validation')} is not what the network answers; it is asked anew")
    chosen_on = shown if split == "validation" else of("validation")
    logits = logits_of(run, model, chosen_on, progress)
    return Answers.of(run, np.asarray(chosen_on.labels), logits, chosen_on.names)


def _are_answers(run: Run, answers: Answers, model: Any, shown: Shown, progress: Progress) -> bool:
    """Whether answers that were kept are what the network says of ASKED of their images, or of all if these are fewer.

    Args:
        run: The run.
        answers: To all of them.
        model: Its network.
        shown: Some of the images, or all.
        progress: Is told how far it is.
    """
    some = Shown(shown.images, [shown.numbers[place] for place in shown.sample(ASKED)])
    at = {name: place for place, name in enumerate(answers.names)}
    kept = answers.logits[[at[name] for name in some.names]]
    most = ALIKE * max(1.0, float(np.abs(kept).max()))
    return bool(np.abs(logits_of(run, model, some, progress) - kept).max() <= most)


def _left_out(renewed: results.Renewed, split: str | None, names: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """What of the figures of each split was not brought up to date, without what is asked of one now."""
    left_out = {name: {"left_out": gone} for name, gone in renewed.left_out.items() if name not in renewed.same}
    if split in left_out:
        gone = [name for name in left_out.pop(split)["left_out"] if name not in names]
        left_out |= {split: {"left_out": gone}} if gone else {}
    return left_out


def _folds(run: Run) -> str | None:
    """The folder of the folds that a run is one of."""
    return str(run.folds.absolute()) if run.folds else None


def _make_familiar(run: Run, model: Any, of: Splits, progress: Progress) -> None:
    """Keeps with a run what tells unfamiliar images, or says why not: a calibration needs no training images."""
    try:
        familiarity.fit(run, model, of, progress)
    except DataError as error:
        if not run.left(run.files.familiarity):  # of which no other command would take the run
            run.keep_familiarity(None)
        progress.say(
            f"careful: `predict` can't tell which images are unfamiliar, as the run's own images are needed for that: "
            f"{first_line(error)}; once they are there again: {run.files.to_calibrate}"
        )
