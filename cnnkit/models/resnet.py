"""ResNet: residual networks in the three papers that shaped them.

Version 1: He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition (2016), arXiv:1512.03385.
Version 2: the same, Identity Mappings in Deep Residual Networks (2016), arXiv:1603.05027.
Width: Zagoruyko and Komodakis, Wide Residual Networks (2016), arXiv:1605.07146.

A block adds to its input what a few convolutions make of it, so that a deep network begins close to doing
nothing and the gradient has a short way back. In version 1 normalisation and activation follow each convolution,
and the sum is activated; in version 2 (pre-activation) they precede each convolution, and nothing is done to the sum,
so that the input of the first block goes all the way to the end.

    images      depths                    convolutions of a block    stages   shortcut of another shape
    224 pixels  18, 34                    3x3, 3x3                   4        projection
    224 pixels  50, 101, 152, 200         1x1, 3x3, 1x1              4        projection
    32 pixels   20, 32, 44, 56, 110       3x3, 3x3                   3        padding        6n + 2 layers
    32 pixels   164                       1x1, 3x3, 1x1              3        projection     9n + 2 layers
    32 pixels   16, 22, 28, 40            3x3, 3x3                   3        projection     6n + 4 layers, wide

Where a block changes the shape, a 1x1 convolution projects its input to the new one (option B), or every other pixel
is left out and channels of zeros are added (option A, without parameters). The depths of 6n + 4 layers count
the projections too.

One difference, as is usual since 2016 ("v1.5"): a bottleneck halves the image in its 3x3 convolution, not in
the 1x1 before it, which costs 6 % more multiply-adds and gains about 0.5 % accuracy on ImageNet.

The ResNets of keras.applications are others, and their weights can't be used here. Its ResNet50 halves the image in the
1x1 convolution and has a bias in each convolution. Its ResNet50V2 has biases in the stem, in the projections and
in the last convolution of each block; normalises behind the pooling of the stem, not before it; and, what no choice
of weights makes up for, halves the image in the last block of a stage instead of the first of the next, so that the
3x3 convolution of that first block sees pixels twice as far apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Self

from pydantic import model_validator

from cnnkit.core.lazy import keras
from cnnkit.core.spec import Count, Rate
from cnnkit.models.base import Architecture
from cnnkit.models.layers import (
    Activation,
    Initializer,
    Normalization,
    Scaling,
    StochasticDepth,
    dropout,
    keras_layers,
    skipped_now_and_then,
)

# Blocks in each stage, by depth: table 1 of the first paper, and 200 from the second.
LARGE = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}

# n blocks in each of three stages of 16, 32 and 64 filters. 6n + 2 layers: section 4.2 of the first paper;
# 9n + 2, bottlenecks: the second paper; 6n + 4: the wide networks.
SMALL = {depth: (depth - 2) // 6 for depth in (20, 32, 44, 56, 110)}
SMALL_BOTTLENECK = {164: 18}
SMALL_WIDE = {depth: (depth - 4) // 6 for depth in (16, 22, 28, 40)}


Depth = Literal[18, 34, 50, 101, 152, 200, 20, 32, 44, 56, 110, 164, 16, 22, 28, 40]


class Convolution(NamedTuple):
    """One convolution of a block."""

    kernel_size: int
    filters: int
    strides: int = 1


class ResNet(Architecture):
    """Residual network (2015): 18 to 200 layers, or 16 to 164 with the stem for small images; pre-activated; wide."""

    name: Literal["resnet"] = "resnet"
    depth: Depth = 18
    """Layers with weights; for images of about 32 pixels 20, 32, 44, 56, 110, 164 and, wide, 16, 22, 28, 40."""
    version: Literal[1, 2] = 1
    """2 normalises and activates before each convolution, not behind it; it suits great depth, and wide networks."""
    width: Count = 1
    """How many times as wide the convolutions of a block are; of bottlenecks only the 3x3. WRN-28-10 has 10."""
    activation: Activation = "relu"
    initializer: Initializer = None
    normalization: Normalization = "batch"
    dropout: Rate = 0.0
    """Share of what goes from one convolution of a block to the next that is dropped in training; 0.3 in WRN-28-10."""
    stochastic_depth: StochasticDepth = 0.0
    scaling: Scaling = "symmetric"

    @model_validator(mode="after")
    def _depth_suits_version_and_width(self) -> Self:
        wide = ", ".join(map(str, SMALL_WIDE))
        if self.depth in SMALL_WIDE and self.version == 1:
            raise ValueError(f"depth {self.depth} is one of the wide networks ({wide}), which have `version: 2`")
        if self.depth in SMALL and self.width > 1:
            raise ValueError(f"depth {self.depth} has width 1; for small images wide networks have depths {wide}")
        return self

    @classmethod
    def variants(cls) -> Sequence[Architecture]:
        """The networks of the three papers."""
        first: Sequence[Depth] = (18, 34, 50, 101, 152, 20, 32, 44, 56, 110)
        second: Sequence[Depth] = (50, 101, 152, 200, 110, 164)
        wide: Sequence[tuple[Depth, int]] = ((40, 4), (16, 8), (28, 10))
        return [
            *(cls(depth=depth) for depth in first),
            *(cls(depth=depth, version=2) for depth in second),
            cls(depth=50, width=2),
            *(cls(depth=depth, version=2, width=width) for depth, width in wide),
        ]

    @property
    def paper(self) -> str:
        """The first, the one on pre-activation, or the one on width."""
        if self.width > 1:
            return "Zagoruyko and Komodakis 2016, arXiv:1605.07146"
        return f"He et al. 2016, arXiv:{'1512.03385' if self.version == 1 else '1603.05027'}"

    @property
    def smallest_image(self) -> int:
        """The large networks make the image 32 times smaller, the small ones 4 times."""
        return 8 if self.small else 32

    def stages(self) -> tuple[str, ...]:
        """The stem, then the stages of blocks."""
        return ("stem", *(f"stage{i}" for i in range(1, len(self._blocks) + 1)))

    @property
    def small(self) -> bool:
        """Whether it is one of the depths for small images."""
        return self.depth not in LARGE

    @property
    def _blocks(self) -> tuple[int, ...]:
        """Blocks in each stage."""
        if self.depth in LARGE:
            return LARGE[self.depth]
        return ((SMALL | SMALL_BOTTLENECK | SMALL_WIDE)[self.depth],) * 3

    def features(self, x: Any) -> Any:
        """Stem, stages of blocks, mean over the image. Shapes below for images of 224, and 32, pixels."""
        style = self.style
        first = 16 if self.small else 64
        # (B, 32, 32, 16) of small images, (B, 56, 56, 64) of large ones
        x = style.conv_norm_act(x, first, 3, "stem") if self.small else style.stem(x, first)
        number = 0
        for stage, count in enumerate(self._blocks, start=1):
            for i in range(1, count + 1):
                number += 1
                convolutions = self._convolutions(first * 2 ** (stage - 1), 2 if i == 1 and stage > 1 else 1)
                x = self._block(x, convolutions, f"stage{stage}_block{i}", number)
            # (B, 56, 56, 64) ... (B, 7, 7, 512), bottlenecks four times the channels; small (B, 8, 8, 64 * width)
        if self.version == 2:
            x = style.norm_act(x, f"stage{stage}")
        return keras.layers.GlobalAveragePooling2D(name="pool")(x)

    def _convolutions(self, filters: int, strides: int) -> tuple[Convolution, ...]:
        """Those of a block: two of 3x3, or a bottleneck, 1x1 to fewer channels, 3x3, 1x1 to four times as many."""
        wide = filters * self.width
        if self.depth in SMALL_BOTTLENECK or (self.depth in LARGE and self.depth >= 50):
            return Convolution(1, wide), Convolution(3, wide, strides), Convolution(1, 4 * filters)
        return Convolution(3, wide, strides), Convolution(3, wide)

    def _block(self, x: Any, convolutions: Sequence[Convolution], name: str, number: int) -> Any:
        """Version 1 is figure 5 of the first paper, version 2 figure 4 (e) of the second.

        By the appendix of the second the first block takes what the stem has activated already, the sum of the last
        one is activated (in `features`), and projections take the activated input.
        """
        style, shortcut = self.style, x
        if self.version == 2 and number > 1:
            x = style.norm_act(x, name)
        filters, strides = convolutions[-1].filters, max(convolution.strides for convolution in convolutions)
        if strides > 1 or filters != x.shape[-1]:
            shortcut = self._reshaped(shortcut if self.depth in SMALL else x, filters, strides, f"{name}_shortcut")
        for i, convolution in enumerate(convolutions, start=1):
            if i > 1:
                x = style.norm_act(x, f"{name}_conv{i - 1}")
                x = dropout(x, self.dropout, f"{name}_conv{i - 1}")
            x = style.conv(x, convolution.filters, convolution.kernel_size, f"{name}_conv{i}", convolution.strides)
        if self.version == 1:
            x = style.norm(x, f"{name}_conv{len(convolutions)}_norm")
        x = skipped_now_and_then(x, self.stochastic_depth, number, sum(self._blocks), name)
        x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
        return style.act(x, name) if self.version == 1 else x

    def _reshaped(self, x: Any, filters: int, strides: int, name: str) -> Any:
        """The input of a block in the shape of its output: option A for 6n + 2 layers, else B."""
        if self.depth in SMALL:
            x = keras.layers.AveragePooling2D(1, strides=strides, name=f"{name}_subsample")(x)
            return keras_layers.PadChannels(filters, name=f"{name}_pad")(x)
        x = self.style.conv(x, filters, 1, name, strides)
        return self.style.norm(x, f"{name}_norm") if self.version == 1 else x
