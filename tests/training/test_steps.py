"""The compiled updates: how many are asked for at once changes nothing, and a step that is not sound is not taken."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.core.lazy import keras, tf
from cnnkit.optimization.losses import CrossEntropy
from cnnkit.training.model import Learner
from cnnkit.training.steps import Outcome, Steps

RNG = np.random.default_rng(5)
X = RNG.normal(size=(22, 5)).astype(np.float32)
Y = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 22)]
WEIGHTS = RNG.uniform(0.5, 2, 22).astype(np.float32)


def steps(batch_size, accumulated=1, rate=0.1, dropout=0.0):
    keras.utils.set_random_seed(1)
    image = keras.Input((5,))
    hidden = keras.layers.Dense(4, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01))(image)
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Dropout(dropout)(hidden)))
    batches = -(-22 // batch_size)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    return Steps(Learner(model, (), CrossEntropy()), optimizer, CrossEntropy(), batches, accumulated)


def batches(batch_size, x=X, epochs=1):
    return iter(tf.data.Dataset.from_tensor_slices((x, Y, WEIGHTS)).batch(batch_size).repeat(epochs))


def weights(made):
    return np.concatenate([weight.numpy().ravel() for weight in made.learner.model.weights])


@pytest.mark.parametrize("at_once", [(1, 1, 1, 1, 1, 1), (2, 3, 1)])
def test_how_many_updates_are_asked_for_at_once_changes_no_bit(at_once):
    reference, made = steps(4, dropout=0.5), steps(4, dropout=0.5)
    assert reference.train(batches(4), 0, 6) == Outcome(6, True)
    iterator, first = batches(4), 0
    for count in at_once:
        assert made.train(iterator, first, count) == Outcome(count, True)
        first += count
    assert (weights(made) == weights(reference)).all()
    assert made.metrics() == reference.metrics()
    assert (made.gradient_norms() == reference.gradient_norms()).all()


@pytest.mark.parametrize(("size", "accumulated"), [(4, 2), (1, 8)])
def test_accumulated_batches_take_the_step_of_a_large_one(size, accumulated):
    large, made = steps(8), steps(size, accumulated)
    assert made.updates == large.updates == 3
    assert large.train(batches(8, epochs=2), 0, 3).sound and made.train(batches(size, epochs=2), 0, 3).sound
    # 22 images are two updates with 8 images and one with 6, which is not filled up from the next epoch.
    assert weights(made) == pytest.approx(weights(large), abs=1e-6)
    assert made.metrics() == pytest.approx(large.metrics(), abs=1e-5)
    assert made.gradient_norms() == pytest.approx(large.gradient_norms(), rel=1e-4)


def test_norms_of_gradients_are_those_of_the_gradients():
    made = steps(22)
    learner = made.learner
    with tf.GradientTape() as tape:
        loss = learner.loss(Y, learner.logits(X, training=True), WEIGHTS)
    expected = [np.linalg.norm(g) for g in tape.gradient(loss, [w.value for w in learner.trainable_variables])]
    made.train(batches(22), 0, 1)
    assert made.gradient_norms() == pytest.approx(expected, rel=1e-5)
    assert made.names == [weight.path for weight in learner.trainable_variables]


@pytest.mark.parametrize(("bad", "accumulated"), [(np.nan, 1), (np.inf, 2), (-np.inf, 1)])
def test_a_step_whose_loss_is_no_number_is_not_taken(bad, accumulated):
    spoilt = X.copy()
    spoilt[9, 2] = bad
    made, before = steps(4, accumulated), steps(4, accumulated)
    sound = 9 // (4 * accumulated)
    before.train(batches(4), 0, sound)
    assert made.train(batches(4, spoilt), 0, 3) == Outcome(sound, False)
    assert (weights(made) == weights(before)).all()
    assert int(made.optimizer.iterations) == sound


def test_a_step_whose_gradient_alone_is_infinite_is_not_taken():
    made = steps(22)
    root = made.learner.loss_of

    @tf.custom_gradient
    def spoilt(loss):
        return loss, lambda upstream: upstream * np.inf

    made.learner.loss_of = lambda labels, logits: spoilt(root(labels, logits))
    before = weights(made)
    assert made.train(batches(22), 0, 1) == Outcome(0, False)
    assert (weights(made) == before).all()
