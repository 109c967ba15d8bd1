"""The loss of guessing, and what is far above it."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from cnnkit import read
from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import tf
from cnnkit.inspection.summary import memory_of, summarize
from cnnkit.optimization.losses import BinaryCrossEntropy, CrossEntropy, Focal
from cnnkit.training import start_checks
from cnnkit.training.start_checks import StartChecks, far_above, guessing

CONFIG = """
name: tiny
data: {source: {name: digits}, image_size: [32, 32], channels: 1}
model: {name: lenet}
train: {epochs: 4, optimizer: {name: adam}, schedule: {name: cosine}}
"""


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return read(tmp_path / "tiny.yaml")


def training(labels, weights=None, classes=10):
    weights = np.ones(len(labels)) if weights is None else weights
    return SimpleNamespace(
        classes=classes,
        labels=tf.constant(labels, tf.int64),
        weights=tf.constant(weights, tf.float32),
        batch_size=4,
        images=SimpleNamespace(),
    )


@pytest.mark.parametrize(
    ("loss", "classes", "expected"),
    [
        (CrossEntropy(), 10, math.log(10)),
        (CrossEntropy(label_smoothing=0.2), 10, math.log(10)),  # of equal probabilities smoothing changes nothing
        (Focal(gamma=2.0), 4, 0.75**2 * math.log(4)),
        (BinaryCrossEntropy(), 2, math.log(2)),
    ],
)
def test_guessing_has_the_loss_of_equal_probabilities(loss, classes, expected):
    labels = np.arange(40) % classes
    assert guessing(loss, training(labels, classes=classes)) == pytest.approx(expected, rel=1e-5)


def test_weights_of_images_count_in_the_loss_of_guessing():
    assert guessing(CrossEntropy(), training([0, 1], [0.5, 2.5], 2)) == pytest.approx(1.5 * math.log(2), rel=1e-5)


def learner(auxiliary=(), penalty=0.0):
    return SimpleNamespace(weights_of_auxiliary=auxiliary, penalty=lambda: penalty)


def test_a_loss_far_above_guessing_is_named_with_reasons(experiment):
    line = far_above(90.0, 2.3, learner(), experiment)
    assert "begins at 90" in line and "guessing has 2.3" in line
    assert "model.normalization=batch" in line and "train.schedule.warmup_epochs=1" in line


def test_what_auxiliary_classifiers_and_regularisation_add_is_no_fault(experiment):
    assert far_above(5.0, 2.3, learner(), experiment) is None
    assert far_above(90.0, 2.3, learner(penalty=80.0), experiment) is None
    assert far_above(30.0, 2.3, learner(auxiliary=(0.3, 0.3)), experiment) is None
    assert far_above(30.0, 2.3, learner(), experiment)


class Fit(SimpleNamespace):
    """A stage whose epochs have ten updates, at losses that are given."""

    def __init__(self, losses, learns=True):
        learner = SimpleNamespace(
            trainable_variables=[SimpleNamespace(path="conv/kernel", shape=(2, 2))] if learns else [],
            all=SimpleNamespace(losses=[], layers=[]),
            weights_of_auxiliary=(),
        )
        steps = SimpleNamespace(learner=learner, metrics=lambda: {"loss": self.losses[0]})
        super().__init__(
            losses=list(losses), steps=steps, epoch=0, begin=0, end=4, update=0, updates=10, number=1,
            training=training(range(10)),
        )  # fmt: skip


def told(experiment, fit, monkeypatch):
    """What is said over the updates of a stage."""
    monkeypatch.setattr(start_checks, "memory_line", lambda *_: None)
    lines = []
    checks = StartChecks(experiment, lines.append)
    checks.stage_begins(fit)
    while fit.losses:
        fit.update += 1
        checks.updates_done(fit)
        fit.losses.pop(0)
    return lines


@pytest.mark.parametrize("losses", [(2.4, 2.2, 0.1), (9.0, 3.0), (0.01, 0.9, 0.5), (2.3, 40.0, 2.0)])
def test_nothing_is_said_of_a_loss_that_comes_down(experiment, losses, monkeypatch):
    assert told(experiment, Fit(losses), monkeypatch) == []


@pytest.mark.parametrize("losses", [(2.4, 300.0, 9e5), (0.02, 500.0, 600.0), (2.3, 5e7)])
def test_a_loss_that_grows_beyond_reason_is_named_once_with_the_rate_to_set(experiment, losses, monkeypatch):
    [line] = told(experiment, Fit(losses), monkeypatch)
    assert "diverges" in line and "train.optimizer.learning_rate=0.0001 (now 0.001)" in line


def test_nothing_to_train_is_an_error_before_the_first_update(experiment, monkeypatch):
    with pytest.raises(TrainingError, match=r"nothing to train.*frozen.*train\.stages"):
        told(experiment, Fit([2.3], learns=False), monkeypatch)


def test_a_long_stage_says_how_long_it_takes(experiment, monkeypatch):
    clock = iter(range(0, 10_000, 30))
    monkeypatch.setattr(start_checks.time, "perf_counter", lambda: next(clock))
    [line] = told(experiment, Fit([2.3, 2.2, 2.1]), monkeypatch)  # 30 s an update, 10 updates, 4 epochs
    assert "an epoch takes about 5 minutes" in line and "4 epochs" in line and "about 20 minutes" in line


def test_memory_that_is_not_there_is_said_with_a_batch_that_fits(experiment, monkeypatch):
    network = experiment.model.network((32, 32, 1), 10)
    trained = SimpleNamespace(
        model=network.model, all=network.model, trainable_variables=network.model.trainable_variables
    )
    monkeypatch.setattr(start_checks, "free_memory", lambda: 2**40)
    batch = training([0, 1])
    batch.batch_size = 4096
    assert start_checks.memory_line(trained, batch, experiment) is None
    monkeypatch.setattr(start_checks, "free_memory", lambda: 2**26)
    line = start_checks.memory_line(trained, batch, experiment)
    fitting = int(line.rpartition("=")[2])
    batch.batch_size = fitting
    assert start_checks.memory_line(trained, batch, experiment) is None
    batch.batch_size = int(fitting * 1.2)
    assert start_checks.memory_line(trained, batch, experiment)


def test_memory_is_that_of_the_summary_with_all_that_training_remembers_and_copies(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    experiment = read(tmp_path / "tiny.yaml", "train.ema={}", "train.gradient_accumulation=2")
    network, found = experiment.model.network((32, 32, 1), 10), []
    trained = SimpleNamespace(
        model=network.model, all=network.model, trainable_variables=network.model.trainable_variables
    )

    def noting(*given):
        found.append(memory_of(*given))
        return found[-1]

    monkeypatch.setattr(start_checks, "free_memory", lambda: 2**40)
    monkeypatch.setattr(start_checks, "memory_of", noting)
    batch = training([0, 1])
    batch.batch_size = experiment.data.batch_size
    start_checks.memory_line(trained, batch, experiment)
    assert found == [summarize(experiment, (32, 32, 1), 10).memory]
    assert found[0]["optimizer"] == 4 * found[0]["weights"]  # Adam's two, an average, a sum of gradients
