"""A network of one's own, layer by layer, in Keras's words. The union below is the list of what `layers` may name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import keras
from cnnkit.core.text import by
from cnnkit.models.base import Architecture, Shape
from cnnkit.models.layers import Activation, Initializer, Style, activated
from cnnkit.models.sequential_layers import (
    ActivationLayer,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GaussianNoise,
    GlobalAvgPool,
    GlobalMaxPool,
    Layer,
    MaxPool,
    Misfit,
    SeparableConv,
    Tensor,
    window,
)

MANY_WEIGHTS = 20_000_000
"""Weights of a dense layer that few pictures can teach; the largest of VGG-16 has 103 million, for a million."""


class Residual(Layer):
    """Adds to its input what its layers make of it, and then has an activation (He et al. 2016).

    Where the layers change the shape, the input is brought to the new one: an image by a convolution of 1x1, a
    vector by a dense layer.
    """

    name: Literal["residual"] = "residual"
    layers: Annotated[tuple[AnyLayer, ...], Field(min_length=1)]
    """The layers between the input and the sum; the last convolution usually has the activation `linear`."""
    activation: Activation = "relu"

    def output(self, shape: Tensor) -> Tensor:
        """What its layers make, if the input can be brought to that."""
        after = shape_behind(self.layers, shape)
        if len(shape) != len(after):
            message = f"residual adds its input, an image of {by(shape)}, but its layers make a vector of {after[0]:,}"
            raise Misfit(f"{message}; put that layer behind it")
        strides = self._strides(shape, after)
        if len(shape) == 3 and window(shape[0], shape[1], 1, strides, "same") != after[:2]:
            message = f"residual adds its input, an image of {by(shape)}, but its layers make one of {by(after)}"
            raise Misfit(f"{message}, which no stride brings it to; give its layers `padding: same`")
        return after

    @staticmethod
    def _strides(before: Tensor, after: Tensor) -> int:
        """By how many pixels the convolution of 1x1 moves, so that it makes an image of that height and width."""
        return max(-(-n // m) for n, m in zip(before[:2], after[:2], strict=True))

    def __call__(self, x: Any, name: str, style: Style) -> Any:
        """Its layers are called residual1_conv1, residual1_conv2, ...; behind them are the sum and the activation."""
        y = x
        for layer, own in named(self.layers):
            y = layer(y, f"{name}_{own}", style)
        if y.shape != x.shape:
            x = self._projected(x, tuple(y.shape[1:]), f"{name}_shortcut", style)
        x = keras.layers.Add(name=f"{name}_add")([x, y])
        return x if self.activation == "linear" else activated(x, self.activation, f"{name}_{self.activation}")

    def _projected(self, x: Any, after: Tensor, name: str, style: Style) -> Any:
        settings = {"use_bias": False, "kernel_initializer": style.initializer_for("linear"), "name": name}
        if len(after) == 1:
            return keras.layers.Dense(after[0], **settings)(x)
        return keras.layers.Conv2D(after[-1], 1, strides=self._strides(tuple(x.shape[1:]), after), **settings)(x)


# One of them holds its like, so it can't be a `ByName`.
AnyLayer: TypeAlias = Annotated[
    Conv
    | SeparableConv
    | DepthwiseConv
    | MaxPool
    | AvgPool
    | GlobalMaxPool
    | GlobalAvgPool
    | Flatten
    | Dense
    | ActivationLayer
    | BatchNorm
    | Dropout
    | GaussianNoise
    | Residual,
    Field(discriminator="name"),
]
Residual.model_rebuild()


class Sequential(Architecture):
    """A network of one's own: a list of layers, one behind the other. The classifier behind the last is added."""

    name: Literal["sequential"] = "sequential"
    layers: Annotated[tuple[AnyLayer, ...], Field(min_length=1)]
    """The layers from input to output, without the classifier."""
    initializer: Initializer = None

    def problems(self, shape: Shape) -> Iterator[Problem]:
        """Follows the image's shape through the layers to the first one that can't take it."""
        try:
            after = shape_behind(self.layers, shape)
        except Misfit as misfit:
            yield Problem(str(misfit), key=misfit.key)
            return
        if len(after) != 1:
            message = f"ends in an image of {by(after)}; the classifier takes a vector: end in `{{name: flatten}}`"
            yield Problem(message, key=f"layers.{len(self.layers) - 1}")

    def careful(self, given: Given) -> Iterator[Problem]:
        """A dense layer on a large image."""
        yield from super().careful(given)
        shape: Tensor = given.shape
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Dense) and len(shape) == 1 and shape[0] * layer.units > MANY_WEIGHTS:
                weights = shape[0] * layer.units
                message = (
                    f"makes {weights:,} weights behind {shape[0]:,} values; pool before it, or use `global_avg_pool`"
                )
                yield Problem(message, key=f"layers.{i}.units")
            shape = layer.output(shape)

    def stages(self) -> tuple[str, ...]:
        """Each layer by its name; a residual group is one."""
        return tuple(name for _, name in named(self.layers))

    def features(self, x: Any) -> Any:
        """The layers in their order."""
        for layer, name in named(self.layers):
            x = layer(x, name, self.style)
        return x


def shape_behind(layers: Sequence[Layer], shape: Tensor) -> Tensor:
    """Follows a shape through layers.

    Raises:
        Misfit: One of them can't take what the one before makes; its key is `layers.3`, or `layers.3.layers.1`.
    """
    for i, layer in enumerate(layers):
        try:
            shape = layer.output(shape)
        except Misfit as misfit:
            key = f"layers.{i}.{misfit.key}" if misfit.key else f"layers.{i}"
            raise Misfit(str(misfit), key) from None
    return shape


def named(layers: Sequence[AnyLayer]) -> Iterator[tuple[AnyLayer, str]]:
    """Layers with their names, by kind and number: conv1, conv2, max_pool1, ..."""
    seen: dict[str, int] = {}
    for layer in layers:
        seen[layer.name] = seen.get(layer.name, 0) + 1
        yield layer, f"{layer.name}{seen[layer.name]}"
