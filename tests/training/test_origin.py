"""Where the first value that is not finite comes from, planted at each place that there is."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.core.lazy import keras, tf
from cnnkit.optimization.losses import CrossEntropy
from cnnkit.training import origin
from cnnkit.training.model import Learner

RNG = np.random.default_rng(5)
IMAGES = RNG.normal(size=(6, 6, 6, 1)).astype(np.float32)
LABELS = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 6)]
WEIGHTS = np.ones(6, np.float32)


@tf.custom_gradient
def no_way_back(x):
    return x, lambda gradient: gradient * float("nan")


class NoWayBack(keras.layers.Layer):
    """Finite forward, and NaN backward."""

    def call(self, x):
        return no_way_back(x)


class RootOfWeight(keras.layers.Layer):
    """Adds the root of a weight that is 0: the root is 0, its slope infinite."""

    def build(self, shape):
        self.scale = self.add_weight(name="scale", initializer="zeros")

    def call(self, x):
        return x + tf.sqrt(self.scale)


class Fused(keras.layers.Layer):
    """Makes 0 of NaN, as oneDNN does where a rectifier is fused with the layer before it."""

    def build(self, shape):
        self.scale = self.add_weight(name="scale", initializer="ones")

    def call(self, x):
        return tf.where(tf.math.is_nan(x * self.scale), 0.0, x)


def network(*within):
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 1))
    first = [keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization(name="norm")]
    y = keras.Sequential([*first, keras.layers.Dropout(0.5)], name="inner")(x)
    for layer in within:
        y = layer(y)
    y = keras.layers.Flatten(name="flatten")(y)
    y = keras.layers.Dense(5, activation="relu", name="dense")(y)
    return keras.Model(x, keras.layers.Dense(3, name="logits")(y))


def found(model, images=IMAGES, labels=LABELS, weights=WEIGHTS, auxiliary=(), loss=None):
    batch = tuple(map(tf.constant, (images, labels, weights)))
    return origin.in_training(Learner(model, auxiliary, loss or CrossEntropy()), batch)


def times(model, layer, factor):
    kernel = model.get_layer(layer).kernel
    kernel.assign(kernel.numpy() * np.float32(factor))
    return model


def with_bad(array, row, value=np.nan):
    changed = array.copy()
    changed[row] = value
    return changed


def test_a_sound_batch_has_none_and_leaves_the_network_as_it_was():
    model = network()
    before = [variable.numpy() for variable in model.variables]
    assert found(model) is None
    assert all(np.array_equal(a, variable.numpy()) for a, variable in zip(before, model.variables, strict=True))


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [("images", np.nan, "fed"), ("labels", np.inf, "label"), ("weights", -np.inf, "weight")],
)
def test_what_comes_in_is_looked_at_first_and_the_images_are_told(part, value, said):
    whole = {"images": IMAGES, "labels": LABELS, "weights": WEIGHTS}
    there = found(network(), **whole | {part: with_bad(whole[part], 4, value)})
    assert (there.direction, there.layer, there.images) == ("input", "", (4,))
    assert said in there.message and "1 image" in there.message


def test_forward_it_is_the_first_layer_that_makes_it_of_finite_values():
    """A layer behind it makes NaN too, and is not the first; the images are those whose values overflow."""
    assert (there := found(times(network(), "dense", 1e38))).layer == "dense"
    assert there.direction == "forward" and there.images and "Dense" in there.message
    with np.errstate(over="ignore"):
        assert found(times(network(), "logits", np.inf)).in_weights


def test_a_layer_of_a_model_within_is_told_with_its_path():
    model = network()
    conv = model.get_layer("inner").get_layer("conv")
    conv.kernel.assign(np.full(conv.kernel.shape, np.nan, np.float32))
    there = found(model)
    assert (there.layer, there.in_weights) == ("inner/conv", True)
    assert "kernel" in there.message


def test_the_loss_alone_of_finite_logits():
    class Odd(CrossEntropy):
        def __call__(self, labels, logits):
            return super().__call__(labels, logits) / tf.constant([1.0, 1, 0, 1, 1, 1])

    there = found(network(), loss=Odd())
    assert (there.direction, there.layer, there.images) == ("loss", "", (2,))


def test_regularisation_is_told_from_the_loss():
    model = network()
    model.get_layer("dense").kernel.regularizer = lambda weights: tf.reduce_sum(weights) * np.inf
    there = found(model)
    assert there.direction == "loss" and "model.l2" in there.message


def test_an_auxiliary_classifier_is_told():
    model = network()
    aside = keras.layers.Dense(3, name="aside")(model.get_layer("dense").output)
    side = keras.Model(model.input, aside)
    side.get_layer("aside").kernel.assign(np.full((5, 3), 3e38, np.float32))
    there = found(model, auxiliary=[(side, 0.3)])
    assert (there.direction, there.layer) == ("forward", "aside")


@pytest.mark.parametrize(
    ("layer", "said"), [(NoWayBack(name="odd"), "comes into it"), (RootOfWeight(name="odd"), "`scale`")]
)
def test_backward_it_is_the_first_layer_from_the_loss_whose_gradient_is_none(layer, said):
    there = found(network(layer))
    assert (there.direction, there.layer) == ("backward", "odd")
    assert said in there.message


def test_a_gradient_too_large_to_be_squared_is_told_by_the_layer_that_has_the_largest():
    there = found(times(times(network(), "dense", 1e-20), "logits", 1e25))
    assert (there.direction, there.layer) == ("backward", "dense")
    assert "norm" in there.message


def test_what_dropout_left_out_is_left_out_again():
    """The values of one image overflow only where dropout lets them through, which the first pass told of."""
    model = network()
    learner = Learner(model, (), CrossEntropy())
    batch = tuple(map(tf.constant, (IMAGES, LABELS, WEIGHTS)))
    dropout = model.get_layer("inner").layers[-1]
    seen, call = [], dropout.call

    def noting(x, training=False):
        seen.append(call(x, training=training))
        return seen[-1]

    dropout.call = noting
    learner.logits(batch[0], training=True)
    learner.logits(batch[0], training=True)
    origin.in_training(learner, batch, passes=2)
    first, second, again = (np.asarray(made) == 0 for made in seen)
    assert np.array_equal(first, again) and not np.array_equal(second, again)


def test_in_validation_moving_statistics_are_to_blame_for_what_they_make():
    model = network()
    statistics = model.get_layer("inner").get_layer("norm").moving_variance
    statistics.assign(np.full(4, np.nan, np.float32))
    learner = Learner(model, (), CrossEntropy())
    there = origin.in_validation(learner, (tf.constant(IMAGES), tf.constant(LABELS)))
    assert (there.layer, there.in_weights) == ("inner/norm", True)
    assert found(model) is None  # training works with those of the batch


def test_weights_are_to_blame_though_what_they_make_is_finite():
    model = network(Fused(name="fused"))
    learner, batch = Learner(model, (), CrossEntropy()), (tf.constant(IMAGES), tf.constant(LABELS))
    assert origin.in_validation(learner, batch) is None
    model.get_layer("fused").scale.assign(np.nan)
    there = origin.in_validation(learner, batch)
    assert (there.layer, there.in_weights) == ("fused", True)
