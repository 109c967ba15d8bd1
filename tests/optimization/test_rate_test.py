"""The curve of a learning-rate range test, and what follows from it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnnkit.optimization.rate_test import (
    BELOW,
    EXPLODED,
    SMOOTHING,
    Curve,
    Finding,
    Point,
    ShortRun,
    chosen,
    least,
    rates,
    rounded,
    start,
)


def test_rates_grow_by_the_same_factor_from_the_least_to_the_most():
    found = rates(1e-6, 1.0, 101)
    assert (found[0], found[50], found[-1]) == pytest.approx((1e-6, 1e-3, 1.0))
    assert np.diff(np.log10(found)) == pytest.approx(np.full(100, 0.06))


def followed(losses):
    curve = Curve()
    for rate, loss in zip(rates(1e-4, 1.0, len(losses)), losses, strict=True):
        curve.add(rate, loss)
        if curve.ended:
            break
    return curve


def test_the_smoothed_loss_is_the_weighted_mean_of_all_so_far():
    losses = [2.0, 1.0, 4.0, 3.0]
    curve = followed(losses)
    for count, point in enumerate(curve.points, start=1):
        weights = SMOOTHING ** np.arange(count)[::-1]
        assert point.smoothed == pytest.approx(np.average(losses[:count], weights=weights))
    assert curve.ended == ""


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_the_test_and_is_no_point_of_it(wrong):
    curve = followed([2.0, 1.0, wrong, 1.0])
    assert len(curve.points) == 2
    assert curve.ended == "at 0.046 the loss was not finite any more"


def test_a_loss_of_many_times_its_least_ends_the_test():
    curve = followed([1.0] * 20 + [1000.0] * 20)
    assert len(curve.points) == 21
    assert curve.points[-1].smoothed > EXPLODED
    assert curve.ended.startswith("at 0.011 the loss was more than 4 times its least")


@pytest.mark.parametrize(("rate", "expected"), [(0.0012345, 0.0012), (0.1, 0.1), (1.96e-5, 2e-5), (0.0996, 0.1)])
def test_a_rate_is_rounded_to_two_digits(rate, expected):
    assert rounded(rate) == expected


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ({0.1: 0.5, 0.3: 0.4, 0.9: 0.6}, 0.3),
        ({0.1: 0.4, 0.3: 0.4, 0.9: None}, 0.1),
        ({0.1: 0.6, 0.3: 0.5, 0.9: 0.4}, 0.9),
        ({0.1: None, 0.3: None, 0.9: 2.0}, 0.9),
        ({0.1: None, 0.3: None, 0.9: None}, None),
    ],
)
def test_the_run_with_the_least_loss_of_validation_is_best_and_of_equal_ones_the_smaller_rate(losses, expected):
    found = least([ShortRun(rate, loss, loss) for rate, loss in losses.items()])
    assert (found.rate if found else None) == expected


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ({0.1: 0.6, 0.3: 0.5, 0.9: 0.4}, 0.9),  # far better
        ({0.1: 0.6, 0.3: 0.407, 0.9: 0.4}, 0.3),  # hardly
        ({0.1: 0.401, 0.3: 0.401, 0.9: 0.4}, 0.3),  # no more than one rate further down
        ({0.1: 0.4, 0.3: 0.41, 0.9: 0.42}, 0.1),
        ({0.1: None, 0.3: 0.4, 0.9: 0.5}, 0.3),
        ({0.1: None, 0.3: None}, None),
    ],
)
def test_where_the_next_smaller_rate_is_hardly_worse_it_is_taken(losses, expected):
    found = chosen([ShortRun(rate, loss, loss) for rate, loss in losses.items()])
    assert (found.rate if found else None) == expected


@pytest.mark.parametrize(("begun", "careful"), [(2.3, False), (0.51, False), (0.5, True), (0.1, True)])
def test_short_runs_in_which_nothing_is_learnt_say_little(begun, careful):
    runs = (ShortRun(0.1, 0.6, 0.7), ShortRun(0.3, 0.495, 0.8), ShortRun(0.9, None, None))
    found = Finding(0.3, "train.optimizer.learning_rate", "sgd", 1, 1, 0.3, (), "", begun, runs, 10, 1.0, 1000, 0.1)
    assert (found.caution() is not None) == careful == (found.as_json()["caution"] is not None)


@pytest.mark.parametrize(
    ("losses", "judges", "apart"),
    [
        ({0.1: 0.6, 0.3: 0.1, 0.9: 0.8}, 29, False),  # too few, whatever they say
        ({0.1: 0.6, 0.3: 0.5, 0.9: 0.8}, 30, True),  # two within 1 / sqrt(30) = 18 %, rates a factor of three apart
        ({0.1: 0.58, 0.3: 0.5, 0.9: 0.59}, 30, False),  # all three
        ({0.1: 0.58, 0.3: 0.5, 0.9: 0.59}, 100, True),  # 10 %
        ({0.1: 0.5, 0.3: 0.9, 0.9: 0.5}, 100, False),  # the best is at either end
        ({0.1: 0.5, 0.3: None, 0.9: None}, 100, True),
    ],
)
def test_where_the_judges_are_too_few_to_tell_the_rates_apart_the_usual_one_stands(losses, judges, apart):
    runs = tuple(ShortRun(rate, loss, loss) for rate, loss in losses.items())
    found = Finding(0.3, "train.optimizer.learning_rate", "sgd", 1, 1, 0.3, (), "", 2.3, runs, 10, 1.0, judges, 0.01)
    told = f"{judges} validation images can't tell these rates apart"
    assert (found.told_apart, found.rate) == (apart, 0.3 if apart else 0.01)
    assert found.setting() == found.as_json()["setting"] == f"{found.key}={found.rate:g}"
    assert (found.as_json()["learning_rate"], found.as_json()["from_runs"]) == (found.rate, 0.3)
    assert found.line().startswith(f"learning rate {'0.3' if apart else '0.01, the usual one of sgd'}: after 10 ")
    assert (found.caution() or "").startswith(told) is not apart
    assert apart or found.caution().endswith("have 0.3 may be chance, so the usual rate of sgd stands: 0.01")


@pytest.mark.parametrize(
    ("losses", "last", "stands"),
    [
        ({0.1: 0.5, 0.3: 0.52, 0.9: 0.53}, None, True),
        ({0.1: 0.5, 0.3: 0.52, 0.9: 0.53, 2.7: 1.8}, None, False),  # 1.8 is above 0.5 by more than 3 / sqrt(100)
        ({0.1: 0.5, 0.3: 0.52, 0.9: 0.53, 2.7: 0.6}, None, True),
        ({0.03: 1.8, 0.1: 0.5, 0.3: 0.52, 0.9: 0.53}, None, True),  # what is too low says nothing of the usual one
        ({0.1: 0.5, 0.3: 0.52, 0.9: 0.53}, 3.0, False),  # the range test ended there
        ({0.1: 0.5, 0.3: 0.52, 0.9: 0.53}, 30.0, True),
    ],
)
def test_a_usual_rate_above_one_that_is_surely_too_high_does_not_stand(losses, last, stands):
    runs = tuple(ShortRun(rate, loss, loss) for rate, loss in losses.items())
    curve, ended = ((Point(last, 2.0, 2.0),), "at 3 it ended") if last else ((), "")
    key = "train.optimizer.learning_rate"
    found = Finding(0.1, key, "sgd", 1, 1, 0.3, curve, ended, 2.3, runs, 10, 1.0, 100, 10.0)
    assert not found.told_apart and found.rate == (10.0 if stands else 0.1)


def test_a_usual_rate_at_which_training_diverges_does_not_stand():
    runs = (ShortRun(0.1, 0.5, 0.5), ShortRun(0.3, 0.4, 0.5), ShortRun(0.9, None, None))
    key = "train.optimizer.learning_rate"
    high, low = (Finding(0.3, key, "sgd", 1, 1, 0.3, (), "", 2.3, runs, 10, 1.0, 9, usual) for usual in (0.9, 0.8))
    assert (high.rate, low.rate) == (0.3, 0.8)
    assert high.caution().endswith("the usual rate of sgd, 0.9, is no better, as 0.9 is too high already")


def test_that_nothing_is_learnt_and_that_the_judges_are_few_are_both_told():
    runs = (ShortRun(0.1, 2.3, 0.1), ShortRun(0.3, 2.28, 0.1), ShortRun(0.9, 2.31, 0.1))
    found = Finding(0.3, "train.optimizer.learning_rate", "sgd", 1, 1, 0.3, (), "", 2.3, runs, 10, 1.0, 9, 0.01)
    nothing, few = found.caution().split("; ")
    assert nothing.startswith("at none of these rates the loss of validation fell by 2 % of the 2.3000 that it begins")
    assert few.startswith("9 validation images can't tell") and found.rate == 0.01


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ({0.1: 0.6, 0.3: 0.5, 0.9: 0.4}, "0.9 is the largest rate that was tried and did best, so a larger one may do"),
        (
            {0.1: 0.4, 0.3: 0.5, 0.9: 0.6},
            "0.1 is the smallest rate that was tried and did best, so a smaller one may do",
        ),
        ({0.1: 0.5, 0.3: 0.4, 0.9: None}, None),  # beyond it training diverges
        ({0.1: 0.401, 0.3: 0.4, 0.9: 0.5}, None),  # hardly worse than the best, which has one on either side
    ],
)
def test_that_the_best_is_at_the_end_of_what_was_tried_is_told(losses, told):
    runs = tuple(ShortRun(rate, loss, loss) for rate, loss in losses.items())
    found = Finding(0.3, "train.optimizer.learning_rate", "sgd", 1, 1, 0.3, (), "", 2.3, runs, 10, 1.0, 1000, 0.1)
    caution = found.caution()
    assert (caution or "").startswith(told or "") and (caution is None) == (told is None)
    assert told is None or caution.endswith(f"train.optimizer.learning_rate={2.7 if 'largest' in told else 0.033:g}")


def test_a_lucky_first_batch_does_not_say_where_the_short_runs_begin():
    unlucky = [0.9, *[1.0 + 0.02 * (-1) ** i for i in range(59)], *np.linspace(1.0, 0.95, 20), *[1.1] * 20]
    curve = followed(unlucky)
    assert min(curve.points, key=lambda point: point.smoothed) is curve.points[0]
    assert start(curve) > curve.points[50].rate / BELOW


@pytest.mark.parametrize("first", [0.2, 0.01])
def test_after_a_lucky_first_batch_nothing_has_exploded(first):
    assert followed([first, *[1.0] * 99]).ended == ""


@pytest.mark.parametrize("count", [5, 9, 10, 11])
def test_a_short_curve_has_a_place_to_begin_too(count):
    curve = followed([1.0 - 0.01 * i for i in range(count)])
    assert start(curve) == curve.points[-1].rate / BELOW
