"""AlexNet in one tower: Krizhevsky, One weird trick for parallelizing convolutional neural networks (2014).

arXiv:1404.5997, after Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural
Networks (2012), whose two towers on two GPUs and whose local response normalisation are gone. Layers for images of
224 pixels; poolings are 3x3 with stride 2, so they overlap:

    =====  =======  =======  ======  =======  ============
    layer  filters  kernel   stride  pooling  output
    =====  =======  =======  ======  =======  ============
    conv1  64       11x11    4       yes      27 x 27 x 64
    conv2  192      5x5      1       yes      13 x 13 x 192
    conv3  384      3x3      1       no       13 x 13 x 384
    conv4  256      3x3      1       no       13 x 13 x 256
    conv5  256      3x3      1       yes      6 x 6 x 256
    =====  =======  =======  ======  =======  ============

conv4 has 256 filters as in the author's own code for one GPU and in PyTorch's form; a footnote of the paper has 384.
PyTorch's form also brings images of other sizes to 6 x 6 by adaptive pooling, and drops the inputs of the dense layers
in place of their outputs. Here the first dense layer has as many inputs as the image leaves, so it is
larger or smaller at other sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Literal

from cnnkit.core.errors import Problem
from cnnkit.core.lazy import keras
from cnnkit.core.spec import Count, Rate
from cnnkit.models.base import Architecture, Shape
from cnnkit.models.layers import Activation, Initializer, Normalization, Scaling

# Filters, kernel size, whether a pooling follows; the first convolution is the stem.
CONVOLUTIONS = (
    (64, 11, True),
    (192, 5, True),
    (384, 3, False),
    (256, 3, False),
    (256, 3, True),
)

# Pixels that three poolings of 3x3 with stride 2 need: 15, 7, 3, 1.
SMALLEST = {"large": 63, "small": 15}


class AlexNet(Architecture):
    """Five convolutions and two large dense layers (2012): the one that began it."""

    name: Literal["alexnet"] = "alexnet"
    stem: Literal["large", "small"] = "large"
    """The first convolution: `large`, 11x11 with stride 4; `small`, 3x3 with stride 1, for images of about 32."""
    dense_units: tuple[Count, ...] = (4096, 4096)
    """Units of the dense layers before the classifier; 512 is plenty for small images."""
    activation: Activation = "relu"
    initializer: Initializer = None
    normalization: Normalization = "none"
    dropout: Rate = 0.5
    """Share of each dense layer's outputs that is dropped in training."""
    scaling: Scaling = "symmetric"

    paper: ClassVar[str] = "Krizhevsky 2014, arXiv:1404.5997"

    @property
    def small(self) -> bool:
        """Whether it has the stem for small images."""
        return self.stem == "small"

    @property
    def smallest_image(self) -> int:
        """The stem must leave 15 pixels: (n + 4 - 11) // 4 + 1 of the large one, n of the small one."""
        return SMALLEST[self.stem]

    def problems(self, shape: Shape) -> Iterator[Problem]:
        """Tells of the small stem where that would do."""
        for problem in super().problems(shape):
            if not self.small and not problem.key and min(shape[:2]) >= SMALLEST["small"]:
                problem = replace(problem, message=f"{problem.message}; `stem: small` is for small images")
            yield problem

    def stages(self) -> tuple[str, ...]:
        """The five convolutions, then the dense layers."""
        return (*(f"conv{i}" for i in range(1, 6)), *(("dense",) if self.dense_units else ()))

    def features(self, x: Any) -> Any:
        """Five convolutions, then dense layers. Shapes below for images of 224, and 32, pixels."""
        style = self.style
        for i, (filters, kernel_size, pooled) in enumerate(CONVOLUTIONS, start=1):
            name = f"conv{i}"
            if i == 1 and not self.small:
                x = keras.layers.ZeroPadding2D(2, name="conv1_pad")(x)
                x = style.conv(x, filters, kernel_size, name, strides=4, padding="valid")  # (B, 55, 55, 64)
            else:
                x = style.conv(x, filters, 3 if i == 1 else kernel_size, name)
            x = style.norm_act(x, name)
            if pooled:
                x = keras.layers.MaxPooling2D(3, strides=2, name=f"{name}_pool")(x)
            # (B, 27, 27, 64) ... (B, 6, 6, 256); small (B, 15, 15, 64) ... (B, 3, 3, 256)
        return style.dense_part(x, self.dense_units, self.dropout)  # (B, 9216), small (B, 2304); then (B, 4096)
