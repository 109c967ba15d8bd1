"""A stage that takes no steps: the classifier is put at the optimum of its loss, on features that are computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.data.feeding.images import Features
from cnnkit.models.base import Network
from cnnkit.optimization.training_metrics import TRAINING, VALIDATION
from cnnkit.training import head
from cnnkit.training.data import TrainingData


def fit(data: TrainingData, network: Network, images: Features, progress: Progress) -> head.Head:
    """Fits the network's classifier to the training images, and tells what became of it.

    Args:
        data: What it trains on.
        network: Gets the weights.
        images: What its backbone makes of the images that train.
        progress: Is told how far it is.

    Raises:
        TrainingError: A feature is not finite, or there is not enough memory.
    """
    training = data.training
    groups, rows = data.groups(), images.rows(training.numbers)
    names = data.images.index.names
    head.refuse_unless_finite(rows, [names[number] for number in training.numbers])
    with progress.task("fitting the classifier", len(head.STRENGTHS)) as advance:
        try:
            fitted = head.fit(
                rows,
                training.labels,
                training.weights,
                [groups[number] for number in training.numbers],
                len(images.index.classes),
                data.experiment.seed,
                advance,
            )
        except MemoryError:
            raise TrainingError(
                f"there is not enough memory to fit a classifier to {len(rows):,} x {rows.shape[1]:,} features; "
                "to train it by steps name an optimizer, such as train.optimizer: {name: adam, learning_rate: 3e-3}"
            ) from None
    logits = network.classifier.get_layer("logits")
    logits.set_weights(fitted.weights(logits.units))
    return fitted


def measured(data: TrainingData, network: Network, images: Features) -> dict[str, float]:
    """Loss and accuracy of the classifier on the images that train and choose, as training measures them.

    The loss is weighted where the images are.
    """
    training = data.training
    found = _measured(data, network, images, training.numbers, training.weights, TRAINING)
    return found | _measured(data, network, images, data.numbers("validation"), None, VALIDATION)


def _measured(
    data: TrainingData, network: Network, images: Features, numbers: Sequence[int], weights: Any, side: str
) -> dict[str, float]:
    loss, logits = data.experiment.train.loss, network.classifier(images.rows(numbers))
    labels = np.eye(len(images.index.classes), dtype=np.float32)[images.index.labels[np.asarray(numbers)]]
    values = {
        "loss": np.average(loss(labels, logits), weights=weights),
        "accuracy": np.mean(loss.accuracy(labels, logits)),
    }
    return {side + name: float(value) for name, value in values.items()}
