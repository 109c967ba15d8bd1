"""The search for a learning rate, on a stage whose losses are a formula: what is tried, and what is chosen."""

from __future__ import annotations

import math
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest

from cnnkit.core.errors import TrainingError
from cnnkit.core.progress import Progress
from cnnkit.optimization.optimizers import Adam, Sgd
from cnnkit.training import rate_finder
from cnnkit.training.rate_finder import FEWEST, FURTHER, RANGE, SHORT, Rehearsal, _found


class Formula:
    """A loss of validation that is least at one rate, and a training that diverges from another one on.

    Attributes:
        tried: The rates of each short run.
    """

    key, stage, stages, updates = "train.optimizer.learning_rate", 1, 1, 10_000
    judges, usual = 1000, 0.001

    def __init__(self, optimum: float, limit: float, optimizer=Adam, least_of_curve: float | None = None):
        self.train = SimpleNamespace(optimizer=optimizer())
        self.optimum, self.limit, self.turn = optimum, limit, least_of_curve or limit / 2
        self.tried: list[list[float]] = []

    def begin(self) -> None:
        self.tried.append([])

    def course(self, rate: float, updates: int) -> list[float]:
        return [rate] * updates

    def update(self, rate: float) -> float:
        if self.tried:
            self.tried[-1].append(rate)
        return math.nan if rate > self.limit else 2 + abs(math.log(max(rate, 1e-9) / self.turn)) / 10

    def judged(self) -> tuple[float, float]:
        return (abs(math.log(self.tried[-1][-1] / self.optimum)) if self.tried[-1] else 9.0), 0.5


class Said(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_a_short_run_is_judged_by_the_averages_of_the_weights_as_the_training_is(monkeypatch):
    inside, judged = [], []

    @contextmanager
    def averaged():
        inside.append(True)
        yield
        inside.pop()

    monkeypatch.setattr(rate_finder.feeding, "eval_batches", lambda *_: ())
    rehearsal = Rehearsal.__new__(Rehearsal)  # without a network
    rehearsal._judges = [1, 2]
    rehearsal._fit = SimpleNamespace(
        images=SimpleNamespace(errors_as_raised=nullcontext), training=SimpleNamespace(batch_size=2)
    )
    rehearsal._steps = SimpleNamespace(
        averaged=averaged,
        begin_validation=lambda: None,
        evaluate=lambda *_: judged.append(bool(inside)),
        validation_metrics=lambda: {"val_loss": 0.5, "val_accuracy": 0.75},
    )
    assert rehearsal.judged() == (0.5, 0.75)
    assert judged == [True] and not inside


def runs_of(found):
    return {run.rate: run.loss for run in found.runs}


@pytest.mark.parametrize(("optimizer", "limit"), [(Adam, 0.1), (Sgd, 1.0)])
def test_a_third_once_and_three_times_the_tenth_of_the_rate_of_the_least_loss_are_tried(optimizer, limit):
    stage = Formula(optimum=limit / 10, limit=limit, optimizer=optimizer)
    found = _found(stage, Progress(), None)
    least = min(found.curve, key=lambda point: point.smoothed)
    assert found.first == pytest.approx(least.rate / 10, rel=0.05)
    assert [run.rate / found.first for run in found.runs] == pytest.approx([1 / 3, 1, 3], rel=0.03)
    assert runs_of(found)[found.rate] <= 1.1 * min(runs_of(found).values())
    assert all(len(rates) == SHORT for rates in stage.tried[-3:])


def test_where_the_judges_are_too_few_the_usual_rate_is_found_and_the_short_runs_are_told():
    stage = Formula(optimum=0.01, limit=0.1)
    stage.judges, stage.usual = 20, 0.016
    found = _found(stage, Progress(), None)
    assert found.rate == 0.016 and found.from_runs in runs_of(found)


@pytest.mark.parametrize("optimum", [1e-4, 6e-5, 0.09])
def test_where_the_best_is_the_first_or_the_last_of_the_row_it_goes_on_there(optimum):
    found = _found(Formula(optimum, limit=0.5, least_of_curve=0.02), Progress(), None)
    assert 3 < len(found.runs) <= 3 + FURTHER
    assert -math.log(3) * 1.5 <= math.log(found.rate / optimum) <= math.log(3) / 2 * 1.02


def test_a_rate_at_which_training_diverges_is_not_suggested_whatever_the_curve_says():
    found = _found(Formula(optimum=1.0, limit=0.004, least_of_curve=0.003), Progress(), None)
    losses = runs_of(found)
    assert None in losses.values() and losses[found.rate] is not None
    assert found.rate == max(rate for rate, loss in losses.items() if loss is not None)
    assert "not finite" in found.ended


def test_where_every_rate_diverges_it_is_an_error_with_advice():
    stage = Formula(optimum=0.01, limit=0.5)
    stage.judged = lambda: (math.inf, 0.0)
    with pytest.raises(TrainingError, match=rf"diverges within {SHORT} updates; look at the images"):
        _found(stage, Progress(), None)


def test_a_loss_that_is_no_number_before_any_step_is_not_the_fault_of_a_rate():
    with pytest.raises(TrainingError, match=r"can't be tried: at 1e-06 the loss was not finite any more, so it is not"):
        _found(Formula(optimum=0.01, limit=1e-9), Progress(), None)


@pytest.mark.parametrize(
    ("updates", "seconds", "minutes", "expected"),
    [
        (10_000, 1e-9, None, (RANGE, SHORT)),
        (10_000, 1e9, None, (RANGE, SHORT)),  # without a limit no clock has a say
        (10_000, 60.0, 1.0, (FEWEST, FEWEST)),
        (10_000, 1.0, 5.0, (54, 81)),
        (275, 1.0, None, (50, 75)),  # no more in all than the training has
        (10, 1.0, 5.0, (FEWEST, FEWEST)),
    ],
)
def test_updates_are_as_many_as_the_training_has_and_there_is_time_for(
    updates, seconds, minutes, expected, monkeypatch
):
    monkeypatch.setattr(rate_finder, "_seconds_of_an_update", lambda rehearsal: seconds)
    said, stage = Said(), Formula(optimum=0.01, limit=0.5)
    stage.updates = updates
    found = _found(stage, said, minutes)
    assert (len(found.curve) <= expected[0], found.updates) == (True, expected[1])
    [line] = said.lines
    assert f": {expected[0]} updates at rising rates, then {expected[1]} at each of three, and of further" in line
