"""How long a training is said to take."""

from __future__ import annotations

import pytest

from cnnkit.config.file import read
from cnnkit.core.machine import cores
from cnnkit.inspection.first_config import duration
from cnnkit.inspection.first_config.base import Choice, Suggestion, Traits
from cnnkit.inspection.summary import summarize
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


def test_time_grows_with_the_work_and_shrinks_with_the_speed():
    def seconds(**changed):
        usual = {"epochs": 10, "augment": (), "decoding": 0.0, "multiply_adds_a_second": 1e11}
        epochs, augment, decoding, speed = (usual | changed).values()
        epochs, augment = Choice("epochs", epochs, ""), Choice("augment", augment, "")
        suggestion = Suggestion(data=(), augment=augment, model=(), train=(epochs,), macs=10**7)
        splits = {"train": 10**4, "validation": 10**3, "test": 10**3}
        traits = Traits({"cat": 12_000}, splits, frozenset(), height=32, width=32, decoding=decoding)
        return duration.training_seconds(suggestion, traits, speed) - duration.STARTING

    # By hand: 10 epochs of 3 * 10,000 + 1,000 answers of 10^7 multiply-adds.
    assert seconds() == pytest.approx(3.1e12 / (duration.EFFICIENCY * 1e11))
    assert seconds(epochs=20) == pytest.approx(2 * seconds())
    assert seconds(multiply_adds_a_second=2e11) == pytest.approx(seconds() / 2)
    assert seconds(augment=({"name": "flip"},)) > seconds()
    assert seconds(decoding=5.0 * cores()) == pytest.approx(seconds() + 5 * 12_000)


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
    assert duration.in_words(seconds) == words
