"""AdaGrad (Duchi, Hazan and Singer 2011, JMLR 12): steps divided by the root of all squared gradients so far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.spec import NotNegative, Positive, PositiveOrAuto
from cnnkit.optimization.optimizers.base import Optimizer, large_epsilon


class Adagrad(Optimizer):
    """AdaGrad (Duchi et al. 2011): each weight's steps become smaller with all that it has moved.

    For features that are seldom there; in long trainings it comes to a stand.
    """

    keras_name: ClassVar[str] = "Adagrad"
    usual: ClassVar[tuple[float, float]] = (1e-4, 1.0)

    name: Literal["adagrad"] = "adagrad"
    learning_rate: PositiveOrAuto = 0.01
    """Step size, or its highest value where a schedule changes it; `auto` tries which before the training begins."""
    initial_accumulator_value: NotNegative = 0.1
    """What the sum of the squared gradients begins with; it keeps the first steps small."""
    epsilon: Positive = 1e-7
    """Keeps the division from zero."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A division that is none."""
        yield from super().careful(given)
        yield from large_epsilon(self.epsilon)

    slots: ClassVar[int] = 1
    """The sum of the squared gradients."""
