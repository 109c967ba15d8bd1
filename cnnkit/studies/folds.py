"""Folds: K-fold cross-validation. Every image is in the test split of one training; all of them are judged together.

Each fold is a run of its own in a folder below that of the folds, with `data.split.folds` and `fold` in its config, so
evaluate, predict, resume and compare take it as any other. Which image is in which fold is the matter of
`cnnkit.data.splitting`, as splits are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cnnkit.config import checks, differences
from cnnkit.config import file as config_file
from cnnkit.config.experiment import Experiment
from cnnkit.core import atomic, cache
from cnnkit.core.errors import (
    CnnkitError,
    ConfigError,
    DataError,
    Interrupted,
    NobodyReads,
    Problem,
    TrainingError,
    UsageError,
)
from cnnkit.core.lazy import keras
from cnnkit.core.own_folders import DIVIDED, FOLDS, run_of_fold
from cnnkit.core.progress import Progress, Step
from cnnkit.core.signals import exit_code, resumable
from cnnkit.core.text import enumerated, typed
from cnnkit.data.feeding.loading import load
from cnnkit.data.files import tables
from cnnkit.data.index import Index
from cnnkit.data.splitting import MOST_FOLDS
from cnnkit.runs import reading
from cnnkit.runs.files import Files
from cnnkit.runs.overwriting import refuse_run
from cnnkit.runs.run import FINISHED, UNFINISHED, Run
from cnnkit.studies import fold_runs
from cnnkit.studies.fold_results import summary
from cnnkit.studies.several import several
from cnnkit.training import train as training


@dataclass(frozen=True)
class Study:
    """The folder of the folds.

    Attributes:
        folder: It.
        count: How many folds there are.
    """

    folder: Path
    count: int

    def run(self, fold: int) -> Path:
        """The folder of the run that is judged on a fold, from 1."""
        return run_of_fold(self.folder, fold)

    @property
    def config(self) -> Path:
        """The experiment, complete, without its folds."""
        return Files(self.folder).config

    @property
    def divided(self) -> Path:
        """Which image is in which fold."""
        return self.folder / DIVIDED

    def done(self) -> list[int]:
        """The folds whose training is finished."""
        return [fold for fold in range(1, self.count + 1) if self.state(fold) == FINISHED]

    def state(self, fold: int) -> str | None:
        """How a fold's training stands; None where it has not begun.

        Raises:
            TrainingError: Its record is damaged.
        """
        run = Run(self.run(fold))
        return str(run.provenance().get("state")) if run.files.provenance.exists() else None

    def ended(self, fold: int, how: str) -> str:
        """What there is where a training ended before its time, and how it goes on."""
        done = [str(number) for number in self.done()]
        kept = f"{'fold' if len(done) == 1 else 'folds'} {enumerated(done, 'and')} done" if done else "none is done yet"
        return f"{how} fold {fold} of {self.count}, {kept}; go on with: cnnkit train --resume {typed(self.folder)}"


@cache.in_use(make=True)
def train(
    experiment: Experiment,
    folds: int,
    folder: Path | str | None = None,
    progress: Progress | None = None,
    place: Callable[[Problem], Problem] = lambda problem: problem,
) -> dict[str, Any]:
    """Trains a network for each fold, and judges all of them together.

    Args:
        experiment: What is done, without folds in its split. Its share for test is left out, which is said: each fold
            is the test split in its turn.
        folds: How many, from 2.
        folder: The folder of the runs, which must not exist; runs/<name>-<K>-folds-<time> by default.
        progress: Is told how far it is.
        place: Gives a problem with a setting its place in the config.

    Returns:
        The document that `cnnkit train --folds K --json` prints; folds.json keeps it.

    Raises:
        UsageError: There are fewer than 2 or more than 1,000 folds; or the folder exists, or can't be made.
        ConfigError: The config has folds, or can't be divided so.
        DataError: A class has too few images for so many folds, or the source has a split of its own.
        TrainingError: The training of a fold failed; those before it are kept.
        Interrupted: It was stopped; `resume` goes on.
    """
    progress = progress or Progress()
    folder = Path(folder) if folder else None
    if folds < 2:
        raise UsageError(f"--folds {folds}: at least 2 are needed, as one is judged on and the others train")
    if folds > MOST_FOLDS:
        raise UsageError(f"--folds {folds}: at most {MOST_FOLDS:,}, as each is a training; 5 or 10 are usual")
    refuse_run(folder)
    if problems := [place(problem) if problem.key else problem for problem in _problems(experiment, folds)]:
        raise ConfigError(*problems)
    if (share := experiment.data.split.test) is not None:
        progress.say(
            f"data.split.test: {share:g} is left out, as each of the {folds} folds is the test split in its turn"
        )
    completed, index, numbers = _looked_at(experiment, folds, progress)
    study = _begun(completed, index, numbers, folds, folder)
    return _trained(study, completed, (), progress)


@cache.in_use(make=True)
def resume(folder: Path | str, settings: Sequence[str] = (), progress: Progress | None = None) -> dict[str, Any]:
    """Goes on with folds that ended before their time: finished ones stay, one that has begun is resumed.

    Args:
        folder: That of the folds.
        settings: `KEY=VALUE` pairs over their config: where the images are now, where, for how long and with what
            traces is trained.
        progress: Is told how far it is.

    Returns:
        The document that `train` returns.

    Raises:
        UsageError: The folder holds no folds.
        ConfigError: A setting would change what is learnt.
        DataError: The images are not those that were divided.
        TrainingError: Its files are damaged, or as for `train`.
        Interrupted: It was stopped again.
    """
    progress = progress or Progress()
    study = opened(folder)
    own = config_file.read(study.config, files=False, complete=True)
    configured = config_file.configure(study.config, settings, False, progress, complete=True)
    if differences.longer(own, configured.experiment):
        raise UsageError(f"{study.folder}: folds can't become longer; train them anew: cnnkit train CONFIG --folds")
    if found := [configured.place(each) for each in differences.refused(own, configured.experiment, settings)]:
        raise ConfigError(*found, f"{study.folder} goes on as it began; train folds of their own, without --resume")
    if len(study.done()) < study.count:
        completed, index, numbers = _looked_at(configured.experiment, study.count, progress)
        if _text_of(study.divided) != tables.text_of(*_table(index, numbers)):
            raise DataError(
                f"{study.folder} can't go on, as its images are not those that were divided into folds, which "
                f"{study.divided} has; bring them back, or train folds of their own with these"
            )
    else:
        completed = own
        progress.say(f"all {study.count} folds are done, so there is nothing to go on with")
    return _trained(study, completed, settings, progress)


def opened(folder: Path | str) -> Study:
    """The folds in a folder.

    Raises:
        UsageError: There are none.
        TrainingError: Their record is damaged, the config or the folds were changed, or a run is not that of its fold.
    """
    folder = Path(folder)
    if not (folder / FOLDS).is_file():
        raise UsageError(f"{folder} holds no folds: it has no {FOLDS}")
    record = reading.json_object(folder / FOLDS)
    count = record.get("folds")
    if type(count) is not int or not 2 <= count <= MOST_FOLDS or not isinstance(record.get("files"), dict):
        raise TrainingError(f"{folder / FOLDS} is damaged: it does not tell how many folds there are")
    study = Study(folder, count)
    for file in (study.config, study.divided):
        if not file.is_file() or reading.sha256(file) != record["files"].get(file.name):
            raise TrainingError(f"{file} is not as the training left it; put it back from a copy")
    numbers = range(1, study.count + 1)
    begun = {fold: Run.begun(study.run(fold)) for fold in numbers if Files(study.run(fold)).config.is_file()}
    own = config_file.read(study.config, files=False, complete=True)
    fold_runs.refuse_others(folder, begun, {fold: of_fold(own, study.count, fold) for fold in begun}, study.divided)
    return study


def of_fold(experiment: Experiment, folds: int, fold: int) -> Experiment:
    """The experiment that is judged on one of the folds."""
    split = experiment.data.split.model_copy(update={"folds": folds, "fold": fold, "test": None})
    return experiment.model_copy(update={"data": experiment.data.model_copy(update={"split": split})})


def _problems(experiment: Experiment, folds: int) -> Iterator[Problem]:
    """What keeps an experiment from being trained by folds."""
    split = experiment.data.split
    if split.folds or split.fold:
        yield Problem("the config judges on one fold, and --folds on all; leave folds and fold out", key="data.split")
    else:
        first = of_fold(experiment, folds, 1)
        for problem in checks.problems({name: getattr(first, name) for name in Experiment.model_fields}):
            asked = problem.key in ("data.split.folds", "data.split.fold")  # which the config does not have
            yield Problem(f"--folds {folds}: {problem.message}") if asked else problem


def _looked_at(experiment: Experiment, folds: int, progress: Progress) -> tuple[Experiment, Index, list[int]]:
    """The experiment complete, its images, and the fold of each.

    Raises:
        DataError: The images are not there, or a class is too small for one of the trainings.
    """
    collection = experiment.data.source.open(progress)
    first = of_fold(experiment, folds, 1).completed(collection)
    index = first.data.index(collection, progress)
    if collection.skip_bad:  # what can't be decoded is in no fold
        preprocessing = first.preprocessing(first.shape_with(collection))
        index = load(index, preprocessing, first.data.cache, progress, skip_bad=True).index
    pool = first.data.pool(index, progress)
    numbers = first.data.split.divided(pool)
    for fold in range(1, folds + 1):  # an error in the last one is told before the first is trained
        of_fold(first, folds, fold).data.split.assign(pool)
    split = first.data.split.model_copy(update={"folds": None, "fold": None})
    completed = first.model_copy(update={"data": first.data.model_copy(update={"split": split})})
    return completed, index, numbers


def _table(index: Index, numbers: Sequence[int]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Header and rows of what says which image is in which fold."""
    rows = sorted(zip(numbers, index.names, index.labels.tolist(), index.digests, strict=True))
    return ("image", "fold", "label", "digest"), [
        (name, number, index.classes[label], digest) for number, name, label, digest in rows
    ]


def _text_of(file: Path) -> str:
    """The text of one of the files."""
    with reading.told(file):
        return file.read_text(encoding="utf-8", errors=atomic.ERRORS)


def _begun(experiment: Experiment, index: Index, numbers: Sequence[int], folds: int, folder: Path | None) -> Study:
    """Makes the folder; it appears in one step.

    Raises:
        UsageError: It exists already, or can't be made.
    """
    stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    chosen = folder or Path("runs") / f"{experiment.name}-{folds}-folds-{stamp}"
    try:
        atomic.make_folder(chosen.parent, parents=True, exist_ok=True)
        with atomic.making(chosen) as making:
            study = Study(making, folds)
            atomic.write_text(study.config, config_file.write(experiment))
            tables.write(study.divided, *_table(index, numbers))
            files = {file.name: reading.sha256(file) for file in (study.config, study.divided)}
            atomic.write_json(making / FOLDS, {"folds": folds, "state": "training", "files": files})
    except OSError as error:
        refuse_run(chosen)
        raise UsageError(f"the folder {chosen} can't be made: {error.strerror}: {error.filename}") from None
    return Study(chosen, folds)


@several()
def _trained(study: Study, experiment: Experiment, settings: Sequence[str], progress: Progress) -> dict[str, Any]:
    """Trains what is not done yet; the summary of all."""
    trained = False
    failed: list[dict[str, Any]] = []
    for fold in range(1, study.count + 1):
        folder, state = study.run(fold), study.state(fold)
        if state == FINISHED:
            continue
        if trained:
            keras.backend.clear_session()  # what the network before it holds, and the numbers in names of layers
        progress.say(f"Fold {fold} of {study.count}: {folder}")
        with _told(study, fold):
            watcher = _Named(progress, f"fold {fold} of {study.count}")
            if os.path.lexists(folder):
                document = training.resume(folder, None, settings, watcher)
            else:
                document = training.train(of_fold(experiment, study.count, fold), folder, watcher)
            failed += document["failed"]
            if any(step["kind"] == Interrupted.kind for step in document["failed"]):
                raise Interrupted(f"Interrupted when {folder} was finished.")
        trained = True
        progress.say("")
    record = reading.json_object(study.folder / FOLDS)
    states = {fold: study.state(fold) or "missing" for fold in range(1, study.count + 1)}
    with resumable(f"cnnkit train --resume {typed(study.folder)}"):
        found = summary(study.folder, {fold: study.run(fold) for fold in states}, progress)
    found["state"] = FINISHED if set(states.values()) == {FINISHED} else UNFINISHED
    if found["state"] != FINISHED:
        behind = [str(fold) for fold, state in states.items() if state != FINISHED]
        what = f"{'fold' if len(behind) == 1 else 'folds'} {enumerated(behind, 'and')}"
        found["remarks"].append(
            f"the time of {what} was up, so these figures are not those of whole trainings; go on with: cnnkit train "
            f"--resume {typed(study.folder)}"
        )
    atomic.write_json(study.folder / FOLDS, record | {key: value for key, value in found.items() if key != "run"})
    return found | {"failed": failed}


@contextmanager
def _told(study: Study, fold: int) -> Iterator[None]:
    """Where the training of a fold ends early, it is said which folds there are; of nothing, nothing is left."""
    try:
        yield
    except NobodyReads:
        raise
    except KeyboardInterrupt as interrupt:
        raise Interrupted(_left(study, fold, "Interrupted in"), exit_code=exit_code(interrupt)) from None
    except Interrupted as error:
        raise Interrupted(_left(study, fold, "Interrupted in"), exit_code=error.exit_code) from None
    except CnnkitError as error:
        raise type(error)(*error.problems, _left(study, fold, "This was")) from None


def _left(study: Study, fold: int, how: str) -> str:
    if any(os.path.lexists(study.run(number)) for number in range(1, study.count + 1)):
        return study.ended(fold, how)
    Run(study.folder).remove()
    return f"{how} fold {fold} of {study.count}; nothing was trained, and nothing is left."


class _Named(Progress):
    """Says of all work which fold it is for."""

    def __init__(self, watcher: Progress, name: str):
        self._watcher, self._name = watcher, name

    def say(self, line: str) -> None:
        self._watcher.say(line)

    @contextmanager
    def task(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        with self._watcher.task(f"{self._name}: {what}", total) as advance:
            yield advance

    def step(self, step: Step) -> None:
        self._watcher.step(step)

    def epoch(self, line: str) -> None:
        self._watcher.epoch(line)
