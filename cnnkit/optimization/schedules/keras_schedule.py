"""A schedule as a Keras optimizer takes it.

Importing this module imports Keras, so it is imported where training begins.
"""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import keras
from cnnkit.optimization.schedules.base import Schedule, Span


class KerasSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """From the number of an update to its learning rate, float32; within a TensorFlow function as outside.

    It is computed in float64: whole numbers of any training are exact there.

    Attributes:
        reduction: What the rate is multiplied by, 1 unless someone has lowered it; a Keras variable, float64.
    """

    def __init__(self, schedule: Schedule, learning_rate: float, span: Span):
        self.schedule, self.highest, self.span = schedule, learning_rate, span
        self.reduction = keras.Variable(
            1.0, dtype="float64", trainable=False, name="reduction", aggregation="only_first_replica"
        )

    def __call__(self, step: Any) -> Any:
        """The rate of an update.

        Args:
            step: Its number, from 0; a number or a tensor.
        """
        update = keras.ops.cast(step, "float64")
        rate = self.schedule.rate(self.highest, update, self.span, keras.ops) * self.reduction
        return keras.ops.cast(rate, "float32")
