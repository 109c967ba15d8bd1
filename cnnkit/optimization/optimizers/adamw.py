"""AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101): Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.spec import NotNegative, PositiveOrAuto
from cnnkit.optimization.optimizers.base import WithMoments


class AdamW(WithMoments):
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101): Adam with decoupled weight decay."""

    keras_name: ClassVar[str] = "Adam"
    usual: ClassVar[tuple[float, float]] = (1e-6, 0.03)

    name: Literal["adamw"] = "adamw"
    learning_rate: PositiveOrAuto = 1e-3
    """Step size, or its highest value where a schedule changes it; `auto` tries which before the training begins."""
    weight_decay: NotNegative = 0.01
    """Share of each weight taken off a step, times the learning rate."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A decay that is none."""
        yield from super().careful(given)
        if not self.weight_decay:
            yield Problem("without it adamw is adam; 0.01 to 0.1 is usual", key="weight_decay")
