"""How long a training is said to take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cnnkit.config.file import read
from cnnkit.core.machine import cores
from cnnkit.inspection.first_config import duration
from cnnkit.inspection.first_config.base import Choice, Suggestion, Traits
from cnnkit.inspection.first_config.duration import Speeds
from cnnkit.inspection.summary import summarize
from cnnkit.models import backbones
from cnnkit.models.sequential import Sequential
from cnnkit.models.sequential_layers import Conv, Dense, Dropout, Flatten, MaxPool

LAYERS = (
    Conv(filters=6, kernel_size=5, padding="valid"),
    MaxPool(pool_size=3, strides=2),
    Conv(filters=16, strides=2),
    Dropout(rate=0.3),
    Flatten(),
    Dense(units=20),
)


@pytest.mark.parametrize("shape", [(28, 28, 1), (37, 64, 3)])
def test_multiply_adds_are_those_that_keras_layers_have(tmp_path, shape):
    (tmp_path / "x.yaml").write_text("data: {source: {name: digits}}\nmodel: {name: lenet}\n")
    experiment = read(tmp_path / "x.yaml").model_copy(update={"model": Sequential(layers=LAYERS)})
    assert duration.multiply_adds(LAYERS, shape, 7) == summarize(experiment, shape, 7).macs


def test_a_machine_does_millions_of_multiply_adds_a_second():
    assert 1e7 < duration.speed(0.01) < 1e15


TRAITS = Traits(
    {"cat": 12_000}, {"train": 10**4, "validation": 10**3, "test": 10**3}, frozenset(), height=32, width=32, decoding=0
)


def seconds(epochs=10, augment=(), multiply_adds=1e11, recorded=None, traits=TRAITS, backbone=None):
    suggestion = Suggestion(
        kind="from scratch",
        title="",
        data=(),
        augment=Choice("augment", augment, ""),
        model=(Choice("name", "sequential", ""),),
        train=(Choice("epochs", epochs, ""),),
        work=10**7,
        backbone=backbone,
    )
    return duration.estimate(suggestion, traits, Speeds(multiply_adds, recorded or {}))


def test_time_grows_with_the_work_and_shrinks_with_the_speed():
    def without_start(**changed):
        return seconds(**changed).seconds - duration.STARTING - 12_000 / duration.HANDLED

    # By hand: 10 epochs of 3 * 10,000 + 1,000 answers of 10^7 multiply-adds, and 2,000 answers at the end.
    assert without_start() == pytest.approx(3.12e12 / (duration.EFFICIENCY * 1e11))
    assert without_start(multiply_adds=2e11) == pytest.approx(without_start() / 2)
    assert without_start(augment=({"name": "flip"},)) > without_start()
    slow = replace(TRAITS, decoding=5.0 * min(cores(), duration.USEFUL_CORES))
    assert without_start(traits=slow) == pytest.approx(without_start() + 5 * 12_000)


def test_speeds_that_were_recorded_count_and_are_said_to():
    recorded = {"training sequential": 5e10, "starting": 3.0, "handling": 6_000.0}
    # By hand: 10,000 images of 10^7 at 5 * 10^10 a second are 2 s an epoch, validation at a third of the price 1/15 s.
    assert seconds(recorded=recorded).seconds == pytest.approx(3 + 2 + 10 * (2 + 0.2 / 3) + 0.4 / 3)
    assert "earlier trainings" in seconds(recorded=recorded).basis
    assert "nothing else to do" in seconds(recorded={"training resnet": 1e10}).basis


def test_features_count_with_the_speed_of_their_own_backbone():
    backbone = backbones.fetchable("MobileNetV2")
    recorded = {
        "features MobileNetV2 at 224 x 224": 100.0,
        "features MobileNet at 224 x 224": 1.0,
        "starting": 3.0,
        "handling": 6_000.0,
    }
    fitting = duration.FITTING * 10**4
    # 12,000 images and the 1,000 of validation once more, at 100 a second.
    assert seconds(recorded=recorded, backbone=backbone).seconds == pytest.approx(3 + 2 + 130 + fitting)
    assert seconds(backbone=backbone).seconds == pytest.approx(
        duration.STARTING + 12_000 / duration.HANDLED + 13_000 * 10**7 / 1e11 + fitting
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "under a minute"),
        (65, "about 1 minute"),
        (330, "about 6 minutes"),
        (3500, "about 1 hour"),
        (9000, "about 2 hours"),
        (10**6, "about 12 days"),
    ],
)
def test_a_duration_is_told_as_roughly_as_it_is_known(seconds, words):
    assert duration.roughly(seconds) == words
