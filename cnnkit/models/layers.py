"""What families share: how a layer is made, in one place for each choice that runs across them.

A family declares the choices that it takes as fields of these types, each with its paper's value as default. What it
does not declare it can't take, and a config that asks for it is told so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.errors import Problem
from cnnkit.core.lazy import Lazy, keras
from cnnkit.core.text import percent

keras_layers: Any = Lazy("cnnkit.models.keras_layers")

Activation = Annotated[
    Literal["relu", "leaky_relu", "elu", "selu", "gelu", "swish", "silu", "tanh", "sigmoid", "linear"],
    Field(description="What is done to each number behind a layer (`swish` and `silu` are the same)."),
]
Initializer = Annotated[
    Literal["he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform"] | None,
    Field(
        description="How weights start; if left out, he_normal for the rectifiers, lecun_normal for selu, else Glorot."
    ),
]
Normalization = Annotated[
    Literal["batch", "group", "layer", "none"],
    Field(
        description="What brings the channels behind a convolution to one scale: the batch, 32 groups of the image's "
        "own channels, all of these, or nothing (convolutions then have a bias)."
    ),
]
ClassifierDropout = Annotated[
    float, Field(ge=0, lt=1, description="Share of the features that is dropped in training, before the classifier.")
]
StochasticDepth = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="How often the last residual block is skipped in training, the ones before it in proportion to "
        "their depth (Huang et al. 2016, arXiv:1603.09382).",
    ),
]
Scaling = Annotated[
    Literal["symmetric", "imagenet", "caffe"],
    Field(
        description="How pixels are scaled inside the network: to -1..1, by mean and deviation of ImageNet's channels, "
        "or to BGR less ImageNet's means; pretrained weights need what they were trained with."
    ),
]

Size = int | tuple[int, int]
Window = Literal["same", "valid"]


@dataclass(frozen=True)
class Style:
    """How the layers of one network are made. Methods add a layer behind the tensor x, named `name`.

    Attributes:
        activation: Name of the activation, in Keras's words.
        initializer: Of all kernels; None for the one that suits the activation.
        normalization: `batch`, `group`, `layer` or `none`.
        scaled_norm: Whether a normalisation has a trained scale for each channel.
        epsilon: What a normalisation adds to the variance.
    """

    activation: str = "relu"
    initializer: str | None = None
    normalization: str = "batch"
    scaled_norm: bool = True
    epsilon: float = 1e-5

    def initializer_for(self, activation: str) -> str:
        """The chosen initializer, or the one that suits an activation."""
        return self.initializer or suiting(activation)

    def conv(
        self,
        x: Any,
        filters: int,
        kernel_size: Size,
        name: str,
        strides: int = 1,
        padding: Window = "same",
    ) -> Any:
        """A convolution; it has a bias where no normalisation would take it away again.

        With strides above 1, "same" pads symmetrically, as in the papers and in PyTorch; Keras's own "same" pads
        the right and bottom edge more.
        """
        if strides > 1 and padding == "same":
            padding = "valid"
            if isinstance(kernel_size, int) and kernel_size > 1:
                x = keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        return keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            use_bias=self.normalization == "none",
            kernel_initializer=self.initializer_for(self.activation),
            name=name,
        )(x)

    def norm(self, x: Any, name: str) -> Any:
        """The normalisation, if there is one; momentum 0.9 follows short trainings too.

        Group normalisation (Wu and He 2018, arXiv:1803.08494) with 32 groups, or as many as divide the channels; layer
        normalisation (Ba et al. 2016, arXiv:1607.06450) is one group of all channels.
        """
        if self.normalization == "none":
            return x
        settings = {"scale": self.scaled_norm, "epsilon": self.epsilon, "name": name}
        if self.normalization == "batch":
            return keras_layers.BatchNormalization(momentum=0.9, **settings)(x)
        groups = 1 if self.normalization == "layer" else math.gcd(32, x.shape[-1])
        return keras.layers.GroupNormalization(groups, **settings)(x)

    def act(self, x: Any, name: str) -> Any:
        """The activation; its layer is named for it, `stem_relu`."""
        return activated(x, self.activation, f"{name}_{self.activation}")

    def norm_act(self, x: Any, name: str) -> Any:
        """A normalisation and an activation, behind a convolution or before it."""
        return self.act(self.norm(x, f"{name}_norm"), name)

    def conv_norm_act(
        self, x: Any, filters: int, kernel_size: Size, name: str, strides: int = 1, padding: Window = "same"
    ) -> Any:
        """A convolution, its normalisation, its activation."""
        return self.norm_act(self.conv(x, filters, kernel_size, name, strides, padding), name)

    def stem(self, x: Any, filters: int) -> Any:
        """What begins the networks for images of 224 pixels since ResNet: they are 4 times smaller behind it."""
        x = self.conv_norm_act(x, filters, 7, "stem", strides=2)  # (B, 112, 112, filters)
        x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
        return keras.layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)  # (B, 56, 56, filters)

    def dense(self, x: Any, units: int, name: str) -> Any:
        """A dense layer with its activation."""
        x = keras.layers.Dense(units, kernel_initializer=self.initializer_for(self.activation), name=name)(x)
        return self.act(x, name)

    def dense_part(self, x: Any, units: Sequence[int], rate: float, alpha: bool = False) -> Any:
        """Dense layers for the vector of all numbers of an image, dropout behind each."""
        x = keras.layers.Flatten(name="flatten")(x)
        for i, outputs in enumerate(units, start=1):
            x = dropout(self.dense(x, outputs, f"dense{i}"), rate, f"dense{i}", alpha)
        return x


def suiting(activation: str) -> str:
    """The initializer that keeps the variance from layer to layer: He et al. 2015 (arXiv:1502.01852) for rectifiers,
    LeCun's for selu (Klambauer et al. 2017, arXiv:1706.02515), Glorot and Bengio's (2010) for the rest.
    """  # noqa: D205
    if activation == "selu":
        return "lecun_normal"
    return "he_normal" if activation in ("relu", "leaky_relu", "elu", "gelu", "swish", "silu") else "glorot_uniform"


def activated(x: Any, activation: str, name: str) -> Any:
    """An activation as a layer of that very name."""
    layer = keras.layers.ReLU(name=name) if activation == "relu" else keras.layers.Activation(activation, name=name)
    return layer(x)


def dropout(x: Any, rate: float, name: str, alpha: bool = False) -> Any:
    """Dropout (Srivastava et al. 2014), or alpha dropout, which keeps mean and variance behind SELU; none at rate 0."""
    if not rate:
        return x
    layer = keras_layers.AlphaDropout if alpha else keras_layers.Dropout
    return layer(rate, name=f"{name}_dropout")(x)


def skipped_now_and_then(x: Any, rate: float, block: int, blocks: int, name: str) -> Any:
    """Stochastic depth: leaves out a residual branch, image by image, in training.

    Args:
        x: What the branch of the block adds, (B, H, W, C).
        rate: How often the last block is skipped.
        block: Number of this block, from 1.
        blocks: How many blocks the network has; the rate rises linearly (equation 4 of the paper).
        name: Of the block.
    """
    if not rate:
        return x
    return keras_layers.Dropout(rate * block / blocks, noise_shape=(None, 1, 1, 1), name=f"{name}_skip")(x)


# Mean and deviation of ImageNet's training images, channels R, G, B of 0..1; Caffe's means are B, G, R of 0..255.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)


def scaled(image: Any, scaling: str) -> Any:
    """Pixels 0..255 (B, H, W, C) in the scaling of that name; a layer called `scaling`."""
    if scaling == "symmetric":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scaling")(image)
    if scaling == "imagenet":
        scale = [1 / (255 * d) for d in DEVIATION]
        offset = [-m / d for m, d in zip(MEAN, DEVIATION, strict=True)]
        return keras.layers.Rescaling(scale, offset=offset, name="scaling")(image)
    return keras_layers.BgrRescaling(1.0, offset=[-m for m in CAFFE_MEAN], name="scaling")(image)


def odd_dropout(rate: float, setting: str) -> Iterator[Problem]:
    """That dropout leaves nothing to learn from, or all, where that is so."""
    if rate > 0.8:
        yield Problem(f"leaves {percent(1 - rate)} of the values to learn from; 0.2 to 0.5 is usual", key=setting)
    if 0 < rate < 0.01:
        message = f"drops one value in {1 / rate:,.0f}, which changes nothing; 0.2 to 0.5 is usual"
        yield Problem(message, key=setting)
