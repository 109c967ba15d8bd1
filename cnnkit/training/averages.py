"""The running average of a network's weights, which is what is validated, kept and used where the config has `ema`.

Importing this module imports Keras, so it is imported where training begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cnnkit.core.lazy import keras, tf
from cnnkit.optimization.ema import Ema


class Averages:
    """An average of each weight that training changes: those that learn, and the moving statistics beside them.

    What is frozen is its own average and is left alone.

    Attributes:
        variables: The averages, Keras variables in the order of the weights; a resume needs them all.
    """

    def __init__(self, model: Any, ema: Ema):
        """Begins with the weights as they are.

        Args:
            model: The network, layers frozen as they will stay.
            ema: How long the average reaches back.
        """
        self._ema = ema
        # A layer may stand in a model twice, and a weight in two layers.
        changing = {id(weight): weight for layer in model.layers if layer.trainable_weights for weight in layer.weights}
        self._weights = list(changing.values())
        self.variables = [
            keras.Variable(
                weight.numpy(),
                trainable=False,
                dtype=weight.dtype,
                name=f"{weight.path.replace('/', '_')}_average",
                aggregation="only_first_replica",
            )
            for weight in self._weights
        ]

    def update(self, number: Any) -> None:
        """Moves the averages towards the weights; a part of the compiled update.

        Args:
            number: Of the update that was made, from 1; a tensor.
        """
        moved = 1 - self._ema.momentum_at(tf.cast(number, tf.float64), keras.ops)
        for weight, average in zip(self._weights, self.variables, strict=True):
            difference = weight.value - average.value
            average.assign_add(difference * tf.cast(moved, difference.dtype))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the network has its averages for weights; behind it, its weights again, to the bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def settle(self) -> None:
        """Makes the averages the weights of the network."""
        for weight, average in zip(self._weights, self.variables, strict=True):
            weight.assign(average.value)

    def _swap(self) -> None:
        for weight, average in zip(self._weights, self.variables, strict=True):
            kept = tf.identity(weight.value)
            weight.assign(average.value)
            average.assign(kept)
