"""The schedule `plateau` at work: the learning rate falls when a metric stops getting better."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cnnkit.core.text import counted
from cnnkit.optimization.schedules.plateau import Plateau
from cnnkit.training.observers import Waiting

if TYPE_CHECKING:
    from cnnkit.training.stage_fit import StageFit


class LowerRate(Waiting):
    """Lowers the learning rate after so many epochs without a new best, and again after as many more."""

    def __init__(self, plateau: Plateau, say: Callable[[str], None]):
        """Follows one stage, whose schedule is that one.

        Args:
            plateau: What is watched, and by how much the rate falls.
            say: Is told when it does.
        """
        super().__init__(plateau.monitor, plateau.patience, plateau.min_delta)
        self._plateau, self.say = plateau, say
        self.reduction = 1.0

    def stage_begins(self, fit: StageFit) -> None:
        """Lets the stage begin with the rate as it has fallen so far."""
        fit.rate_of.reduction.assign(self.reduction)

    def too_long(self, fit: StageFit) -> None:
        """Lowers it, unless it is as low as it may be, and waits anew."""
        self.waited = 0
        lowered = self._plateau.lowered(self.reduction)
        if lowered == self.reduction:
            return
        self.reduction = lowered
        fit.rate_of.reduction.assign(lowered)
        rate = float(fit.rate_of((fit.epoch - fit.begin) * fit.updates))
        epochs = counted(self.patience, "epoch")
        self.say(f"Epoch {fit.epoch}: no better {self.monitor} in {epochs}; the learning rate falls to {rate:.3g}.")

    def state(self) -> dict[str, Any]:
        """What is counted, and how far the rate has fallen."""
        return super().state() | {"reduction": self.reduction}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on with these."""
        super().restore(state)
        self.reduction = state["reduction"]
