"""Curves in letters."""

from __future__ import annotations

import pytest

from cnnkit.commands.text_chart import HEIGHT, LINE, MARK, WIDEST, chart

FALLING = [(10.0**-x, float(x)) for x in range(6, -1, -1)]


@pytest.mark.parametrize("width", [20, 40, 79, 200])
def test_no_line_is_wider_than_the_screen_or_than_is_of_use(width):
    lines = chart(FALLING, 6.0, [1e-3], width)
    assert len(lines) == HEIGHT + 3
    assert max(map(len, lines)) == min(width, WIDEST)


def test_a_curve_that_falls_goes_from_the_top_left_to_the_bottom_right():
    lines = chart(FALLING, 6.0, [], 60)[:HEIGHT]
    heights = [[LINE in line[at : at + 1] for line in lines].index(True) for at in range(5, 60)]
    assert heights == sorted(heights)
    assert (heights[0], heights[-1]) == (0, HEIGHT - 1)
    assert lines[0].startswith("6 |") and lines[-1].startswith("0 |")


def test_the_axis_has_powers_of_ten_and_a_mark_stands_below_its_place():
    *_, axis, marks, labels = chart(FALLING, 6.0, [1e-3], 60)
    for power in range(-6, 1):
        assert f"1e{power:+03d}" in labels
    assert axis[marks.index(MARK)] == "+" == axis[labels.index("1e-03") + 2]


def test_what_is_above_the_top_is_drawn_at_the_top():
    lines = chart([(0.001, 1.0), (0.01, 2.0), (0.1, 1e9)], 4.0, [], 60)
    assert lines[0].rstrip().endswith(LINE)


@pytest.mark.parametrize("points", [[(1e-3, 2.0), (1e-2, 2.0)], [(0.5, 1.0), (0.6, 3.0)]])
def test_a_flat_curve_and_one_without_a_power_of_ten_are_drawn_too(points):
    assert len(chart(points, 2.0, [points[0][0]], 50)) == HEIGHT + 3
