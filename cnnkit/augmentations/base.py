"""Augmentation: the same picture as it might have been taken, for training only."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from cnnkit.spec import Spec


class Augmentation(Spec):
    """A random change that leaves the label true. Stateless: the same image and seed give the same result."""

    @abstractmethod
    def __call__(self, image: Any, seed: Any) -> Any:
        """Changes one image.

        Args:
            image: float32 tensor of shape (height, width, channels), values in 0..255.
            seed: int64 tensor of shape (2,).

        Returns:
            A tensor of the same shape, type and range.
        """
