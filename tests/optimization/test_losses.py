from __future__ import annotations

import warnings
from typing import get_args

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import tf
from cnnkit.optimization.losses import (
    AnyLoss,
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    MeanAbsoluteError,
    MeanSquaredError,
)

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 3, (50, 4)).astype(np.float32)
LABELS = np.eye(4, dtype=np.float32)[RANDOM.integers(0, 4, 50)]
LOGIT = RANDOM.normal(0, 3, (50, 1)).astype(np.float32)
BINARY = np.eye(2, dtype=np.float32)[RANDOM.integers(0, 2, 50)]
CASES = [
    *((kind, LABELS, LOGITS) for kind in (CrossEntropy, Focal, MeanSquaredError, MeanAbsoluteError)),
    (BinaryCrossEntropy, BINARY, LOGIT),
]
SMOOTHINGS = [0.0, 0.1, 0.5]


def log_softmax(logits):
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_every_loss_is_tried_here():
    assert {kind for kind, *_ in CASES} == set(get_args(get_args(AnyLoss)[0]))


@pytest.mark.parametrize("kind", get_args(get_args(AnyLoss)[0]))
def test_a_loss_for_two_classes_makes_no_more_of_any_number(kind):
    loss = kind()
    logits = np.zeros((1, loss.logits(classes=5)))
    assert loss.probabilities(logits).shape == (1, 2 if loss.two_classes else 5)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_cross_entropy_is_that_of_szegedy(smoothing):
    smoothed = (1 - smoothing) * LABELS + smoothing / 4  # arXiv:1512.00567, section 7
    expected = -(smoothed * log_softmax(LOGITS)).sum(-1)
    assert CrossEntropy(label_smoothing=smoothing)(LABELS, LOGITS).numpy() == pytest.approx(
        expected, rel=1e-5, abs=1e-6
    )


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_binary_cross_entropy_is_the_softmax_of_zero_and_the_logit(smoothing):
    two = np.concatenate([np.zeros_like(LOGIT), LOGIT], axis=1)
    expected = CrossEntropy(label_smoothing=smoothing)(BINARY, two).numpy()
    loss = BinaryCrossEntropy(label_smoothing=smoothing)
    assert loss(BINARY, LOGIT).numpy() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert loss.probabilities(LOGIT) == pytest.approx(CrossEntropy().probabilities(two))
    assert np.array_equal(loss.accuracy(BINARY, LOGIT), CrossEntropy().accuracy(BINARY, two))


@pytest.mark.parametrize(("kind", "error"), [(MeanSquaredError, np.square), (MeanAbsoluteError, np.abs)])
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_errors_of_probabilities_are_means_over_the_classes(kind, error, smoothing):
    smoothed = (1 - smoothing) * LABELS + smoothing / 4
    expected = error(np.exp(log_softmax(LOGITS)) - smoothed).mean(-1)
    assert kind(label_smoothing=smoothing)(LABELS, LOGITS).numpy() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_mean_squared_error_is_the_brier_score_of_scikit_learn():
    probabilities = CrossEntropy().probabilities(LOGITS)
    each = [brier_score_loss(LABELS[:, label], probabilities[:, label]) for label in range(4)]
    assert MeanSquaredError()(LABELS, LOGITS).numpy().mean() == pytest.approx(np.mean(each), rel=1e-5)


@pytest.mark.parametrize("kind", [MeanSquaredError, MeanAbsoluteError])
def test_errors_of_probabilities_and_their_gradients_are_finite_for_extreme_logits(kind):
    logits = np.array([[1000, -1000, 0], [-1000, 1000, 0], [0, 0, 0], [1000, 1000, 1000]], np.float32)
    labels = np.eye(3, dtype=np.float32)[[0] * 4]
    assert kind()(labels, logits).numpy()[:2] == pytest.approx([0, 2 / 3])
    assert np.isfinite(gradient(kind(), labels, logits)).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_focal_loss_is_that_of_lin(gamma, smoothing):
    smoothed = (1 - smoothing) * LABELS + smoothing / 4
    log_p = log_softmax(LOGITS)
    expected = -(smoothed * (1 - np.exp(log_p)) ** gamma * log_p).sum(-1)  # arXiv:1708.02002, equation 4
    loss = Focal(gamma=gamma, label_smoothing=smoothing)
    assert loss(LABELS, LOGITS).numpy() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_focal_loss_takes_mixed_labels():
    mixed = 0.3 * LABELS + 0.7 * LABELS[::-1]
    parts = [Focal()(labels, LOGITS).numpy() for labels in (LABELS, LABELS[::-1])]
    assert Focal()(mixed, LOGITS).numpy() == pytest.approx(0.3 * parts[0] + 0.7 * parts[1], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_focal_loss_without_focus_is_cross_entropy(smoothing):
    expected = CrossEntropy(label_smoothing=smoothing)(LABELS, LOGITS).numpy()
    loss = Focal(gamma=0.0, label_smoothing=smoothing)
    assert loss(LABELS, LOGITS).numpy() == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_by_focal_loss_an_image_of_probability_nine_tenths_counts_for_a_hundredth():
    logits = np.log([[0.9, 0.1]]).astype(np.float32)  # the example in section 3.2 of the paper
    first = np.array([[1, 0]], np.float32)
    assert Focal(gamma=2.0)(first, logits).numpy() == pytest.approx(CrossEntropy()(first, logits).numpy() / 100)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0, 10.0])
def test_the_gradient_of_focal_loss_is_that_of_the_formula(gamma):
    def formula(logits):
        log_p = log_softmax(logits)
        return -(LABELS * (1 - np.exp(log_p)) ** gamma * log_p).sum(-1)

    step = 1e-5 * np.eye(4)[:, None]
    wide = LOGITS.astype(np.float64)
    expected = np.stack([(formula(wide + s) - formula(wide - s)) / 2e-5 for s in step], axis=-1)
    assert gradient(Focal(gamma=gamma), LABELS, LOGITS) == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0, 10.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_and_its_gradient_are_finite_for_extreme_logits(gamma, smoothing):
    logits = np.array([[1000, -1000, 0], [-1000, 1000, 0], [0, 0, 0], [30, 0, 0], [1000, 1000, 1000]], np.float32)
    labels = np.eye(3, dtype=np.float32)[[0] * 5]
    loss = Focal(gamma=gamma, label_smoothing=smoothing)
    assert np.isfinite(loss(labels, logits)).all()
    assert np.isfinite(gradient(loss, labels, logits)).all()
    assert Focal(gamma=gamma)(labels, logits).numpy()[:2] == pytest.approx([0, 2000])


FORMULAS = {
    CrossEntropy: lambda y, log_p: -(y * log_p).sum(-1),
    Focal: lambda y, log_p: -(y * (1 - np.exp(log_p)) ** 2 * log_p).sum(-1),
    BinaryCrossEntropy: lambda y, log_p: -(y * log_p).sum(-1),
    MeanSquaredError: lambda y, log_p: ((np.exp(log_p) - y) ** 2).mean(-1),
    MeanAbsoluteError: lambda y, log_p: np.abs(np.exp(log_p) - y).mean(-1),
}


@pytest.mark.parametrize(("kind", "labels", "logits"), CASES)
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_the_gradient_of_a_loss_is_that_of_its_formula(kind, labels, logits, smoothing):
    classes = labels.shape[1]
    smoothed = (1 - smoothing) * labels + smoothing / classes

    def formula(logits):
        both = logits if logits.shape[1] > 1 else np.concatenate([np.zeros_like(logits), logits], axis=1)
        return FORMULAS[kind](smoothed, log_softmax(both))

    steps = 1e-5 * np.eye(logits.shape[1])[:, None]
    wide = logits.astype(np.float64)
    expected = np.stack([(formula(wide + step) - formula(wide - step)) / 2e-5 for step in steps], axis=-1)
    assert gradient(kind(label_smoothing=smoothing), labels, logits) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def gradient(loss, labels, logits):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(loss(labels, logits))
    return tape.gradient(total, logits).numpy()


@pytest.mark.parametrize("gamma", [-0.1, 10.1, 1e30, float("nan"), float("inf")])
def test_a_focus_is_a_number_from_zero_to_ten(gamma):
    with pytest.raises(ValueError, match="gamma"):
        Focal(gamma=gamma)


@pytest.mark.parametrize(
    ("loss", "labels", "logits"),
    [(CrossEntropy(), LABELS, LOGITS), (Focal(gamma=0.0), LABELS, LOGITS), (BinaryCrossEntropy(), BINARY, LOGIT)],
)
def test_the_mean_is_the_log_loss_of_scikit_learn(loss, labels, logits):
    expected = log_loss(labels.argmax(1), loss.probabilities(logits))
    assert loss(labels, logits).numpy().mean() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("kind", "labels", "logits"), CASES)
def test_there_is_a_loss_and_an_accuracy_for_each_image(kind, labels, logits):
    assert kind()(labels, logits).shape == (50,)
    assert kind().accuracy(labels, logits).shape == (50,)


@pytest.mark.parametrize(("kind", "labels", "logits"), CASES)
def test_accuracy_agrees_with_the_likeliest_class(kind, labels, logits):
    likeliest = kind().probabilities(logits).argmax(-1)
    assert np.array_equal(kind().accuracy(labels, logits), (likeliest == labels.argmax(-1)).astype(np.float32))


@pytest.mark.parametrize(("kind", "labels", "logits"), CASES)
def test_probabilities_are_float64_and_sum_to_one(kind, labels, logits):
    probabilities = kind().probabilities(logits)
    assert probabilities.dtype == np.float64
    assert probabilities.shape == labels.shape
    assert probabilities.sum(-1) == pytest.approx(np.ones(50), abs=1e-15)
    assert probabilities.min() >= 0


def test_probabilities_are_those_by_hand():
    assert CrossEntropy().probabilities(np.log([[1, 2, 5]])) == pytest.approx(np.array([[1, 2, 5]]) / 8)
    assert BinaryCrossEntropy().probabilities(np.log([[3.0]])) == pytest.approx(np.array([[0.25, 0.75]]))


@pytest.mark.parametrize("size", [100, 1e4, 1e30])
def test_extreme_logits_overflow_nowhere(size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wide = np.array([[size, -size, 0], [-size, 0, size]], np.float32)
        assert CrossEntropy().probabilities(wide) == pytest.approx(np.array([[1, 0, 0], [0, 0, 1]]))
        narrow = np.array([[size], [-size]], np.float32)
        assert BinaryCrossEntropy().probabilities(narrow) == pytest.approx(np.array([[0, 1], [1, 0]]))
    assert CrossEntropy()(np.eye(3, dtype=np.float32)[[0, 0]], wide).numpy() == pytest.approx([0, 2 * size])
    labels = np.eye(2, dtype=np.float32)
    assert BinaryCrossEntropy()(labels[[1, 1]], narrow).numpy() == pytest.approx([0, size])


@pytest.mark.parametrize("size", [30.0, 50.0, 300.0])
def test_small_probabilities_do_not_vanish(size):
    probabilities = BinaryCrossEntropy().probabilities(np.array([[size], [-size]]))
    assert probabilities.min(axis=1) == pytest.approx(np.exp([-size, -size]), rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("loss", "classes", "logits"),
    [(CrossEntropy(), 2, 2), (CrossEntropy(), 10, 10), (MeanSquaredError(), 10, 10), (BinaryCrossEntropy(), 2, 1)],
)
def test_the_number_of_logits_is_the_losses(loss, classes, logits):
    assert loss.logits(classes) == logits


@pytest.mark.parametrize("kind", [kind for kind, *_ in CASES])
@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_leaves_something_of_the_label(kind, smoothing):
    with pytest.raises(ValueError, match="label_smoothing"):
        kind(label_smoothing=smoothing)


@pytest.mark.parametrize("kind", [CrossEntropy, Focal, BinaryCrossEntropy])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_answer(kind, wrong):
    logits = np.zeros((3, kind().logits(2)), np.float32)
    logits[1, -1] = wrong
    with pytest.raises(TrainingError, match=r"NaN or infinity to 1 of 3 images, first to b\.png: .*learning_rate"):
        kind().probabilities(logits, ["a.png", "b.png", "c.png"])
