from __future__ import annotations

import warnings

import numpy as np
import pytest
from skimage import color

from cnnkit.data.preparation.clahe import Clahe
from cnnkit.data.preparation.equalize import Equalize
from cnnkit.data.preparation.light import on_lightness

DULL = np.random.default_rng(0).normal(110, 12, (48, 64)).clip(70, 150).astype(np.uint8)
"""A grey picture of little contrast."""


def equalized(grey: np.ndarray) -> np.ndarray:
    """Gonzalez and Woods, with the darkest value that occurs as black."""
    counts = np.bincount(grey.ravel(), minlength=256)
    below = counts.cumsum()
    first = counts[counts > 0][0]
    return np.rint(255 * (below - first) / (grey.size - first))[grey]


def contrast_limited(grey: np.ndarray, clip_limit: float, tiles: int) -> np.ndarray:
    """Zuiderveld 1994, for tiles that fit: a table for each tile, and between four of them in proportion."""
    height, width = grey.shape[0] // tiles, grey.shape[1] // tiles
    most = max(int(clip_limit * height * width / 256), 1)
    tables = np.empty((tiles, tiles, 256))
    for i in range(tiles):
        for j in range(tiles):
            part = grey[i * height : (i + 1) * height, j * width : (j + 1) * width]
            counts = np.bincount(part.ravel(), minlength=256)
            over = int(np.maximum(counts - most, 0).sum())
            counts = np.minimum(counts, most) + over // 256
            if rest := over % 256:  # one more in every so manieth value
                step = max(256 // rest, 1)
                counts[: step * rest : step] += 1
            tables[i, j] = np.rint(counts.cumsum() * 255 / part.size)
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    y, x = y / height - 0.5, x / width - 0.5
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    result = np.zeros(grey.shape)
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - (y - top)) * np.abs(1 - right - (x - left))
            tile = np.clip(top + down, 0, tiles - 1), np.clip(left + right, 0, tiles - 1)
            result += weight * tables[*tile, grey]
    return result


def test_equalisation_is_that_of_the_textbook():
    result = Equalize()(DULL[:, :, None])[:, :, 0]
    assert np.abs(result - equalized(DULL)).max() <= 1
    assert (result.min(), result.max()) == (0, 255)


@pytest.mark.parametrize(("clip_limit", "tiles"), [(2.0, 8), (1.0, 4), (40.0, 1), (4.0, 2)])
def test_clahe_is_that_of_its_paper(clip_limit, tiles):
    result = Clahe(clip_limit=clip_limit, tiles=tiles)(DULL[:, :, None])[:, :, 0]
    assert np.abs(result - contrast_limited(DULL, clip_limit, tiles)).max() <= 1


@pytest.mark.parametrize("step", [Equalize(), Clahe()], ids=repr)
def test_lightness_gains_contrast_and_colours_stay(step):
    tint = np.stack([DULL, DULL * 0.95, DULL * 0.9], axis=2).astype(np.uint8)
    before, after = color.rgb2lab(tint), color.rgb2lab(step(tint))
    assert after[:, :, 0].std() > 2 * before[:, :, 0].std()
    inside = (after[:, :, 0] > 10) & (after[:, :, 0] < 90)  # near black and white there are no colours to keep
    assert np.abs(after - before)[inside][:, 1:].mean() < 1


def test_a_picture_of_one_value_has_nothing_to_even_out():
    flat = np.full((9, 9, 1), 77, np.uint8)
    assert np.array_equal(Equalize()(flat), flat)


def test_a_picture_of_one_colour_has_nothing_to_even_out():
    for colour in np.random.default_rng(1).integers(0, 256, (300, 3), dtype=np.uint8):
        flat = np.full((5, 5, 3), colour)
        assert np.array_equal(Equalize()(flat), flat)


def test_where_the_lightness_stays_a_colour_stays_to_the_bit():
    every = np.stack(np.meshgrid(*3 * [np.arange(0, 256, 3, dtype=np.uint8)]), axis=-1).reshape(86, -1, 3)
    assert np.array_equal(on_lightness(every, lambda light: light.copy()), every)


@pytest.mark.parametrize(
    "change", [lambda light: light // 2 + 64, lambda light: np.minimum(light, 225) + 30], ids=["less", "lighter"]
)
def test_in_colour_the_lightness_alone_becomes_what_the_change_makes_of_it(change):
    colours = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    lab = color.rgb2lab(colours)
    light = np.rint(2.55 * lab[:, :, 0]).astype(np.uint8)
    wanted = lab + np.stack([(change(light) - light.astype(float)) / 2.55, 0 * light, 0 * light], axis=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of colours that there are not in sRGB
        picture = 255 * color.lab2rgb(wanted)
    there = ((picture > 1) & (picture < 254)).all(axis=2)
    assert there.mean() > 0.25
    away = np.abs(on_lightness(colours, change) - picture)[there]
    assert np.quantile(away, 0.99) < 1.5
    assert away.max() < 8  # where both round a lightness between two numbers to another


def test_grey_in_three_channels_stays_grey_and_is_evened_out_as_far_as_lightness_is_grey():
    """Of 0..255, lightness and grey are up to 9 apart, at 126; about so far apart are the results."""
    three = np.repeat(DULL[:, :, None], 3, axis=2)
    for step, most in ((Equalize(), 9), (Clahe(), 12)):
        one, result = step(three[:, :, :1]).astype(int), step(three).astype(int)
        assert np.ptp(result, axis=2).max() <= 1
        assert np.abs(result - one).max() <= most
    # What is even is the lightness: it, in place of grey, has become what equalisation makes of one channel.
    lightness = 2.55 * color.rgb2lab(Equalize()(three))[:, :, 0]
    assert np.abs(lightness - equalized(DULL)).max() < 2
