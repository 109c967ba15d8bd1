"""Precision, XLA and the time of a call: what they change of the steps, and what they must not."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

from cnnkit.core.lazy import keras, tf
from cnnkit.models.base import computing_in
from cnnkit.optimization import section
from cnnkit.optimization.losses import CrossEntropy
from cnnkit.optimization.section import Train
from cnnkit.training import loss_scale
from cnnkit.training.computing import Computing
from cnnkit.training.model import Learner
from cnnkit.training.steps import Outcome, Steps

RNG = np.random.default_rng(3)
X = RNG.normal(size=(24, 6, 6, 2)).astype(np.float32)
Y = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 24)]
WEIGHTS = RNG.uniform(0.5, 2, 24).astype(np.float32)


def steps(precision="float32", jit=False, dropout=0.0):
    keras.utils.set_random_seed(1)
    layers = keras.layers
    with computing_in(precision):
        image = keras.Input((6, 6, 2))
        x = layers.Conv2D(4, 3, activation="relu")(image)
        x = layers.Dropout(dropout)(layers.BatchNormalization(momentum=0.9)(x))
        model = keras.Model(image, layers.Dense(3, dtype="float32")(layers.Flatten()(x)))
    computing = Computing(jit=jit, precision=precision)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    return Steps(Learner(model, (), CrossEntropy()), optimizer, CrossEntropy(), batches=3, computing=computing)


def batches(size=8):
    return iter(tf.data.Dataset.from_tensor_slices((X, Y, WEIGHTS)).batch(size).repeat())


def weights(made):
    return np.concatenate([weight.numpy().ravel() for weight in made.learner.model.weights])


def scale(made):
    return float(made._computed.scale.value)


@pytest.mark.parametrize(
    ("changes", "far"),
    [pytest.param({"jit": True}, 1e-5, marks=pytest.mark.slow), ({"precision": "mixed_bfloat16"}, 0.02)],
)
def test_what_is_computed_otherwise_learns_the_same(changes, far):
    reference, made = steps(), steps(**changes)
    assert reference.train(batches(), 0, 6) == made.train(batches(), 0, 6) == Outcome(6, True)
    assert weights(made) == pytest.approx(weights(reference), abs=far)
    assert made.metrics() == pytest.approx(reference.metrics(), abs=far)
    assert made.gradient_norms() == pytest.approx(reference.gradient_norms(), rel=3 * far, abs=far)
    assert {weight.dtype for weight in made.learner.model.weights} == {"float32"}


@pytest.mark.slow
def test_in_float16_the_loss_is_scaled_and_the_gradients_are_not():
    reference, made = steps(), steps("mixed_float16")
    reference.train(batches(), 0, 6)
    assert made.train(batches(), 0, 6) == Outcome(6, True)
    assert scale(made) == 2.0**15
    assert weights(made) == pytest.approx(weights(reference), abs=2e-3)
    assert made.gradient_norms() == pytest.approx(reference.gradient_norms(), rel=1e-2)


def test_gradients_that_only_float16_can_not_hold_cost_a_step_and_halve_the_scale():
    made = steps("mixed_float16")
    made._computed.scale.value.assign(2.0**24)
    before, seen = weights(made)[-3:], []
    for number in range(12):
        assert made.train(batches(), number, 1) == Outcome(1, True)
        seen.append(scale(made))
        if seen[-1] == seen[max(0, number - 1)] and number:
            break
        assert (weights(made)[-3:] == before).all()
    assert seen[0] == 2.0**23
    assert all(later in (earlier / 2, earlier) for earlier, later in pairwise(seen))
    assert not (weights(made)[-3:] == before).all()
    assert int(made.optimizer.iterations) == 1


def test_a_loss_that_is_no_number_is_none_of_the_scale():
    made, x = steps("mixed_float16"), X.copy()
    x[9] = np.inf
    spoilt = iter(tf.data.Dataset.from_tensor_slices((x, Y, WEIGHTS)).batch(8))
    assert made.train(spoilt, 0, 3) == Outcome(1, False)


def test_gradients_that_no_scale_helps_end_the_training():
    made = steps("mixed_float16")
    of_loss = made.learner.loss_of

    @tf.custom_gradient
    def steep(loss):
        return loss, lambda upstream: upstream * np.inf

    made.learner.loss_of = lambda labels, logits: steep(of_loss(labels, logits))
    assert made.train(batches(), 0, 40) == Outcome(15, False)
    assert scale(made) == loss_scale.LEAST


@pytest.mark.slow
def test_after_many_updates_without_overflow_the_scale_doubles(monkeypatch):
    monkeypatch.setattr(loss_scale, "GROWTH", 3)
    made = steps("mixed_float16")
    made._computed.scale.value.assign(4.0)
    made.train(batches(), 0, 7)
    assert scale(made) == 16.0
    assert [variable.name for variable in made._computed.scale.variables] == [v.name for v in made.variables[-2:]]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"precision": "mixed_bfloat16"}, marks=pytest.mark.slow),
        pytest.param({"jit": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_when_a_call_ends_changes_no_bit(changes):
    reference, made = steps(dropout=0.5, **changes), steps(dropout=0.5, **changes)
    reference.train(batches(), 0, 6)
    iterator, first = batches(), 0
    while first < 6:
        outcome = made.train(iterator, first, 6 - first, seconds=-1.0)
        assert outcome == Outcome(1, True)  # one is made however little time there is
        first += outcome.done
    assert (weights(made) == weights(reference)).all()
    assert made.metrics() == reference.metrics()


def test_a_call_ends_when_its_time_is_up():
    def slow():
        for i in range(1000):
            time.sleep(0.03)
            yield X[:4], Y[:4], np.float32([1, 1, 1, i])

    kinds = [tf.TensorSpec((None, *part.shape[1:]), tf.float32) for part in (X, Y, WEIGHTS)]
    made = steps()
    made.train(batches(), 0, 1)
    began = time.perf_counter()
    outcome = made.train(iter(tf.data.Dataset.from_generator(slow, output_signature=tuple(kinds))), 1, 900, 0.2)
    assert time.perf_counter() - began < 10
    assert outcome.sound and 1 <= outcome.done < 100
    images = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4).repeat()
    assert made.evaluate(iter(images), 5) == 5
    assert made.evaluate(iter(images), 5, seconds=-1.0) in (1, 2)


@pytest.mark.parametrize(("jit", "compiled"), [("auto", False), (False, False), (True, True)])
def test_a_cpu_compiles_only_where_it_is_told_to(jit, compiled):
    made = Computing.of(Train(jit=jit, precision="mixed_bfloat16"), steps().learner.model)
    assert made.facts() == {"devices": ["CPU:0"], "precision": "mixed_bfloat16", "jit": compiled}


@pytest.mark.parametrize(
    ("settings", "bfloat16", "keys"),
    [
        ({}, False, []),
        ({"precision": "mixed_float16"}, True, ["train.precision"]),
        ({"precision": "mixed_bfloat16"}, True, []),
        ({"precision": "mixed_bfloat16", "jit": True}, False, ["train.precision", "train.jit"]),
        ({"precision": "mixed_float16", "devices": "cpu"}, False, []),  # `check` has said it
    ],
)
def test_what_is_slow_on_a_cpu_is_said_once_it_is_known_to_be_one(monkeypatch, settings, bfloat16, keys):
    monkeypatch.setattr(section, "computes_in_bfloat16", lambda: bfloat16)
    train = Train(**settings)
    assert [problem.key for problem in Computing().careful(train)] == keys
