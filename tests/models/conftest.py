"""A tiny SavedModel in TF Hub's form, with all that a real one has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnnkit.core.lazy import tf

DRAWN = 65_537
"""So many weights of a layer are drawn; a prime, so that no two filters get the same ones."""


@pytest.fixture(scope="module")
def large_kernels_repeat_what_is_drawn() -> Iterator[None]:
    """Drawing millions of weights takes most of the time of building; the first ones of a kernel serve for the rest."""
    from keras.src.initializers import random_initializers

    def repeating(draw):
        def drawn(shape, *args, **settings):
            size = math.prod(shape)
            if size <= DRAWN:
                return draw(shape, *args, **settings)
            some = draw((DRAWN,), *args, **settings)
            return tf.reshape(tf.tile(some, [-(-size // DRAWN)])[:size], shape)

        return drawn

    real = random_initializers.random
    kinds = {kind: repeating(getattr(real, kind)) for kind in ("normal", "truncated_normal", "uniform")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_initializers, "random", SimpleNamespace(**{**vars(real), **kinds}))
        yield


DECAY = 0.5
"""Regularisation loss of the tiny SavedModel: this times the sum of the squares of its first kernel."""


def save_hub(
    folder: Path,
    size: tuple[int | None, int | None] = (32, 32),
    channels: int = 3,
    batch: int | None = None,
    output: str = "vector",
    listed: bool = True,
    training: bool = True,
    custom_gradient: bool = False,
    dtype: str = "float32",
) -> Path:
    """Saves convolution, batch normalisation, depthwise convolution and dense layer, as the reusable interface asks."""
    draw = np.random.default_rng(3)

    def variable(name, *shape, trainable=True):
        start = {"beta": 0.0, "moving_mean": 0.0}.get(name.split("/")[-1], 1.0)
        value = draw.normal(0, 0.5, shape) if len(shape) > 1 else np.full(shape, start)
        # Several devices can have statistics of their own, of which the mean is taken.
        aggregation = tf.VariableAggregation.NONE if trainable else tf.VariableAggregation.MEAN
        return tf.Variable(value.astype(np.float32), trainable=trainable, name=name, aggregation=aggregation)

    network = tf.train.Checkpoint()
    # Not in the order in which they are made: the order is that of the lists.
    mean = variable("norm/moving_mean", 4, trainable=False)
    variance = variable("norm/moving_variance", 4, trainable=False)
    kernel, gamma, beta = (
        variable("conv/kernel", 3, 3, channels, 4),
        variable("norm/gamma", 4),
        variable("norm/beta", 4),
    )
    depthwise, dense = variable("dw/depthwise_kernel", 3, 3, 4, 1), variable("dense/kernel", 4, 6)

    @tf.custom_gradient
    def identity(x):
        return x, lambda slope: slope

    def run(images, training):
        x = tf.nn.conv2d(tf.cast(images, tf.float32), kernel, 1, "SAME")
        if training:
            m, v = tf.nn.moments(x, [0, 1, 2])
            mean.assign(0.9 * mean + 0.1 * m)
            variance.assign(0.9 * variance + 0.1 * v)
        else:
            m, v = tf.convert_to_tensor(mean), tf.convert_to_tensor(variance)
        x = tf.nn.leaky_relu(tf.nn.batch_normalization(x, m, v, beta, gamma, 1e-3))
        x = identity(x) if custom_gradient else x
        x = tf.nn.depthwise_conv2d(x, depthwise, (1, 1, 1, 1), "SAME")
        vector = tf.matmul(tf.reduce_mean(x, [1, 2]), dense)
        return {"vector": vector, "map": x, "several": {"a": vector, "b": x}}[output]

    images = tf.TensorSpec((batch, *size, channels), dtype, name="images")
    if training:
        network.__call__ = tf.function(lambda images, training=False: run(images, training))
        for value in (True, False):
            network.__call__.get_concrete_function(images, training=value)
    else:
        network.__call__ = tf.function(lambda images: run(images, False), input_signature=[images])
    network.all = [mean, variance, kernel, gamma, beta, depthwise, dense]
    if listed:
        network.variables = [kernel, gamma, beta, mean, variance, depthwise, dense]
        network.trainable_variables = [kernel, gamma, beta, depthwise, dense]
        network.regularization_losses = [
            tf.function(lambda: DECAY * tf.reduce_sum(tf.square(kernel)), input_signature=[])
        ]
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(network, str(folder), options=options)
    return folder


@pytest.fixture(scope="session")
def hub_folder(tmp_path_factory) -> Path:
    """A tiny SavedModel in TF Hub's form, for images of 32 x 32 x 3; not to be changed."""
    return save_hub(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture(scope="session")
def make_hub(tmp_path_factory):
    """Saves another one, with the given differences."""
    return lambda **differences: save_hub(tmp_path_factory.mktemp("hub") / "other", **differences)
