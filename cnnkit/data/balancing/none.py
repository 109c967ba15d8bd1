"""No balance: the classes as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from cnnkit.data.balancing.base import Balance, Training


class NoBalance(Balance):
    """Leaves the classes as they are."""

    name: Literal["none"] = "none"

    def __call__(
        self, training: Training, classes: Sequence[str], seed: int, images: Callable[[], Any], first: int
    ) -> Training:
        """The images that train, as the split made them."""
        return training
