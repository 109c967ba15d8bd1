"""A network of one's own, layer by layer, in Keras's words."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from cnnkit.architectures.base import Architecture, Shape
from cnnkit.architectures.layers import Activation, suiting
from cnnkit.errors import Problem
from cnnkit.lazy import keras
from cnnkit.spec import Count, Spec

Padding = Literal["same", "valid"]
Tensor = tuple[int, ...]
"""Shape of one image's tensor: (height, width, channels), or (features,) once it is flat."""


class Layer(Spec):
    """One entry of `layers`."""

    def output(self, shape: Tensor) -> Tensor:
        """The shape it makes of `shape`.

        Raises:
            ValueError: It can't take that shape; the text says why.
        """
        return shape

    @abstractmethod
    def __call__(self, x: Any, name: str) -> Any:
        """Adds itself behind the tensor x."""


class Conv(Layer):
    """A convolution: each filter looks for one pattern at every place of the image."""

    name: Literal["conv"] = "conv"
    filters: Count
    """How many patterns, and so channels of the output."""
    kernel_size: Count = 3
    """Height and width of a pattern, in pixels of the layer before."""
    strides: Count = 1
    """How many pixels it moves at a time; 2 halves the image."""
    padding: Padding = "same"
    """`same` adds zeros around the image so that it keeps its size, `valid` adds none."""
    activation: Activation = "relu"

    def output(self, shape: Tensor) -> Tensor:
        """Needs an image."""
        height, width, _ = _image(shape, self.name)
        return (*_window(height, width, self.kernel_size, self.strides, self.padding), self.filters)

    def __call__(self, x: Any, name: str) -> Any:
        """Weights start by He's rule for the rectifiers, by Glorot's for the rest."""
        return keras.layers.Conv2D(
            self.filters,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            activation=self.activation,
            kernel_initializer=suiting(self.activation),
            name=name,
        )(x)


class MaxPool(Layer):
    """Keeps the largest value of each window: the image shrinks, small shifts matter less."""

    name: Literal["max_pool"] = "max_pool"
    pool_size: Count = 2
    """Height and width of a window."""
    strides: Count | None = None
    """How far apart windows are; `pool_size` if left out."""
    padding: Padding = "valid"
    """`valid` drops a remainder at the edge, `same` keeps it."""

    def output(self, shape: Tensor) -> Tensor:
        """Needs an image."""
        height, width, channels = _image(shape, self.name)
        return (
            *_window(height, width, self.pool_size, self.strides or self.pool_size, self.padding),
            channels,
        )

    def __call__(self, x: Any, name: str) -> Any:
        """Keras's MaxPooling2D."""
        return keras.layers.MaxPooling2D(self.pool_size, self.strides, self.padding, name=name)(x)


class Flatten(Layer):
    """Makes one long vector of an image, for the dense layers."""

    name: Literal["flatten"] = "flatten"

    def output(self, shape: Tensor) -> Tensor:
        """Height times width times channels."""
        size = 1
        for side in shape:
            size *= side
        return (size,)

    def __call__(self, x: Any, name: str) -> Any:
        """Keras's Flatten."""
        return keras.layers.Flatten(name=name)(x)


class Dense(Layer):
    """Every output sees every input."""

    name: Literal["dense"] = "dense"
    units: Count
    """How many outputs."""
    activation: Activation = "relu"

    def output(self, shape: Tensor) -> Tensor:
        """Needs a vector."""
        if len(shape) != 1:
            raise ValueError(f"dense takes a vector, not an image of {_by(shape)}; put `{{name: flatten}}` before it")
        return (self.units,)

    def __call__(self, x: Any, name: str) -> Any:
        """Weights start by He's rule for the rectifiers, by Glorot's for the rest."""
        return keras.layers.Dense(
            self.units,
            activation=self.activation,
            kernel_initializer=suiting(self.activation),
            name=name,
        )(x)


class Dropout(Layer):
    """In training, sets a random share of the values to 0 (Srivastava et al. 2014), so that none is relied on."""

    name: Literal["dropout"] = "dropout"
    rate: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """The share."""

    def __call__(self, x: Any, name: str) -> Any:
        """Keras's Dropout."""
        return keras.layers.Dropout(self.rate, name=name)(x)


AnyLayer: TypeAlias = Annotated[Conv | MaxPool | Flatten | Dense | Dropout, Field(discriminator="name")]


class Sequential(Architecture):
    """A network of one's own: a list of layers, one behind the other. The classifier behind the last is added."""

    name: Literal["sequential"] = "sequential"
    layers: Annotated[tuple[AnyLayer, ...], Field(min_length=1)]
    """The layers from input to output, without the classifier."""

    def problems(self, shape: Shape) -> Iterator[Problem]:
        """Follows the image's shape through the layers to the first one that can't take it."""
        current: Tensor = shape
        for i, layer in enumerate(self.layers):
            try:
                current = layer.output(current)
            except ValueError as error:
                yield Problem(str(error), key=f"layers.{i}")
                return
        if len(current) != 1:
            message = f"ends in an image of {_by(current)}; the classifier takes a vector: end in `{{name: flatten}}`"
            yield Problem(message, key=f"layers.{len(self.layers) - 1}")

    @classmethod
    def variants(cls) -> Sequence[Architecture]:
        """As many as one can think of."""
        return ()

    def features(self, x: Any) -> Any:
        """The layers in their order, named by kind and number: conv1, conv2, max_pool1, ..."""
        seen: dict[str, int] = {}
        for layer in self.layers:
            seen[layer.name] = seen.get(layer.name, 0) + 1
            x = layer(x, f"{layer.name}{seen[layer.name]}")
        return x


def _image(shape: Tensor, name: str) -> Shape:
    if len(shape) != 3:
        raise ValueError(f"{name} takes an image, not a vector of {shape[0]:,}; put it before `flatten`")
    return shape


def _window(height: int, width: int, size: int, strides: int, padding: Padding) -> tuple[int, int]:
    """Height and width after a window moved over an image."""
    if padding == "same":
        return -(-height // strides), -(-width // strides)
    if min(height, width) < size:
        raise ValueError(
            f"a window of {size} x {size} does not fit in the {height} x {width} pixels that are left here"
        )
    return (height - size) // strides + 1, (width - size) // strides + 1


def _by(shape: Tensor) -> str:
    return " x ".join(str(side) for side in shape)
