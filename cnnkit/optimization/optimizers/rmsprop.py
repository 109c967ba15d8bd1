"""RMSprop (Tieleman and Hinton 2012, lecture 6.5 of Neural Networks for Machine Learning)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.spec import Positive, PositiveOrAuto
from cnnkit.optimization.optimizers.base import Beta, Optimizer, large_epsilon, long_momentum


class RmsProp(Optimizer):
    """RMSprop (Tieleman and Hinton 2012): steps divided by the root of a running mean of the squared gradients."""

    keras_name: ClassVar[str] = "RMSprop"
    usual: ClassVar[tuple[float, float]] = (1e-6, 0.03)

    name: Literal["rmsprop"] = "rmsprop"
    learning_rate: PositiveOrAuto = 1e-3
    """Step size, or its highest value where a schedule changes it; `auto` tries which before the training begins."""
    rho: Beta = 0.9
    """Decay of the mean of the squared gradients."""
    momentum: Beta = 0.0
    """Share of the last step that is carried into the next."""
    epsilon: Positive = 1e-7
    """Keeps the division from zero."""
    centered: bool = False
    """Divide by the deviation of the gradients in place of their size (Graves 2013, arXiv:1308.0850)."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A momentum that goes on for ever, and a division that is none."""
        yield from super().careful(given)
        yield from long_momentum(self.momentum)
        yield from large_epsilon(self.epsilon)

    @property
    def slots(self) -> int:
        """The mean of the squared gradients; that of the gradients, and the momentum, where there are any."""
        return 1 + int(self.momentum > 0) + int(self.centered)
