"""Lion (Chen et al. 2023, arXiv:2302.06675): steps by the sign of a running mean of the gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.spec import PositiveOrAuto
from cnnkit.optimization.optimizers.base import Beta, Optimizer, long_mean


class Lion(Optimizer):
    """Lion (Chen et al. 2023, arXiv:2302.06675): every weight moves by the rate, up or down.

    It wants a third to a tenth of Adam's rate and as many times its weight decay, and large batches.
    """

    keras_name: ClassVar[str] = "Lion"
    usual: ClassVar[tuple[float, float]] = (1e-7, 3e-3)

    name: Literal["lion"] = "lion"
    learning_rate: PositiveOrAuto = 1e-4
    """Step size, or its highest value where a schedule changes it; `auto` tries which before the training begins."""
    beta_1: Beta = 0.9
    """What the mean of the gradients counts for in a step; the gradient of the step itself counts for the rest."""
    beta_2: Beta = 0.99
    """Decay of the mean of the gradients."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """Steps in which the gradient hardly has a say."""
        yield from super().careful(given)
        yield from long_mean(self.beta_1, "beta_1")

    slots: ClassVar[int] = 1
    """The mean of the gradients."""
