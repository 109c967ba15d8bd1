"""Evaluate: what a trained network is worth, from what is on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cnnkit.config.file import refuse_settings
from cnnkit.core import cache
from cnnkit.core.errors import DataError, TrainingError, UsageError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import first_line
from cnnkit.data.index import SPLITS, Index
from cnnkit.evaluation import calibrate as calibration
from cnnkit.evaluation import familiarity, results
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.baseline import Baseline
from cnnkit.evaluation.exam import Exam, Question, Shown, Splits, logits_of, sample
from cnnkit.evaluation.gate import Gate, refuse_unknown
from cnnkit.evaluation.other_images import OtherImages
from cnnkit.runs import keeping
from cnnkit.runs.files import FOLDS
from cnnkit.runs.images import index_of
from cnnkit.runs.run import Run

MAY_BE_SET = ("data.source", "data.batch_size", "data.cache")
"""Settings that change nothing about what a run is worth."""


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
    """
    return evaluated(run, split, settings, progress, questions, others, calibrate, gates)[0]


@cache.in_use()
def evaluated(
    run: Run | Path | str,
    split: str = "test",
    settings: Sequence[str] = (),
    progress: Progress | None = None,
    questions: Sequence[Question] = (Baseline(),),
    others: OtherImages | None = None,
    calibrate: bool = False,
    gates: Sequence[Gate] = (),
) -> tuple[dict[str, Any], Answers]:
    """As `evaluate`, and the answers too."""
    run = Run.open(run, fitted_anew=calibrate)
    progress = progress or Progress()
    if split not in SPLITS:
        raise UsageError(f"there is no split `{split}`; it may be {', '.join(SPLITS)}")
    refuse_settings(settings, MAY_BE_SET, "a run is evaluated as it was trained")
    for question in questions:
        question.refuse(run)
    facts_too = {"calibrated": list(calibration.FIGURES)} if calibrate else {}
    facts_too |= {"source": others.figures()} if others else {}
    _refuse_unknown(gates, run, questions, facts_too)
    if calibrate:
        needed = "a calibration is kept with the run; calibrate a copy of it, where you may write"
        keeping.refuse(needed, run.folder, run.files.evaluation)
    if unkept := None if others else keeping.why_not(run.files.evaluation):
        progress.say(f"{unkept}: the figures are told, and not kept with the run")
    # Nothing that may be set has a say in the network, so one config, with the settings, serves all that follows.
    run = run.with_settings(*settings)
    shown = others.shown(run, progress) if others else _shown(run, split, progress)
    for question in questions:
        question.refuse_images(shown.images.index)
    _refuse_unknown(gates, run, questions, facts_too, shown.images.index.take(shown.numbers))
    with progress.task("building the network", 1):
        model = run.network(progress)

    def of(split: str, most: int | None = None, opened: Run = run) -> Shown:
        return _shown(opened, split, progress, most)

    asked = None if others else split
    fit: dict[str, Any] = {}
    if calibrate:
        with run.held():  # who trains it is told of before the work
            if not _is_whole(run, run.files.calibration, lambda run: run.calibration, progress):
                run = run.uncalibrated()
            unfamiliar = not _is_whole(run, run.files.familiarity, familiarity.Familiarity.read, progress)
            names = [question.name for question in questions]
            run, fit["calibrated"], renewed = _calibrated(run, asked, names, model, shown, of, progress)
    facts = others.facts(run, shown) if others else None
    exam = Exam.taken(run, model, asked, shown, of, progress)
    result = _examined(exam, questions, facts, fit)
    # From here on nothing is refused any more.
    if calibrate:
        with run.held():
            if unfamiliar:
                _make_familiar(run, model, of, progress)
            run.calibrate(**asdict(run.calibration))
            renewed.keep(run)
    if asked and not unkept:  # of other images nothing is written: these are the figures of none of its splits
        results.keep(run, asked, _lasting(result), exam.answers)
    return result, exam.answers


def _lasting(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result without what is true of this moment only."""
    found = result.get("calibrated", {})
    lasting = {name: value for name, value in found.items() if name not in calibration.CONSEQUENCES}
    return {**result, **({"calibrated": lasting} if found else {})}


def _refuse_unknown(
    gates: Sequence[Gate],
    run: Run,
    questions: Sequence[Question],
    beside: Mapping[str, list[str]],
    index: Index | None = None,
) -> None:
    """Refuses figures that there will not be: before the images are read, and those that only these tell behind it.

    Raises:
        UsageError: There is one.
    """
    from cnnkit.evaluation.questions import asked_by

    asked = {question.name: question.figures(run.classes, index) for question in questions}
    refuse_unknown(gates, run.classes, {**asked, **beside}, asked_by(run.classes, asked) if gates else {})


def _is_whole(run: Run, file: Path, read: Callable[[Run], object | None], progress: Progress) -> bool:
    """Whether one of the files that a calibration makes anew can be used; if it was changed or damaged, that is said.

    Args:
        run: The run.
        file: The file.
        read: Reads it; what it finds is None where a run of an earlier version has none.
        progress: Is told.
    """
    try:
        if run.left(file):
            return read(run) is not None
        told = f"{file} is not as the run left it"
    except TrainingError as error:
        told = str(error).partition(";")[0]
    progress.say(f"{told}; it is made anew")
    return False


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


def _calibrated(
    run: Run, split: str | None, names: Sequence[str], model: Any, shown: Shown, of: Splits, progress: Progress
) -> tuple[Run, dict[str, Any], results.Renewed]:
    """A run as if it were calibrated on its validation images, what is found, and what was, brought up to date.

    Args:
        run: The run.
        split: Which split is evaluated behind it; None for none.
        names: What is asked of it then, and need not be brought up to date.
        model: Its network.
        shown: The images of that split, or other ones.
        of: The images of another split.
        progress: Is told how far it is.

    Raises:
        TrainingError: What was found before is damaged.
    """
    before = results.documents(run, but=split)
    if split != "validation":
        before = {"validation": dict[str, Any]()} | before
    if split:
        before |= _before(run, split)
    try:
        answers = Answers.read(run, "validation")
    except TrainingError:
        if split != "validation":
            raise
        answers = None  # they are written anew
    if answers is None:
        chosen_on = shown if split == "validation" else of("validation")
        logits = logits_of(run, model, chosen_on, progress)
        answers = Answers.of(run, np.asarray(chosen_on.labels), logits, chosen_on.names)
    had = run.calibration
    run, found = calibration.calibrated(run, answers)
    found["as_before"] = had == run.calibration
    answers = Answers.of(run, answers.labels, answers.logits, answers.names)
    renewed = results.renewed(run, before, answers)
    left_out = {name: {"left_out": gone} for name, gone in renewed.left_out.items() if name not in renewed.same}
    if split in left_out:
        gone = [name for name in left_out.pop(split)["left_out"] if name not in names]
        left_out |= {split: {"left_out": gone}} if gone else {}
    found["renewed"] = left_out
    folds = run.folder.absolute().parent
    found["folds"] = str(folds) if (folds / FOLDS).is_file() else None
    return run, found | {"report": str(run.files.report) if run.files.report.exists() else None}, renewed


def _before(run: Run, split: str) -> dict[str, dict[str, Any]]:
    """What was found of the split that is evaluated now; nothing where it is damaged, as it is written anew."""
    try:
        found, answers = results.read(run, split), Answers.read(run, split)
    except TrainingError:
        return {}
    return {split: found} if found and answers else {}


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
    result = _examined(exam, ())
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


def _examined(
    exam: Exam,
    questions: Sequence[Question],
    source: dict[str, Any] | None = None,
    fit: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """What a network is worth on the images of an exam; nothing is written.

    Args:
        exam: Whose answers these are.
        questions: What is asked beyond the metrics.
        source: What is told of where other images are from.
        fit: What is told of a calibration that came before.
    """
    result = results.figures(exam.run, exam.split, exam.answers, source) | dict(fit)
    return result | {question.name: question.answered(exam) for question in questions}
