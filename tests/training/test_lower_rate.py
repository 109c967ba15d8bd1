"""The learning rate falls when a metric stops getting better, and stands where it stood after a resume."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest

from cnnkit.optimization.schedules import Plateau
from cnnkit.training.lower_rate import LowerRate


def rates(values, resumed=False, **settings):
    """The rate of each epoch, and what is said; with `resumed` a new observer goes on after each."""
    plateau, lines = Plateau(**settings), []
    fit = SimpleNamespace(rate_of=plateau(0.1, 10, len(values) + 1), epoch=0, begin=0, updates=10)
    observer, found = LowerRate(plateau, lines.append), []
    observer.stage_begins(fit)
    for fit.epoch, value in enumerate(values, start=1):
        found.append(round(float(fit.rate_of((fit.epoch - 1) * 10)), 7))
        observer.epoch_ends(fit, {plateau.monitor: value})
        if resumed:
            state = json.loads(json.dumps(observer.state()))
            fit.rate_of, observer = plateau(0.1, 10, len(values) + 1), LowerRate(plateau, lines.append)
            observer.restore(state)
            observer.stage_begins(fit)
    return found, lines


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize(
    ("settings", "values", "expected"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 2, 2, 2], [0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001]),
        ({"patience": 2}, [3, 2, 2, 1, 1, 1, 1], [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01]),
        ({"patience": 1, "factor": 0.5}, [3, 3, 2, 2], [0.1, 0.1, 0.05, 0.05]),
        ({"patience": 1, "min_delta": 0.5}, [3, 2.8, 2.4], [0.1, 0.1, 0.01]),
        ({"patience": 1, "end": 0.05}, [1, 1, 1, 1], [0.1, 0.1, 0.01, 0.005]),
        ({"patience": 1}, [math.nan, 1, math.nan], [0.1, 0.01, 0.01]),
        ({"patience": 1, "monitor": "val_accuracy"}, [0.5, 0.6, 0.6, 0.7], [0.1, 0.1, 0.1, 0.01]),
    ],
)
def test_the_rate_falls_after_so_many_epochs_without_a_new_best(settings, values, expected, resumed):
    assert rates(values, resumed, **settings)[0] == pytest.approx(expected)


def test_each_fall_is_said_and_none_where_the_rate_is_as_low_as_it_may_be():
    _, lines = rates([1, 1, 1, 1, 1], patience=2, end=0.1)
    assert lines == ["Epoch 3: no better val_loss in 2 epochs; the learning rate falls to 0.01."]
