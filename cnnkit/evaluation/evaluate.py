"""Evaluate: what a trained network is worth, from what is on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.config.file import refuse_settings
from cnnkit.core import atomic, cache
from cnnkit.core.errors import DataError, Problem, UsageError
from cnnkit.core.lazy import keras, np
from cnnkit.core.progress import Progress
from cnnkit.data.feeding import batches
from cnnkit.data.feeding.images import Images
from cnnkit.data.feeding.loading import BAD_FILES, load
from cnnkit.data.files import tables
from cnnkit.data.index import SPLITS
from cnnkit.evaluation import metrics
from cnnkit.evaluation.metrics import Answers
from cnnkit.runs.images import index_of
from cnnkit.runs.run import Run

MAY_BE_SET = ("data.source", "data.batch_size", "data.cache")
"""Settings that change nothing about what a run is worth."""


@cache.in_use()
def evaluate(
    run: Run | Path | str, split: str = "test", settings: Sequence[str] = (), progress: Progress | None = None
) -> dict[str, Any]:
    """Evaluates the best checkpoint of a run on one of its splits, from what is on disk.

    Args:
        run: The run, or its folder.
        split: `test`, `validation` or `train`.
        settings: `KEY=VALUE` pairs over the run's config, for example for images that moved.
        progress: Is told how far it is.

    Returns:
        The document that `cnnkit evaluate --json` prints; it is written to the run's folder too.

    Raises:
        DataError: Images of that split are gone, or are not the ones of the run.
        TrainingError: The run has no usable checkpoint, or its network answers what is no number.
    """
    run = Run.open(run)
    progress = progress or Progress()
    if split not in SPLITS:
        raise UsageError(f"there is no split `{split}`; it may be {', '.join(SPLITS)}")
    refuse_settings(settings, MAY_BE_SET, "a run is evaluated as it was trained")
    # Nothing that may be set has a say in the network, so one config, with the settings, serves all that follows.
    run = run.with_settings(*settings)
    index = index_of(run, split, progress)
    # All of them count: what can't be decoded any more is told below, and not left out.
    images = load(index, run.preprocessing, run.experiment.data.cache, progress, skip_bad=True)
    if bad := images.index.unused[len(index.unused) :]:
        raise DataError(
            *(Problem(entry.reason, file=entry.name) for entry in bad[:BAD_FILES]),
            f"{len(bad)} of the {len(index)} {split} images can't be shown to the network any more; put them right",
        )
    with progress.task("building the network", 1):
        model = run.network(progress)
    return score(run, split, model, run.experiment, images, range(len(images.index)), progress)


def recorded(run: Run | Path | str, split: str) -> dict[str, Any] | None:
    """What was found of a split before; None if it was not evaluated, or that can't be read."""
    try:
        found = json.loads(Run.open(run).files.result(split).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "accuracy_interval" in found else None


def score(
    run: Run,
    split: str,
    model: Any,
    experiment: Experiment,
    images: Images,
    numbers: Sequence[int],
    progress: Progress,
) -> dict[str, Any]:
    """Scores a network on some images, and writes the result and every prediction into the run's folder.

    Raises:
        TrainingError: The network answers what is no number.
    """
    with progress.task("evaluating", len(numbers)) as advance:
        logits = np.concatenate(list(batches.outputs(model, images, numbers, experiment.data.batch_size, advance)))
    loss, index = experiment.train.loss, images.index
    labels, names = np.asarray(index.labels)[np.asarray(numbers)], [index.names[i] for i in numbers]
    answers = Answers(labels, loss.probabilities(logits, names), index.classes)
    one_hot = keras.ops.one_hot(labels, len(index.classes))
    losses = keras.ops.convert_to_numpy(loss(one_hot, keras.ops.convert_to_tensor(logits)))
    result = {"split": split, "images": len(labels), "loss": float(np.mean(losses, dtype=np.float64))}
    result |= metrics.computed(answers)
    atomic.make_folder(run.files.evaluation, exist_ok=True)
    tables.write(run.files.predictions(split), *prediction_table(names, answers))
    atomic.write_json(run.files.result(split), result)
    return result


def prediction_table(names: Sequence[str], answers: Answers) -> tuple[tuple[str, ...], list[Any]]:
    """Header and rows: image, its label, the predicted class, and the probability of each class."""
    classes = answers.classes
    header = ("image", "label", "predicted", "probability", *(f"p_{name}" for name in classes))
    rows = [
        [name, classes[label], classes[best], *(f"{p:.6f}" for p in (row[best], *row))]
        for name, label, best, row in zip(names, answers.labels, answers.predicted, answers.probabilities, strict=True)
    ]
    return header, rows
