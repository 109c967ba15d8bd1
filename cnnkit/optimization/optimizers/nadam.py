"""Nadam (Dozat 2016, ICLR workshop): Adam with Nesterov's momentum."""

from __future__ import annotations

from typing import ClassVar, Literal

from cnnkit.core.spec import PositiveOrAuto
from cnnkit.optimization.optimizers.base import WithMoments


class Nadam(WithMoments):
    """Nadam (Dozat 2016): Adam that looks ahead along its momentum, as Nesterov's does."""

    keras_name: ClassVar[str] = "Nadam"
    usual: ClassVar[tuple[float, float]] = (1e-6, 0.03)

    name: Literal["nadam"] = "nadam"
    learning_rate: PositiveOrAuto = 1e-3
    """Step size, or its highest value where a schedule changes it; `auto` tries which before the training begins."""
