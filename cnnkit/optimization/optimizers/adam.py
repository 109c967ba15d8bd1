"""Adam (Kingma and Ba 2015, arXiv:1412.6980)."""

from __future__ import annotations

from typing import ClassVar, Literal

from cnnkit.core.spec import PositiveOrAuto
from cnnkit.optimization.optimizers.base import WithMoments


class Adam(WithMoments):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980); with `weight_decay` it is AdamW."""

    keras_name: ClassVar[str] = "Adam"
    usual: ClassVar[tuple[float, float]] = (1e-6, 0.03)

    name: Literal["adam"] = "adam"
    learning_rate: PositiveOrAuto = 1e-3
    """Step size, or its highest value where a schedule changes it; `auto` tries which before the training begins."""
