from __future__ import annotations

import colorsys
import io

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from cnnkit.evaluation import gate
from cnnkit.evaluation.corruptions import Corruptions, corrupted, strengths


def chance():
    return np.random.default_rng(0)


def picture(side, channels):
    """Smooth, with some detail, in all shades."""
    cells = max(4, side // 8)
    coarse = chance().integers(0, 256, (cells, cells, channels), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).reshape(side, side, channels)


# The strengths that the authors' programs have: make_cifar_c.py for 32 pixels, make_imagenet_64_c.py for 64 and
# make_imagenet_c.py for 224, of github.com/hendrycks/robustness.
OF_THE_AUTHORS = {
    32: {
        "noise": (0.04, 0.06, 0.08, 0.09, 0.10),
        "blur": (0.4, 0.6, 0.7, 0.8, 1),
        "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
        "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
        "jpeg": (80, 65, 58, 50, 40),
        "resolution": (0.95, 0.9, 0.85, 0.75, 0.65),
    },
    64: {
        "noise": (0.04, 0.08, 0.12, 0.15, 0.18),
        "blur": (0.5, 0.75, 1, 1.25, 1.5),
        "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
        "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
        "jpeg": (65, 58, 50, 40, 25),
        "resolution": (0.9, 0.8, 0.7, 0.6, 0.5),
    },
    224: {
        "noise": (0.08, 0.12, 0.18, 0.26, 0.38),
        "blur": (1, 2, 3, 4, 6),
        "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
        "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
        "jpeg": (25, 18, 15, 10, 7),
        "resolution": (0.6, 0.5, 0.4, 0.3, 0.25),
    },
}


@pytest.mark.parametrize("side", [32, 64, 224])
def test_at_the_sizes_of_the_authors_strengths_are_theirs(side):
    assert strengths(side) == OF_THE_AUTHORS[side]


def test_between_and_beyond_these_sizes_they_follow_the_side():
    # 128 is 1 of log2(224 / 64) = 1.8074 doublings above 64.
    assert strengths(128)["noise"][0] == pytest.approx(0.04 + 0.04 / 1.8074, abs=1e-4)
    assert strengths(128)["jpeg"][0] == round(65 - 40 / 1.8074)
    assert strengths(8) == strengths(32)
    assert strengths(448)["blur"] == (2, 4, 6, 8, 12)
    assert strengths(448) | {"blur": ()} == strengths(224) | {"blur": ()}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 32, 64, 100, 224])
def test_a_stronger_one_is_farther_from_the_image(side, channels):
    image = picture(side, channels)
    for kind, levels in strengths(side).items():
        made = [corrupted(image, kind, level, chance()) for level in levels]
        assert all(one.shape == image.shape and one.dtype == np.uint8 for one in made)
        distances = [np.abs(one.astype(float) - image).mean() for one in made]
        assert distances == sorted(distances) and distances[0] < distances[-1], kind


def test_noise_has_the_deviation_that_is_told():
    grey = np.full((100, 100, 1), 128, np.uint8)
    assert (corrupted(grey, "noise", 0.1, chance()) / 255).std() == pytest.approx(0.1, rel=0.02)


def test_brightness_is_added_to_the_value_of_hsv():
    image = np.uint8([[[0, 0, 0], [10, 20, 40], [200, 100, 50], [255, 0, 255], [90, 90, 90]]])
    for colour, brighter in zip(image[0], corrupted(image, "brightness", 0.3, chance())[0], strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(colour / 255))
        expected = colorsys.hsv_to_rgb(hue, saturation, min(value + 0.3, 1))
        assert np.abs(brighter / 255 - expected).max() <= 0.5 / 255 + 1e-9


def test_contrast_is_taken_from_each_channel_by_itself():
    halves = np.uint8([[[50, 0, 9]] * 4 + [[150, 200, 9]] * 4] * 8)
    flat = corrupted(halves, "contrast", 0.5, chance())
    assert flat[0, 0].tolist() == [75, 50, 9] and flat[0, -1].tolist() == [125, 150, 9]


@pytest.mark.parametrize("sigma", [0.4, 1, 6])
def test_blur_is_the_gaussian_of_scipy(sigma):
    image = picture(64, 3)
    expected = gaussian_filter(image.astype(float), (sigma, sigma, 0), mode="nearest", truncate=4)
    assert np.abs(corrupted(image, "blur", sigma, chance()) - expected).max() <= 1


def test_jpeg_and_resolution_are_those_of_pillow():
    image, file = picture(64, 3), io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=25)
    assert np.array_equal(corrupted(image, "jpeg", 25, chance()), np.asarray(Image.open(file)))
    steps = corrupted(picture(64, 1), "resolution", 0.5, chance())
    assert np.array_equal(steps[::2, ::2], steps[1::2, 1::2])
    mean = picture(64, 1).reshape(32, 2, 32, 2).mean(axis=(1, 3))
    assert np.abs(steps[::2, ::2, 0] - mean).max() <= 1  # height and width are each rounded


def test_a_network_that_sees_brightness_only_suffers_from_that(shown, exam_of):
    levels = np.uint8([100, 100, 220, 220])
    pixels = np.broadcast_to(levels[:, None, None, None], (4, 8, 8, 1))

    def network(batch):
        bright = batch.mean(axis=(1, 2, 3)) > 150
        return np.stack([~bright, bright], axis=1).astype(np.float64)

    exam = exam_of(shown(pixels, [0, 0, 1, 1]), network)
    found = Corruptions().answered(exam)
    # 100 becomes 113, 126, 138, 151 and 177.
    assert found["accuracy"]["brightness"] == [1.0, 1.0, 1.0, 0.5, 0.5]
    assert found["mean_accuracy"] == pytest.approx(29 / 30)
    low, high = found["mean_accuracy_interval"]
    assert low < 29 / 30 < high
    assert Corruptions().answered(exam) == found
    assert list(gate.figures(found)) == Corruptions().figures(["a", "b"])
    last = list(Corruptions().lines(found))[-1]
    assert last == (
        f"corrupted: mean accuracy 0.9667 (95 % interval {low:.4f} to {high:.4f}), 1.0000 as they are (4 images); "
        "worst under brightness: 0.8000"
    )
