"""Stochastic gradient descent, with momentum (Polyak 1964) and Nesterov's (Sutskever et al. 2013, ICML)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.spec import PositiveOrAuto
from cnnkit.optimization.optimizers.base import Beta, Optimizer, long_momentum


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum."""

    keras_name: ClassVar[str] = "SGD"
    usual: ClassVar[tuple[float, float]] = (1e-5, 1.0)

    name: Literal["sgd"] = "sgd"
    learning_rate: PositiveOrAuto = 0.1
    """Step size, or its highest value where a schedule changes it; `auto` tries which before the training begins."""
    momentum: Beta = 0.9
    """Share of the last step that is carried into the next."""
    nesterov: bool = False
    """Look ahead along the momentum before taking the gradient (Nesterov 1983)."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A momentum that goes on for ever, and one that is looked along and is none."""
        yield from super().careful(given)
        yield from long_momentum(self.momentum)
        if self.nesterov and not self.momentum:
            yield Problem("looks ahead along the momentum, which is 0; set momentum, or leave this out", key="nesterov")

    @property
    def slots(self) -> int:
        """The momentum, if there is one."""
        return int(self.momentum > 0)
