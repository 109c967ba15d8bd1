"""How much detail pictures really have, whatever their pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cnnkit.inspection.detail import MOST, detail, median_detail


def natural(side: int, number: int = 0) -> np.ndarray:
    """A picture with the spectrum of natural ones: the amplitude of a wave falls with its frequency."""
    random = np.random.default_rng(number)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    waves = np.exp(2j * np.pi * random.random(frequency.shape)) / frequency
    waves[0, 0] = 0
    picture = np.fft.irfft2(waves, (side, side))
    return (127 + 50 * picture / picture.std()).clip(0, 255).astype(np.uint8)


def enlarged(picture: np.ndarray, side: int, way: Image.Resampling, quality: int | None = None) -> np.ndarray:
    larger = Image.fromarray(picture).resize((side, side), way)
    if quality is None:
        return np.asarray(larger)
    file = io.BytesIO()
    larger.save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("side", [28, 64, 128, 200])
def test_a_picture_that_is_what_it_seems_has_all_of_its_detail(side):
    assert detail(natural(side)) >= 0.8 * side


@pytest.mark.parametrize("way", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
@pytest.mark.parametrize(("small", "large", "quality"), [(32, 128, None), (32, 128, 90), (48, 256, 75), (64, 384, 90)])
def test_an_enlarged_one_has_that_of_the_small_one(way, small, large, quality):
    found = detail(enlarged(natural(small), large, way, quality))
    assert small / 2 < found <= 2 * small <= large / 2


@pytest.mark.parametrize(("small", "large"), [(28, 224), (32, 96), (50, 333)])
def test_pixels_that_are_repeated_count_once(small, large):
    assert detail(enlarged(natural(small), large, Image.Resampling.NEAREST)) <= small


def test_a_plain_border_is_no_repetition():
    framed = np.zeros((160, 160), np.uint8)
    framed[60:100, 60:100] = natural(40)
    assert detail(framed) >= 128


def test_colour_grey_and_very_large_pictures_can_be_asked_for():
    grey = natural(64)
    assert detail(np.stack([grey] * 3, axis=2)) == detail(grey)
    assert detail(natural(1000)) <= MOST
    assert detail(np.zeros((50, 3, 3), np.uint8)) == 3
    assert detail(np.zeros((1, 1), np.uint8)) == 1


def test_of_several_the_one_in_the_middle_counts():
    pictures = [natural(32), natural(64), enlarged(natural(32), 128, Image.Resampling.BICUBIC)]
    assert median_detail(pictures) == sorted(map(detail, pictures))[1]
    assert median_detail([]) == 0
