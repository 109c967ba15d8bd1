"""No balance: the classes as they are."""

from __future__ import annotations

from typing import ClassVar, Literal

from cnnkit.data.balancing.base import Balance, Pool, Training


class NoBalance(Balance):
    """Leaves the classes as they are."""

    changes_nothing: ClassVar[bool] = True

    name: Literal["none"] = "none"

    def __call__(self, training: Training, pool: Pool, seed: int) -> Training:
        """The images that train, as the split made them."""
        return training
