"""The scale of the loss in float16: small gradients would be 0 there, so the loss is multiplied, and they with it.

Micikevicius et al. 2018, Mixed Precision Training, arXiv:1710.03740, sections 3.2 and 4.1: a step whose gradients
overflow is left out and the scale halved; where none does so for long, it is doubled. The figures are Keras's
(`LossScaleOptimizer`, which divides the gradients again only within its step, behind all that looks at them here).
"""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import tf

START, LEAST = 2.0**15, 1.0
"""The first scale, and the one below which an overflow is none of the scale's."""

GROWTH = 2000
"""Updates without an overflow after which it is doubled."""


class LossScale:
    """What the loss is multiplied with; its methods are called within a TensorFlow function.

    Attributes:
        value: The scale.
    """

    def __init__(self) -> None:
        """Begins at START."""
        self.value = tf.Variable(START, trainable=False, name="loss_scale")
        self._sound = tf.Variable(0, dtype=tf.int64, trainable=False, name="updates_since_loss_scale")

    @property
    def variables(self) -> list[Any]:
        """What a resume needs."""
        return [self.value, self._sound]

    def took(self) -> None:
        """An update was made."""
        grows = self._sound + 1 >= GROWTH
        self.value.assign(tf.where(grows, self.value * 2, self.value))
        self._sound.assign(tf.where(grows, tf.zeros_like(self._sound), self._sound + 1))

    def overflowed(self) -> Any:
        """Gradients were not finite; whether a smaller scale may help, and is set."""
        may_help = self.value > LEAST
        self.value.assign(tf.where(may_help, self.value / 2, self.value))
        self._sound.assign(0)
        return may_help
