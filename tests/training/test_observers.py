from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest

from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.training.observers import KeepBest, StopEarly, Watch


def best_epochs(monitor, values):
    epochs = []
    keep_best = KeepBest(monitor, lambda epoch, metrics: epochs.append(epoch))
    for epoch, value in enumerate(values, start=1):
        keep_best.judge(epoch, {monitor: value})
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
    keep_best = KeepBest("val_loss", lambda *facts: saved.append(facts))
    keep_best.judge(5, {"val_loss": np.float32(0.5), "val_accuracy": np.float32(0.25)})
    assert saved == [(5, {"val_loss": 0.5, "val_accuracy": 0.25})]
    assert all(type(value) is float for value in saved[0][1].values())


def stopped_after(values, patience, min_delta=0.0, monitor="val_loss"):
    lines = []
    observer = StopEarly(monitor, patience, min_delta, lines.append)
    fit = SimpleNamespace(stopped=False, epoch=0)
    for epoch, value in enumerate(values, start=1):
        fit.epoch = epoch
        observer.epoch_ends(fit, {monitor: value})
        if fit.stopped:
            assert len(lines) == 1
            return epoch
        again = StopEarly(monitor, patience, min_delta, lines.append)  # as a resume does
        again.restore(json.loads(json.dumps(observer.state())))
        observer = again
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


def test_the_best_so_far_is_known_after_a_resume():
    saved = []
    first, again = (KeepBest("val_loss", lambda epoch, metrics: saved.append(epoch)) for _ in range(2))
    first.judge(1, {"val_loss": 1.0})
    first.judge(2, {"val_loss": math.nan})
    again.restore(json.loads(json.dumps(first.state())))
    again.judge(3, {"val_loss": 1.5})
    again.judge(4, {"val_loss": 0.5})
    assert saved == [1, 4]
    assert (again.best, again.last, again.best_epoch) == (0.5, 0.5, 4)


def test_signs_of_life_come_now_and_then_not_at_every_step():
    shown = []

    class Heard(Progress):
        def step(self, step):
            shown.append(step)

    metrics = {"loss": 0.5, "accuracy": 0.75}
    fit = SimpleNamespace(epoch=1, update=0, updates=1000, images_per_second=5.0)
    fit.steps = SimpleNamespace(metrics=lambda: metrics)
    watch = Watch(Heard(), 3)
    watch.stage_begins(fit)
    for _ in range(500):
        fit.update += 1
        watch.updates_done(fit)
    assert 2 <= len(shown) < 50
    preparing, first = shown[:2]
    assert preparing.step == 0
    assert (first.epoch, first.epochs, first.step, first.steps) == (2, 3, 1, 1000)
    assert first.metrics == metrics
