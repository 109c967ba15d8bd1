from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from cnnkit.evaluation import metrics, prediction_table

CLASSES = ["ant", "bee", "cat", "dog"]


def labelled(images, classes, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, images)
    return labels, np.where(random.random(images) < 0.6, labels, random.integers(0, classes, images))


def wilson(right, images):
    """Wilson 1927: the proportions p for which |right / images - p| is at most z standard errors of p."""
    z = 1.959963984540054
    centre = (right + z * z / 2) / (images + z * z)
    half = z / (images + z * z) * math.sqrt(right * (images - right) / images + z * z / 4)
    return [centre - half, centre + half]


@pytest.mark.parametrize(("right", "images"), [(0, 1), (1, 1), (0, 30), (30, 30), (17, 20), (985, 1000), (1, 3)])
def test_the_interval_is_wilsons(right, images):
    labels = np.zeros(images, int)
    predicted = np.r_[np.zeros(right, int), np.ones(images - right, int)]
    told = metrics(labels, predicted, CLASSES[:2])
    assert told["accuracy"] == right / images
    assert told["accuracy_interval"] == pytest.approx(wilson(right, images), abs=1e-12)
    assert 0 <= told["accuracy_interval"][0] <= told["accuracy"] <= told["accuracy_interval"][1] <= 1


@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_scikit_learn(seed):
    labels, predicted = labelled(200, 4, seed)
    told = metrics(labels, predicted, CLASSES)
    assert told["accuracy"] == sklearn_metrics.accuracy_score(labels, predicted)
    assert told["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(labels, predicted, average="macro"))
    for number, entry in enumerate(told["classes"]):
        one, other = labels == number, predicted == number
        assert entry["name"] == CLASSES[number]
        assert entry["images"] == one.sum()
        assert entry["precision"] == pytest.approx((one & other).sum() / other.sum())
        assert entry["recall"] == pytest.approx((one & other).sum() / one.sum())
        assert entry["f1"] == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_rows_of_the_confusion_matrix_are_what_the_images_are():
    told = metrics(np.array([0, 0, 0, 1]), np.array([0, 2, 2, 1]), CLASSES)
    assert told["confusion"] == [[1, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_a_class_that_is_never_predicted_or_never_there_has_zeros_and_no_nan():
    told = metrics(np.array([0, 0, 1]), np.array([0, 2, 0]), CLASSES)
    numbers = [(entry["precision"], entry["recall"], entry["f1"]) for entry in told["classes"]]
    assert numbers == [(0.5, 0.5, 0.5), (0, 0, 0), (0, 0, 0), (0, 0, 0)]
    assert told["macro_f1"] == 0.125


def test_a_prediction_is_told_with_every_probability():
    probabilities = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]])
    header, rows = prediction_table(["a.png", "b.png"], np.array([2, 0]), probabilities, CLASSES[:3])
    assert header == ("image", "label", "predicted", "probability", "p_ant", "p_bee", "p_cat")
    assert rows == [
        ["a.png", "cat", "bee", "0.700000", "0.100000", "0.700000", "0.200000"],
        ["b.png", "ant", "ant", "0.500000", "0.500000", "0.250000", "0.250000"],
    ]
