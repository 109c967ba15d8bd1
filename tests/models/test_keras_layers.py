"""Our Keras layers against Keras's own and NumPy."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from cnnkit.core.lazy import keras, tf
from cnnkit.models.keras_layers import AlphaDropout, BatchNormalization, BgrRescaling, Dropout, GaussianNoise
from cnnkit.models.layers import Activation

SHAPES = [(4, 5, 6, 7), (64, 8, 8, 16), (2, 1, 1, 3), (1, 1, 1, 3)]
SETTINGS = [{}, {"scale": False}, {"center": False}, {"momentum": 0.5, "epsilon": 1e-2}]


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(2, 3, shape).astype(np.float32)


def pair(shape, **settings):
    """Ours and Keras's with the same weights, none of them at its start."""
    layers = [kind(**settings) for kind in (BatchNormalization, keras.layers.BatchNormalization)]
    for layer in layers:
        layer.build(shape)
        layer.set_weights([np.abs(random(shape[-1], seed=i)) + 0.5 for i in range(len(layer.weights))])
    return layers


def differ(a, b):
    """The largest difference, in parts of the largest number where that is above 1."""
    a, b = np.asarray(a), np.asarray(b)
    return np.abs(a - b).max() / max(1, np.abs(b).max())


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_normalisation_has_the_numbers_of_keras(shape, settings):
    x, slopes = random(*shape), random(*shape, seed=9) - 2  # around zero: a sum of thousands rounds otherwise
    seen = []
    for layer in pair(shape, **settings):
        weights = [variable.value for variable in layer.trainable_variables]
        image = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(image)
            y = layer(image, training=True)
        gradients = tape.gradient(y, [image, *weights], slopes)
        statistics = [layer.moving_mean.numpy(), layer.moving_variance.numpy()]
        seen.append([y, *gradients, *statistics, layer(x, training=False)])
    assert len(seen[0]) == len(seen[1])
    assert max(differ(ours, theirs) for ours, theirs in zip(*seen, strict=True)) < 1e-5


@pytest.mark.parametrize("training", [False, True])
def test_gradients_through_a_frozen_one_are_those_of_keras(training):
    x = tf.constant(random(4, 3, 3, 5))
    seen = []
    for layer in pair(x.shape):
        layer.trainable = False
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
        seen.append([y, tape.gradient(y, x, tf.sin(y)), *(weight.numpy() for weight in layer.weights)])
    assert max(differ(ours, theirs) for ours, theirs in zip(*seen, strict=True)) < 1e-5


@pytest.mark.parametrize(
    ("shape", "settings"),
    [((8, 5), {}), ((4, 6, 5), {}), ((4, 5, 6, 6), {"axis": 1}), ((2, 3, 4, 4), {"dtype": "mixed_float16"})],
    ids=str,
)
def test_what_the_kernel_can_not_do_is_done_as_in_keras(shape, settings):
    axis = settings.get("axis", -1)
    layers = [kind(**settings) for kind in (BatchNormalization, keras.layers.BatchNormalization)]
    seen = []
    for layer in layers:
        layer.build(shape)
        assert layer.gamma.shape == (shape[axis],)
        seen.append([layer(random(*shape), training=True), layer.moving_mean.numpy(), layer.moving_variance.numpy()])
    assert max(differ(ours, theirs) for ours, theirs in zip(*seen, strict=True)) == 0


def test_batch_normalisation_is_one_operation_where_keras_has_many():
    def operations(layer):
        layer.build((None, 8, 8, 4))
        run = tf.function(lambda x: layer(x, training=True)).get_concrete_function(tf.TensorSpec((None, 8, 8, 4)))
        return [operation.type for operation in run.graph.get_operations()]

    assert operations(BatchNormalization()).count("FusedBatchNormV3") == 1
    assert "FusedBatchNormV3" not in operations(keras.layers.BatchNormalization())


def test_batch_normalisation_learns_in_fit_as_keras_does():
    losses = []
    for kind in (BatchNormalization, keras.layers.BatchNormalization):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [
                keras.Input((6, 6, 2)),
                keras.layers.Conv2D(4, 3),
                kind(momentum=0.9),
                keras.layers.Flatten(),
                keras.layers.Dense(1),
            ]
        )
        model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
        x = random(40, 6, 6, 2)
        history = model.fit(x, x.mean(axis=(1, 2, 3)), epochs=4, batch_size=8, shuffle=False, verbose=0)
        losses.append([*history.history["loss"], model.evaluate(x, x.mean(axis=(1, 2, 3)), verbose=0)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize("activation", get_args(get_args(Activation)[0]))
def test_every_activation_can_follow_it_in_graphs_of_training_and_of_inference(activation):
    x = keras.Input((6, 6, 2))
    y = keras.layers.Activation(activation)(BatchNormalization()(keras.layers.Conv2D(3, 3)(x)))
    model = keras.Model(x, y)
    images = random(2, 6, 6, 2)
    assert model.predict_on_batch(images) == pytest.approx(model(images).numpy(), abs=1e-5)
    model.compile(optimizer="sgd", loss="mse")
    assert np.isfinite(model.train_on_batch(images, np.zeros((2, 4, 4, 3))))


@pytest.mark.parametrize("layer", [Dropout(0.5), AlphaDropout(0.5), GaussianNoise(1.0)], ids=lambda layer: layer.name)
def test_frozen_noise_is_silent(layer):
    x = random(4, 5)
    assert not np.array_equal(layer(x, training=True), x)
    assert np.array_equal(layer(x, training=False), x)
    layer.trainable = False
    assert np.array_equal(layer(x, training=True), x)


def test_it_is_saved_and_rebuilt_with_its_settings(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), BatchNormalization(scale=False, momentum=0.7, epsilon=1e-2)])
    model.layers[0].set_weights([random(3), random(3), np.abs(random(3))])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.layers[0]) is BatchNormalization
    assert np.array_equal(again(random(2, 4, 4, 3)), model(random(2, 4, 4, 3)))


def test_bgr_rescaling_swaps_red_and_blue_before_it_scales():
    image = np.arange(24, dtype=np.float32).reshape(1, 2, 4, 3)
    scaled = BgrRescaling(2.0, offset=[1.0, 10.0, 100.0])(image).numpy()
    assert np.array_equal(scaled, image[..., [2, 1, 0]] * 2 + [1, 10, 100])
