"""Train: the whole story of a run, from a config to an evaluated model; and of one that goes on where it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.core import cache
from cnnkit.core.devices import Devices
from cnnkit.core.lazy import keras
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AUTO
from cnnkit.evaluation import evaluate, familiarity, verdict
from cnnkit.evaluation.baseline import Baseline
from cnnkit.models import freezing
from cnnkit.models.base import Network
from cnnkit.optimization.rate_test import Finding
from cnnkit.report import rate_chart
from cnnkit.runs.overwriting import refuse_run
from cnnkit.runs.provenance import circumstances, parameters
from cnnkit.runs.run import FINISHED, UNFINISHED, Run
from cnnkit.runs.training_states import State
from cnnkit.training import closing, ending, pace, start_weights
from cnnkit.training.balance import refuse_large_features
from cnnkit.training.closing import Closing
from cnnkit.training.computing import Computing
from cnnkit.training.data import TrainingData
from cnnkit.training.lines import opening, say, what_next
from cnnkit.training.resuming import Resumption, unfinished_like
from cnnkit.training.stopping import Clock, TimeIsUp
from cnnkit.training.verdict import judge
from cnnkit.training.verdict.course import Course


@cache.in_use(make=True)
def train(experiment: Experiment, folder: Path | str | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Trains, keeps the best epoch, evaluates it as read back from disk.

    Args:
        experiment: What to do.
        folder: The run's folder, which must not exist; runs/<name>-<time> by default.
        progress: Is told how far it is.

    Returns:
        The document that `cnnkit train --json` prints, with run, state, epochs, best_epoch, validation, test,
        remarks, report, and failed: what could not be done behind the training, see `cnnkit.training.closing`.

    Raises:
        DataError: The images are not what they should be, or the doctor finds an error in them; nothing is left behind,
            unless they change later, or Borderline-SMOTE finds among features no image at the border.
        TrainingError: Training diverged or ran out of memory; the run's folder tells how far it came.
        Interrupted: It was stopped; the best epoch so far is kept, and `resume` goes on.
    """
    progress = watch = pace.Stopwatch(progress or Progress())
    clock = Clock(experiment.train.time_limit)
    folder = Path(folder) if folder else None
    refuse_run(folder)
    data = TrainingData.of(experiment, progress)
    with data.with_workers(progress) as data:  # before TensorFlow, which is first needed for the network
        network, report = _network(data, progress)
        data, rate = _with_rate(data, network, progress)
        experiment = experiment.with_learning_rate(rate.rate) if rate else experiment
        earlier = None if folder else unfinished_like(data.experiment)
        run = Run.create(data.experiment, folder, rate.as_json() if rate else None)
        steps = Closing(run, progress)
        with run.held():
            with ending.recorded(run):
                _begin(run, data, network, report, progress)
                if rate:
                    _show_rate(run, rate, progress)
                if earlier:
                    say(run, progress, earlier)
                document = _trained(experiment, run, data, network, None, clock, progress, steps)
            document = _reported(document, data, network, run, progress, steps)
        if document["state"] == FINISHED:
            with steps.step("the speed of this training is not kept for the estimates of `init`", None, recorded=True):
                pace.record(watch, data, network, run, progress)
        return document


@cache.in_use(make=True)
def resume(
    folder: Path | str,
    config: Path | str | None = None,
    settings: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Goes on with a run that ended before its time, or is to be longer, as if it had never ended.

    It is trained from the last state that it saved; what was recorded behind that is made again, to the same bits on
    the same machine. Without any such state it begins anew, within its folder.

    Args:
        folder: The run.
        config: A config that has to be the run's; that of the run if left out.
        settings: `KEY=VALUE` pairs over it, as far as they say where its images are now, where, for how long and with
            what traces it is trained, or what is kept; `cnnkit.config.differences` has the list.
        progress: Is told how far it is.

    Returns:
        The document that `train` returns; that of a run that is finished already is from what is on the disk.

    Raises:
        UsageError: The folder is no run, another process trains it, or it can't become longer.
        ConfigError: The config is another one; every difference is named.
        DataError: The images are not those of the run any more.
        TrainingError: Its states are damaged, or as for `train`.
        Interrupted: It was stopped again.
    """
    progress = progress or Progress()
    resumption = Resumption.of(folder, config, settings, progress)
    if resumption.over:
        return resumption.as_it_ended(progress)
    run, clock = resumption.run, Clock(resumption.experiment.train.time_limit)
    data = TrainingData.of(resumption.experiment, progress)
    resumption.refuse_other_images(data.images.index, data.splits, data.preprocessing)
    with data.with_workers(progress) as data, run.held():  # workers come before TensorFlow, which tells of the kernels
        lines = resumption.on_its_kernels()
        state = resumption.take_up(data.experiment, progress)
        with ending.recorded(run, new=False):
            network, report = _network(data, progress, state is None)
            computing = Computing.of(data.experiment.train, network.model).facts()
            if state is None:
                _begin(run, data, network, report, progress)
            else:
                run.write_provenance(computing=computing)
            for line in (*resumption.lines(state, computing), *lines):
                say(run, progress, line)
            steps = Closing(run, progress)
            document = _trained(resumption.experiment, run, data, network, state, clock, progress, steps)
        return _reported(document, data, network, run, progress, steps)


def _begin(
    run: Run, data: TrainingData, network: Network, report: start_weights.LoadedWeights | None, progress: Progress
) -> None:
    """Records what a run is made of, and says it."""
    facts = circumstances() | {"parameters": parameters(network.model), "data": data.facts()}
    computing = Computing.of(data.experiment.train, network.model)
    facts |= {"started_from": asdict(report) if report else None, "computing": computing.facts()}
    if (rate := run.rate_found()) is not None:
        facts["learning_rate"] = {"asked": AUTO, "found": rate, "how": run.files.rate_test.name}
    run.write_split(data.images.index, data.splits, data.preprocessing.digests_beside(data.images.index))
    run.write_provenance(**facts, state="training", files=run.hashes())
    for setting in ("weights", "handle"):
        cache.note(getattr(data.experiment.model, setting, None) or "")
    cache.record_use(run.folder, progress)
    careful = [f"  careful: {problem}" for problem in computing.careful(data.experiment.train)]
    for line in (*opening(run, facts, data), *careful, *([report.line()] if report else [])):
        say(run, progress, line)


def _trained(
    experiment: Experiment,
    run: Run,
    data: TrainingData,
    network: Network,
    state: State | None,
    clock: Clock,
    progress: Progress,
    steps: Closing,
) -> dict[str, Any]:
    """Trains, from a state on if there is one, until the last epoch is over or the time; evaluates the best epoch."""
    from cnnkit.training.engine import Engine
    from cnnkit.training.tracking.tracking import Tracking

    end = FINISHED
    with Tracking.of(run, data.experiment, data.images.index.classes, progress).following() as tracking:
        try:
            Engine(data, network, run, progress, state, tracking, clock).fit()
        except TimeIsUp:
            end = UNFINISHED
        document = _result(experiment, data, network, run, progress, end, steps)
    for line in [ending.time_is_up(run, data.experiment, state)] if end == UNFINISHED else what_next(run, data):
        say(run, progress, line)
    return document


def _network(
    data: TrainingData, progress: Progress, start: bool = True
) -> tuple[Network, start_weights.LoadedWeights | None]:
    """The network of a training, once it is known that what is to be mixed fits into memory."""
    shape, classes = data.preprocessing.shape, data.images.index.classes
    network, report = network_of(data.experiment, shape, classes, progress, start)
    refuse_large_features(data.experiment, data.images, data.training, network.backbone)
    return network, report


def network_of(
    experiment: Experiment, shape: tuple[int, int, int], classes: Sequence[str], progress: Progress, start: bool = True
) -> tuple[Network, start_weights.LoadedWeights | None]:
    """The network with the weights that it starts from, and what was loaded of these if the config names any.

    Args:
        experiment: Names the network, its loss and its stages.
        shape: Height, width and channels of the images.
        classes: Names of the classes.
        progress: Is told how far it is.
        start: Whether it gets these weights; else all of them come from a state.

    Raises:
        DataError: Weights can't be had, or are damaged.
        UsageError: They are of another network, or a stage names a layer that it lacks.
        TrainingError: The network does not fit in memory.
    """
    experiment.model.fetch(progress)
    with progress.task("starting TensorFlow", 1):
        keras.utils.set_random_seed(experiment.seed)
    devices = Devices.of(experiment.train.devices)
    with progress.task("building the network", 1), devices.holding():
        logits = experiment.train.loss.logits(len(classes))
        network = experiment.model.network(shape, logits, experiment.train.precision)
        devices.answering_as_one(network.model, network.backbone, network.classifier)
        for stage in experiment.plan():
            freezing.apply(experiment.model, network, stage)  # an error before the first epoch if it lacks a layer
        network.model.trainable = True
    source = experiment.model.pretrained_weights(progress, shape) if start else None
    return network, start_weights.load(network, source, classes, experiment.model) if source else None


def _with_rate(data: TrainingData, network: Network, progress: Progress) -> tuple[TrainingData, Finding | None]:
    """The data of an experiment with a learning rate that was found, where its config says `auto`."""
    optimizer = data.experiment.train.optimizer
    if optimizer is None or optimizer.learning_rate != AUTO:
        return data, None
    from cnnkit.training import rate_finder

    found = rate_finder.find(data, network, progress)
    return replace(data, experiment=data.experiment.with_learning_rate(found.rate)), found


def _show_rate(run: Run, found: Finding, progress: Progress) -> None:
    """Draws and tells how a learning rate was found; the config of the run has the rate itself."""
    rate_chart.draw(found, run.files.rate_curve)
    say(run, progress, found.line())
    if caution := found.caution():
        say(run, progress, f"  careful: {caution}")


def _result(
    experiment: Experiment,
    data: TrainingData,
    network: Network,
    run: Run,
    progress: Progress,
    end: str,
    steps: Closing,
) -> dict[str, Any]:
    """Reads the best epoch back from disk, evaluates it and closes the record of the run.

    Of a run that has no epoch yet there is nothing to evaluate, and one that goes on has no verdict yet.
    """
    epochs = run.history()
    document: dict[str, Any] = {"run": str(run.folder), "state": end, "epochs": len(epochs)}
    if not epochs:
        run.write_provenance(state=end, epochs=0, best_epoch=None)
        return document | {"best_epoch": None, "validation": None, "test": None, "remarks": []}
    best = run.load_best(network.model)
    document["best_epoch"] = best["epoch"]
    for split in ("validation", "test"):
        document[split] = evaluate.score(run, split, network.model, data.shown(split), data.shown, progress)
    with steps.step("there is no baseline beside the figures", "cnnkit evaluate"):
        asked = run, "test", network.model, data.shown("test"), data.shown, progress
        document["test"][Baseline.name] = evaluate.ask(Baseline(), *asked)
    with steps.step("`predict` can't tell which images are unfamiliar", "cnnkit evaluate --calibrate"):
        familiarity.fit(run, network.model, data.shown, progress)
    told = []
    if end == FINISHED:
        with steps.step("the curves are not judged", None):
            found = document["validation"], document["test"]
            told = judge.remarks(Course.of(experiment, data, network, run, best["epoch"], *found))
    of_splits = verdict.remarks(document["test"], document["validation"])
    document["remarks"] = [*(remark.line() for remark in told), *of_splits]
    for line in document["remarks"]:
        run.log(line)
    facts = {name: document[name] for name in ("state", "epochs", "best_epoch", "remarks")}
    run.write_provenance(**facts, verdict=[remark.facts() for remark in told], files=run.hashes_at_end())
    return document


def _reported(
    document: dict[str, Any], data: TrainingData, network: Network, run: Run, progress: Progress, steps: Closing
) -> dict[str, Any]:
    """The document, with the file of the report, which is written where there is an epoch to tell of."""
    file = closing.reported(run, data.shown, network.model, progress, steps) if document["epochs"] else None
    return document | {"report": str(file) if file else None, "failed": steps.failed}
