from __future__ import annotations

import numpy as np
import pytest

from cnnkit.training.verdict.curve import Curve


def of(*values):
    return Curve(np.float64(values))


def test_a_single_wild_epoch_does_not_show_in_the_smoothed_course():
    straight = np.linspace(2, 1, 30)
    wild = straight.copy()
    wild[[7, 20]] = 40, -40
    assert np.abs(Curve(wild).smooth - straight).max() < 0.15


@pytest.mark.parametrize("count", [1, 2, 5, 8, 30, 200])
def test_the_smoothed_course_has_an_epoch_for_each_and_only_values_that_there_were(count):
    values = np.random.default_rng(count).normal(size=count)
    smooth = Curve(values).smooth
    assert len(smooth) == count
    assert set(smooth) <= set(values)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("course", [np.zeros(60), np.linspace(5, 0, 60), 3 * np.exp(-np.arange(60) / 15)])
def test_noise_is_told_from_the_course_under_it(sigma, course):
    found = [Curve(course + np.random.default_rng(seed).normal(0, sigma, 60)).noise for seed in range(20)]
    assert np.median(found) == pytest.approx(sigma, rel=0.25)


@pytest.mark.parametrize("values", [(3, 2, 1, 0), (3, 2, 1, 0, -1, -2), (2.0, 2.0, 2.0, 2.0, 2.0)])
def test_a_straight_line_has_no_noise(values):
    assert of(*values).noise == 0


@pytest.mark.parametrize(("values", "place"), [([3, 2, 1, 2, 3, 4, 5], 2), ([1], 0), ([2, 1], 1), ([9] * 9, 0)])
def test_the_valley_is_the_least_of_a_course(values, place):
    assert of(*values).lowest() == place


def test_a_lucky_epoch_far_from_the_valley_is_not_it():
    values = 1 + np.abs(np.arange(40) - 25) / 10
    values[4] = 0.5
    assert Curve(values).lowest() == 25


@pytest.mark.parametrize(
    ("values", "tau"),
    [([1, 2, 3], 1.0), ([3, 2, 1], -1.0), ([1, 3, 2], 1 / 3), ([5], 0.0), ([1, 1], 0.0), ([1, 2, 4, 3], 4 / 6)],
)
def test_the_tendency_is_kendalls_tau(values, tau):
    assert of(*values).tendency() == pytest.approx(tau)


def test_the_slope_is_the_median_of_those_between_any_two():
    assert of(0, 1, 2, 3, 100).slope() == pytest.approx(1.0)  # 1, 1, 1, 1, 1, 1 and 100, 49.5, 32.7, 97 / 1
    assert of(4.0).slope() == 0.0
