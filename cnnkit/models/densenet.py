"""DenseNet: Huang, Liu, van der Maaten and Weinberger, Densely Connected Convolutional Networks (2017).

arXiv:1608.06993. Table 1 (images of 224 pixels) for depths 121 to 264, and DenseNet-BC of table 2 (images of 32
pixels) for depths of 6n + 4.

A dense layer sees what all layers before it in its dense block have made, and adds `growth_rate` channels to it. So
a feature is made once, every layer has a short way to the loss, and few filters are enough. A bottleneck layer of
1x1 convolutions with 4 times the growth rate stands before each 3x3 convolution (B); between dense blocks, a
transition layer keeps `compression` of the channels (C) and halves the image. Normalisation and activation come
before their convolution, for each layer weighs the channels that it shares with others in a way of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from cnnkit.core.lazy import keras
from cnnkit.core.spec import Count, Rate
from cnnkit.models.base import Architecture
from cnnkit.models.layers import Activation, Initializer, Normalization, Scaling, Style, dropout

# Table 1: dense layers in each dense block, by depth (264 has 265 layers); the growth rate is 32.
BLOCKS = {
    121: (6, 12, 24, 16),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    264: (6, 12, 64, 48),
}

# Table 2: growth rates of DenseNet-BC for images of 32 pixels, by depth.
SMALL_GROWTH_RATES = {100: 12, 190: 40, 250: 24}


def _possible(depth: int) -> int:
    if depth not in BLOCKS and depth % 6 != 4:
        below = (depth - 4) // 6 * 6 + 4
        large = ", ".join(map(str, BLOCKS))
        message = f"can't be {depth}; it may be {large}, or for small images 6n + 4: the nearest are {below} and "
        raise ValueError(message + str(below + 6))
    return depth


Depth = Annotated[int, Field(ge=10, le=1000), AfterValidator(_possible)]


class DenseNet(Architecture):
    """Densely connected network (2016): each layer sees all before it; strong features from few weights."""

    name: Literal["densenet"] = "densenet"
    depth: Depth = 121
    """Layers with weights: 121, 169, 201 or 264, or for images of about 32 pixels 6n + 4, such as 100."""
    growth_rate: Count | None = None
    """Channels that a layer adds; if left out the paper's: 32, for small images 12 (depth 190: 40, 250: 24)."""
    compression: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the channels that a transition between two dense blocks keeps."""
    activation: Activation = "relu"
    initializer: Initializer = None
    normalization: Normalization = "batch"
    dropout: Rate = 0.0
    """Share of each convolution's outputs that is dropped in training; the paper takes 0.2 without augmentation."""
    scaling: Scaling = "symmetric"

    paper: ClassVar[str] = "Huang et al. 2017, arXiv:1608.06993"

    @classmethod
    def variants(cls) -> Sequence[Architecture]:
        """Table 1, then the networks for small images of table 2."""
        return [cls(depth=depth) for depth in (*BLOCKS, *SMALL_GROWTH_RATES)]

    @property
    def smallest_image(self) -> int:
        """What leaves the transitions two pixels each: three behind a stem that rounds up, or two."""
        return 4 if self.small else 29

    def stages(self) -> tuple[str, ...]:
        """The stem, then dense blocks with transitions between them."""
        between = (f"transition{i}" for i in range(1, len(self._blocks)))
        dense = [f"stage{i}" for i in range(2, len(self._blocks) + 1)]
        return ("stem", "stage1", *(name for pair in zip(between, dense, strict=True) for name in pair))

    @property
    def small(self) -> bool:
        """Whether it is one of the depths for small images."""
        return self.depth not in BLOCKS

    @property
    def _blocks(self) -> tuple[int, ...]:
        """Dense layers in each dense block; of the small networks, two convolutions each in three equal blocks."""
        return BLOCKS.get(self.depth) or ((self.depth - 4) // 6,) * 3

    @property
    def _growth_rate(self) -> int:
        return self.growth_rate or (SMALL_GROWTH_RATES.get(self.depth, 12) if self.small else 32)

    def features(self, x: Any) -> Any:
        """Stem, dense blocks, mean over the image. Shapes below for 121 at 224 pixels, and 100 at 32."""
        style, growth_rate = self.style, self._growth_rate
        first = 2 * growth_rate
        # (B, 32, 32, 24) of small images, (B, 56, 56, 64) of large ones
        x = style.conv(x, first, 3, "stem") if self.small else style.stem(x, first)
        for stage, layers in enumerate(self._blocks, start=1):
            if stage > 1:
                filters = max(1, int(x.shape[-1] * self.compression))
                x = self._norm_act_conv(style, x, filters, 1, f"transition{stage - 1}")
                x = keras.layers.AveragePooling2D(2, name=f"transition{stage - 1}_pool")(x)
            for i in range(1, layers + 1):
                name = f"stage{stage}_block{i}"
                new = self._norm_act_conv(style, x, 4 * growth_rate, 1, f"{name}_conv1")
                new = self._norm_act_conv(style, new, growth_rate, 3, f"{name}_conv2")
                x = keras.layers.Concatenate(name=f"{name}_concat")([x, new])
            # (B, 56, 56, 256), (B, 28, 28, 512), (B, 14, 14, 1024), (B, 7, 7, 1024); small (B, 8, 8, 342)
        x = style.norm_act(x, f"stage{stage}")
        return keras.layers.GlobalAveragePooling2D(name="pool")(x)

    def _norm_act_conv(self, style: Style, x: Any, filters: int, kernel_size: int, name: str) -> Any:
        x = style.conv(style.norm_act(x, name), filters, kernel_size, name)
        return dropout(x, self.dropout, name)
