"""Mirror images."""

from __future__ import annotations

from typing import Any, Literal

from cnnkit.augmentations.base import Augmentation
from cnnkit.lazy import tf
from cnnkit.spec import Probability


class Flip(Augmentation):
    """Mirrors the image. Not for what has a left and a right, such as digits and letters."""

    name: Literal["flip"] = "flip"
    direction: Literal["horizontal", "vertical", "both"] = "horizontal"
    """Left with right, top with bottom, or each of them by its own chance."""
    probability: Probability = 0.5
    """Chance of each mirroring."""

    def __call__(self, image: Any, seed: Any) -> Any:
        """Mirrors with the given probability."""
        chance = tf.random.stateless_uniform((2,), seed)
        if self.direction != "vertical":
            image = tf.where(chance[0] < self.probability, image[:, ::-1], image)
        if self.direction != "horizontal":
            image = tf.where(chance[1] < self.probability, image[::-1], image)
        return image
