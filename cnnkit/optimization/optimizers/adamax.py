"""Adamax (Kingma and Ba 2015, arXiv:1412.6980, section 7.1): Adam by the infinity norm."""

from __future__ import annotations

from typing import ClassVar, Literal

from cnnkit.core.spec import PositiveOrAuto
from cnnkit.optimization.optimizers.base import Beta, WithMoments


class Adamax(WithMoments):
    """Adamax (Kingma and Ba 2015, arXiv:1412.6980): Adam by the largest of the last gradients."""

    keras_name: ClassVar[str] = "Adamax"
    usual: ClassVar[tuple[float, float]] = (1e-6, 0.05)

    name: Literal["adamax"] = "adamax"
    learning_rate: PositiveOrAuto = 2e-3
    """Step size, or its highest value where a schedule changes it; `auto` tries which before the training begins."""
    beta_2: Beta = 0.999
    """By how much a large gradient is forgotten a step."""
