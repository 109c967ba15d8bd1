from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from cnnkit.evaluation import metrics
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.metrics import CLASS_METRICS, METRICS, EvaluationMetric

CLASSES = ["ant", "bee", "cat", "dog"]


def metrics_of(labels, predicted, classes):
    return metrics.computed(Answers(labels, np.eye(len(classes))[predicted], classes))


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
    told = metrics_of(labels, predicted, CLASSES[:2])
    assert told["accuracy"] == right / images
    assert told["accuracy_interval"] == pytest.approx(wilson(right, images), abs=1e-12)
    assert 0 <= told["accuracy_interval"][0] <= told["accuracy"] <= told["accuracy_interval"][1] <= 1


@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_scikit_learn(seed):
    labels, predicted = labelled(200, 4, seed)
    told = metrics_of(labels, predicted, CLASSES)
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
    told = metrics_of(np.array([0, 0, 0, 1]), np.array([0, 2, 2, 1]), CLASSES)
    assert told["confusion"] == [[1, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_a_class_that_is_never_predicted_or_never_there_has_zeros_and_no_nan():
    told = metrics_of(np.array([0, 0, 1]), np.array([0, 2, 0]), CLASSES)
    numbers = [(entry["precision"], entry["recall"], entry["f1"]) for entry in told["classes"]]
    assert numbers == [(0.5, 0.5, 0.5), (0, 0, 0), (0, 0, 0), (0, 0, 0)]
    assert told["macro_f1"] == 0.25  # the mean over the two classes that have images


RESULT = {
    "split": "test",
    "images": 1500,
    "loss": 0.25,
    "accuracy": 0.75,
    "accuracy_interval": [0.7, 0.8],
    "macro_f1": 0.5,
}


def test_the_line_of_a_result():
    assert metrics.line(RESULT) == (
        "test: accuracy 0.7500 (95 % interval 0.7000 to 0.8000), macro F1 0.5000, loss 0.2500, 1,500 images"
    )


def test_a_metric_is_one_row_that_computes_and_says_it(monkeypatch):
    """Balanced accuracy, and the share of images whose class is not the least likely, as examples."""

    def not_last(answers):
        return float(np.mean(answers.probabilities.argmin(axis=1) != answers.labels))

    balanced = EvaluationMetric(
        "balanced", lambda answers: float(np.mean(answers.by_class["recall"])), "balanced {balanced:.2f}"
    )
    monkeypatch.setattr(metrics, "METRICS", (*METRICS, balanced, EvaluationMetric("not_last", not_last)))
    probabilities = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.2, 0.1, 0.7]])
    found = metrics.computed(Answers(np.array([0, 1, 2, 2]), probabilities, CLASSES[:3]))
    # By hand: recalls 1, 0 and 1/2; only of the third image the right class is the least likely.
    assert (found["balanced"], found["not_last"]) == (0.5, 0.75)
    assert ", balanced 0.50, loss " in metrics.line(RESULT | found)


def test_a_metric_of_each_class_is_one_row(monkeypatch):
    missed = replace(CLASS_METRICS[0], name="missed", of=lambda a: 1 - a.by_class["recall"], interval=None)
    monkeypatch.setattr(metrics, "CLASS_METRICS", (missed,))
    table = metrics_of(np.array([0, 0, 1]), np.array([0, 1, 1]), CLASSES[:2])["classes"]
    assert table == [{"name": "ant", "images": 2, "missed": 0.5}, {"name": "bee", "images": 1, "missed": 0.0}]
