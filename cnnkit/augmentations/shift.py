"""Moved images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.augmentations.base import Augmentation
from cnnkit.lazy import tf
from cnnkit.spec import Probability


class Shift(Augmentation):
    """Moves the image by whole pixels, a random distance in each direction."""

    name: Literal["shift"] = "shift"
    fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Farthest distance, as a fraction of the height and of the width."""
    fill: Literal["edge", "black"] = "edge"
    """What is moved in: the pixels of the edge again, or black."""
    probability: Probability = 1.0
    """Chance that an image is moved at all."""

    def __call__(self, image: Any, seed: Any) -> Any:
        """Moves by a distance that is uniform in -fraction..fraction."""
        chance = tf.random.stateless_uniform((3,), seed)
        size = tf.shape(image)[:2]
        farthest = tf.round(tf.cast(size, tf.float32) * self.fraction)
        # Uniform over the 2 * farthest + 1 whole distances.
        distance = tf.cast(tf.floor(chance[:2] * (2 * farthest + 1)) - farthest, tf.int32)
        distance = tf.where(chance[2] < self.probability, distance, 0)
        rows = tf.range(size[0]) - distance[0]
        columns = tf.range(size[1]) - distance[1]
        inside_rows = tf.clip_by_value(rows, 0, size[0] - 1)
        inside_columns = tf.clip_by_value(columns, 0, size[1] - 1)
        moved = tf.gather(tf.gather(image, inside_rows, axis=0), inside_columns, axis=1)
        if self.fill == "black":
            seen = tf.equal(rows, inside_rows)[:, None, None] & tf.equal(columns, inside_columns)[None, :, None]
            moved = tf.where(seen, moved, 0.0)
        return tf.ensure_shape(moved, image.shape)
