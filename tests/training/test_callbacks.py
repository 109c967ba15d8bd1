from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.training.callbacks import KeepBest, StopEarly, Watch


def best_epochs(monitor, values):
    epochs = []
    callback = KeepBest(monitor, lambda epoch, metrics: epochs.append(epoch))
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {monitor: value})
    return epochs


@pytest.mark.parametrize(
    ("monitor", "values", "epochs"),
    [
        ("val_accuracy", [0.1, 0.3, 0.2, 0.3, 0.4], [1, 2, 5]),  # of equal ones the first
        ("val_loss", [2.0, 3.0, 1.0, 1.0], [1, 3]),
        ("val_loss", [1.0, math.nan, 0.5], [1, 3]),
        ("val_loss", [math.nan, 1.0, 0.5], [2, 3]),
    ],
)
def test_each_epoch_that_is_the_best_so_far_is_kept(monitor, values, epochs):
    assert best_epochs(monitor, values) == epochs


def test_what_is_kept_comes_with_its_metrics_as_plain_numbers():
    saved = []
    callback = KeepBest("val_loss", lambda *facts: saved.append(facts))
    callback.on_epoch_end(4, {"val_loss": np.float32(0.5), "val_accuracy": np.float32(0.25)})
    assert saved == [(5, {"val_loss": 0.5, "val_accuracy": 0.25})]
    assert all(type(value) is float for value in saved[0][1].values())


def stopped_after(values, patience, min_delta=0.0, monitor="val_loss"):
    lines = []
    callback = StopEarly(monitor, patience, min_delta, lines.append)
    model = SimpleNamespace(stop_training=False)
    callback.set_model(model)
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {monitor: value})
        if model.stop_training:
            assert len(lines) == 1
            return epoch + 1
    assert lines == []
    return None


@pytest.mark.parametrize(
    ("values", "patience", "expected"),
    [
        ([3, 2, 1, 0], 1, None),
        ([3, 3, 3], 2, 3),
        ([3, 4, 2, 4, 4], 2, 5),
        ([3, 4, 2, 4], 2, None),
        ([math.nan, 3, 2, 1], 2, None),
    ],
)
def test_training_stops_after_patience_epochs_without_a_new_best(values, patience, expected):
    assert stopped_after(values, patience) == expected


def test_less_than_min_delta_is_no_new_best():
    assert stopped_after([3.0, 2.9, 2.8], 2, min_delta=0.5) == 3
    assert stopped_after([3.0, 2.4, 1.8], 2, min_delta=0.5) is None
    assert stopped_after([0.5, 0.52, 0.54], 2, min_delta=0.1, monitor="val_accuracy") == 3


def watching(progress=None, steps=4, images=100):
    recorded = []
    watch = Watch(progress or Progress(), 3, steps, images, recorded.append)
    optimizer = SimpleNamespace(iterations=8, _learning_rate=lambda step: 0.1 / step)
    watch.set_model(SimpleNamespace(optimizer=optimizer))
    watch.set_params({"epochs": 3})
    watch.on_train_begin()
    watch.on_epoch_begin(1)
    return watch, recorded


FINE = {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.6, "val_accuracy": 0.5}


def test_an_epoch_is_recorded_with_the_rate_of_its_last_step():
    watch, recorded = watching()
    watch.on_test_begin()
    watch.on_epoch_end(1, FINE)
    [epoch] = recorded
    assert {name: epoch[name] for name in FINE} == FINE
    assert (epoch["epoch"], epoch["step"]) == (2, 8)
    assert epoch["learning_rate"] == pytest.approx(0.1 / 7)  # eight steps were taken, the last is number 7
    assert epoch["seconds"] >= 0 and epoch["images_per_second"] > 0


@pytest.mark.parametrize("name", ["loss", "val_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_training_with_advice_and_is_recorded(name, value):
    watch, recorded = watching()
    watch.on_test_begin()
    with pytest.raises(TrainingError, match=r"after epoch 2.*train\.optimizer\.learning_rate"):
        watch.on_epoch_end(1, FINE | {name: value})
    assert len(recorded) == 1


def test_signs_of_life_come_now_and_then_not_at_every_step():
    steps = []

    class Heard(Progress):
        def step(self, step):
            steps.append(step)

    watch, _ = watching(Heard(), steps=1000)
    for batch in range(500):
        watch.on_train_batch_end(batch, FINE)
    assert 2 <= len(steps) < 50
    preparing, first = steps[:2]
    assert preparing.step == 0
    assert (first.epoch, first.epochs, first.step, first.steps) == (2, 3, 1, 1000)
    assert first.metrics == {"loss": 0.5, "accuracy": 0.75}
