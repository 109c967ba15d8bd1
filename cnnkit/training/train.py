"""Train: the whole story of a run, from a config to an evaluated model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.core import cache
from cnnkit.core.lazy import keras
from cnnkit.core.progress import Progress
from cnnkit.evaluation import evaluate, verdict
from cnnkit.models import freezing
from cnnkit.models.base import Network
from cnnkit.report import curves
from cnnkit.runs.provenance import circumstances, parameters
from cnnkit.runs.run import Run
from cnnkit.training import ending, pace, start_weights
from cnnkit.training.balance import refuse_large_features
from cnnkit.training.data import TrainingData
from cnnkit.training.lines import closing, opening, say
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
        The document that `cnnkit train --json` prints, with run, epochs, best_epoch, validation, test.

    Raises:
        DataError: The images are not what they should be, or the doctor finds an error in them; nothing is left behind,
            unless they change later, or Borderline-SMOTE finds among features no image at the border.
        TrainingError: Training diverged or ran out of memory; the run's folder tells how far it came.
        Interrupted: It was stopped; the best epoch so far is kept.
    """
    progress = watch = pace.Stopwatch(progress or Progress())
    folder = Path(folder) if folder else None
    Run.refuse(folder)
    data = TrainingData.of(experiment, progress)
    with data.with_workers(progress) as data:  # before TensorFlow, which is first needed for the network
        network, report = _network(data, progress)
        facts = circumstances() | {"parameters": parameters(network.model), "data": data.facts()}
        facts |= {"started_from": asdict(report) if report else None}

        run = Run.create(data.experiment, folder)
        with ending.recorded(run):
            run.write_split(data.images.index, data.splits, data.preprocessing.digests_beside(data.images.index))
            run.write_provenance(**facts, state="training", files=run.hashes())
            for setting in ("weights", "handle"):
                cache.note(getattr(experiment.model, setting, None) or "")
            cache.record_use(run.folder, progress)
            for line in (*opening(run, facts, data), *([report.line()] if report else [])):
                say(run, progress, line)

            from cnnkit.training.engine import Engine
            from cnnkit.training.tracking.tracking import Tracking

            with Tracking.of(run, data.experiment, data.images.index.classes, progress).following() as tracking:
                Engine(data, network, run, progress, tracking=tracking).fit()
                document = _result(experiment, data, network, run, progress)
            for line in closing(run, data):
                say(run, progress, line)
        pace.record(watch, data, network, run, progress)
        return document


def _network(data: TrainingData, progress: Progress) -> tuple[Network, start_weights.LoadedWeights | None]:
    """The network of a training, once it is known that what is to be mixed fits into memory."""
    network, report = network_of(data.experiment, data.preprocessing.shape, data.images.index.classes, progress)
    refuse_large_features(data.experiment, data.images, data.training, network.backbone)
    return network, report


def network_of(
    experiment: Experiment, shape: tuple[int, int, int], classes: Sequence[str], progress: Progress
) -> tuple[Network, start_weights.LoadedWeights | None]:
    """The network with the weights that it starts from, and what was loaded of these if the config names any.

    Args:
        experiment: Names the network, its loss and its stages.
        shape: Height, width and channels of the images.
        classes: Names of the classes.
        progress: Is told how far it is.

    Raises:
        DataError: Weights can't be had, or are damaged.
        UsageError: They are of another network, or a stage names a layer that it lacks.
        TrainingError: The network does not fit in memory.
    """
    experiment.model.fetch(progress)
    with progress.task("starting TensorFlow", 1):
        keras.utils.set_random_seed(experiment.seed)
    with progress.task("building the network", 1):
        network = experiment.model.network(shape, experiment.train.loss.logits(len(classes)))
        for stage in experiment.plan():
            freezing.apply(experiment.model, network, stage)  # an error before the first epoch if it lacks a layer
        network.model.trainable = True
    source = experiment.model.pretrained_weights(progress, shape)
    return network, start_weights.load(network, source, classes, experiment.model) if source else None


def _result(
    experiment: Experiment, data: TrainingData, network: Network, run: Run, progress: Progress
) -> dict[str, Any]:
    """Draws the curves, reads the best epoch back from disk, evaluates it and closes the record of the run."""
    best = run.load_best(network.model)
    epochs = run.history()
    curves.draw(epochs, best["epoch"], run.files.curves)
    document: dict[str, Any] = {"run": str(run.folder), "epochs": len(epochs), "best_epoch": best["epoch"]}
    for split in ("validation", "test"):
        numbers = data.numbers(split)
        document[split] = evaluate.score(run, split, network.model, data.experiment, data.images, numbers, progress)
    course = Course.of(experiment, data, network, run, best["epoch"], document["validation"])
    told = judge.remarks(course)
    of_splits = verdict.remarks(document["test"], document["validation"])
    document["remarks"] = [*(remark.line() for remark in told), *of_splits]
    for line in document["remarks"]:
        run.log(line)
    facts = {"epochs": len(epochs), "best_epoch": best["epoch"], "verdict": [remark.facts() for remark in told]}
    run.write_provenance(state="finished", **facts)
    return document
