"""Two networks on the same images: the test and the interval against published tables and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from cnnkit.evaluation.paired import Paired, holm

AIRWAYS = Paired(1, 1, 7, 12)
"""Bentur et al. 2009, the example of Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33, 2850-2875."""


def test_the_exact_test_and_the_interval_are_those_of_a_published_table():
    assert AIRWAYS.exact
    assert AIRWAYS.p == pytest.approx(0.0703, abs=5e-5)
    assert AIRWAYS.difference == pytest.approx(-6 / 21)
    assert AIRWAYS.difference_interval == pytest.approx((-0.507, -0.026), abs=5e-4)


def test_the_interval_is_newcombes_worked_by_hand():
    # Wilson for 2 of 21: 0.02652 to 0.28914; for 8 of 21: 0.20755 to 0.59118. phi: eh - fg = 12 - 7 = 5, less 21/2: 0.
    below = ((2 / 21 - 0.02652) ** 2 + (0.59118 - 8 / 21) ** 2) ** 0.5
    above = ((0.28914 - 2 / 21) ** 2 + (8 / 21 - 0.20755) ** 2) ** 0.5
    assert AIRWAYS.difference_interval == pytest.approx((-6 / 21 - below, -6 / 21 + above), abs=1e-4)


def test_of_many_images_the_test_is_chi_square_with_correction():
    # Bland 2000, An Introduction to Medical Statistics: severe colds at 12 and at 14 years; 111 ** 2 / 400 = 30.80.
    colds = Paired(212, 144, 256, 707)
    assert not colds.exact
    assert colds.p == pytest.approx(chi2.sf(30.8025, 1))


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (3, 5), (12, 12), (0, 24), (20, 4)])
def test_of_few_images_the_test_is_the_binomial_one(first, second):
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert Paired(100, first, second, 10).p == pytest.approx(expected)


def test_equal_numbers_of_many_differ_by_chance_alone():
    assert Paired(0, 40, 40, 0).p == 1.0


@pytest.mark.parametrize("counts", [(1, 1, 7, 12), (212, 144, 256, 707), (0, 0, 9, 0), (9, 0, 0, 0), (0, 5, 0, 0)])
def test_the_other_way_round_all_is_the_same_with_the_other_sign(counts):
    both, first, second, neither = counts
    one, other = Paired(both, first, second, neither), Paired(both, second, first, neither)
    low, high = one.difference_interval
    assert other.difference_interval == pytest.approx((-high, -low))
    assert low <= one.difference <= high and one.p == other.p


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    drawn = np.random.default_rng(0).multinomial(100, [0.7, 0.12, 0.08, 0.1], 1000)
    low, high = np.transpose([Paired(*map(int, counts)).difference_interval for counts in drawn])
    assert 0.93 <= np.mean((low <= 0.04) & (high >= 0.04)) <= 0.98


def test_images_are_counted_by_who_is_right():
    assert Paired.of([True, True, False, False, True], [True, False, True, False, True]) == Paired(2, 1, 1, 1)


def test_of_several_tests_holms_p_is_told():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7]) == [0.7]
    assert holm([0.6, 0.9]) == [1.0, 1.0]
