"""Resize and crop to content: against areas by hand, and pictures whose content is known."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cnnkit.data.preparation.base import Unprepared
from cnnkit.data.preparation.crop_to_content import CropToContent
from cnnkit.data.preparation.resize import Resize

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (24, 36, 3), dtype=np.uint8)


def shares(old: int, new: int) -> np.ndarray:
    """Which share of each new pixel every old one covers, (new, old)."""
    ends = np.arange(new + 1) * old / new
    overlap = np.minimum(ends[1:, None], np.arange(1, old + 1)) - np.maximum(ends[:-1, None], np.arange(old))
    return np.maximum(overlap, 0) * new / old


@pytest.mark.parametrize("size", [(12, 9), (24, 36), (7, 11), (1, 1), (23, 35), (24, 5)])
def test_a_smaller_picture_is_the_mean_of_areas(size):
    expected = np.einsum("yi,xj,ijc->yxc", shares(24, size[0]), shares(36, size[1]), IMAGE.astype(float))
    result = Resize(height=size[0], width=size[1])(IMAGE)
    assert np.abs(result - expected).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_larger_picture_is_that_of_pillow(channels):
    image = IMAGE[:, :, :channels]
    planes = [Image.fromarray(image[:, :, c]).resize((90, 60), Image.Resampling.BILINEAR) for c in range(channels)]
    expected = np.stack([np.asarray(plane) for plane in planes], axis=2).astype(int)
    assert np.abs(Resize(height=60, width=90)(image) - expected).max() <= 1


def test_what_becomes_shorter_is_averaged_even_where_the_other_side_becomes_longer():
    stripes = np.tile(np.array([0, 200], np.uint8), 32)[None, :, None].repeat(4, axis=0)
    assert (Resize(height=8, width=8)(stripes) == 100).all()


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"longest_side": 18}, (12, 18)),
        ({"longest_side": 72}, (48, 72)),
        ({"shortest_side": 12}, (12, 18)),
        ({"shortest_side": 48}, (48, 72)),
        ({"longest_side": 72, "enlarge": False}, (24, 36)),
        ({"shortest_side": 48, "enlarge": False}, (24, 36)),
        ({"longest_side": 18, "enlarge": False}, (12, 18)),
        ({"height": 40, "width": 20}, (40, 20)),
        ({"height": 40, "width": 20, "enlarge": False}, (24, 20)),
        ({"longest_side": 1}, (1, 1)),
    ],
    ids=str,
)
def test_sides_keep_their_proportion_where_one_is_named(settings, size):
    assert Resize(**settings)(IMAGE).shape == (*size, 3)


def test_a_picture_that_would_fill_the_memory_is_refused():
    line = np.zeros((1, 5000, 1), np.uint8)
    with pytest.raises(Unprepared, match=r"would make 1,000 x 5,000,000 pixels of its 1 x 5,000, which is more than"):
        Resize(shortest_side=1000)(line)


# Crop to content


def scene(channels: int = 1) -> np.ndarray:
    """Black, with an object in rows 10 to 39 and columns 20 to 69."""
    image = np.zeros((60, 100, channels), np.uint8)
    image[10:40, 20:70] = RANDOM.integers(60, 200, (30, 50, channels))
    return image


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", ["fixed", "otsu"])
def test_what_is_left_is_the_object(channels, method):
    image = scene(channels)
    assert np.array_equal(CropToContent(method=method)(image)[1:-1, 1:-1], image[11:39, 21:69])


def test_dark_content_on_white_is_found_when_told():
    image = 255 - scene()
    assert np.array_equal(CropToContent(foreground="dark")(image), image[10:40, 20:70])


@pytest.mark.parametrize(("margin", "rows", "columns"), [(0.1, (7, 43), (15, 75)), (1.0, (0, 60), (0, 100))])
def test_a_margin_is_a_fraction_of_the_content_and_ends_at_the_picture(margin, rows, columns):
    image = scene()
    assert np.array_equal(CropToContent(margin=margin)(image), image[slice(*rows), slice(*columns)])


def test_the_threshold_is_a_fraction_of_white():
    image = np.zeros((20, 20, 1), np.uint8)
    image[5:15, 5:15] = 102  # 0.4 of white
    assert CropToContent(threshold=0.39)(image).shape == (10, 10, 1)
    assert CropToContent(threshold=0.4)(image).shape == (20, 20, 1)


def test_pieces_on_all_sides_count_and_specks_do_not():
    image = np.zeros((100, 100, 1), np.uint8)
    image[10:30, 20:40] = image[60:80, 50:70] = 200
    image[0, 0] = image[99, 50] = image[95:98, 95:98] = 255
    assert CropToContent()(image).shape == (70, 50, 1)
    assert CropToContent(min_area=0.0009)(image).shape == (88, 78, 1)
    assert CropToContent(min_area=0.0)(image).shape == (100, 98, 1)


@pytest.mark.parametrize("quality", [20, 50, 90])
def test_the_noise_of_a_jpeg_is_no_content(quality):
    image = scene()[:, :, 0].astype(float).repeat(4, axis=0).repeat(4, axis=1)
    image += RANDOM.normal(0, 4, image.shape)
    buffer = io.BytesIO()
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    noisy = np.asarray(Image.open(buffer))[:, :, None]
    assert ((noisy[:40] > 0).any(), (noisy[:, :80] > 0).any()) == (True, True)  # by itself the black is not black
    height, width, _ = CropToContent()(noisy).shape
    assert abs(height - 120) <= 16  # two blocks of the JPEG
    assert abs(width - 200) <= 16


@pytest.mark.parametrize("value", [0, 10, 200, 255])
@pytest.mark.parametrize("step", [CropToContent(), CropToContent(method="otsu"), CropToContent(foreground="dark")])
def test_a_picture_of_one_value_stays_as_it_is(step, value):
    image = np.full((9, 12, 3), value, np.uint8)
    assert np.array_equal(step(image), image)
