"""What clipping, averages and sharpness-aware minimisation make of the compiled updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytest

from cnnkit.core.lazy import keras, tf
from cnnkit.optimization.clipping import GlobalNorm, Norm, Value
from cnnkit.optimization.ema import Ema
from cnnkit.optimization.losses import CrossEntropy
from cnnkit.optimization.optimizers import Adam, AnyOptimizer, Sgd
from cnnkit.optimization.sam import Sam
from cnnkit.training.model import Learner
from cnnkit.training.steps import Steps

OPTIMIZERS = get_args(get_args(AnyOptimizer)[0])
RANDOM = np.random.default_rng(5)
X = RANDOM.normal(0, 3, (64, 5)).astype(np.float32)
Y = np.eye(3, dtype=np.float32)[RANDOM.integers(0, 3, 64)]
ONES = np.ones(64, np.float32)


@dataclass
class Made:
    """Steps, and the network that they train."""

    steps: Steps
    model: Any

    def weights(self):
        return [weight.numpy() for weight in self.model.weights]

    def train(self, batch_size, first, count):
        data = tf.data.Dataset.from_tensor_slices((X, Y, ONES)).batch(batch_size)
        assert self.steps.train(iter(data.skip(first * self.steps.accumulated)), first, count).sound
        return self.weights()


def made(batch_size=16, optimizer=None, accumulated=1, dropout=0.0, norm=False, **settings):
    keras.utils.set_random_seed(1)
    image = keras.Input((5,))
    hidden = keras.layers.Dense(4, activation="relu")(image)
    if norm:
        hidden = keras.layers.BatchNormalization()(hidden)
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Dropout(dropout)(hidden)))
    optimizer = optimizer or Sgd(learning_rate=1.0, momentum=0.0)
    built = optimizer.build(optimizer.learning_rate)
    learner = Learner(model, (), CrossEntropy())
    return Made(Steps(learner, built, CrossEntropy(), 64 // batch_size, accumulated, **settings), model)


@pytest.fixture
def eagerly():
    """Without compiling, which takes longer than all that is done here."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def first_step(**settings):
    """The first step of SGD with a rate of one: the gradients."""
    one = made(64, **settings)
    before = one.weights()
    return [a - b for a, b in zip(before, one.train(64, 0, 1), strict=True)]


def norm(arrays):
    return np.sqrt(sum(np.sum(array.astype(np.float64) ** 2) for array in arrays))


@pytest.mark.usefixtures("eagerly")
def test_the_step_has_the_norm_that_clipping_allows():
    gradients, at = first_step(), 0.3
    assert sum(norm([gradient]) > at for gradient in gradients) > 1
    assert norm(first_step(clip=GlobalNorm(at=at))) == pytest.approx(at, rel=1e-5)
    for free, clipped in zip(gradients, first_step(clip=Norm(at=at)), strict=True):
        assert norm([clipped]) == pytest.approx(min(at, norm([free])), rel=1e-5)
    for free, clipped in zip(gradients, first_step(clip=Value(at=at)), strict=True):
        assert clipped == pytest.approx(np.clip(free, -at, at), abs=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_recorded_norms_are_those_before_clipping():
    gradients, clipped = first_step(), made(64, clip=GlobalNorm(at=0.01))
    clipped.train(64, 0, 1)
    assert clipped.steps.gradient_norms() == pytest.approx([norm([g]) for g in gradients], rel=1e-4)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        (Sgd(learning_rate=0.1), {}),
        (Adam(learning_rate=0.01, weight_decay=0.1), {"ema": Ema(momentum=0.9), "clip": GlobalNorm(at=0.5)}),
    ],
)
def test_four_batches_of_16_are_one_of_64(optimizer, settings):
    large, small = made(64, optimizer, **settings), made(16, optimizer, accumulated=4, **settings)
    for _ in range(3):
        large.train(64, 0, 1)
        small.train(16, 0, 1)
    for one, other in zip(large.steps.variables, small.steps.variables, strict=True):
        assert one.numpy() == pytest.approx(other.numpy(), abs=1e-5, rel=1e-5)
    for one, other in zip(large.weights(), small.weights(), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_batches_that_make_one_update_do_so_for_every_optimizer(kind):
    optimizer = kind(learning_rate=0.01, weight_decay=0.1)
    large, small = made(64, optimizer), made(32, optimizer, accumulated=2)
    begun = large.weights()
    after = large.train(64, 0, 1), small.train(32, 0, 1)
    assert int(small.steps.optimizer.iterations) == 1
    for before, one, other in zip(begun, *after, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
        assert not np.array_equal(before, one)


@pytest.mark.usefixtures("eagerly")
def test_what_is_validated_are_the_averages_of_the_weights_after_each_update():
    one = made(norm=True, ema=Ema(momentum=0.8))
    averages = [weight.astype(np.float64) for weight in one.weights()]
    for number in range(8):
        after, momentum = one.train(16, number % 4, 1), min(0.8, (2 + number) / (11 + number))
        averages = [momentum * a + (1 - momentum) * w for a, w in zip(averages, after, strict=True)]

    def validated():
        one.steps.begin_validation()
        one.steps.evaluate(iter(tf.data.Dataset.from_tensor_slices((X, Y)).batch(64)), 1)
        return one.steps.validation_metrics()

    raw = validated()
    with one.steps.averaged():
        found = validated()
        for weight, average in zip(one.weights(), averages, strict=True):
            assert weight == pytest.approx(average, abs=1e-5)
    assert all(map(np.array_equal, one.weights(), after))
    assert raw != found
    other = made(norm=True)
    other.model.set_weights(averages)
    expected = np.mean(CrossEntropy()(Y, other.model(X, training=False)))
    assert found["val_loss"] == pytest.approx(float(expected), rel=1e-5)
    one.steps.settle()
    assert validated() == found


def test_without_averages_what_is_validated_are_the_weights():
    one = made()
    before = one.weights()
    with one.steps.averaged():
        assert all(map(np.array_equal, one.weights(), before))
    one.steps.settle()
    assert all(map(np.array_equal, one.weights(), before))


@pytest.mark.usefixtures("eagerly")
def test_sharpness_takes_the_gradient_from_where_the_loss_is_worst():
    gradients = first_step()
    there = made(64)
    length = norm(gradients)
    there.model.set_weights([w + 0.2 * g / length for w, g in zip(there.weights(), gradients, strict=True)])
    before = there.weights()
    expected = [a - b for a, b in zip(before, there.train(64, 0, 1), strict=True)]
    for found, right in zip(first_step(sam=Sam(rho=0.2)), expected, strict=True):
        assert found == pytest.approx(right, abs=1e-5)


def test_all_of_it_goes_on_from_its_variables_to_the_bit():
    settings = {"clip": GlobalNorm(at=0.5), "ema": Ema(momentum=0.9), "sam": Sam(), "dropout": 0.5, "norm": True}
    one = made(16, Adam(learning_rate=0.01, weight_decay=0.1), accumulated=2, **settings)
    variables = [*one.model.variables, *one.steps.optimizer.variables, *one.steps.variables]

    def after_an_epoch():
        one.train(16, 0, 2)
        return [variable.numpy() for variable in variables]

    there, end = after_an_epoch(), after_an_epoch()
    assert not all(map(np.array_equal, there, end))
    for variable, value in zip(variables, there, strict=True):
        variable.assign(value)
    assert all(map(np.array_equal, after_an_epoch(), end))
