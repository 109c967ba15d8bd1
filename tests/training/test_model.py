from __future__ import annotations

import numpy as np
import pytest

from cnnkit.core.lazy import keras, tf
from cnnkit.optimization.losses import CrossEntropy
from cnnkit.training.model import Learner
from cnnkit.training.steps import Outcome, Steps

RNG = np.random.default_rng(3)
X, LABELS = RNG.normal(size=(6, 5)).astype(np.float32), RNG.integers(0, 3, 6)
Y = np.eye(3, dtype=np.float32)[LABELS]


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    x = keras.Input((5,))
    inside = keras.layers.Dense(4, name="inside")(x)
    model = keras.Model(x, keras.layers.Dense(3)(inside))
    auxiliary = [(keras.Model(x, keras.layers.Dense(3)(inside)), weight) for weight in (0.3, 0.3)]
    return model, auxiliary


def epoch(model, auxiliary, rate=0.0, weights=None):
    """The metrics of one batch of all images, of training and validation."""
    steps = Steps(Learner(model, auxiliary, CrossEntropy()), keras.optimizers.SGD(rate), CrossEntropy(), batches=1)
    weights = np.ones(6, np.float32) if weights is None else weights
    assert steps.train(iter(tf.data.Dataset.from_tensors((X, Y, weights))), 0, 1) == Outcome(1, True)
    steps.evaluate(iter(tf.data.Dataset.from_tensors((X, Y))), 1)
    return steps.metrics() | steps.validation_metrics()


def cross_entropy(model):
    logits = np.float64(model(X).numpy())
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), LABELS])


def test_the_loss_of_training_is_that_of_the_network_and_three_tenths_of_each_auxiliary_one(network):
    model, auxiliary = network
    expected = cross_entropy(model) + 0.3 * cross_entropy(auxiliary[0][0]) + 0.3 * cross_entropy(auxiliary[1][0])
    assert epoch(model, auxiliary)["loss"] == pytest.approx(expected, rel=1e-5)


def test_what_a_gradient_moves_are_statistics_of_what_learns_and_seeds_but_nothing_else_that_is_frozen():
    image, layers = keras.Input((5,)), keras.layers
    frozen = [layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5)]
    learning = [layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5)]
    x = image
    for layer in (*frozen, *learning):
        x = layer(x)
    for layer in frozen:
        layer.trainable = False
    learner = Learner(keras.Model(image, x), (), CrossEntropy())
    before = [variable.numpy() for variable in learner.all.variables]
    learner.logits(RNG.normal(size=(6, 5)).astype(np.float32), training=True)
    moved = {
        variable.path
        for variable, value in zip(learner.all.variables, before, strict=True)
        if not np.array_equal(variable.numpy(), value)
    }
    assert len(moved) == 4  # two moving statistics, two generators
    assert {variable.path for variable in learner.moved_variables} == moved
    assert len(learner.moved_variables) == 4


def test_the_loss_of_validation_is_that_of_the_network_alone(network):
    model, auxiliary = network
    model.layers[1].kernel.regularizer = keras.regularizers.L2(1.0)
    metrics = epoch(model, auxiliary)
    assert metrics["val_loss"] == pytest.approx(cross_entropy(model), rel=1e-5)
    right = np.mean(model(X).numpy().argmax(axis=1) == LABELS)
    assert metrics["accuracy"] == metrics["val_accuracy"] == pytest.approx(right)


def test_l2_adds_to_the_loss_of_training(network):
    model, _ = network
    kernel = model.layers[1].kernel
    without = epoch(model, ())["loss"]
    kernel.regularizer = keras.regularizers.L2(0.01)
    with_l2 = epoch(model, ())["loss"]
    assert with_l2 - without == pytest.approx(0.01 * np.sum(np.square(kernel.numpy())), rel=1e-4)


def test_gradients_of_all_classifiers_reach_the_layers_they_share(network):
    model, auxiliary = network
    learner = Learner(model, auxiliary, CrossEntropy())
    with tf.GradientTape() as tape:
        loss = learner.loss(Y, learner.logits(X, training=True))
    parts = [(model, 1.0), *auxiliary]
    total = tape.gradient(loss, model.get_layer("inside").kernel.value).numpy()
    expected = np.zeros_like(total)
    for part, weight in parts:
        with tf.GradientTape() as tape:
            alone = tf.reduce_mean(CrossEntropy()(Y, part(X)))
        expected += weight * tape.gradient(alone, model.get_layer("inside").kernel.value).numpy()
    assert np.abs(total - expected).max() < 1e-6


def test_the_weight_of_an_image_multiplies_its_loss(network):
    model, auxiliary = network
    weights = np.float32([0.5, 2, 1, 0.1, 3, 1])

    def weighted(part):
        logits = np.float64(part(X).numpy())
        return np.mean(weights * (np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), LABELS]))

    expected = weighted(model) + 0.3 * weighted(auxiliary[0][0]) + 0.3 * weighted(auxiliary[1][0])
    assert epoch(model, auxiliary, weights=weights)["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_step_with_weights_goes_where_the_weighted_loss_falls(network):
    model, _ = network
    weights = np.float32([0.5, 2, 1, 0.1, 3, 1])
    kernel = model.get_layer("inside").kernel
    before = kernel.numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(weights * CrossEntropy()(Y, model(X)))
    gradient = tape.gradient(loss, kernel.value).numpy()
    epoch(model, (), rate=0.1, weights=weights)
    assert kernel.numpy() == pytest.approx(before - 0.1 * gradient, abs=1e-6)


def test_what_regularisation_asks_of_the_weights_is_known_after_the_graph_of_a_training_was_made():
    class AsksOfItsWeights(keras.layers.Layer):
        """As a SavedModel has it: a function of its weights, which joins the loss of each call."""

        def build(self, shape):
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
            self.losses_of_weights = [lambda: 7.0 * self.scale.value]

        def call(self, x):
            self.add_loss(self.losses_of_weights[0]())
            return x * self.scale

    dense = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.5), name="dense")
    asking, image = AsksOfItsWeights(), keras.Input((5,))
    learner = Learner(keras.Model(image, asking(dense(image))), (), CrossEntropy())
    steps = Steps(learner, keras.optimizers.SGD(0.0), CrossEntropy(), batches=1)
    assert steps.train(iter(tf.data.Dataset.from_tensors((X, Y, np.ones(6, np.float32)))), 0, 1).sound
    of_kernel = 0.5 * np.sum(np.float64(dense.kernel.numpy()) ** 2)
    assert learner.penalty() == pytest.approx(7.0 + of_kernel, rel=1e-5)
    assert steps.metrics()["loss"] == pytest.approx(cross_entropy(learner.model) + 7.0 + of_kernel, rel=1e-5)
    asking.trainable = False
    assert learner.penalty() == pytest.approx(of_kernel, rel=1e-5)
