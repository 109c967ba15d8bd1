"""Sheets of pictures: what is drawn where, and words that find room."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cnnkit.core import sheet as core_sheet
from cnnkit.core.sheet import Cell


def pixels(height, width, channels=3):
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, channels), dtype=np.uint8)


def drawn(path, *cells, heading="a heading"):
    boxes = core_sheet.draw(path, heading, [str(k) for k in range(len(cells))], [cells])
    with Image.open(path) as sheet:
        return [np.asarray(sheet.crop(box)) for box in boxes[0]], boxes[0], sheet.size


@pytest.mark.parametrize(("side", "times"), [(1, 128), (8, 16), (28, 5), (32, 4), (64, 2), (96, 1), (224, 1), (256, 1)])
def test_each_pixel_of_a_small_picture_is_a_square_and_others_are_as_they_are(tmp_path, side, times):
    picture = pixels(side, side)
    (found,), _, _ = drawn(tmp_path / "sheet.png", Cell(picture, []))
    np.testing.assert_array_equal(found, np.kron(picture, np.ones((times, times, 1), np.uint8)))


def test_grey_is_drawn_as_grey(tmp_path):
    picture = pixels(100, 80, 1)
    (found,), _, _ = drawn(tmp_path / "sheet.png", Cell(picture, []))
    np.testing.assert_array_equal(found, np.repeat(picture, 3, axis=2))


def test_a_large_picture_is_made_smaller_in_its_proportions(tmp_path):
    (found,), _, _ = drawn(tmp_path / "sheet.png", Cell(pixels(300, 600), []))
    assert found.shape == (128, 256, 3)


def test_pictures_lie_beside_each_other_and_rows_below_each_other_with_room_for_their_words(tmp_path):
    cells = [[Cell(pixels(32, 32), ["word"] * (3 * i)) for i in (0, 1)], [Cell(pixels(64, 32), [])] * 2]
    boxes = core_sheet.draw(tmp_path / "sheet.png", "heading", ["left", "right"], cells)
    with Image.open(tmp_path / "sheet.png") as sheet:
        width, height = sheet.size
    (a, b), (c, d) = boxes
    assert a[2] < b[0]
    assert a[1] == b[1]
    assert (a[0], b[0]) == (c[0], d[0])
    assert c[1] == d[1] >= a[3] + 3 * 11
    assert max(box[2] for row in boxes for box in row) <= width
    assert max(box[3] for row in boxes for box in row) <= height


def test_words_are_drawn_below_their_picture(tmp_path):
    def dark(words):
        core_sheet.draw(tmp_path / "sheet.png", "", [""], [[Cell(np.full((128, 128, 1), 255, np.uint8), words)]])
        with Image.open(tmp_path / "sheet.png") as sheet:
            return np.flatnonzero((np.asarray(sheet.convert("L")) < 100).any(axis=1))

    assert len(dark([])) == 0
    one, two = dark(["rotate"]), dark(["rotate", "shift"])
    assert one.min() > 128
    assert two.max() > one.max()


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("crop to half of it", 9, ["crop to", "half of", "it"]),
        ("short", 9, ["short"]),
        ("", 9, [""]),
        ("a_word_that_is_too_long for it", 9, ["a_wo…long", "for it"]),
    ],
)
def test_words_are_wrapped(text, width, lines):
    assert core_sheet.wrapped(text, width, len) == lines


def test_a_heading_that_is_wider_than_the_sheet_is_wrapped(tmp_path):
    _, (one,), _ = drawn(tmp_path / "sheet.png", Cell(pixels(32, 32), []), heading="short")
    _, (two,), _ = drawn(tmp_path / "sheet.png", Cell(pixels(32, 32), []), heading="a long heading " * 5)
    assert two[1] > one[1]


def test_a_name_that_is_not_utf_8_is_drawn(tmp_path):
    drawn(tmp_path / "sheet.png", Cell(pixels(8, 8), [b"k\xe4tzchen.png".decode(errors="surrogateescape")]))
