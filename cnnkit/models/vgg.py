"""VGG: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition (2015).

arXiv:1409.1556. Table 1, columns A, B, D and E: 3x3 convolutions with ReLU, in five blocks that each end in a
2x2 max pooling, then two dense layers of 4096.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

from cnnkit.core.lazy import keras
from cnnkit.core.spec import Count, Rate
from cnnkit.models.base import Architecture
from cnnkit.models.layers import Activation, Initializer, Normalization, Scaling

FILTERS = (64, 128, 256, 512, 512)

# Convolutions in each block, by depth (the dense layers count in the depth).
CONVOLUTIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


Depth = Literal[11, 13, 16, 19]


class Vgg(Architecture):
    """Stacks of 3x3 convolutions and poolings: simple, large, strong features (2014)."""

    name: Literal["vgg"] = "vgg"
    depth: Depth = 16
    """Layers with weights."""
    dense_units: tuple[Count, ...] = (4096, 4096)
    """Units of the dense layers before the classifier; 512 is plenty for small images."""
    activation: Activation = "relu"
    initializer: Initializer = None
    normalization: Normalization = "none"
    dropout: Rate = 0.5
    """Share of each dense layer's outputs that is dropped in training."""
    scaling: Scaling = "symmetric"

    paper: ClassVar[str] = "Simonyan and Zisserman 2015, arXiv:1409.1556"
    smallest_image: ClassVar[int] = 32
    """Five poolings halve the image five times."""

    @classmethod
    def variants(cls) -> Sequence[Architecture]:
        """Table 1: A, B, D, E."""
        return [cls(depth=depth) for depth in get_args(Depth)]

    def stages(self) -> tuple[str, ...]:
        """The five blocks, then the dense layers."""
        return (*(f"block{i}" for i in range(1, 6)), *(("dense",) if self.dense_units else ()))

    def features(self, x: Any) -> Any:
        """Five blocks, then dense layers. Shapes below for images of 224 pixels."""
        style = self.style
        for block, (count, filters) in enumerate(zip(CONVOLUTIONS[self.depth], FILTERS, strict=True), start=1):
            for i in range(1, count + 1):
                x = style.conv_norm_act(x, filters, 3, f"block{block}_conv{i}")
            x = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(x)  # (B, 112, 112, 64) ... (B, 7, 7, 512)
        return style.dense_part(x, self.dense_units, self.dropout)  # (B, 25088), (B, 4096)
