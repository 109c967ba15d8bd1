"""LAMB (You et al. 2020, arXiv:1904.00962): Adam whose step in each layer is a share of the size of its weights."""

from __future__ import annotations

from typing import ClassVar, Literal

from cnnkit.core.spec import PositiveOrAuto
from cnnkit.optimization.optimizers.base import WithMoments


class Lamb(WithMoments):
    """LAMB (You et al. 2020, arXiv:1904.00962): Adam, with steps in each layer as long as its weights.

    For batches of thousands. Weight decay stands beside the step, as in all optimizers here; in the paper it is a part
    of what is scaled.
    """

    keras_name: ClassVar[str] = "Lamb"
    usual: ClassVar[tuple[float, float]] = (1e-5, 0.1)

    name: Literal["lamb"] = "lamb"
    learning_rate: PositiveOrAuto = 2e-3
    """Length of a step as a share of that of the weights, or its highest value where a schedule changes it;
    `auto` tries which before the training begins."""
