"""Evaluate: what a trained network is worth, with error bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

from cnnkit import atomic, pipeline
from cnnkit.errors import DataError, Problem, UsageError
from cnnkit.experiment import Experiment
from cnnkit.images import BAD_FILES, Images, load
from cnnkit.lazy import keras, np
from cnnkit.progress import Progress
from cnnkit.run import Run
from cnnkit.sources import SPLITS, Index, Source
from cnnkit.spec import path_settings


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
        TrainingError: The run has no usable checkpoint.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    progress = progress or Progress()
    if split not in SPLITS:
        raise UsageError(f"there is no split `{split}`; it may be {', '.join(SPLITS)}")
    for setting in settings:
        if not setting.startswith(("data.source", "data.batch_size", "data.cache")):
            raise UsageError(
                Problem(
                    "a run is evaluated as it was trained; only data.source, data.batch_size and data.cache may be "
                    "set here",
                    file=f"--set {setting}",
                )
            )
    experiment = run.experiment(*settings)
    index = index_of(run, split, experiment, progress)
    # All of them count: what can't be decoded any more is told below, and not left out.
    images = load(index, run.view, experiment.data.cache, progress, skip_bad=True)
    if bad := images.index.unused[len(index.unused) :]:
        raise DataError(
            *(Problem(entry.reason, file=entry.name) for entry in bad[:BAD_FILES]),
            f"{len(bad)} of the {len(index)} {split} images can't be shown to the network any more; put them right",
        )
    with progress.task("building the network", 1):
        model = run.network()
    return score(run, split, model, experiment, images, range(len(images.index)), progress)


def score(
    run: Run,
    split: str,
    model: Any,
    experiment: Experiment,
    images: Images,
    numbers: Sequence[int],
    progress: Progress,
) -> dict[str, Any]:
    """Scores a network on some images, and writes the result and every prediction into the run's folder."""
    logits = _logits(model, images, numbers, experiment.data.batch_size, progress)
    loss = experiment.train.loss
    classes = images.index.classes
    labels = np.asarray(images.index.labels)[np.asarray(numbers)]
    probabilities = loss.probabilities(logits)
    one_hot = keras.ops.one_hot(labels, len(classes))
    losses = keras.ops.convert_to_numpy(loss(one_hot, keras.ops.convert_to_tensor(logits)))
    document = {"split": split, "images": len(labels), "loss": float(np.mean(losses, dtype=np.float64))}
    document |= metrics(labels, probabilities.argmax(axis=1), classes)
    names = [images.index.names[i] for i in numbers]
    run.write_csv(f"evaluation/{split}_predictions.csv", *prediction_table(names, labels, probabilities, classes))
    atomic.write_json(run.folder / "evaluation" / f"{split}.json", document)
    return document


def metrics(labels: Any, predicted: Any, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy with its interval at 95 %, F1, and precision and recall of each class.

    A class that is never predicted has precision 0.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    right = int(np.sum(labels == predicted))
    numbers = list(range(len(classes)))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=numbers, average=None, zero_division=0.0
    )
    return {
        "accuracy": right / len(labels),
        "accuracy_interval": list(interval(right / len(labels), len(labels))),
        "macro_f1": float(np.mean(f1)),
        "classes": [
            {
                "name": name,
                "images": int(support[i]),
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
            }
            for i, name in enumerate(classes)
        ],
        "confusion": confusion_matrix(labels, predicted, labels=numbers).tolist(),
    }


def interval(share: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a proportion (Wilson 1927).

    It holds for few images and near 0 and 1, where the usual "plus or minus" does not.

    Args:
        share: What was found, in 0..1.
        count: Of how many that do not depend on each other.
        confidence: How often such an interval holds the true proportion.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # At 0 and 1 an end is the share itself; rounding must not put it beyond.
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))


def prediction_table(
    names: Sequence[str], labels: Any, probabilities: Any, classes: Sequence[str]
) -> tuple[tuple[str, ...], list[Any]]:
    """Header and rows: image, its label, the predicted class, and the probability of each class."""
    header = ("image", "label", "predicted", "probability", *(f"p_{name}" for name in classes))
    rows = []
    for name, label, row in zip(names, labels, probabilities, strict=True):
        best = int(row.argmax())
        rows.append([name, classes[label], classes[best], *(f"{p:.6f}" for p in (row[best], *row))])
    return header, rows


def _logits(model: Any, images: Images, numbers: Sequence[int], batch_size: int, progress: Progress) -> Any:
    outputs = []
    with progress.task("evaluating", len(numbers)) as advance:
        batches = pipeline.eval_batches(images, numbers, batch_size)
        for pictures, _ in pipeline.told(batches, images):
            outputs.append(model.predict_on_batch(pictures))
            advance(len(outputs[-1]))
    return np.concatenate(outputs)


def index_of(run: Run, split: str, experiment: Experiment, progress: Progress) -> Index:
    """The images that were in a split of a run, after a check that they are still the same.

    Args:
        run: The run.
        split: `test`, `validation` or `train`.
        experiment: Tells where the images are now.
        progress: Is told how far it is.

    Raises:
        DataError: Images of that split are gone, or are not the ones of the run.
    """
    rows = run.split(split)
    if not rows:
        raise DataError(f"{run.folder}: the {split} split of this run has no images")
    source = experiment.data.source
    index = _index_of(source, progress)
    where = {name: i for i, name in enumerate(index.names)}
    gone = [row.image for row in rows if row.image not in where]
    # In the order of the index, as in training: sums of floats depend on it.
    kept = sorted((where[row.image], row) for row in rows if row.image in where)
    changed = [row.image for i, row in kept if index.digests[i] != row.digest]
    moved = [row.image for i, row in kept if index.classes[index.labels[i]] != row.label]
    for names, what in ((gone, "are gone"), (changed, "have changed"), (moved, "are in another class now")):
        if names:
            raise DataError(
                f"{len(names)} of the {len(rows)} {split} images {what} since the run was trained, first {names[0]}"
                + _if_moved(source)
            )
    if list(index.classes) != run.classes:
        raise DataError(f"the source has other classes now ({len(index.classes)}) than the run ({len(run.classes)})")
    index = index.take(i for i, _ in kept)
    _refuse_without(index, split, experiment)
    beside = run.view.beside(index)
    if other := [row.image for (_, row), now in zip(kept, beside, strict=True) if row.beside != now]:
        raise DataError(
            f"beside {len(other)} of the {len(rows)} {split} images lies another file, which data.prepare reads, than "
            f"when the run was trained, first beside {other[0]}"
        )
    return index


def _refuse_without(index: Index, split: str, experiment: Experiment) -> None:
    """Refuses images without a file beside them that steps read."""
    if index.path is None:
        return
    missing = [
        Problem(f"there is no {file}, which data.prepare reads for it", file=name)
        for i, name in enumerate(index.names)
        for file in experiment.data.beside(index.path(i))
        if not file.exists()
    ]
    if missing:
        raise DataError(
            *missing[:BAD_FILES],
            f"{len(missing)} such files of the {len(index)} {split} images are missing; put them where they were, as "
            "seen from the images",
        )


def _index_of(source: Source, progress: Progress) -> Index:
    """What a source holds now; what is wrong is told by its setting, and by what to set if the images have moved."""
    try:
        return source.open(progress).index(progress)
    except DataError as error:
        problems = [replace(p, key=f"data.source.{p.key}" if p.key else None) for p in error.problems]
        problems[-1] = replace(problems[-1], message=problems[-1].message + _if_moved(source))
        raise DataError(*problems) from None


def _if_moved(source: Source) -> str:
    """What to set if the images of a source have moved; nothing for one that is not told where they are."""
    paths = [name for name in path_settings(type(source)) if getattr(source, name) is not None]
    if not paths:
        return ""
    first, *others = (f"--set data.source.{name}=..." for name in paths)
    more = f" (and {' and '.join(others)})" if others else ""
    return f"; if the images have moved, tell where they are now with {first}{more}"
