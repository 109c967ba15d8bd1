"""VGG: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition (2015).

arXiv:1409.1556. Table 1, columns A, B, D and E: 3x3 convolutions with ReLU, in five blocks that each end in a
2x2 max pooling, then two dense layers of 4096.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from cnnkit.architectures.base import Architecture, Shape, too_small
from cnnkit.architectures.layers import batch_norm, convolution, relu
from cnnkit.errors import Problem
from cnnkit.lazy import keras
from cnnkit.spec import Count, Probability

FILTERS = (64, 128, 256, 512, 512)

# Convolutions in each block, by depth (the dense layers count in the depth).
CONVOLUTIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


class Vgg(Architecture):
    """Stacks of 3x3 convolutions and poolings: simple, large, strong features (2014)."""

    name: Literal["vgg"] = "vgg"
    depth: Literal[11, 13, 16, 19] = 16
    """Layers with weights."""
    batch_norm: bool = False
    """Normalise after each convolution; the paper is older than that. Without it, depth 16 and 19 are slow to start."""
    dense_units: tuple[Count, ...] = (4096, 4096)
    """Units of the dense layers before the classifier; 512 is plenty for small images."""
    dropout: Probability = 0.5
    """Share of each dense layer's outputs that is dropped in training."""

    def stages(self) -> tuple[str, ...]:
        """The five blocks, then the dense layers."""
        return (*(f"block{i}" for i in range(1, 6)), *(("dense",) if self.dense_units else ()))

    def problems(self, shape: Shape) -> Iterator[Problem]:
        """Five poolings halve the image five times."""
        yield from too_small(shape, 32, f"vgg {self.depth}")

    def features(self, x: Any) -> Any:
        """Five blocks, then dense layers. Shapes below for images of 224 pixels."""
        layers = keras.layers
        for block, (count, filters) in enumerate(zip(CONVOLUTIONS[self.depth], FILTERS, strict=True), start=1):
            for i in range(1, count + 1):
                name = f"block{block}_conv{i}"
                x = convolution(x, filters, 3, name, bias=not self.batch_norm)
                if self.batch_norm:
                    x = batch_norm(x, f"{name}_norm")
                x = relu(x, f"{name}_relu")
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)  # (B, 112, 112, 64) ... (B, 7, 7, 512)
        x = layers.Flatten(name="flatten")(x)  # (B, 25088)
        for i, units in enumerate(self.dense_units, start=1):
            x = layers.Dense(units, kernel_initializer="he_normal", name=f"dense{i}")(x)  # (B, 4096)
            x = relu(x, f"dense{i}_relu")
            if self.dropout:
                x = layers.Dropout(self.dropout, name=f"dense{i}_dropout")(x)
        return x
