"""What a network of one's own may consist of, in Keras's words: a Spec for each kind of layer; see sequential.py.

A layer tells the shape that it makes without TensorFlow, so that one which does not fit is found before anything runs.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import keras
from cnnkit.core.spec import Count, Fraction, Rate, Spec
from cnnkit.core.text import by
from cnnkit.models.layers import Activation, Style, Window, activated, keras_layers, odd_dropout

Tensor = tuple[int, ...]
"""Shape of one image's tensor: (height, width, channels), or (features,) once it is flat."""

Padding = Annotated[
    Window,
    Field(description="`same` adds zeros around the image so that it keeps its size, `valid` adds none."),
]
PoolPadding = Annotated[Window, Field(description="`valid` drops a remainder at the edge, `same` keeps it.")]
KernelSize = Annotated[Count, Field(description="Height and width of a pattern, in pixels of the layer before.")]
PoolSize = Annotated[Count, Field(description="Height and width of a window.")]
Strides = Annotated[Count, Field(description="How many pixels it moves at a time; 2 halves the image.")]
PoolStrides = Annotated[Count | None, Field(description="How far apart windows are; `pool_size` if left out.")]


class Misfit(ValueError):
    """A layer can't take the shape before it; `key` is the place of the layer below the one that was asked."""

    def __init__(self, message: str, key: str = ""):
        super().__init__(message)
        self.key = key


class Layer(Spec):
    """One entry of `layers`, its settings called as Keras calls them."""

    keras_name: ClassVar[str] = ""
    """What Keras calls the layer itself."""

    name: str

    def output(self, shape: Tensor) -> Tensor:
        """The shape it makes of `shape`.

        Raises:
            Misfit: It can't take that shape; the text says why.
        """
        return shape

    def __call__(self, x: Any, name: str, style: Style) -> Any:
        """Adds itself behind the tensor x; of the style it takes what it has no setting for."""
        layer = getattr(keras_layers, self.keras_name, None) or getattr(keras.layers, self.keras_name)
        settings = self.model_dump(exclude={"name"})
        return layer(**settings, **self.initializers(style, x.shape[-1]), name=name)(x)

    def initializers(self, style: Style, channels: int) -> dict[str, Any]:
        """How its weights start behind an input of so many channels, by Keras's names for them."""
        return {}


class ConvolutionLayer(Layer):
    """What looks for patterns at every place of an image."""

    kernel_size: KernelSize = 3
    strides: Strides = 1
    padding: Padding = "same"
    activation: Activation = "relu"

    @abstractmethod
    def channels(self, before: int) -> int:
        """How many channels it makes of so many."""

    def output(self, shape: Tensor) -> Tensor:
        """Needs an image."""
        height, width, channels = image_sides(shape, self.name)
        return (*window(height, width, self.kernel_size, self.strides, self.padding), self.channels(channels))


class Conv(ConvolutionLayer):
    """A convolution: each filter looks for one pattern at every place of the image."""

    keras_name: ClassVar[str] = "Conv2D"

    name: Literal["conv"] = "conv"
    filters: Count
    """How many patterns, and so channels of the output."""

    def channels(self, before: int) -> int:
        """Each filter makes one."""
        return self.filters

    def initializers(self, style: Style, channels: int) -> dict[str, Any]:
        """The one that suits the activation behind it."""
        return {"kernel_initializer": style.initializer_for(self.activation)}


class SeparableConv(ConvolutionLayer):
    """A convolution in two: one pattern a channel, then a mix of the channels; far fewer weights (Chollet 2017)."""

    keras_name: ClassVar[str] = "SeparableConv2D"

    name: Literal["separable_conv"] = "separable_conv"
    filters: Count
    """How many mixes, and so channels of the output."""

    def channels(self, before: int) -> int:
        """Each mix makes one."""
        return self.filters

    def initializers(self, style: Style, channels: int) -> dict[str, Any]:
        """Nothing stands between its two parts, so the first starts as for `linear`."""
        return {
            "depthwise_initializer": _depthwise(style.initializer_for("linear"), channels, 1),
            "pointwise_initializer": style.initializer_for(self.activation),
        }


class DepthwiseConv(ConvolutionLayer):
    """A convolution of each channel by itself; a `conv` with kernel_size 1 behind it mixes them."""

    keras_name: ClassVar[str] = "DepthwiseConv2D"

    name: Literal["depthwise_conv"] = "depthwise_conv"
    depth_multiplier: Count = 1
    """How many patterns, and so channels of the output, for each channel of the input."""

    def channels(self, before: int) -> int:
        """Each channel makes as many."""
        return before * self.depth_multiplier

    def initializers(self, style: Style, channels: int) -> dict[str, Any]:
        """The one that suits the activation behind it, by what one output sees."""
        initializer = style.initializer_for(self.activation)
        return {"depthwise_initializer": _depthwise(initializer, channels, self.depth_multiplier)}


class PoolLayer(Layer):
    """What makes one number of each window of an image, channel by channel."""

    pool_size: PoolSize = 2
    strides: PoolStrides = None
    padding: PoolPadding = "valid"

    def output(self, shape: Tensor) -> Tensor:
        """Needs an image."""
        height, width, channels = image_sides(shape, self.name)
        return (*window(height, width, self.pool_size, self.strides or self.pool_size, self.padding), channels)


class MaxPool(PoolLayer):
    """Keeps the largest value of each window: the image shrinks, small shifts matter less."""

    keras_name: ClassVar[str] = "MaxPooling2D"

    name: Literal["max_pool"] = "max_pool"


class AvgPool(PoolLayer):
    """Keeps the mean of each window."""

    keras_name: ClassVar[str] = "AveragePooling2D"

    name: Literal["avg_pool"] = "avg_pool"


class GlobalPoolLayer(Layer):
    """What makes a vector of an image, a number of each channel."""

    def output(self, shape: Tensor) -> Tensor:
        """Needs an image."""
        return image_sides(shape, self.name)[2:]


class GlobalMaxPool(GlobalPoolLayer):
    """Makes a vector of an image: the largest value of each channel."""

    keras_name: ClassVar[str] = "GlobalMaxPooling2D"

    name: Literal["global_max_pool"] = "global_max_pool"


class GlobalAvgPool(GlobalPoolLayer):
    """Makes a vector of an image: the mean of each channel (Lin et al. 2014); needs far fewer weights than flatten."""

    keras_name: ClassVar[str] = "GlobalAveragePooling2D"

    name: Literal["global_avg_pool"] = "global_avg_pool"


class Flatten(Layer):
    """Makes one long vector of an image, for the dense layers."""

    keras_name: ClassVar[str] = "Flatten"

    name: Literal["flatten"] = "flatten"

    def output(self, shape: Tensor) -> Tensor:
        """Height times width times channels."""
        return (math.prod(shape),)


class Dense(Layer):
    """Every output sees every input."""

    keras_name: ClassVar[str] = "Dense"

    name: Literal["dense"] = "dense"
    units: Count
    """How many outputs."""
    activation: Activation = "relu"

    def output(self, shape: Tensor) -> Tensor:
        """Needs a vector."""
        if len(shape) != 1:
            raise Misfit(f"dense takes a vector, not an image of {by(shape)}; put `{{name: flatten}}` before it")
        return (self.units,)

    def initializers(self, style: Style, channels: int) -> dict[str, Any]:
        """The one that suits the activation behind it."""
        return {"kernel_initializer": style.initializer_for(self.activation)}


class ActivationLayer(Layer):
    """An activation by itself, for example behind `batch_norm`; the layer before it then has `linear`."""

    name: Literal["activation"] = "activation"
    activation: Activation = "relu"

    def __call__(self, x: Any, name: str, style: Style) -> Any:
        """Keras's layer of that activation."""
        return activated(x, self.activation, name)


class BatchNorm(Layer):
    """Brings each channel to one scale by the mean and deviation of the batch (Ioffe and Szegedy 2015)."""

    name: Literal["batch_norm"] = "batch_norm"

    def __call__(self, x: Any, name: str, style: Style) -> Any:
        """Batch normalisation as in all families."""
        return style.norm(x, name)


class Dropout(Layer):
    """In training, sets a random share of the values to 0 (Srivastava et al. 2014), so that none is relied on."""

    keras_name: ClassVar[str] = "Dropout"

    name: Literal["dropout"] = "dropout"
    rate: Rate = 0.5
    """The share of the values that is set to 0, in 0..1."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A share that leaves nothing, or all."""
        yield from odd_dropout(self.rate, "rate")


class GaussianNoise(Layer):
    """In training, adds random numbers to the values, so that no exact value is relied on."""

    keras_name: ClassVar[str] = "GaussianNoise"

    name: Literal["gaussian_noise"] = "gaussian_noise"
    stddev: Fraction = 0.1
    """Standard deviation of the numbers; pixels go from -1 to 1."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """Noise that is as large as what it is added to."""
        if self.stddev > 0.5:
            yield Problem("is as much as what it is added to; 0.05 to 0.2 is usual", key="stddev")


def image_sides(shape: Tensor, name: str) -> tuple[int, int, int]:
    """Height, width and channels, which the layer of that name needs."""
    if len(shape) != 3:
        raise Misfit(f"{name} takes an image, not a vector of {shape[0]:,}; put it before `flatten`")
    return shape


def window(height: int, width: int, size: int, strides: int, padding: Window) -> tuple[int, int]:
    """Height and width after a window moved over an image."""
    if padding == "same":
        return -(-height // strides), -(-width // strides)
    if min(height, width) < size:
        raise Misfit(f"a window of {size} x {size} does not fit in the {height} x {width} pixels that are left here")
    return (height - size) // strides + 1, (width - size) // strides + 1


def _depthwise(initializer: str, channels: int, multiplier: int) -> Any:
    """The initializer for a kernel (k, k, channels, multiplier) each of whose outputs sees one channel only.

    Keras counts the inputs of all channels, and so starts with weights that are too small by the root of their number.
    """
    as_counted = keras.initializers.get(initializer)
    scale, mode = as_counted.scale, as_counted.mode
    fans = {"fan_in": channels, "fan_avg": (channels + multiplier) / (1 + multiplier)}
    return keras.initializers.VarianceScaling(scale * fans[mode], mode, as_counted.distribution)
