"""Sharpness-aware minimisation against its equations, and that it leaves no trace."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from cnnkit.core.lazy import tf
from cnnkit.optimization.sam import Sam
from cnnkit.training.sharpness import Sharpness

RANDOM = np.random.default_rng(0)
MATRIX = RANDOM.normal(size=(5, 5))
MATRIX = MATRIX @ MATRIX.T


def quadratic(weights):
    """Half of w'Aw, over two weights."""
    w = tf.concat([weight.value for weight in weights], axis=0)
    return 0.5 * tf.reduce_sum(w * tf.linalg.matvec(tf.constant(MATRIX, tf.float32), w))


@pytest.mark.parametrize("rho", [0.01, 0.05, 1.0])
def test_the_gradient_is_that_of_the_paper(rho):
    start = RANDOM.normal(size=5).astype(np.float32)
    weights = [keras.Variable(start[:2], name="a"), keras.Variable(start[2:], name="b")]

    def compute():
        with tf.GradientTape() as tape:
            loss = quadratic(weights)
        return loss, tape.gradient(loss, [weight.value for weight in weights])

    loss, gradients = tf.function(lambda: Sharpness(Sam(rho=rho), weights, ()).gradients(compute))()
    gradient = MATRIX @ start
    expected = MATRIX @ (start + rho * gradient / np.linalg.norm(gradient))  # arXiv:2010.01412, equations 2 and 3
    assert np.concatenate([g.numpy() for g in gradients]) == pytest.approx(expected, rel=1e-4)
    assert float(loss) == pytest.approx(0.5 * start @ MATRIX @ start, rel=1e-5)
    assert np.array_equal(np.concatenate([weight.numpy() for weight in weights]), start)


def test_both_passes_drop_the_same_and_only_the_first_moves_the_statistics():
    def network():
        keras.utils.set_random_seed(3)
        layers = [keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
        return keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(2)])

    images = tf.constant(RANDOM.normal(size=(8, 6)), tf.float32)
    outputs = []

    def gradients(model):
        def compute():
            with tf.GradientTape() as tape:
                outputs.append(model(images, training=True))
                loss = tf.reduce_mean(outputs[-1] ** 2)
            return loss, tape.gradient(loss, [weight.value for weight in model.trainable_variables])

        return compute

    plain, sharp = network(), network()
    gradients(plain)()
    weights = [weight.numpy() for weight in sharp.trainable_variables]
    # So near that both passes see the same but for what is dropped.
    Sharpness(Sam(rho=1e-6), sharp.trainable_variables, sharp.non_trainable_variables).gradients(gradients(sharp))
    first, *both = (output.numpy() for output in outputs)
    assert len(both) == 2
    for output in both:
        assert output == pytest.approx(first, abs=1e-4)
    for one, other in zip(plain.non_trainable_variables, sharp.non_trainable_variables, strict=True):
        assert np.array_equal(one.numpy(), other.numpy()), one.path
    for before, weight in zip(weights, sharp.trainable_variables, strict=True):
        assert np.array_equal(before, weight.numpy())


def test_where_nothing_leads_up_the_gradient_is_that_of_the_weights():
    weight = keras.Variable(np.zeros(3, np.float32))

    def compute():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(weight.value**2)
        return loss, [tape.gradient(loss, weight.value)]

    _, [gradient] = Sharpness(Sam(), [weight], ()).gradients(compute)
    assert np.array_equal(gradient.numpy(), np.zeros(3))
