from __future__ import annotations

import colorsys

import numpy as np
import pytest
from PIL import Image
from skimage import color

from cnnkit.data.preparation.channel import Channel
from cnnkit.data.preparation.color_space import ColorSpace
from cnnkit.data.preparation.grayscale import Grayscale

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def differences(result: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.abs(result.astype(float) - expected)


def by_hand(convert) -> np.ndarray:
    """Each pixel through a function of Python's colorsys."""
    return np.array([[convert(*(pixel / 255)) for pixel in row] for row in IMAGE.astype(float)])


def test_grey_is_that_of_pillow():
    expected = np.asarray(Image.fromarray(IMAGE).convert("L"))[:, :, None]
    assert differences(Grayscale()(IMAGE), expected).max() <= 1
    grey = IMAGE[:, :, :1]
    assert np.array_equal(Grayscale()(grey), grey)


@pytest.mark.parametrize(("space", "function"), [("hsv", colorsys.rgb_to_hsv), ("hls", colorsys.rgb_to_hls)])
def test_hue_saturation_and_value_are_those_of_python(space, function):
    expected = by_hand(function)
    result = ColorSpace(space=space)(IMAGE)
    hue = differences(result[:, :, 0], 256 * expected[:, :, 0])
    assert np.minimum(hue, 256 - hue).max() < 2
    assert differences(result[:, :, 1:], 255 * expected[:, :, 1:]).max() <= 1.01


def test_lab_is_that_of_scikit_image():
    expected = color.rgb2lab(IMAGE) * (2.55, 1, 1) + np.array([0, 128, 128])
    assert differences(ColorSpace(space="lab")(IMAGE), expected).max() < 2


def test_luv_is_that_of_scikit_image():
    expected = (color.rgb2luv(IMAGE) + np.array([0, 134, 140])) * (255 / 100, 255 / 354, 255 / 262)
    assert differences(ColorSpace(space="luv")(IMAGE), expected).max() < 3


def test_ycrcb_is_that_of_pillow():
    expected = np.asarray(Image.fromarray(IMAGE).convert("YCbCr"))[:, :, [0, 2, 1]]
    assert differences(ColorSpace(space="ycrcb")(IMAGE), expected).max() <= 1


@pytest.mark.parametrize(("channel", "number"), [("red", 0), ("green", 1), ("blue", 2), (0, 0), (1, 1), (2, 2)])
def test_a_channel_is_picked_by_colour_or_number(channel, number):
    assert np.array_equal(Channel(channel=channel)(IMAGE), IMAGE[:, :, number : number + 1])


def test_behind_a_colour_space_a_channel_has_a_number():
    red = np.full((2, 3, 3), (255, 0, 0), np.uint8)
    hsv = ColorSpace(space="hsv")(red)
    assert [int(Channel(channel=number)(hsv)[0, 0, 0]) for number in (0, 1, 2)] == [0, 255, 255]
