"""What becomes of pixels, against NumPy, Pillow, SciPy and scikit-image."""

from __future__ import annotations

import colorsys
import io
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from cnnkit.data.augmentations import AnyAugmentation
from cnnkit.data.augmentations.affine import Affine
from cnnkit.data.augmentations.blur import RandomBlur
from cnnkit.data.augmentations.brightness import Brightness
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.augmentations.contrast import Contrast
from cnnkit.data.augmentations.crop import Crop
from cnnkit.data.augmentations.erasing import Erasing
from cnnkit.data.augmentations.gamma import Gamma
from cnnkit.data.augmentations.grayscale import RandomGrayscale
from cnnkit.data.augmentations.hue import Hue
from cnnkit.data.augmentations.jpeg import Jpeg
from cnnkit.data.augmentations.noise import Noise
from cnnkit.data.augmentations.perspective import Perspective
from cnnkit.data.augmentations.random_resized_crop import RandomResizedCrop
from cnnkit.data.augmentations.rotate import Rotate
from cnnkit.data.augmentations.saturation import Saturation
from cnnkit.data.augmentations.sharpen import RandomSharpen
from cnnkit.data.augmentations.shear import Shear
from cnnkit.data.augmentations.shift import Shift
from cnnkit.data.augmentations.zoom import Zoom

channels = pytest.mark.parametrize("channels", [1, 3])

GREY = np.array([0.299, 0.587, 0.114])


def cut_off(values):
    return np.clip(np.rint(values), 0, 255)


def farthest(a, b):
    return np.abs(np.asarray(a, float) - np.asarray(b, float)).max()


def pillow(image):
    return Image.fromarray(image.squeeze())


@channels
@pytest.mark.parametrize("amount", [-1.0, -0.31, 0.002, 0.2, 1.0])
def test_brightness_adds_a_fraction_of_white(rough, fixed, done, channels, amount):
    image = rough(20, 30, channels)
    assert farthest(done(image, fixed(Brightness(), amount)), cut_off(image + 255.0 * amount)) == 0


@channels
@pytest.mark.parametrize("amount", [-1.0, -0.3, 0.25, 1.0])
def test_contrast_is_that_of_pillow(rough, fixed, done, channels, amount):
    image = (rough(20, 30, channels) * [1, 0.5, 0.2][:channels]).astype(np.uint8)
    expected = np.asarray(ImageEnhance.Contrast(pillow(image)).enhance(1 + amount)).reshape(image.shape)
    assert farthest(done(image, fixed(Contrast(), amount)), expected) <= 2  # there the mean is a whole number
    grey = image.mean() if channels == 1 else (image @ GREY).mean()
    assert farthest(done(image, fixed(Contrast(), amount)), cut_off(grey + (1 + amount) * (image - grey))) <= 1


@pytest.mark.parametrize("amount", [-1.0, -0.3, 0.25, 1.0])
def test_saturation_is_that_of_pillow(rough, fixed, done, amount):
    image = rough(20, 30, 3)
    expected = np.asarray(ImageEnhance.Color(pillow(image)).enhance(1 + amount))
    assert farthest(done(image, fixed(Saturation(), amount)), expected) <= 2  # there grey is a whole number
    grey = (image @ GREY)[:, :, None]
    assert farthest(done(image, fixed(Saturation(), amount)), cut_off(grey + (1 + amount) * (image - grey))) <= 1


@pytest.mark.parametrize("degrees", [-170, -45, -10, 22.5, 90])
def test_hue_is_turned_as_colorsys_has_it(rough, fixed, done, degrees):
    image = rough(20, 30, 3)
    expected = []
    for pixel in image.reshape(-1, 3) / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected.append(colorsys.hsv_to_rgb((hue + degrees / 360) % 1, saturation, value))
    difference = np.abs(done(image, fixed(Hue(), degrees)) - 255 * np.reshape(expected, image.shape))
    assert difference.max() <= 9  # 256 colours on the circle, and as many saturations
    assert difference.mean() <= 1.5


def test_hue_turns_red_to_green_to_blue_and_leaves_greys(fixed, done):
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [77, 77, 77]]], np.uint8)
    assert farthest(done(image, fixed(Hue(), 120))[0], [[0, 255, 0], [0, 0, 255], [255, 0, 0], [77, 77, 77]]) <= 3


@channels
@pytest.mark.parametrize("power", [0.5, 0.8, 1.3, 2.0])
def test_gamma_is_a_power_between_black_and_white(rough, fixed, done, channels, power):
    image = rough(20, 30, channels)
    assert np.array_equal(done(image, fixed(Gamma(), power)), cut_off(255 * (image / 255) ** power))


def test_gamma_is_as_often_lighter_as_darker():
    powers = Gamma(strength=0.25).amounts(np.linspace(0, 1, 10_001)[:, None])
    assert np.allclose([powers.min(), np.median(powers), powers.max()], [0.8, 1, 1.25])


def test_grey_is_that_of_pillow_three_times(rough, done):
    image = rough(20, 30, 3)
    grey = np.asarray(pillow(image).convert("L"))
    assert farthest(done(image, RandomGrayscale(probability=1.0)), np.stack([grey] * 3, axis=2)) <= 1


@channels
@pytest.mark.parametrize("sigma", [0.5, 1.3, 4.0])
def test_blur_is_a_gaussian_of_a_fraction_of_the_shorter_side(rough, fixed, done, channels, sigma):
    image = rough(40, 60, channels)
    expected = ndimage.gaussian_filter(image.astype(float), (sigma, sigma, 0), mode="mirror", truncate=3.0)
    assert farthest(done(image, fixed(RandomBlur(), sigma / 40)), expected) <= 2.5


@channels
@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.3, 0.45])
def test_a_blur_of_less_than_a_pixel_blurs_by_its_standard_deviation(fixed, done, channels, sigma):
    image = np.zeros((9, 9, channels), np.uint8)
    image[4, 4] = 250
    result = done(image, fixed(RandomBlur(), sigma / 9)).astype(float)[:, :, 0]
    across = result.sum(0) / result.sum()
    assert abs((across * (np.arange(9) - 4) ** 2).sum() - sigma**2) < 0.01


@channels
@pytest.mark.parametrize("amount", [0.5, 1.0, 7.0])
def test_sharpening_adds_what_a_blur_takes_away(rough, fixed, done, channels, amount):
    image = rough(20, 30, channels)
    soft = image.astype(float)
    for axis in (0, 1):
        soft = ndimage.correlate1d(soft, [0.25, 0.5, 0.25], axis=axis, mode="mirror")
    expected = cut_off(image + amount * (image - soft))
    assert farthest(done(image, fixed(RandomSharpen(), amount)), expected) <= 1 + amount / 2  # the blur is rounded


# How strong


@pytest.mark.parametrize(
    ("augmentation", "least", "most"),
    [
        (Brightness(strength=0.3), -0.3, 0.3),
        (Contrast(strength=0.3), -0.3, 0.3),
        (Saturation(strength=0.3), -0.3, 0.3),
        (Hue(degrees=40), -40, 40),
        (Gamma(strength=0.25), 0.8, 1.25),
        (RandomBlur(fraction=0.04), 0, 0.04),
        (RandomSharpen(strength=3), 0, 3),
        (Noise(deviation=0.1), 0, 0.1),
        (Jpeg(quality=30), 100, 30),
        (Rotate(degrees=40), -40, 40),
        (Shift(fraction=0.2), -0.2, 0.2),
        (Crop(fraction=0.2), -0.2, 0.2),
        (Zoom(fraction=0.25), -0.2, 0.25),
        (Shear(degrees=20, direction="both"), -20, 20),
        (Perspective(strength=0.15), -0.15, 0.15),
        (Affine(degrees=40, shift=0.2, zoom=0.25, shear=20), (-40, -0.2, -0.2, -0.2, -20), (40, 0.2, 0.2, 0.25, 20)),
        (RandomResizedCrop(area=(0.25, 0.81), ratio=(1, 1)), 0.5, 0.9),
        (Erasing(area=(0.04, 0.25), ratio=(1, 1)), (0.04, 0.2, 0.2), (0.25, 0.5, 0.5)),
    ],
    ids=lambda one: getattr(one, "name", None),
)
def test_the_least_and_the_most_that_is_done_are_as_it_is_set(augmentation, least, most):
    chance = np.stack([np.zeros(augmentation.chances), np.full(augmentation.chances, np.nextafter(1, 0))])
    first, last = augmentation.amounts(chance)
    count = np.size(least) if np.size(least) > 1 else {"noise": 1, "random_resized_crop": 2}.get(augmentation.name)
    assert np.allclose(first[:count], least)
    assert np.allclose(last[:count], most)


def test_no_augmentation_is_left_out_of_this():
    names = {kind.model_fields["name"].default for kind in get_args(get_args(AnyAugmentation)[0])}
    (mark,) = test_the_least_and_the_most_that_is_done_are_as_it_is_set.pytestmark
    covered = {augmentation.name for augmentation, *_ in mark.args[1]}
    assert names - covered == {"flip", "grayscale", "rand_augment", "trivial_augment", "mixup", "cutmix"}


@pytest.mark.parametrize("chance", [0.0, 1 - 1e-9])
def test_the_most_that_is_done_is_what_is_seen(rough, chance):
    image, side = rough(40, 40, 3) // 2 + 64, 1 if chance else -1

    def most(augmentation):
        (amount,) = augmentation.amounts(np.full((1, augmentation.chances), chance))
        return augmentation(image, amount).astype(float)

    assert np.array_equal(most(Brightness(strength=0.2)), image + side * 51.0)
    assert most(Contrast(strength=0.4)).std() / image.std() == pytest.approx(1 + side * 0.4, abs=0.01)
    # Red less green of each pixel is as far from nothing as there is colour.
    colour = (most(Saturation(strength=0.4)) @ [1, -1, 0]).std() / (image @ [1.0, -1.0, 0.0]).std()
    assert colour == pytest.approx(1 + side * 0.4, abs=0.02)


def test_the_most_noise_has_the_deviation_that_is_set():
    (amount,) = Noise(deviation=0.1).amounts(np.array([[1 - 1e-9, 0.3]]))
    assert noise_of(np.full((300, 300, 3), 128, np.uint8), *amount).std() == pytest.approx(25.5, rel=0.01)


def test_the_most_hue_turns_by_the_degrees_that_are_set():
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    for chance, turned in ((0.0, (255, 0, 255)), (1 - 1e-9, (255, 255, 0))):
        (amount,) = Hue(degrees=60).amounts(np.array([[chance]]))
        assert farthest(Hue()(red, amount), np.full((4, 4, 3), turned)) <= 6


# Noise


def noise_of(image, deviation, chance):
    return Noise()(image, np.array([deviation, chance])).astype(float) - image


@channels
@pytest.mark.parametrize("deviation", [0.01, 0.05, 0.1])
def test_noise_is_gaussian_with_its_standard_deviation(channels, deviation):
    noise = noise_of(np.full((1000, 700, channels), 128, np.uint8), deviation, 0.3)
    assert abs(noise.mean()) < 0.01 * 255 * deviation
    assert (
        abs(noise.std() / np.hypot(255 * deviation, np.sqrt(1 / 12)) - 1) < 0.003 + 1e-4 / deviation
    )  # and that of rounding
    standard = noise / noise.std()
    assert abs((standard**3).mean()) < 0.05
    assert 2.75 < (standard**4).mean() < 3.1
    for share, limit in ((0.6827, 1), (0.9545, 2)):
        assert abs((np.abs(standard) < limit).mean() - share) < 0.06  # whole numbers are steps


def test_noise_of_neighbours_channels_and_images_has_nothing_in_common():
    image = np.full((200, 200, 3), 128, np.uint8)
    noise, other = noise_of(image, 0.1, 0.3), noise_of(image, 0.1, np.nextafter(0.3, 1))
    pairs = [(noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1]), (noise[..., 0], noise[..., 1]), (noise, other)]
    assert all(abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02 for a, b in pairs)


def test_noise_is_cut_off_at_black_and_white():
    for value in (0, 255):
        image = np.full((50, 50, 3), value, np.uint8)
        noise = noise_of(image, 0.3, 0.5)
        assert (noise == 0).mean() > 0.45
        assert len(np.unique(noise)) > 50


# JPEG


@channels
@pytest.mark.parametrize("quality", [10, 50, 90])
def test_artefacts_are_those_of_a_jpeg_by_pillow(smooth, fixed, done, channels, quality):
    image = smooth(40, 56, channels)
    file = io.BytesIO()
    pillow(image).save(file, "jpeg", quality=quality)
    expected = np.asarray(Image.open(file)).reshape(image.shape)
    assert farthest(done(image, fixed(Jpeg(), quality)), expected) <= 3


def test_a_lower_quality_changes_more(rough, fixed, done):
    image = rough(40, 40, 3)
    errors = [np.abs(done(image, fixed(Jpeg(), quality)) - image.astype(float)).mean() for quality in (95, 60, 20, 5)]
    assert errors == sorted(errors)


def test_each_quality_from_the_lowest_to_100_is_as_likely():
    amounts = Jpeg(quality=91).amounts(np.random.default_rng(0).random((10_000, 1)))[:, 0]
    values, counts = np.unique(amounts, return_counts=True)
    assert values.tolist() == list(range(91, 101))
    assert counts.min() > 850


# Erasing


@pytest.mark.parametrize("size", [(100, 100), (60, 150)])
@pytest.mark.parametrize(("fill", "value"), [("grey", 128), ("black", 0)])
def test_a_rectangle_of_the_area_is_erased_and_nothing_else(size, fill, value):
    image = np.full((*size, 3), 77, np.uint8)
    erasing = Erasing(area=(0.05, 0.3), fill=fill)
    for result in Chain([erasing], 0).images([image] * 200, 0, np.arange(200)):
        gone = (result != 77).any(axis=2)
        rows, columns = np.flatnonzero(gone.any(1)), np.flatnonzero(gone.any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert gone.sum() == height * width
        assert (result[gone] == value).all()
        rounding = (height + width) / 2 / gone.size
        assert 0.05 - rounding <= gone.mean() <= 0.3 + rounding
        ratio = (width / size[1]) / (height / size[0])
        assert 0.3 * 0.85 < ratio < 3.3 * 1.15


def test_the_amount_is_the_area_that_is_gone():
    image, erasing = np.full((200, 200, 1), 77, np.uint8), Erasing(area=(0.02, 0.4))
    for amount in erasing.amounts(np.random.default_rng(0).random((50, 5))):
        assert abs((erasing(image, amount) != 77).mean() - amount[0]) < 0.005


def test_every_place_of_a_picture_may_be_erased_the_corners_too():
    image = np.full((20, 20, 1), 77, np.uint8)
    gone = Chain([Erasing()], 0).images([image] * 3000, 0, np.arange(3000)) != 77
    assert gone.mean(0).min() > 0
    assert np.allclose(gone.mean(0), np.flip(gone.mean(0), (0, 1)), atol=0.05)


def test_noise_in_a_rectangle_is_of_all_values():
    image = np.full((100, 100, 3), 77, np.uint8)
    result = Erasing(fill="noise")(image, np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.4]))
    counts = np.bincount(result.ravel(), minlength=256)
    assert ((counts - result.size / 256) ** 2 / (result.size / 256)).sum() < 340  # chi square of 255, 99.97 %
