"""Evaluate: what a trained network is worth, from what is on disk.

`evaluated` tells the order: what is refused before the work, what is shown, calibrated, examined, and what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnnkit.config.file import refuse_settings
from cnnkit.core import cache
from cnnkit.core.errors import Incomplete, Interrupted, TrainingError
from cnnkit.core.failing import Failure, going_on
from cnnkit.core.progress import Progress
from cnnkit.core.text import listed
from cnnkit.data.index import Index, refuse_other_splits
from cnnkit.evaluation import calibrate as calibration
from cnnkit.evaluation import results
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.baseline import Baseline
from cnnkit.evaluation.exam import Exam, Question, Shown, Splits, sample
from cnnkit.evaluation.gate import Gate, refuse_unknown
from cnnkit.evaluation.other_images import OtherImages
from cnnkit.evaluation.recalibration import Recalibration
from cnnkit.runs import keeping
from cnnkit.runs.images import index_of
from cnnkit.runs.run import Run

MAY_BE_SET = ("data.source", "data.batch_size", "data.cache")
"""Settings that change nothing about what a run is worth."""


@dataclass(frozen=True)
class Asked:
    """What a run is evaluated on, and by what; its attributes are the arguments of `evaluate`."""

    split: str = "test"
    settings: Sequence[str] = ()
    questions: Sequence[Question] = (Baseline(),)
    others: OtherImages | None = None
    calibrate: bool = False
    gates: Sequence[Gate] = ()

    @property
    def judged(self) -> str | None:
        """The split whose figures these are; None where it is other images."""
        return None if self.others else self.split

    def refuse(self, run: Run) -> None:
        """Refuses what can't be told of a run, or not be kept with it, before its images are read.

        Raises:
            UsageError: There is such a thing.
        """
        refuse_other_splits(self.split)
        refuse_settings(self.settings, MAY_BE_SET, "a run is evaluated as it was trained")
        for question in self.questions:
            question.refuse(run)
        self._refuse_unknown_figures(run)
        if self.calibrate:
            needed = "a calibration is kept with the run; calibrate a copy of it, where you may write"
            keeping.refuse(needed, run.folder, run.files.evaluation)

    def shown(self, run: Run, progress: Progress) -> Shown:
        """The images, read.

        Raises:
            UsageError: What is asked can't be told of just these.
            DataError: They are gone, or are not the ones of the run, or can't be read.
        """
        shown = self.others.shown(run, progress) if self.others else _shown(run, self.split, progress)
        for question in self.questions:
            question.refuse_images(shown.images.index)
        self._refuse_unknown_figures(run, shown.images.index.take(shown.numbers))
        return shown

    def _refuse_unknown_figures(self, run: Run, index: Index | None = None) -> None:
        """Refuses gates on figures that there will not be: before the images are read, and behind it by their index.

        Raises:
            UsageError: There is one.
        """
        from cnnkit.evaluation.questions import asked_by

        asked = {question.name: question.figures(run.classes, index) for question in self.questions}
        beside = {"calibrated": list(calibration.FIGURES)} if self.calibrate else {}
        beside |= {"source": self.others.figures()} if self.others else {}
        refuse_unknown(self.gates, run.classes, {**asked, **beside}, asked_by(run.classes, asked) if self.gates else {})


@cache.in_use()
def evaluate(
    run: Run | Path | str,
    split: str = "test",
    settings: Sequence[str] = (),
    progress: Progress | None = None,
    questions: Sequence[Question] = (Baseline(),),
    others: OtherImages | None = None,
    calibrate: bool = False,
    gates: Sequence[Gate] = (),
) -> dict[str, Any]:
    """Evaluates the best checkpoint of a run on one of its splits, or on other images, from what is on disk.

    Args:
        run: The run, or its folder.
        split: `test`, `validation` or `train`.
        settings: `KEY=VALUE` pairs over the run's config, for example for images that moved.
        progress: Is told how far it is.
        questions: What is asked beyond the metrics.
        others: Images that are asked about in place of a split.
        calibrate: Whether a temperature is fitted on the validation images first, and kept with the run.
        gates: What the figures are held against later: one of a figure that there is not is refused.

    Returns:
        The document that `cnnkit evaluate --json` prints, with what was asked now. That of a split is written to the
        run's folder too, beside what was asked of the same weights and calibration before; where that can't be
        written to, `progress` is told so.

    Raises:
        UsageError: There is no such split, setting or figure, a question can't be asked of the run or the images, or
            a calibration can't be kept; then nothing is written.
        DataError: Images of that split are gone, or are not the ones of the run; or others can't be read.
        TrainingError: The run has no usable checkpoint, or its network answers what is no number.
        Incomplete: A question, a calibration or the writing failed, for whatever reason. What was found all the same
            is its `document`, and written as far as the folder takes it.
        KeyboardInterrupt: Ctrl-C or another signal stopped it. Where the figures were known by then, it has the
            `Incomplete` that tells them as its `__cause__`, and they are written as far as the folder takes them.
    """
    asked = Asked(split, settings, questions, others, calibrate, gates)
    return evaluated(run, asked, progress or Progress())[0]


@cache.in_use()
def evaluated(run: Run | Path | str, asked: Asked, progress: Progress) -> tuple[dict[str, Any], Answers]:
    """As `evaluate`, and the answers too."""
    run, others = Run.open(run, fitted_anew=asked.calibrate), asked.others
    asked.refuse(run)
    if unkept := None if others else keeping.why_not(run.files.evaluation):
        progress.say(f"{unkept}: the figures are told, and not kept with the run")
    # Nothing that may be set has a say in the network, so one config, with the settings, serves all that follows.
    run = run.with_settings(*asked.settings)
    shown = asked.shown(run, progress)
    with progress.task("building the network", 1):
        model = run.network(progress)

    def of(split: str, most: int | None = None, opened: Run = run) -> Shown:
        return _shown(opened, split, progress, most)

    recalibration = None
    if asked.calibrate:
        names = [question.name for question in asked.questions]
        recalibration = Recalibration.of(run, asked.judged, names, model, shown, of, progress)
        run = recalibration.run
    facts = others.facts(run, shown) if others else None
    exam = Exam.taken(run, model, asked.judged, shown, of, progress)
    result = results.figures(exam.run, exam.split, exam.answers, facts)
    result |= {"calibrated": recalibration.found} if recalibration else {}
    # From here on nothing is refused any more. First what is known is kept, then what may fail is asked.
    steps, kept, calibrated, lines = _Steps(), None, True, list[str]()
    if recalibration:
        calibrated, lines = _recalibrated(recalibration, steps)
        if steps.failed:
            result = _lasting(result)
        if not calibrated:
            result["calibrated"]["kept"] = False
    # Those of other images are the figures of none of its splits; those by a calibration that is not kept do not count.
    if asked.judged and not unkept and calibrated:
        with steps.step("the figures are not kept with the run"):
            results.keep(run, asked.judged, _lasting(result), exam.answers)
            kept = asked.judged
    if recalibration and not steps.interrupted:
        with steps.step("what tells unfamiliar images is not made anew"):
            recalibration.make_familiar(model, of, progress)
    unasked = []
    for question in asked.questions:
        if steps.interrupted:
            unasked.append(question.name)
        else:
            with steps.step(f"there is no `{question.name}`"):
                result[question.name] = question.answered(exam)
    if kept and any(question.name in result for question in asked.questions):
        with steps.step("what was asked beside the figures is not kept with the run"):
            results.add(run, kept, _lasting(result))
    if steps.failed:
        where = f"are kept: {run.files.result(kept)}" if kept else "are told, and not kept with the run"
        lines += [f"not asked any more: {listed(unasked)}"] if unasked else []
        error = steps.incomplete(result, *lines, f"the figures of the network {where}")
        if steps.interrupted:  # not as an Exception: who goes through many runs may take that for this one's, and go on
            raise type(steps.worst.cause)() from error
        raise error
    return result, exam.answers


def _recalibrated(recalibration: Recalibration, steps: _Steps) -> tuple[bool, list[str]]:
    """Keeps a calibration, and brings what was found before up to it.

    Returns:
        Whether the calibration is kept; and where not all is, lines on what is.
    """
    files, old = recalibration.run.files, "what was found before is not brought up to date"
    with steps.step("the calibration is not kept with the run"):
        recalibration.keep()
    if not steps.failed:
        with steps.step(old):
            recalibration.renew()
        if not steps.failed:
            return True, []
    elif recalibration.is_kept():  # it was written, and what came behind it in the record failed
        steps.failed[-1] = replace(steps.failed[-1], what=old)
    else:
        return False, []
    return True, [f"the calibration is kept: {files.calibration}; to bring that up to date: {files.to_calibrate}"]


class _Steps:
    """What is done once the figures of the network are known, each of which may fail without costing these."""

    def __init__(self) -> None:
        self.failed: list[Failure] = []

    def step(self, what: str) -> AbstractContextManager[None]:
        """Where the work within fails, what is behind it goes on; `what` begins a sentence on what there is not."""
        return going_on(self.failed.append, what, "the same command with --debug shows where it happened")

    @property
    def interrupted(self) -> bool:
        return any(isinstance(failure.error, Interrupted) for failure in self.failed)

    @property
    def worst(self) -> Failure:
        """That which decides how the command ends: an interruption, else a bug, else the first one."""
        return min(self.failed, key=lambda failure: (not isinstance(failure.error, Interrupted), not failure.is_bug))

    def incomplete(self, result: Mapping[str, Any], *behind: str) -> Incomplete:
        """The error of what failed, with all of it as its cause.

        Args:
            result: What was found all the same.
            behind: Lines on what became of all else.
        """
        said = [
            {"step": failure.what, "kind": failure.error.kind, "message": str(failure.error)} for failure in self.failed
        ]
        lines = [f"{failure.what}: {line}" for failure in self.failed for line in str(failure.error).splitlines()]
        error = Incomplete({**result, "failed": said}, *lines, *behind, worst=self.worst.error)
        error.__cause__ = BaseExceptionGroup("what failed", [failure.cause for failure in self.failed])
        return error


def _lasting(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result without what is true of this moment only."""
    found = result.get("calibrated", {})
    lasting = {name: value for name, value in found.items() if name not in calibration.CONSEQUENCES}
    return {**result, **({"calibrated": lasting} if found else {})}


def _shown(run: Run, split: str, progress: Progress, most: int | None = None) -> Shown:
    """The images of a split of a run, or as many of them as are wanted.

    Raises:
        DataError: They are gone, or are not the ones of the run, or can't be shown to the network any more.
    """
    index = index_of(run, split, progress)
    others = 0 if most is None else max(0, len(index) - most)
    if most is not None and others:
        index = index.take(sorted(sample(index, range(len(index)), most)))
    shown = Shown.of(run, index, f"{split} images can't be shown to the network any more; put them right", progress)
    return replace(shown, others=others)


def score(
    run: Run,
    split: str,
    model: Any,
    shown: Shown,
    of: Splits,
    progress: Progress,
) -> dict[str, Any]:
    """Scores a network on the images of a split, and writes the result and every answer into the run's folder.

    Args:
        run: The run.
        split: `test`, `validation` or `train`.
        model: Its network.
        shown: The images of the split.
        of: The images of another split, read when they are first asked for.
        progress: Is told how far it is.

    Raises:
        TrainingError: The network answers what is no number.
    """
    exam = Exam.taken(run, model, split, shown, of, progress)
    result = results.figures(run, split, exam.answers)
    results.keep(run, split, result, exam.answers)
    return result


def ask(
    question: Question, run: Run, split: str, model: Any, shown: Shown, of: Splits, progress: Progress
) -> dict[str, Any]:
    """Asks a question about a split that `score` has scored, and writes what is found to the result of that.

    Args:
        question: What is asked beyond the metrics.
        run: The run.
        split: `test`, `validation` or `train`.
        model: Its network.
        shown: The images of the split.
        of: The images of another split, read when they are first asked for.
        progress: Is told how far it is.

    Raises:
        TrainingError: What was scored can't be read, or is damaged.
    """
    result, answers = results.read(run, split), Answers.read(run, split)
    if result is None or answers is None:
        raise TrainingError(f"{run.files.result(split)} and the answers beside it are gone")
    found = question.answered(Exam(run, model, split, shown, answers, of, progress))
    results.write(run, split, result | {question.name: found})
    return found
