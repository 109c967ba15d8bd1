"""What is proposed where a training goes wrong: settings that exist, each with the number to set."""

from __future__ import annotations

import pytest

from cnnkit import read
from cnnkit.training import advice

CONFIG = """
name: tiny
data: {source: {name: digits}, image_size: [32, 32], channels: 1}
model: {name: vgg, depth: 11}
train: {epochs: 4, optimizer: {name: adam}, schedule: {name: cosine}}
"""


@pytest.fixture
def experiment(tmp_path):
    def experiment(*settings):
        (tmp_path / "tiny.yaml").write_text(CONFIG)
        return read(tmp_path / "tiny.yaml", *settings)

    return experiment


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("{name: adam, learning_rate: 1e-3}", "train.optimizer.learning_rate=0.0001 (now 0.001)"),
        ("{name: adam, learning_rate: 1000.0}", "train.optimizer.learning_rate=0.001 (now 1000)"),
        ("{name: sgd, learning_rate: 0.5}", "train.optimizer.learning_rate=0.05 (now 0.5)"),
        ("{name: sgd, learning_rate: 50.0}", "train.optimizer.learning_rate=0.1 (now 50)"),
    ],
)
def test_a_tenth_of_the_rate_or_the_usual_one_where_it_is_far_above_that(experiment, optimizer, expected):
    assert advice.slower(experiment(f"train.optimizer={optimizer}"), 1) == expected


def test_the_rate_is_that_of_the_stage_where_it_has_its_own(experiment):
    stages = "train.stages=[{epochs: 1}, {epochs: 1, learning_rate: 0.02}]"
    tried = experiment(stages, "train.epochs=null")
    assert advice.slower(tried, 1).startswith("train.optimizer.learning_rate=0.0001")
    assert advice.slower(tried, 2) == "train.stages.1.learning_rate=0.001 (now 0.02)"


def keys(steps):
    return [step.partition("=")[0] for step in steps]


def test_against_divergence_the_likeliest_comes_first_and_what_is_set_already_is_left_out(experiment):
    rate, warmup, clip, norm = (
        "train.optimizer.learning_rate",
        "train.schedule.warmup_epochs",
        "train.clip",
        "model.normalization",
    )
    plain = experiment()
    assert keys(advice.against_divergence(plain, 1, first_epoch=True)) == [rate, warmup, clip, norm]
    assert keys(advice.against_divergence(plain, 1, first_epoch=False, backward=True)) == [rate, clip, norm]
    done = experiment(
        "train.schedule.warmup_epochs=1", "train.clip={name: norm, at: 1.0}", "model.normalization=batch"
    )  # fmt: skip
    assert keys(advice.against_divergence(done, 1, first_epoch=True)) == [rate]
    half = experiment("train.precision=mixed_float16")
    assert keys(advice.against_divergence(half, 1, first_epoch=False, overflow=True))[0] == "train.precision"


MOSTLY_RECTIFIED = (
    "model={name: sequential, layers: [{name: conv, filters: 1}, {name: conv, filters: 1}, "
    "{name: flatten}, {name: dense, units: 9, activation: tanh}]}"
)


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        (("model.activation=sigmoid",), "`relu` in place of `sigmoid`"),
        (("model.activation=tanh",), "`relu` in place of `tanh`"),
        ((MOSTLY_RECTIFIED,), "train.optimizer.learning_rate=0.0001"),
        ((), "train.optimizer.learning_rate=0.0001"),  # rectifiers that a long step has switched off
    ],
)
def test_against_vanishing_gradients_it_goes_by_the_activation(experiment, settings, first):
    steps = list(advice.against_vanishing(experiment(*settings), 1))
    assert steps[0].startswith(first)
    assert any(step in ("model.normalization=batch", "a `batch_norm` behind each layer") for step in steps)


def test_what_is_proposed_can_be_set(experiment):
    for step in advice.against_divergence(experiment(), 1, first_epoch=True):
        setting = step.partition(" (now")[0].partition(", which")[0]
        experiment(setting)
