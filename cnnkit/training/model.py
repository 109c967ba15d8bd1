"""The model that Keras's `fit` trains: one network, or parts of it, and the losses of its auxiliary classifiers.

Importing this module imports Keras, so it is imported where training begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cnnkit.core.lazy import keras


class Learner(keras.Model):
    """A network with its auxiliary classifiers in training, and without them in validation.

    Args:
        model: What is trained, from images (or features) to logits.
        auxiliary: Models from the same images to logits, each with the weight of its loss.
        loss: From one-hot labels (B, classes) and logits (B, logits) to a loss an image (B,).
    """

    def __init__(self, model: Any, auxiliary: Sequence[tuple[Any, float]], loss: Callable[[Any, Any], Any]):
        super().__init__(name="learner")
        self.model = model
        # One model with all outputs, so that what they share is computed once.
        self.all = keras.Model(model.input, [model.output, *(part.output for part, _ in auxiliary)])
        self.weights_of_auxiliary = [weight for _, weight in auxiliary]
        self.loss_of = loss

    def call(self, x: Any, training: bool | None = None) -> Any:
        """The logits of the network, and in training those of its auxiliary classifiers."""
        # A Keras model with a single output gives it without a list around it.
        return keras.tree.flatten(self.all(x, training=True) if training else self.model(x, training=False))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The mean of the losses times what their images count for.

        In training it has the weighted losses of auxiliary classifiers and the regularisation in it; in validation it
        is the loss of the network alone, as `evaluate` tells it.
        """

        def mean(logits: Any) -> Any:
            losses = self.loss_of(y, logits)
            return keras.ops.mean(losses if sample_weight is None else losses * sample_weight)

        logits, *others = y_pred
        total = mean(logits)
        if training:
            for weight, other in zip(self.weights_of_auxiliary, others, strict=True):
                total += weight * mean(other)
            for penalty in self.losses:
                total += keras.ops.sum(penalty)
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The metrics of the network's own logits."""
        return dict(super().compute_metrics(x, y, y_pred[0], sample_weight))
