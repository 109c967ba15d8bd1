"""The exponential moving average of the weights (Polyak and Juditsky 1992; as in Szegedy et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.spec import Spec

LONG = 0.9999
"""Momentum of the average in trainings of hundreds of thousands of updates; few have more."""


class Ema(Spec):
    """The exponential moving average of the weights is what is validated, kept and used.

    It is steadier than the weights of any one update (Szegedy et al. 2016, arXiv:1512.00567, section 8).
    """

    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.999
    """Share of the average that stays in each update: it is over about 1 / (1 - momentum) of them. At the beginning it
    is less, (1 + t) / (10 + t) in update t, so that what chance began with is soon forgotten."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """An average that lags behind any training."""
        if self.momentum > LONG:
            message = f"is an average over about {1 / (1 - self.momentum):,.0f} updates, more than most trainings have"
            yield Problem(f"{message}; 0.99 to 0.9999 are usual", key="momentum")

    def momentum_at(self, update: Any, maths: Any) -> Any:
        """The share of the average that stays in an update, as in TensorFlow's ExponentialMovingAverage.

        Args:
            update: Its number, from 1; float64.
            maths: Has the functions of NumPy for what `update` is: `numpy`, or `keras.ops`.
        """
        return maths.minimum((1 + update) / (10 + update), self.momentum)
