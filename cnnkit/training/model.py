"""What a stage trains: a network, or a part of it, and the losses of its auxiliary classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cnnkit.core.lazy import keras


class Learner:
    """A network with its auxiliary classifiers in training, and without them in validation.

    Attributes:
        model: What is trained, from images (or features) to logits.
        all: The same with the logits of the auxiliary classifiers behind; one model, so that what they share is
            computed once.
    """

    def __init__(self, model: Any, auxiliary: Sequence[tuple[Any, float]], loss: Callable[[Any, Any], Any]):
        """Puts them together.

        Args:
            model: What is trained.
            auxiliary: Models from the same images to logits, each with the weight of its loss.
            loss: From one-hot labels (B, classes) and logits (B, logits) to a loss an image (B,).
        """
        self.model = model
        self.all = keras.Model(model.input, [model.output, *(part.output for part, _ in auxiliary)])
        self.weights_of_auxiliary = [weight for _, weight in auxiliary]
        self.loss_of = loss

    @property
    def trainable_variables(self) -> list[Any]:
        """The weights that learn, those of auxiliary classifiers among them."""
        return list(self.all.trainable_variables)

    @property
    def seeds(self) -> list[Any]:
        """The states of the generators of dropout and the like; frozen layers have them, too."""
        return [variable for variable in self.all.variables if variable.name == "seed_generator_state"]

    @property
    def statistics(self) -> list[Any]:
        """What is not trained and yet may change in training, as the moving statistics of batch normalisation."""
        layers = [layer for layer in self.all.layers if layer.trainable]
        return [variable for layer in layers for variable in layer.non_trainable_variables]

    @property
    def moved_variables(self) -> list[Any]:
        """What changes where a gradient is computed."""
        return list({id(variable): variable for variable in (*self.seeds, *self.statistics)}.values())

    def penalty(self) -> float:
        """What regularisation asks of the weights as they are now.

        Keras's `losses` can't be asked outside of the graph that was made of a training: what a layer has added to them
        is a tensor of that graph.
        """
        weights = self.all.trainable_variables
        asked = [weight.regularizer(weight) for weight in weights if weight.regularizer is not None]
        for layer in self.all.layers:
            if layer.trainable:
                asked += [loss() for loss in getattr(layer, "losses_of_weights", ())]  # a SavedModel's own
        return sum(float(keras.ops.sum(each)) for each in asked)

    def logits(self, images: Any, training: bool) -> list[Any]:
        """Those of the network, (B, logits), and in training those of its auxiliary classifiers behind."""
        # A Keras model with a single output gives it without a list around it.
        answers = self.all(images, training=True) if training else self.model(images, training=False)
        return list(keras.tree.flatten(answers))

    def loss(self, labels: Any, logits: Sequence[Any], weights: Any = None, training: bool = True) -> Any:
        """The mean of the losses of a batch times what its images count for.

        In training it has the weighted losses of auxiliary classifiers and the regularisation in it; in validation it
        is the loss of the network alone, as `evaluate` tells it.

        Args:
            labels: One-hot, or shares of classes, (B, classes).
            logits: As `logits` gave them.
            weights: What each image counts for, (B,); 1 if left out.
            training: Whether the rest counts too.
        """

        def mean(of: Any) -> Any:
            losses = self.loss_of(labels, of)
            return keras.ops.mean(losses if weights is None else losses * weights)

        total = mean(logits[0])
        if training:
            for weight, other in zip(self.weights_of_auxiliary, logits[1:], strict=True):
                total += weight * mean(other)
            for penalty in self.all.losses:
                total += keras.ops.sum(penalty)
        return total
