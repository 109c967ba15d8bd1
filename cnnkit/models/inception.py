"""Inception: networks of modules that look at an image through windows of several sizes side by side.

Version 1, GoogLeNet: Szegedy et al., Going Deeper with Convolutions (2015), arXiv:1409.4842, table 1. A module joins
the channels of 1x1, 3x3 and 5x5 convolutions and of a pooling; 1x1 convolutions before the large windows keep them
affordable. Two auxiliary classifiers bring a gradient to the middle of the network in training and are not part of
the product. One difference: the local response normalisation of the stem (figure 3, without its constants) is left
out. With the constants of Krizhevsky et al. (2012) it divides by (2 + 1e-4 s) ** 0.75, s a sum of five squares, which
for inputs of -1..1 is nearly a constant; VGG's authors found no gain in it. It has no weights.

Version 3: Szegedy et al., Rethinking the Inception Architecture for Computer Vision (2016), arXiv:1512.00567, as its
authors published it: windows of 5x5 become two of 3x3 (figure 5), those of 7x7 a row and a column (figure 6), the
last modules branch once more (figure 7), and the image is halved by convolutions beside a pooling (figure 10). All
convolutions are normalised, without a scale of their own. Its auxiliary classifier, there a regulariser worth 0.4 %,
is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from cnnkit.core.lazy import keras
from cnnkit.models.base import Architecture, FeatureVectors, Shape
from cnnkit.models.layers import (
    Activation,
    ClassifierDropout,
    Initializer,
    Normalization,
    Scaling,
    Style,
    Window,
    dropout,
)

Version = Literal[1, 3]

# Version 1, table 1. Filters of: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj.
MODULES = {
    "stage3": (
        (64, 96, 128, 16, 32, 32),  # 3a
        (128, 128, 192, 32, 96, 64),  # 3b
    ),
    "stage4": (
        (192, 96, 208, 16, 48, 64),  # 4a
        (160, 112, 224, 24, 64, 64),  # 4b
        (128, 128, 256, 24, 64, 64),  # 4c
        (112, 144, 288, 32, 64, 64),  # 4d
        (256, 160, 320, 32, 128, 128),  # 4e
    ),
    "stage5": (
        (256, 160, 320, 32, 128, 128),  # 5a
        (384, 192, 384, 48, 128, 128),  # 5b
    ),
}

# Section 5: auxiliary classifiers stand behind 4a and 4d, and their losses count 0.3.
AUXILIARY = {"stage4_block1": "auxiliary1", "stage4_block4": "auxiliary2"}
AUXILIARY_WEIGHT = 0.3
AUXILIARY_DROPOUT = 0.7

# Version 3: filters of the pool projection in the modules of figure 5, of the 7x7 branches in those of figure 6.
POOL_FILTERS = (32, 64, 64)
ROW_FILTERS = (128, 160, 160, 192)

ROW, COLUMN = (1, 7), (7, 1)

HALVING: tuple[int, Window] = (2, "valid")
"""Strides and padding of a convolution that halves the image."""


class Inception(Architecture):
    """Inception network: GoogLeNet (2014) or Inception-v3 (2015), windows of several sizes side by side."""

    name: Literal["inception"] = "inception"
    version: Version = 3
    """1 is GoogLeNet, of 7 million weights; 3 is Inception-v3, of 24 million."""
    stem: Literal["imagenet", "small"] = "imagenet"
    """`small` is for images under about 64 pixels: its convolutions are 3x3 and leave the image its size."""
    activation: Activation = "relu"
    initializer: Initializer = None
    normalization: Normalization | None = None
    """What brings the channels behind a convolution to one scale; if left out, `none` in version 1, `batch` in 3."""
    dropout: ClassifierDropout | None = None
    """Share of the features that is dropped in training; if left out, 0.4 in version 1, 0.2 in version 3."""
    scaling: Scaling = "symmetric"

    @classmethod
    def variants(cls) -> Sequence[Architecture]:
        """GoogLeNet and Inception-v3."""
        return [cls(version=version) for version in get_args(Version)]

    @property
    def paper(self) -> str:
        """Each version has its own."""
        return "Szegedy et al. 2015, arXiv:1409.4842" if self.version == 1 else "Szegedy et al. 2016, arXiv:1512.00567"

    @property
    def small(self) -> bool:
        """Whether it has the stem for small images."""
        return self.stem == "small"

    @property
    def image_shape(self) -> Shape:
        """As usual, but 299 pixels for version 3."""
        return (299, 299, 3) if self.version == 3 and not self.small else super().image_shape

    @property
    def smallest_image(self) -> int:
        """Version 1 halves the image five times, or twice; what is left of windows without padding in version 3."""
        if self.version == 1:
            return 4 if self.small else 32
        return 7 if self.small else 75

    @property
    def title(self) -> str:
        """`inception 3`."""
        return f"{self.name} {self.version}"

    @property
    def style(self) -> Style:
        """As chosen, with the normalisation of the version's paper if none is; the next convolution has its scale."""
        normalization = self.normalization or ("none" if self.version == 1 else "batch")
        return replace(super().style, normalization=normalization, scaled_norm=False, epsilon=1e-3)

    @property
    def classifier_dropout(self) -> float:
        """That of GoogLeNet's section 6, and of Inception-v3's published code."""
        return (0.4 if self.version == 1 else 0.2) if self.dropout is None else self.dropout

    def stages(self) -> tuple[str, ...]:
        """The stem, then the modules at each size of the image, in the numbers of GoogLeNet's table 1."""
        return ("stem", "stage3", "stage4", "stage5")

    def features(self, x: Any) -> Any:
        """Stem, modules, mean over the image; version 1 with the features of its auxiliary classifiers."""
        build = _version1 if self.version == 1 else _version3
        return build(self.style, x, self.small)


def _version1(style: Style, x: Any, small: bool) -> FeatureVectors:
    """GoogLeNet. Shapes below for images of 224 pixels, and of 32 with the small stem."""
    if small:
        x = style.conv_norm_act(x, 64, 3, "stem_conv1")  # (B, 32, 32, 64)
    else:
        x = style.conv_norm_act(x, 64, 7, "stem_conv1", strides=2)  # (B, 112, 112, 64)
        x = _halved(x, "stem_pool1")  # (B, 56, 56, 64)
    x = style.conv_norm_act(x, 64, 1, "stem_conv2")
    x = style.conv_norm_act(x, 192, 3, "stem_conv3")
    if not small:
        x = _halved(x, "stem_pool2")  # (B, 28, 28, 192)
    auxiliary = []
    for stage, modules in MODULES.items():
        if stage != "stage3":
            x = _halved(x, f"{stage}_pool")
        for i, filters in enumerate(modules, start=1):
            name = f"{stage}_block{i}"
            x = _module(style, x, filters, name)
            if name in AUXILIARY:
                auxiliary.append((_auxiliary(style, x, AUXILIARY[name]), AUXILIARY_WEIGHT))
        # (B, 28, 28, 480), (B, 14, 14, 832), (B, 7, 7, 1024); small (B, 32, 32, 480) ... (B, 8, 8, 1024)
    return FeatureVectors(keras.layers.GlobalAveragePooling2D(name="pool")(x), auxiliary)


def _module(style: Style, x: Any, filters: tuple[int, ...], name: str) -> Any:
    """The module with dimension reduction (figure 2b)."""
    one, reduce3, three, reduce5, five, projection = filters
    y1 = _branch(style, x, name, (one, 1, "1x1"))
    y3 = _branch(style, x, name, (reduce3, 1, "3x3_reduce"), (three, 3, "3x3"))
    y5 = _branch(style, x, name, (reduce5, 1, "5x5_reduce"), (five, 5, "5x5"))
    pooled = keras.layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    return _joined(name, y1, y3, y5, _branch(style, pooled, name, (projection, 1, "pool_proj")))


def _auxiliary(style: Style, x: Any, name: str) -> Any:
    """The features of an auxiliary classifier; where the image is smaller than its pooling, the mean of what is there.

    Shapes for images of 224 pixels.
    """
    window = tuple(min(5, side) for side in x.shape[1:3])
    x = keras.layers.AveragePooling2D(window, strides=3, name=f"{name}_pool")(x)  # (B, 4, 4, 512 or 528)
    x = style.conv_norm_act(x, 128, 1, f"{name}_conv")  # (B, 4, 4, 128)
    x = keras.layers.Flatten(name=f"{name}_flatten")(x)  # (B, 2048)
    x = style.dense(x, 1024, f"{name}_dense")  # (B, 1024)
    return dropout(x, AUXILIARY_DROPOUT, f"{name}_dense")


def _version3(style: Style, x: Any, small: bool) -> Any:
    """Inception-v3. Shapes below for images of 299 pixels, and of 32 with the small stem."""
    if small:
        for i, (filters, size) in enumerate(((32, 3), (32, 3), (64, 3), (80, 1), (192, 3)), start=1):
            x = style.conv_norm_act(x, filters, size, f"stem_conv{i}")  # (B, 32, 32, 32) ... (B, 32, 32, 192)
    else:
        x = style.conv_norm_act(x, 32, 3, "stem_conv1", strides=2, padding="valid")  # (B, 149, 149, 32)
        x = style.conv_norm_act(x, 32, 3, "stem_conv2", padding="valid")  # (B, 147, 147, 32)
        x = style.conv_norm_act(x, 64, 3, "stem_conv3")  # (B, 147, 147, 64)
        x = keras.layers.MaxPooling2D(3, strides=2, name="stem_pool1")(x)  # (B, 73, 73, 64)
        x = style.conv_norm_act(x, 80, 1, "stem_conv4")  # (B, 73, 73, 80)
        x = style.conv_norm_act(x, 192, 3, "stem_conv5", padding="valid")  # (B, 71, 71, 192)
        x = keras.layers.MaxPooling2D(3, strides=2, name="stem_pool2")(x)  # (B, 35, 35, 192)
    for i, filters in enumerate(POOL_FILTERS, start=1):
        x = _figure5(style, x, filters, f"stage3_block{i}")  # (B, 35, 35, 256), then 288; small (B, 32, 32, 288)
    x = _reduction1(style, x, "stage4_block1")  # (B, 17, 17, 768); small (B, 15, 15, 768)
    for i, filters in enumerate(ROW_FILTERS, start=2):
        x = _figure6(style, x, filters, f"stage4_block{i}")
    x = _reduction2(style, x, "stage5_block1")  # (B, 8, 8, 1280); small (B, 7, 7, 1280)
    for i in (2, 3):
        x = _figure7(style, x, f"stage5_block{i}")  # (B, 8, 8, 2048)
    return keras.layers.GlobalAveragePooling2D(name="pool")(x)


def _figure5(style: Style, x: Any, pool_filters: int, name: str) -> Any:
    """Two 3x3 windows in the place of one of 5x5; as published, another branch keeps its 5x5."""
    y1 = _branch(style, x, name, (64, 1, "1x1"))
    y5 = _branch(style, x, name, (48, 1, "5x5_reduce"), (64, 5, "5x5"))
    y3 = _branch(style, x, name, (64, 1, "3x3_reduce"), (96, 3, "3x3_1"), (96, 3, "3x3_2"))
    return _joined(name, y1, y5, y3, _projected(style, x, pool_filters, name))


def _figure6(style: Style, x: Any, filters: int, name: str) -> Any:
    """Windows of 7x7 as a row and a column, once in one branch and twice in another."""
    y1 = _branch(style, x, name, (192, 1, "1x1"))
    y7 = _branch(style, x, f"{name}_7x7", (filters, 1, "reduce"), (filters, ROW, "1"), (192, COLUMN, "2"))
    first = (filters, 1, "reduce"), (filters, COLUMN, "1"), (filters, ROW, "2")
    twice = _branch(style, x, f"{name}_double7x7", *first, (filters, COLUMN, "3"), (192, ROW, "4"))
    return _joined(name, y1, y7, twice, _projected(style, x, 192, name))


def _figure7(style: Style, x: Any, name: str) -> Any:
    """A row and a column of three side by side, for many features on the smallest image."""
    y1 = _branch(style, x, name, (320, 1, "1x1"))
    y3 = _branch(style, x, name, (384, 1, "3x3_reduce"))
    y3 = _row_and_column(style, y3, f"{name}_3x3")
    twice = _branch(style, x, name, (448, 1, "double3x3_reduce"), (384, 3, "double3x3"))
    twice = _row_and_column(style, twice, f"{name}_double3x3")
    return _joined(name, y1, *y3, *twice, _projected(style, x, 192, name))


def _row_and_column(style: Style, x: Any, name: str) -> list[Any]:
    return [_branch(style, x, name, convolution) for convolution in ((384, (1, 3), "row"), (384, (3, 1), "column"))]


def _reduction1(style: Style, x: Any, name: str) -> Any:
    """Halves the image, from 35 to 17 pixels (figure 10)."""
    y3 = _branch(style, x, name, (384, 3, "3x3", *HALVING))
    twice = _branch(style, x, f"{name}_double3x3", (64, 1, "reduce"), (96, 3, "1"), (96, 3, "2", *HALVING))
    return _joined(name, y3, twice, keras.layers.MaxPooling2D(3, strides=2, name=f"{name}_pool")(x))


def _reduction2(style: Style, x: Any, name: str) -> Any:
    """Halves the image, from 17 to 8 pixels."""
    y3 = _branch(style, x, name, (192, 1, "3x3_reduce"), (320, 3, "3x3", *HALVING))
    seven = (192, 1, "reduce"), (192, ROW, "1"), (192, COLUMN, "2"), (192, 3, "3", *HALVING)
    y7 = _branch(style, x, f"{name}_7x7", *seven)
    return _joined(name, y3, y7, keras.layers.MaxPooling2D(3, strides=2, name=f"{name}_pool")(x))


def _projected(style: Style, x: Any, filters: int, name: str) -> Any:
    """The branch of a pooling in version 3."""
    x = keras.layers.AveragePooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    return _branch(style, x, name, (filters, 1, "pool_proj"))


def _branch(style: Style, x: Any, name: str, *convolutions: tuple[Any, ...]) -> Any:
    """Convolutions one behind the other, each by its filters, its window, the end of its name, perhaps `HALVING`."""
    for filters, kernel_size, own, *halving in convolutions:
        x = style.conv_norm_act(x, filters, kernel_size, f"{name}_{own}", *halving)
    return x


def _halved(x: Any, name: str) -> Any:
    return keras.layers.MaxPooling2D(3, strides=2, padding="same", name=name)(x)


def _joined(name: str, *branches: Any) -> Any:
    return keras.layers.Concatenate(name=f"{name}_concat")(branches)
