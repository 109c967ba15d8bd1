from __future__ import annotations

from typing import get_args

import keras
import numpy as np
import pytest

from cnnkit.models import ResNet
from cnnkit.optimization.optimizers import Adam, AnyOptimizer, Sgd
from cnnkit.optimization.schedules import Cosine

OPTIMIZERS = get_args(get_args(AnyOptimizer)[0])


def test_every_optimizer_is_tried_here():
    assert set(OPTIMIZERS) == {Sgd, Adam}


WEIGHTS = np.array([1.0, -2.0, 3.0, 0.5], np.float32)
GRADIENTS = [np.array([0.3, -0.1, 0.0, 2.0]), np.array([-0.2, 0.4, 1.0, 0.5]), np.array([0.1, 0.1, -3.0, 0.0])]


def updated(optimizer, rate, name="kernel", gradients=GRADIENTS, share=None):
    """The weights after each of the steps; `share` is that of the learning rate which this variable has."""
    variable = keras.Variable(WEIGHTS, name=name)
    built = optimizer.build(rate, {id(variable.value): share} if share else None)
    weights = []
    for gradient in gradients:
        built.apply([keras.ops.convert_to_tensor(gradient, "float32")], [variable])
        weights.append(variable.numpy())
    return weights


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_sgd_steps_as_by_hand(momentum, nesterov, decay):
    optimizer = Sgd(learning_rate=0.1, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    weights, velocity = WEIGHTS.astype(np.float64), 0.0
    for gradient, seen in zip(GRADIENTS, updated(optimizer, 0.1), strict=True):
        velocity = momentum * velocity - 0.1 * gradient
        step = momentum * velocity - 0.1 * gradient if nesterov else velocity
        weights = weights - 0.1 * decay * weights + step  # decoupled: not part of the momentum
        assert seen == pytest.approx(weights, rel=1e-5)


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_adam_steps_as_in_the_paper(decay):
    optimizer = Adam(learning_rate=0.01, beta_1=0.8, beta_2=0.99, epsilon=1e-8, weight_decay=decay)
    weights, m, v = WEIGHTS.astype(np.float64), 0.0, 0.0
    for t, (gradient, seen) in enumerate(zip(GRADIENTS, updated(optimizer, 0.01), strict=True), start=1):
        m = 0.8 * m + 0.2 * gradient
        v = 0.99 * v + 0.01 * gradient**2
        step = (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
        weights = weights - 0.01 * decay * weights - 0.01 * step
        assert seen == pytest.approx(weights, rel=1e-5)


def test_the_first_step_of_adam_is_the_learning_rate():
    (first,) = updated(Adam(learning_rate=0.01), 0.01, gradients=GRADIENTS[:1])
    assert WEIGHTS - first == pytest.approx([0.01, -0.01, 0, 0.01], abs=1e-6)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_each_step_has_the_rate_of_the_schedule(kind):
    optimizer = kind(learning_rate=0.1)
    rate = Cosine(warmup_epochs=1.0)(0.1, steps_per_epoch=2, epochs=2)
    scheduled = updated(optimizer, rate)
    assert scheduled[0] == pytest.approx(WEIGHTS)  # the warm-up begins at 0
    assert not np.allclose(scheduled[1], scheduled[0])
    if kind is Sgd:
        velocity = 0.05 * GRADIENTS[1]  # half the way up; of the first step nothing is carried over
        assert scheduled[1] == pytest.approx(WEIGHTS - velocity, rel=1e-5)
        assert scheduled[2] == pytest.approx(scheduled[1] - 0.9 * velocity - 0.1 * GRADIENTS[2], rel=1e-5)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_weight_decay_spares_biases_and_norms(kind):
    model = ResNet(depth=20).build((32, 32, 3), 10)
    for variable in model.trainable_variables:
        variable.assign(keras.ops.ones_like(variable))
    optimizer = kind(learning_rate=0.1, weight_decay=0.01).build(0.1)
    optimizer.apply(
        [keras.ops.zeros_like(variable) for variable in model.trainable_variables], model.trainable_variables
    )
    for variable in model.trainable_variables:
        decays = len(variable.shape) > 1  # kernels; biases, gammas and betas are vectors
        assert variable.numpy() == pytest.approx(0.999 if decays else 1.0, abs=1e-6), variable.path


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("name", ["kernel", "bias"])
def test_a_share_of_the_rate_is_a_smaller_rate_for_step_and_decay(kind, decay, name):
    optimizer = kind(learning_rate=0.1, weight_decay=decay)
    shared = updated(optimizer, 0.1, name, share=0.25)
    smaller = updated(optimizer, 0.025, name)
    for a, b in zip(shared, smaller, strict=True):
        assert a == pytest.approx(b, rel=1e-5)


def test_variables_without_a_share_have_the_whole_rate():
    first, second = keras.Variable(WEIGHTS, name="kernel"), keras.Variable(WEIGHTS, name="kernel")
    optimizer = Sgd(learning_rate=0.1, momentum=0.0).build(0.1, {id(first.value): 0.5})
    ones = keras.ops.ones(4)
    optimizer.apply([ones, ones], [first, second])
    assert WEIGHTS - first.numpy() == pytest.approx([0.05] * 4, rel=1e-5)
    assert WEIGHTS - second.numpy() == pytest.approx([0.1] * 4, rel=1e-5)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_slots_are_those_of_keras(kind):
    variable = keras.Variable(WEIGHTS, name="kernel")
    optimizer = kind().build(0.1)
    optimizer.build([variable])
    assert sum(v.shape == variable.shape for v in optimizer.variables) == kind().slots


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("setting", [{"learning_rate": 0.0}, {"learning_rate": -1.0}, {"weight_decay": -0.1}])
def test_rates_and_decays_are_not_negative(kind, setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        kind(**setting)
