"""RandAugment and TrivialAugment: their operations against Pillow, and how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.augmentations.policies import OPERATIONS, RandAugment, TrivialAugment

channels = pytest.mark.parametrize("channels", [1, 3])
NUMBERS = dict(
    zip(
        [
            *("identity", "autocontrast", "equalize", "rotate", "solarize", "saturation", "posterize", "contrast"),
            *("brightness", "sharpen", "shear across", "shear down", "shift across", "shift down"),
        ],
        range(14),
        strict=True,
    )
)


def operated(image, name, amount=0.0):
    return TrivialAugment(fill="black")(image, np.array([NUMBERS[name], amount], float))


def in_pillow(change, image):
    return np.asarray(change(Image.fromarray(image.squeeze())), float).reshape(image.shape)


def test_there_are_the_fourteen_of_the_paper():
    assert len(OPERATIONS) == 14
    for name, number in NUMBERS.items():
        assert OPERATIONS[number].says.split(" ")[0] == name.split(" ")[0].replace("identity", "")


@channels
@pytest.mark.parametrize(
    ("name", "amount", "change"),
    [
        ("identity", 0, lambda image: image),
        ("autocontrast", 0, ImageOps.autocontrast),
        ("solarize", 0.3, lambda image: ImageOps.solarize(image, 179)),
        ("solarize", 1, ImageOps.invert),
        ("solarize", 0, lambda image: image),
        ("posterize", 0, lambda image: image),
        ("posterize", 4, lambda image: ImageOps.posterize(image, 4)),
        ("posterize", 5.7, lambda image: ImageOps.posterize(image, 2)),
        ("brightness", 0.5, lambda image: ImageEnhance.Brightness(image).enhance(1.5)),
        ("brightness", -0.9, lambda image: ImageEnhance.Brightness(image).enhance(0.1)),
        ("contrast", 0.9, lambda image: ImageEnhance.Contrast(image).enhance(1.9)),
        ("saturation", -0.9, lambda image: ImageEnhance.Color(image).enhance(0.1)),
        ("rotate", 90, lambda image: image.rotate(90)),
        ("shift across", 0.25, lambda image: image.transform(image.size, Image.Transform.AFFINE, (1, 0, -5, 0, 1, 0))),
        ("shift down", -0.25, lambda image: image.transform(image.size, Image.Transform.AFFINE, (1, 0, 0, 0, 1, 5))),
    ],
)
def test_an_operation_is_that_of_pillow(rough, channels, name, amount, change):
    image = rough(20, 20, channels) // 2 + 40
    assert np.abs(operated(image, name, amount) - in_pillow(change, image)).max() <= 2


@channels
def test_equalised_values_are_spread_evenly(smooth, channels):
    result = operated(smooth(60, 80, channels) // 4 + 90, "equalize").astype(float)
    for channel in result.transpose(2, 0, 1):
        assert channel.min() == 0
        assert channel.max() == 255
        assert all(abs((channel <= value).mean() - value / 255) < 0.06 for value in (50, 100, 150, 200))


@channels
def test_a_flat_picture_has_no_contrast_to_stretch(channels):
    image = np.full((5, 6, channels), 90, np.uint8)
    assert np.array_equal(operated(image, "autocontrast"), image)
    assert np.array_equal(operated(image, "equalize"), image)


@channels
@pytest.mark.parametrize("name", ["shear across", "shear down"])
def test_a_slant_of_the_paper_is_by_a_share_of_the_height(channels, name):
    image = np.zeros((41, 41, channels), np.uint8)
    image[:, 20] = image[20] = 200
    result = operated(image, name, OPERATIONS[NUMBERS[name]].usual)
    top = result[2, :, 0] if name == "shear across" else result[:, 38, 0]
    assert abs(np.argmax(top * (np.arange(41) != 20)) - (20 + 0.3 * 18)) <= 1


def test_rand_augment_does_each_as_often_at_its_magnitude():
    policy = RandAugment(layers=3, magnitude=5.0)
    amounts = policy.amounts(np.random.default_rng(0).random((14_000, policy.chances))).reshape(-1, 3, 2)
    for layer in range(3):
        counts = np.bincount(amounts[:, layer, 0].astype(int), minlength=14)
        assert ((counts - 1000) ** 2 / 1000).sum() < 35  # chi square of 13, 99.9 %
    assert abs(np.corrcoef(amounts[:, 0, 0], amounts[:, 1, 0])[0, 1]) < 0.03
    numbers, by = amounts.reshape(-1, 2).T
    for number, operation in enumerate(OPERATIONS):
        expected = {operation.usual / 2, -operation.usual / 2} if operation.either_way else {operation.usual / 2}
        assert set(by[numbers == number]) == expected
        assert not operation.either_way or abs((by[numbers == number] > 0).mean() - 0.5) < 0.05


def test_trivial_augment_does_one_at_any_magnitude():
    policy = TrivialAugment()
    numbers, by = policy.amounts(np.random.default_rng(0).random((14_000, policy.chances))).T
    counts = np.bincount(numbers.astype(int), minlength=14)
    assert ((counts - 1000) ** 2 / 1000).sum() < 35
    for number, operation in enumerate(OPERATIONS):
        amounts = by[numbers == number]
        assert np.abs(amounts).max() <= operation.wide
        assert abs(np.abs(amounts).mean() - operation.wide / 2) <= 0.05 * operation.wide


@channels
def test_what_is_done_is_told(rough, channels):
    image = rough(24, 24, channels)
    chain = Chain([RandAugment(layers=2)], 0)
    told = {
        text for number in range(300) for texts in chain.descriptions(image, 0, number) for text in texts.split(", ")
    }
    kinds = {text.split(" ")[0] for text in told}
    able = {operation.says.split(" ")[0] for operation in OPERATIONS if operation.says}
    assert kinds == able - ({"saturation"} if channels == 1 else set())  # what changes nothing is not told
    assert {"rotate +27 deg", "rotate -27 deg", "equalize"} <= told
    assert chain.images([image] * 50, 0, np.arange(50)).shape == (50, 24, 24, channels)
