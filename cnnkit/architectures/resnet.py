"""ResNet: He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition (2016), arXiv:1512.03385.

Table 1 (images of 224 pixels) for depths 18 to 152 and section 4.2 (images of 32 pixels) for depths 20 to 110.

A block adds to its input what a few convolutions make of it, so that a deep network begins close to doing
nothing and the gradient has a short way back. Where a block changes the shape, the input is brought to
the new shape: by a 1x1 convolution (option B, depths 18 to 152), or by leaving out every other pixel and adding
channels of zeros (option A, without parameters, depths 20 to 110).

One difference, as is usual since 2016 ("v1.5"): a bottleneck halves the image in its 3x3 convolution, not in
the 1x1 before it, which costs 6 % more multiply-adds and gains about 0.5 % accuracy on ImageNet.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from cnnkit.architectures.base import Architecture
from cnnkit.architectures.layers import Activation, Initializer, Normalization, Scaling, Style
from cnnkit.lazy import keras

# Table 1: blocks in each stage, by depth; bottleneck blocks from depth 50 on.
BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}

# Section 4.2: 6n + 2 layers, n blocks in each of three stages of 16, 32 and 64 filters.
SMALL_DEPTHS = (20, 32, 44, 56, 110)


class ResNet(Architecture):
    """Residual network (2015): 18 to 152 layers, or 20 to 110 with the stem for small images."""

    paper: ClassVar = "He et al. 2016, arXiv:1512.03385"

    name: Literal["resnet"] = "resnet"
    depth: Literal[18, 34, 50, 101, 152, 20, 32, 44, 56, 110] = 18
    """Layers with weights. 20, 32, 44, 56 and 110 are the paper's networks for images of about 32 pixels."""
    activation: Activation = "relu"
    initializer: Initializer = None
    normalization: Normalization = "batch"
    scaling: Scaling = "symmetric"

    def stages(self) -> tuple[str, ...]:
        """The stem, then the stages of blocks."""
        return ("stem", *(f"stage{i}" for i in range(1, 4 if self._small else 5)))

    @property
    def smallest_image(self) -> int:
        """The large networks make the image 32 times smaller, the small ones 4 times."""
        return 8 if self._small else 32

    @property
    def _small(self) -> bool:
        return self.depth in SMALL_DEPTHS

    def features(self, x: Any) -> Any:
        """Stem, stages of blocks, mean over the image. Shapes below for images of 224, and 32, pixels."""
        style = self.style
        if self._small:
            blocks, first, block = [(self.depth - 2) // 6] * 3, 16, _basic
            x = style.conv_norm_act(x, 16, 3, "stem")  # (B, 32, 32, 16)
        else:
            blocks, first, block = list(BLOCKS[self.depth]), 64, _basic if self.depth < 50 else _bottleneck
            x = style.conv_norm_act(x, 64, 7, "stem", strides=2)  # (B, 112, 112, 64)
            x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
            x = keras.layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)  # (B, 56, 56, 64)
        for stage, count in enumerate(blocks, start=1):
            for i in range(1, count + 1):
                strides = 2 if i == 1 and stage > 1 else 1
                filters = first * 2 ** (stage - 1)
                x = block(style, x, filters, strides, f"stage{stage}_block{i}", project=not self._small)
            # (B, 56, 56, 64) ... (B, 7, 7, 512), bottlenecks four times the channels; small (B, 8, 8, 64)
        return keras.layers.GlobalAveragePooling2D(name="pool")(x)


def _basic(style: Style, x: Any, filters: int, strides: int, name: str, project: bool) -> Any:
    """Two 3x3 convolutions (figure 5, left)."""
    shortcut = _shortcut(style, x, filters, strides, name, project)
    x = style.conv_norm_act(x, filters, 3, f"{name}_conv1", strides)
    x = style.conv(x, filters, 3, f"{name}_conv2")
    x = style.norm(x, f"{name}_conv2_norm")
    return _join(style, shortcut, x, name)


def _bottleneck(style: Style, x: Any, filters: int, strides: int, name: str, project: bool) -> Any:
    """1x1 to fewer channels, 3x3, 1x1 to four times as many (figure 5, right)."""
    shortcut = _shortcut(style, x, 4 * filters, strides, name, project)
    x = style.conv_norm_act(x, filters, 1, f"{name}_conv1")
    x = style.conv_norm_act(x, filters, 3, f"{name}_conv2", strides)
    x = style.conv(x, 4 * filters, 1, f"{name}_conv3")
    x = style.norm(x, f"{name}_conv3_norm")
    return _join(style, shortcut, x, name)


def _shortcut(style: Style, x: Any, filters: int, strides: int, name: str, project: bool) -> Any:
    """The block's input in the shape of its output."""
    if x.shape[-1] == filters and strides == 1:
        return x
    if project:
        x = style.conv(x, filters, 1, f"{name}_shortcut", strides)
        return style.norm(x, f"{name}_shortcut_norm")
    if strides > 1:
        x = keras.layers.AveragePooling2D(1, strides=strides, name=f"{name}_shortcut_subsample")(x)
    from cnnkit.architectures.keras_layers import PadChannels

    return PadChannels(filters, name=f"{name}_shortcut_pad")(x)


def _join(style: Style, shortcut: Any, x: Any, name: str) -> Any:
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return style.act(x, name)
