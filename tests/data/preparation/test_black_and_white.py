"""Binarize, morphology and components: against scikit-image, SciPy and pictures drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage import filters, morphology

from cnnkit.data.preparation.binarize import Binarize
from cnnkit.data.preparation.components import KeepLargest, RemoveSmall
from cnnkit.data.preparation.morphology import Close, Dilate, Erode, Open

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (30, 41, 3), dtype=np.uint8)
GREY = ndimage.gaussian_filter(RANDOM.uniform(0, 255, (40, 50)), 2)
GREY = np.rint(255 * (GREY - GREY.min()) / np.ptp(GREY)).astype(np.uint8)


def drawn(*rows: str) -> np.ndarray:
    """A picture in black and white: `#` is white."""
    return np.array([[255 * (mark == "#") for mark in row] for row in rows], np.uint8)[:, :, None]


def test_otsu_is_that_of_scikit_image():
    expected = 255 * (filters.threshold_otsu(GREY) < GREY)
    assert np.array_equal(Binarize()(GREY[:, :, None])[:, :, 0], expected)
    assert np.array_equal(Binarize(invert=True)(GREY[:, :, None])[:, :, 0], 255 - expected)


def test_a_picture_of_two_values_is_parted_between_them():
    image = np.array([[7, 7, 8]], np.uint8)[:, :, None]
    assert Binarize()(image).ravel().tolist() == [0, 0, 255]


def test_a_picture_of_one_value_has_nothing_light_in_it():
    assert not Binarize()(np.full((4, 4, 1), 200, np.uint8)).any()


def test_what_is_lighter_than_a_fixed_threshold_is_white():
    image = np.array([[0, 101, 102, 103, 255]], np.uint8)[:, :, None]
    assert Binarize(method="fixed", threshold=0.4)(image).ravel().tolist() == [0, 0, 0, 255, 255]


def test_colours_are_grey_before():
    pure = np.eye(3, dtype=np.uint8)[None] * 255  # grey of 76, 150 and 29
    assert Binarize(method="fixed", threshold=0.25)(pure).ravel().tolist() == [255, 255, 0]


@pytest.mark.parametrize("offset", [0.0, 0.05, -0.05])
@pytest.mark.parametrize("size", [3, 11, 61])
def test_an_adaptive_threshold_is_that_of_scikit_image(size, offset):
    local = filters.threshold_local(GREY.astype(float), size, method="mean", mode="nearest", offset=255 * offset)
    expected = 255 * (local + 1e-4 < GREY)  # where both are equal, rounding decides there
    result = Binarize(method="adaptive", block_size=size, offset=offset)(GREY[:, :, None])[:, :, 0]
    assert np.array_equal(result, expected)


def test_a_light_thing_in_uneven_light_is_found():
    image = np.linspace(20, 180, 60)[None, :].repeat(40, axis=0)
    image[15:25, 10:20] += 30
    image[15:25, 40:50] += 30
    thing = np.zeros(image.shape, bool)
    thing[15:25, 10:20] = thing[15:25, 40:50] = True
    result = Binarize(method="adaptive", block_size=35, offset=-0.05)(image.astype(np.uint8)[:, :, None])
    assert np.array_equal(result[:, :, 0] > 0, thing)


# Morphology

FOOTPRINTS = {
    "square": lambda size: np.ones((size, size)),
    "disk": lambda size: morphology.disk(size // 2),
    "cross": lambda size: (np.indices((size, size)) == size // 2).any(axis=0),
}


def repeated(function, footprint, times, grey):
    for _ in range(times):
        grey = function(grey, footprint, mode="ignore")
    return grey


def expected(kind, footprint, times, grey):
    """With scikit-image."""
    order = {
        Erode: [morphology.erosion],
        Dilate: [morphology.dilation],
        Open: [morphology.erosion, morphology.dilation],
        Close: [morphology.dilation, morphology.erosion],
    }
    for function in order[kind]:
        grey = repeated(function, footprint, times, grey)
    return grey


@pytest.mark.parametrize("kind", [Erode, Dilate, Open, Close])
@pytest.mark.parametrize(
    ("size", "shape", "times"), [(3, "square", 1), (5, "disk", 1), (7, "cross", 2), (3, "disk", 3)]
)
def test_morphology_is_that_of_scikit_image_in_each_channel(kind, size, shape, times):
    result = kind(kernel_size=size, shape=shape, iterations=times)(COLOUR)
    for c in range(3):
        grey = np.ascontiguousarray(COLOUR[:, :, c])
        assert np.array_equal(result[:, :, c], expected(kind, FOOTPRINTS[shape](size), times, grey))


# Components

PIECES = drawn(
    "##......#",
    "##...#...",
    "....#.#..",
    ".....#...",
    "........#",
    "###.....#",
)
"""Pieces of 4, 1, 4 (by corners, else 4 of 1), 3 and 2 pixels."""


def test_small_pieces_go():
    assert np.array_equal(
        RemoveSmall(min_pixels=3)(PIECES),
        drawn(
            "##.......",
            "##...#...",
            "....#.#..",
            ".....#...",
            ".........",
            "###......",
        ),
    )
    assert np.array_equal(
        RemoveSmall(min_pixels=4, connectivity=4)(PIECES),
        drawn("##.......", "##.......", *4 * [9 * "."]),
    )


@pytest.mark.parametrize("connectivity", [4, 8])
def test_small_pieces_are_those_of_scipy(connectivity):
    image = (255 * (RANDOM.random((60, 70)) < 0.35)).astype(np.uint8)
    labels, count = ndimage.label(image, np.ones((3, 3)) if connectivity == 8 else None)
    areas = ndimage.sum_labels(image > 0, labels, range(count + 1))
    for settings, least in ({"min_pixels": 5}, 5), ({"min_area": 0.002}, 8.4):
        result = RemoveSmall(connectivity=connectivity, **settings)(image[:, :, None])[:, :, 0]
        assert np.array_equal(result, np.where(areas[labels] >= least, image, 0))


def test_in_a_grey_picture_small_light_pieces_go_and_the_rest_stays():
    image = np.full((10, 10, 1), 50, np.uint8)
    image[1:6, 1:6] = 200
    image[8, 8] = 220
    result = RemoveSmall(min_area=0.02)(image)
    image[8, 8] = 0
    assert np.array_equal(result, image)


def test_the_largest_piece_stays():
    image = drawn("###....", "#......", ".....##", "...#.##", ".....##")
    assert np.array_equal(KeepLargest()(image), drawn(".......", ".......", ".....##", ".....##", ".....##"))


def test_of_two_pieces_of_one_size_the_upper_one_stays_then_the_left_one():
    image = drawn("....##", "......", "##..##")
    assert np.argwhere(KeepLargest()(image)).tolist() == [[0, 4, 0], [0, 5, 0]]
    assert np.argwhere(KeepLargest()(image[2:])).tolist() == [[0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("connectivity", [4, 8])
def test_the_largest_piece_is_that_of_scipy(connectivity):
    image = (255 * (RANDOM.random((60, 70)) < 0.45)).astype(np.uint8)
    labels, count = ndimage.label(image, np.ones((3, 3)) if connectivity == 8 else None)
    largest = 1 + ndimage.sum_labels(image > 0, labels, range(1, count + 1)).argmax()
    result = KeepLargest(connectivity=connectivity)(image[:, :, None])[:, :, 0]
    assert np.array_equal(result, np.where(labels == largest, image, 0))


def test_in_colour_the_largest_light_or_dark_piece_keeps_its_colours():
    image = np.full((12, 12, 3), 30, np.uint8)
    image[1:8, 1:8] = (250, 200, 40)
    image[10, 10] = (255, 255, 255)
    light = np.zeros_like(image)
    light[1:8, 1:8] = image[1:8, 1:8]
    assert np.array_equal(KeepLargest()(image), light)
    dark = KeepLargest(foreground="dark")(image)
    assert np.array_equal(dark, np.where((image == 30).all(axis=2, keepdims=True), image, 0))


@pytest.mark.parametrize("step", [KeepLargest(), RemoveSmall(min_area=0.5)], ids=repr)
def test_a_picture_of_one_value_stays_as_it_is(step):
    image = np.full((5, 5, 1), 255, np.uint8)
    assert np.array_equal(step(image), image)
