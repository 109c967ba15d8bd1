"""The running average of the weights: by the formula, and swapped in and out without a trace."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from cnnkit.core.lazy import tf
from cnnkit.optimization.ema import Ema
from cnnkit.training.averages import Averages

RANDOM = np.random.default_rng(0)


@pytest.fixture
def model():
    layers = keras.layers
    inputs = keras.Input((6,))
    hidden = layers.BatchNormalization(name="norm")(layers.Dense(4, name="first")(inputs))
    return keras.Model(inputs, layers.Dense(2, name="second")(layers.Dropout(0.5)(hidden)))


def moved(model, averages, updates):
    """Other weights after each update; the averages, computed by hand from those."""
    by_hand = [weight.numpy().astype(np.float64) for weight in model.weights]
    update = tf.function(averages.update)
    for number in range(1, updates + 1):
        for weight in model.weights:
            weight.assign(RANDOM.normal(size=weight.shape))
        update(tf.constant(number, tf.int64))
        momentum = min(averages._ema.momentum, (1 + number) / (10 + number))
        by_hand = [
            momentum * average + (1 - momentum) * weight.numpy()
            for average, weight in zip(by_hand, model.weights, strict=True)
        ]
    return by_hand


@pytest.mark.parametrize("momentum", [0.3, 0.9, 0.999])
def test_an_average_is_that_of_the_formula(model, momentum):
    averages = Averages(model, Ema(momentum=momentum))
    by_hand = moved(model, averages, 20)
    assert len(averages.variables) == len(model.weights) == 8  # moving statistics are among them, dropout's seed not
    for average, expected in zip(averages.variables, by_hand, strict=True):
        assert average.numpy() == pytest.approx(expected, abs=1e-5)


def test_in_place_of_the_weights_are_their_averages_and_behind_it_the_weights_to_the_bit(model):
    averages = Averages(model, Ema())
    moved(model, averages, 3)
    weights = [weight.numpy() for weight in model.weights]
    means = [average.numpy() for average in averages.variables]
    with averages.in_place():
        for weight, mean in zip(model.weights, means, strict=True):
            assert np.array_equal(weight.numpy(), mean)
    with pytest.raises(KeyError), averages.in_place():
        raise KeyError
    for weight, average, before, mean in zip(model.weights, averages.variables, weights, means, strict=True):
        assert np.array_equal(weight.numpy(), before)
        assert np.array_equal(average.numpy(), mean)
    averages.settle()
    for weight, mean in zip(model.weights, means, strict=True):
        assert np.array_equal(weight.numpy(), mean)


def test_what_is_frozen_has_no_average_and_stays_as_it_is(model):
    model.get_layer("first").trainable = model.get_layer("norm").trainable = False
    averages = Averages(model, Ema())
    frozen = [weight.numpy() for weight in model.weights[:6]]
    assert len(averages.variables) == 2
    averages.settle()
    for weight, before in zip(model.weights, frozen, strict=False):
        assert np.array_equal(weight.numpy(), before)


def test_what_does_not_change_is_its_own_average_to_the_bit(model):
    for weight in model.weights:
        weight.assign(RANDOM.normal(size=weight.shape))
    averages = Averages(model, Ema())
    for number in range(1, 50):
        averages.update(tf.constant(number))
    for weight, average in zip(model.weights, averages.variables, strict=True):
        assert np.array_equal(weight.numpy(), average.numpy())


@pytest.mark.parametrize("momentum", [0.0, 1.0, -0.1])
def test_a_momentum_is_a_share(momentum):
    with pytest.raises(ValueError, match="momentum"):
        Ema(momentum=momentum)
