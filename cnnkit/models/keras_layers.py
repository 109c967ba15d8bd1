"""Keras layers of our own. Importing this module imports Keras, so it is imported where a network is built."""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import keras, tf


@keras.saving.register_keras_serializable(package="cnnkit")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) on TensorFlow's fused kernel.

    Arguments, weights and numbers are those of Keras's layer, which is composed of a dozen small operations and
    is several times slower in training on a CPU. What the kernel can't do (a mask, renorm, other ranks, axes and
    types) is left to Keras's own code, and so is inference: there TensorFlow would fuse kernel and activation, which
    fails for tanh.

    Attributes:
        in_inference: Whether it works with its moving statistics, and leaves them, where it is trained too; its scale
            and shift then learn. A network that was pretrained would else be another one from its first batch on.
    """

    in_inference = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises each channel of (B, H, W, C): by the batch in training, else by the moving statistics."""
        training = training and not self.in_inference
        if not (training and self.trainable and self._fits_the_kernel(inputs, mask)):
            return super().call(inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        scale = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones(channels)
        offset = tf.convert_to_tensor(self.beta) if self.center else tf.zeros(channels)
        nothing = tf.zeros(0)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=scale,
            offset=offset,
            mean=nothing,
            variance=nothing,
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel returns the unbiased variance, Keras keeps the biased one: (n - 1) / n of it.
        n = tf.cast(tf.size(inputs) // channels, variance.dtype)
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_variance, variance * ((n - 1) / n))
        return outputs

    def _follow(self, moving: Any, current: Any) -> None:
        moving.assign(moving * self.momentum + tf.stop_gradient(current) * (1.0 - self.momentum))

    def _fits_the_kernel(self, inputs: Any, mask: Any) -> bool:
        return (
            mask is None
            and not self.renorm
            and not self.synchronized
            and inputs.shape.rank == 4
            and self.axis in (-1, 3)
            and inputs.dtype == tf.float32
            and self.compute_dtype == "float32"
        )


class OnlyWhereTrained:
    """What changes its input in training, and leaves it where it is frozen, as frozen batch normalisation does."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Changes the input where it is trained."""
        return super().call(inputs, training=training and self.trainable)  # type: ignore[misc, attr-defined]


@keras.saving.register_keras_serializable(package="cnnkit")
class Dropout(OnlyWhereTrained, keras.layers.Dropout):
    """Keras's Dropout, but frozen it drops nothing."""


@keras.saving.register_keras_serializable(package="cnnkit")
class AlphaDropout(OnlyWhereTrained, keras.layers.AlphaDropout):
    """Keras's AlphaDropout, but frozen it drops nothing."""


@keras.saving.register_keras_serializable(package="cnnkit")
class GaussianNoise(OnlyWhereTrained, keras.layers.GaussianNoise):
    """Keras's GaussianNoise, but frozen it adds nothing."""


@keras.saving.register_keras_serializable(package="cnnkit")
class PadChannels(keras.layers.Layer):
    """Adds channels of zeros behind those of an image: (B, H, W, C) to (B, H, W, filters)."""

    def __init__(self, filters: int, **settings: Any):
        super().__init__(**settings)
        self.filters = filters

    def call(self, x: Any) -> Any:
        """Pads with zeros."""
        return keras.ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, self.filters - x.shape[-1]]])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The same image with more channels."""
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return dict(super().get_config(), filters=self.filters)


@keras.saving.register_keras_serializable(package="cnnkit")
class BgrRescaling(keras.layers.Rescaling):
    """Keras's Rescaling behind a swap of red and blue, for networks that were trained with Caffe."""

    def call(self, inputs: Any) -> Any:
        """From RGB (B, H, W, 3) to scaled BGR."""
        return super().call(inputs[..., ::-1])
