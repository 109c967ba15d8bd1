"""Blur, sharpen, denoise, convolve: against SciPy, scikit-image and sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.restoration import denoise_nl_means

from cnnkit.data.preparation.blur import Blur
from cnnkit.data.preparation.convolve import Convolve, weighted_sums
from cnnkit.data.preparation.denoise import Denoise
from cnnkit.data.preparation.sharpen import Sharpen

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (21, 30, 3), dtype=np.uint8)
SHARPEN = ((0, -1, 0), (-1, 5, -1), (0, -1, 0))


def each_channel(function, image: np.ndarray = IMAGE) -> np.ndarray:
    """A function of two dimensions, done to each channel in floating point."""
    return np.stack([function(image[:, :, c].astype(float)) for c in range(image.shape[2])], axis=2)


def far(result: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(result.astype(float) - expected).max())


@pytest.mark.parametrize(("size", "sigma"), [(5, 1.0), (5, None), (9, 2.5), (31, 5.0)])
def test_a_gaussian_blur_is_that_of_scipy(size, sigma):
    def blurred(grey):
        return ndimage.gaussian_filter(grey, sigma or size / 6, mode="nearest", radius=size // 2)

    assert far(Blur(kernel_size=size, sigma=sigma)(IMAGE), each_channel(blurred)) < 1.2


@pytest.mark.parametrize("size", [3, 5, 11])
def test_box_and_median_are_those_of_scipy(size):
    box = each_channel(lambda grey: ndimage.uniform_filter(grey, size, mode="nearest"))
    median = each_channel(lambda grey: ndimage.median_filter(grey, size, mode="nearest"))
    assert far(Blur(kind="box", kernel_size=size)(IMAGE), box) <= 0.51
    assert far(Blur(kind="median", kernel_size=size)(IMAGE), median) == 0


def test_a_bilateral_blur_is_that_of_its_paper():
    """Weights by distance and by difference, summed by hand; the neighbourhood is round."""
    grey = np.tile(np.linspace(60, 90, 16), (12, 1)) + np.where(np.arange(16) < 8, 0, 90)
    grey = (grey + RANDOM.normal(0, 5, grey.shape)).clip(0, 255).astype(np.uint8)
    padded = np.pad(grey.astype(float), 3, mode="edge")
    sums, weights = np.zeros(grey.shape), np.zeros(grey.shape)
    for i in range(-3, 4):
        for j in range(-3, 4):
            if i * i + j * j <= 9:
                other = padded[3 + i : 15 + i, 3 + j : 19 + j]
                weight = np.exp(-(i * i + j * j) / (2 * 2.0**2) - (other - grey) ** 2 / (2 * 25.5**2))
                sums, weights = sums + weight * other, weights + weight
    step = Blur(kind="bilateral", kernel_size=7, sigma=2.0, sigma_color=0.1)
    assert far(step(grey[:, :, None])[:, :, 0], sums / weights) <= 1


@pytest.mark.parametrize(("amount", "sigma"), [(1.0, 1.0), (0.5, 3.0), (10.0, 0.3)])
def test_sharpening_adds_what_a_blurred_picture_lacks(amount, sigma):
    def sharp(grey):
        radius = int(np.ceil(4 * sigma))
        return grey + amount * (grey - ndimage.gaussian_filter(grey, sigma, mode="nearest", radius=radius))

    expected = np.clip(np.rint(each_channel(sharp)), 0, 255)
    assert far(Sharpen(amount=amount, sigma=sigma)(IMAGE), expected) <= 1


def test_noise_goes_as_in_scikit_image():
    clean = np.kron([[60, 180], [200, 90]], np.ones((16, 16)))
    noisy = (clean + RANDOM.normal(0, 10, clean.shape)).clip(0, 255).astype(np.uint8)
    expected = denoise_nl_means(noisy.astype(float), patch_size=7, patch_distance=10, h=10.2, fast_mode=True)
    result = Denoise(strength=0.04)(noisy[:, :, None])[:, :, 0]
    assert np.abs(result - expected).mean() < 1
    assert np.abs(result - clean).mean() < 0.5 * np.abs(noisy - clean).mean()


def test_noise_goes_from_colours_and_they_stay_what_they_were():
    clean = np.tile(np.array([200, 60, 30], np.uint8), (24, 24, 1))
    noisy = (clean + RANDOM.normal(0, 8, clean.shape)).clip(0, 255).astype(np.uint8)
    result = Denoise(strength=0.06)(noisy)
    assert np.abs(result.astype(float) - clean).mean() < 0.5 * np.abs(noisy.astype(float) - clean).mean()
    assert np.abs(result.mean(axis=(0, 1)) - (200, 60, 30)).max() < 3


# A kernel of one's own


def test_the_sum_is_what_the_kernel_covers_beyond_white_too():
    """5 * 105 - 102 - 103 = 320 in the corner, where what lies beyond the picture is zero."""
    image = np.array([[105, 102, 100], [103, 99, 103], [101, 98, 104]], np.uint8)[:, :, None]
    sums = weighted_sums(image, SHARPEN, "zero")
    assert sums[0, 0, 0] == 320
    assert sums[1, 1, 0] == 5 * 99 - 102 - 103 - 103 - 98
    assert Convolve(kernel=SHARPEN)(image)[0, 0, 0] == 255


@pytest.mark.parametrize(("border", "mode"), [("zero", "constant"), ("edge", "nearest"), ("reflect", "mirror")])
@pytest.mark.parametrize("size", [(3, 3), (1, 1), (5, 1), (1, 7), (13, 11)])
def test_sums_are_those_of_scipy(border, mode, size):
    kernel = RANDOM.normal(size=size)
    expected = each_channel(lambda grey: ndimage.correlate(grey, kernel, mode=mode, cval=0.0))
    result = weighted_sums(IMAGE, kernel.tolist(), border)
    assert result.dtype == np.float64
    assert np.allclose(result, expected, atol=1e-8)


def test_a_kernel_is_not_turned_round():
    image = np.zeros((3, 3, 1), np.uint8)
    image[1, 1] = 10
    left_neighbour = Convolve(kernel=((0, 0, 0), (1, 0, 0), (0, 0, 0)))
    assert np.argwhere(left_neighbour(image)).tolist() == [[1, 2, 0]]


def test_the_sum_is_scaled_then_moved_then_rounded_then_cut_off():
    image = np.array([[0, 3, 100, 255]], np.uint8)[:, :, None]
    step = Convolve(kernel=((1.0,),), scale=-1.5, offset=128.0)
    assert step(image).ravel().tolist() == [128, 124, 0, 0]  # 123.5 to the even number
    assert Convolve(kernel=((1.0,),), scale=3.0)(image).ravel().tolist() == [0, 9, 255, 255]


@pytest.mark.parametrize("border", ["zero", "edge", "reflect"])
def test_a_kernel_may_be_larger_than_the_picture(border):
    image = IMAGE[:2, :3]
    kernel = RANDOM.normal(size=(9, 9))
    mode = {"zero": "constant", "edge": "edge", "reflect": "reflect"}[border]
    padded = np.pad(image.astype(float), ((4, 4), (4, 4), (0, 0)), mode=mode)
    expected = [[np.einsum("ij,ijc->c", kernel, padded[y : y + 9, x : x + 9]) for x in range(3)] for y in range(2)]
    assert np.allclose(weighted_sums(image, kernel.tolist(), border), expected)
