"""What holds for every augmentation: the tests walk the union."""

from __future__ import annotations

import re
from typing import get_args

import numpy as np
import pytest

from cnnkit.data.augmentations import AnyAugmentation
from cnnkit.data.augmentations.base import Geometric, Mixing, Pixelwise
from cnnkit.data.augmentations.blur import RandomBlur
from cnnkit.data.augmentations.brightness import Brightness
from cnnkit.data.augmentations.chain import Batch, Chain
from cnnkit.data.augmentations.crop import Crop
from cnnkit.data.augmentations.erasing import Erasing
from cnnkit.data.augmentations.flip import Flip
from cnnkit.data.augmentations.hue import Hue
from cnnkit.data.augmentations.mix_up import MixUp
from cnnkit.data.augmentations.noise import Noise
from cnnkit.data.augmentations.policies import RandAugment
from cnnkit.data.augmentations.random_resized_crop import RandomResizedCrop
from cnnkit.data.augmentations.shear import Shear
from cnnkit.data.augmentations.shift import Shift
from cnnkit.data.augmentations.windows import sides
from cnnkit.data.balancing.base import Training
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding.images import Images, allocated

CLASSES = get_args(get_args(AnyAugmentation)[0])
VARIANTS = [
    *(kind() for kind in CLASSES if kind is not RandomBlur),
    RandomBlur(fraction=0.1),  # the default is less than a pixel in the small pictures here
    Flip(direction="vertical"),
    Flip(direction="both", probability=0.9),
    Shift(fraction=0.5, fill="reflect"),
    Crop(fill="reflect"),
    Shear(direction="both", fill="black"),
    Erasing(fill="noise"),
    RandAugment(layers=4, magnitude=5.0, fill="black"),
]
SINGLE = [variant for variant in VARIANTS if not isinstance(variant, Mixing)]
SHAPES = [(24, 24, 3), (24, 24, 1), (20, 33, 3), (20, 33, 1)]
TINY = [(1, 1, 1), (1, 1, 3), (1, 7, 3), (4, 1, 1), (4, 1, 3), (2, 3, 1), (3, 3, 3)]

single = pytest.mark.parametrize("augmentation", SINGLE, ids=repr)
every = pytest.mark.parametrize("augmentation", VARIANTS, ids=repr)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def pictures(count, shape):
    return list(np.random.default_rng(sum(shape)).integers(0, 256, (count, *shape), dtype=np.uint8))


def batch(images, classes=5):
    labels = np.eye(classes, dtype=np.float32)[np.arange(len(images)) % classes]
    return Batch(np.stack(images).astype(np.float32), labels, np.linspace(0.5, 1.5, len(images), dtype=np.float32))


def bits(batch):
    return [batch.images.tobytes(), batch.labels.tobytes(), batch.weights.tobytes()]


def shown(augmentation, images, seed=3, epoch=2, numbers=None):
    """What the network is shown of some images: a batch."""
    chain = Chain([augmentation], seed)
    numbers = np.arange(len(images)) if numbers is None else numbers
    given = batch(images)
    return chain.mixed(Batch(chain.images(images, epoch, numbers), given.labels, given.weights), epoch, numbers)


def test_each_is_of_one_kind():
    assert all(sum(issubclass(kind, base) for base in (Geometric, Pixelwise, Mixing)) == 1 for kind in CLASSES)


@shapes
@every
def test_the_same_seed_epoch_and_number_give_the_same_bits_and_others_give_others(augmentation, shape):
    images = pictures(1, shape) * 40 if not isinstance(augmentation, Mixing) else pictures(40, shape)
    first = shown(augmentation, images)
    assert bits(first) == bits(shown(augmentation, images))
    others = [
        shown(augmentation, images, seed=4),
        shown(augmentation, images, epoch=3),
        shown(augmentation, images, numbers=np.arange(40) + 1000),
    ]
    if augmentation.for_colour and shape[2] == 1:
        assert all(np.array_equal(other.images, np.stack(images)) for other in [first, *others])
    else:
        assert len({other.images.tobytes() for other in [first, *others]}) == 4


@single
def test_what_may_bring_colours_into_grey_images_is_known_as_such(augmentation):
    grey = [np.repeat(image, 3, axis=2) for image in pictures(40, (20, 33, 1))]
    result = shown(augmentation.certain(), grey).images
    assert augmentation.adds_colour or (result == result[..., :1]).all()


@single
def test_only_what_is_known_to_do_so_leaves_no_colours(augmentation):
    result = shown(augmentation.certain(), pictures(40, (20, 33, 3))).images
    grey = bool((result == result[..., :1]).all())
    assert grey == augmentation.removes_colour


@shapes
@single
def test_an_image_does_not_depend_on_its_neighbours_in_the_batch(augmentation, shape):
    images, numbers = pictures(12, shape), np.arange(12) * 7
    chain = Chain([augmentation], 3)
    together = chain.images(images, 2, numbers)
    alone = [chain.images([image], 2, [number])[0] for image, number in zip(images, numbers, strict=True)]
    assert np.array_equal(together, alone)
    assert np.array_equal(together, chain.images(images[::-1], 2, numbers[::-1])[::-1])


@every
def test_type_shape_and_range_stay(augmentation):
    for shape in SHAPES + TINY:
        images = [*pictures(12, shape), np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)]
        result = shown(augmentation, images)
        assert (result.images.dtype, result.images.shape) == (np.float32, (14, *shape))
        assert result.images.min() >= 0
        assert result.images.max() <= 255
        assert result.labels.dtype == result.weights.dtype == np.float32


@shapes
@single
def test_a_view_that_can_only_be_read_does_as_well_and_stays_as_it_is(augmentation, shape):
    height, width, channels = shape
    wide = np.stack(pictures(8, (2 * height, 3 * width, channels)))
    before = wide.copy()
    wide.flags.writeable = False
    views = [image[1::2, ::-3] for image in wide]
    copies = [np.ascontiguousarray(view) for view in views]
    chain = Chain([augmentation], 3)
    assert np.array_equal(chain.images(views, 2, range(8)), chain.images(copies, 2, range(8)))
    assert np.array_equal(wide, before)


@every
def test_without_chance_nothing_changes(augmentation):
    never = augmentation.model_copy(update={"probability": 0.0})
    for shape in SHAPES + TINY:
        images = pictures(16, shape)
        assert bits(shown(never, images)) == bits(batch(images))
    assert [Chain([never], 3).descriptions(images[0], 2, number) for number in range(16)] == [[]] * 16


@every
def test_without_strength_nothing_changes(augmentation):
    weakest = augmentation.weaker(0.0)
    if weakest is None:
        assert augmentation.name in {"flip", "grayscale", "mixup", "cutmix"}
        return
    for shape in SHAPES + TINY:
        images = pictures(16, shape)
        assert bits(shown(weakest, images)) == bits(batch(images))
    assert [Chain([weakest], 3).descriptions(images[0], 2, number) for number in range(16)] == [[]] * 16


@every
def test_a_third_of_the_strength_may_be_written_into_a_config_and_the_whole_strength_is_itself(augmentation):
    third = augmentation.weaker(1 / 3)
    if third is not None:
        assert type(augmentation).model_validate(third.model_dump()) == third != augmentation
        assert augmentation.weaker(1.0) == augmentation


@pytest.mark.parametrize("kind", CLASSES)
def test_a_probability_of_a_half_changes_half_of_the_images(kind):
    images = pictures(300, (64, 64, 3))
    result = shown(kind(probability=0.5), images)
    changed = np.mean([not np.array_equal(a, b) for a, b in zip(images, result.images, strict=True)])
    assert 0.37 < changed < 0.6


@single
def test_labels_and_weights_stay(augmentation):
    given = batch(pictures(4, (8, 8, 3)))
    assert Chain([augmentation], 3).mixed(given, 2, np.arange(4)) is given


@single
def test_what_is_not_told_is_not_done(augmentation):
    images, numbers = pictures(60, (16, 16, 3)), np.arange(60)
    chain = Chain([augmentation], 3)
    for image, result, number in zip(images, chain.images(images, 2, numbers), numbers, strict=True):
        told = chain.descriptions(image, 2, int(number))
        assert len(told) <= 1
        assert all(text and text.isprintable() for text in told)
        assert told or np.array_equal(image, result)


NO_AMOUNT = re.compile(r"(?<![\d.])0(\.0+)?(%| deg| bits|$)")
"""A zero among the amounts of what was done."""


@pytest.mark.parametrize("size", [8, 16, 32])
@every
def test_what_is_told_was_done(augmentation, size):
    images, numbers = pictures(60, (size, size, 3)), np.arange(60)
    chain = Chain([augmentation], 3)
    result, said = shown(augmentation, images).images, 0
    for image, after, number in zip(images, result, numbers, strict=True):
        for text in chain.descriptions(image, 2, int(number)):
            said += 1
            assert np.abs(after - image).max() >= 0.5, text
            # Of several amounts some may be 0, as of a shift across alone.
            assert len(NO_AMOUNT.findall(text)) < max(len(re.findall("[0-9.]+", text)), 1), text
    assert said > 2


@pytest.mark.parametrize(
    ("augmentation", "chance", "told"),
    [
        (Shift(fraction=0.05), [0.9, 0.1], ""),  # of 8 pixels less than a half
        (Shift(fraction=0.1), [0.9, 0.5], "shift +12%, +0%"),  # a pixel is an eighth
        (Crop(fraction=0.125), [0.5, 0.0], "crop +0%, -12%"),
        (Hue(degrees=10.0), [0.53], ""),  # less than half a step of 360 / 256 degrees
        (Hue(degrees=10.0), [0.57], "hue +1 deg"),
        (Brightness(strength=0.02), [0.6], "brightness +0.4%"),
        (Noise(deviation=0.01), [0.2, 0.5], "noise 0.2%"),
        (RandomResizedCrop(area=(0.99, 1.0), ratio=(1.0, 1.0)), [0.0, 0.5, 0.5, 0.5], ""),
        (Erasing(area=(0.02, 0.02), ratio=(1.0, 1.0)), [0.5] * 5, "erase 2%"),  # one pixel of 64
    ],
    ids=str,
)
def test_the_amount_is_told_that_was_done_in_whole_pixels_and_digits_that_show_it(augmentation, chance, told):
    (image,) = pictures(1, (8, 8, 3))
    (amount,) = augmentation.amounts(np.array([chance], float))
    assert augmentation.description(amount, image) == told


def test_an_augmentation_that_an_image_is_too_plain_for_is_not_told():
    white = np.full((8, 8, 3), 255, np.uint8)
    assert Chain([Hue(), Flip(probability=1.0), Shift(), RandomBlur()], 0).descriptions(white, 0, 1) == []


@pytest.mark.parametrize(
    "augmentation", [Shift(fraction=0.5), Noise(), MixUp()], ids=["geometric", "pixelwise", "mixing"]
)
def test_batches_of_the_pipeline_are_the_chain_at_work_outside_of_it(augmentation, index_of):
    pixels = allocated((20, 12, 17, 3), np.uint8)
    pixels[:] = pictures(20, (12, 17, 3))
    numbers = np.array([*range(3, 15), 4, 4, 9])  # some come again, as oversampling has it
    labels, size, seed = np.arange(20) % 5, 4, 3
    index = index_of(pixels, labels, classes=5)
    images = Images(index, pixels.shape[1:], memory=pixels)
    training = Training(numbers, labels[numbers], np.linspace(0.5, 1.5, len(numbers)))
    chain = Chain([Flip(), augmentation], seed)
    batches = feeding.TrainBatches(images, training, chain, size).dataset(2)
    keys = feeding.keys_of(numbers)
    for step, batch in enumerate(batches.as_numpy_iterator()):
        epoch, at = divmod(step, 4)
        places = feeding.order_of(len(numbers), seed, epoch).numpy()[at * size : (at + 1) * size]
        pixels_then = chain.images(list(pixels[numbers[places]]), epoch, keys[places])
        weights = np.float32(training.weights[places])
        one_hot = np.eye(5, dtype=np.float32)[labels[numbers[places]]]
        expected = chain.mixed(Batch(pixels_then, one_hot, weights), epoch, keys[places])
        assert [part.tobytes() for part in batch] == bits(expected)
    assert step == 7


@pytest.mark.parametrize("kind", CLASSES)
def test_a_chance_is_a_probability(kind):
    for value in (1.1, -0.1, "often", float("nan")):
        with pytest.raises(ValueError, match="probability"):
            kind(probability=value)


@pytest.mark.parametrize("augmentation", [variant for variant in VARIANTS if variant.strengths], ids=repr)
def test_a_strength_is_never_below_0_nor_endless(augmentation):
    for name in augmentation.strengths:
        for value in (-0.01, float("inf"), 1e9):
            with pytest.raises(ValueError, match=name):
                type(augmentation).model_validate(augmentation.model_dump() | {name: value})


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (RandomResizedCrop, {"area": (0.9, 0.1)}, r"should go from the smallest to the largest: \[0.1, 0.9\]"),
        (RandomResizedCrop, {"area": (0.1, 1.1)}, "less than or equal to 1"),
        (RandomResizedCrop, {"ratio": (2.0, 0.5)}, r"should go from the smallest to the largest: \[0.5, 2\]"),
        (RandomResizedCrop, {"ratio": (2.0, 3.0)}, r"should hold 1, the proportions of the image.*\[2, 3\] does not"),
        (Erasing, {"area": (0.4, 0.3)}, r"should go from the smallest to the largest: \[0.3, 0.4\]"),
        (Erasing, {"ratio": (0.0, 3.0)}, "greater than or equal to 0.01"),
    ],
)
def test_settings_that_contradict_are_an_error_that_says_what_to_write(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


@pytest.mark.parametrize(
    ("areas", "ratios"), [((0.08, 1.0), (0.75, 1.333)), ((0.0, 1.0), (0.01, 100.0)), ((1.0, 1.0), (0.3, 3.0))]
)
def test_windows_have_areas_and_proportions_in_their_ranges_and_fit(areas, ratios):
    chance = np.random.default_rng(0).random((2, 20_000))
    width, height = sides(*chance, areas, ratios).T
    assert max(width.max(), height.max()) <= 1 + 1e-12
    assert np.allclose(width * height, areas[0] + (areas[1] - areas[0]) * chance[0])
    some = width * height > 1e-9
    ratio = width[some] / height[some]
    assert ratio.min() >= ratios[0] - 1e-9
    assert ratio.max() <= ratios[1] + 1e-9
    assert abs(np.mean(np.log(ratio))) <= 0.01 * np.log(ratios[1] / ratios[0])
