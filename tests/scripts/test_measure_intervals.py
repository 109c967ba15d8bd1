from __future__ import annotations

import measure_intervals
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 4, 10])
def test_intervals_hold_the_truth_as_often_as_they_say(classes):
    for name, share in measure_intervals.coverage(2000, 300, classes).items():
        assert 0.93 <= share <= 0.97, name


def test_some_intervals_hold_the_truth_about_as_often():
    """Of 100 right intervals fewer than 88 hold it once in a thousand times."""
    assert min(measure_intervals.coverage(100, 300, 3).values()) >= 0.88
