"""Adadelta (Zeiler 2012, arXiv:1212.5701): steps in the units of the weights, by the ratio of two running means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.spec import Positive, PositiveOrAuto
from cnnkit.optimization.optimizers.base import Beta, Optimizer, large_epsilon


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012, arXiv:1212.5701): finds the size of its steps from those before.

    So the learning rate may stay at 1.
    """

    keras_name: ClassVar[str] = "Adadelta"
    usual: ClassVar[tuple[float, float]] = (1e-2, 10.0)

    name: Literal["adadelta"] = "adadelta"
    learning_rate: PositiveOrAuto = 1.0
    """What the steps are multiplied by, or its highest value where a schedule changes it; the paper has none, which
    is 1. `auto` tries which before the training begins."""
    rho: Beta = 0.95
    """Decay of the means of squared gradients and of squared steps."""
    epsilon: Positive = 1e-6
    """Keeps the division from zero, and is what the first steps begin from."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A division that is none."""
        yield from super().careful(given)
        yield from large_epsilon(self.epsilon, usual=1e-6)

    slots: ClassVar[int] = 2
    """The means of the squared gradients and of the squared steps."""
