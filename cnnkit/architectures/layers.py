"""What two families share: a convolution with its normalisation and activation."""

from __future__ import annotations

from typing import Any

from cnnkit.lazy import keras


def convolution(x: Any, filters: int, kernel_size: int, name: str, strides: int = 1, bias: bool = False) -> Any:
    """A convolution that keeps the size when strides is 1, with He initialisation (arXiv:1502.01852).

    With strides above 1 the padding is symmetric, as in the papers and in PyTorch; Keras's own "same" pads the
    right and bottom edge more.
    """
    layers = keras.layers
    padding = "same"
    if strides > 1:
        padding = "valid"
        if kernel_size > 1:
            x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=bias,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def batch_norm(x: Any, name: str) -> Any:
    """Batch normalisation (arXiv:1502.03167) with momentum 0.9, which follows short trainings too."""
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def relu(x: Any, name: str) -> Any:
    """The rectifier, max(0, x)."""
    return keras.layers.ReLU(name=name)(x)
