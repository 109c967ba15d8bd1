"""Two networks on the same images: the test and the interval against other programs, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from cnnkit.evaluation.paired import Paired, doubt, holm

AIRWAYS = Paired(1, 1, 7, 12)
"""Table 1 of Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13, 91 (10.1186/1471-2288-13-91)."""


# The p are those of statsmodels 0.15.0, mcnemar(table, exact=..., correction=True).
@pytest.mark.parametrize(
    ("counts", "exact", "p"),
    [
        ((1, 1, 7, 12), True, 0.0703125),
        ((59, 6, 16, 80), True, 0.052478790),
        ((101, 59, 121, 33), False, 5.4500948e-06),
        ((794, 86, 150, 570), False, 4.1145623e-05),  # Agresti 1990, the example of R's mcnemar.test
        ((212, 144, 256, 707), False, 2.8566960e-08),
    ],
)
def test_the_test_is_that_of_statsmodels(counts, exact, p):
    assert Paired(*counts).exact is exact
    assert Paired(*counts).p == pytest.approx(p, rel=1e-7)


def test_the_interval_is_that_of_another_program():
    # As the tests of the R package contingencytables (Fagerland) print Newcombe's square-and-add interval.
    paired = Paired(59, 6, 16, 80)
    assert paired.difference == pytest.approx(-0.0621, abs=5e-5)
    assert paired.difference_interval == pytest.approx((-0.1186, -0.0046), abs=5e-5)


def test_the_interval_is_newcombes_worked_by_hand():
    assert AIRWAYS.difference == pytest.approx(-6 / 21)
    # Wilson for 2 of 21: 0.02652 to 0.28914; for 8 of 21: 0.20755 to 0.59118. phi: eh - fg = 12 - 7 = 5, less 21/2: 0.
    below = ((2 / 21 - 0.02652) ** 2 + (0.59118 - 8 / 21) ** 2) ** 0.5
    above = ((0.28914 - 2 / 21) ** 2 + (8 / 21 - 0.20755) ** 2) ** 0.5
    assert AIRWAYS.difference_interval == pytest.approx((-6 / 21 - below, -6 / 21 + above), abs=1e-4)


def test_of_many_images_the_test_is_chi_square_with_correction():
    # By hand: (256 - 144 - 1) ** 2 / (256 + 144) = 30.8025.
    assert Paired(212, 144, 256, 707).p == pytest.approx(chi2.sf(30.8025, 1))


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


def test_what_may_be_chance_is_decided_by_p_and_an_interval_that_says_otherwise_is_told_to_be_another_computation():
    # All of five coins alike: 2 / 2**5.
    border = Paired(40, 5, 0, 0)
    assert border.p == 0.0625 and border.difference_interval[0] > 0
    told = ", but p, which is computed in another way, decides: p = 0.062, so it may be chance"
    assert doubt(border.p, border.difference_interval) == told
    for counts in ((40, 6, 0, 0), (40, 0, 6, 0)):
        assert doubt(Paired(*counts).p, Paired(*counts).difference_interval) == ""  # 2 / 2**6
    even = Paired(40, 3, 2, 0)
    assert doubt(even.p, even.difference_interval) == ", which may be chance"
    assert [doubt(None, ends) for ends in ((-0.1, 0.1), (0.1, 0.2))] == [", which may be chance", ""]


def test_images_are_counted_by_who_is_right():
    assert Paired.of([True, True, False, False, True], [True, False, True, False, True]) == Paired(2, 1, 1, 1)


def test_of_several_tests_holms_p_is_told():
    # statsmodels 0.15.0: multipletests(..., method="holm"); of five runs there are ten pairs, some of them equal.
    pairs = [0.001, 0.2, 0.03, 0.03, 0.012, 0.8, 0.04, 0.0004, 0.5, 0.049]
    assert holm(pairs) == pytest.approx([0.009, 0.6, 0.21, 0.21, 0.096, 1.0, 0.21, 0.004, 1.0, 0.21])
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7]) == [0.7]
    assert holm([0.6, 0.9]) == [1.0, 1.0]
