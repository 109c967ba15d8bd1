from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf

from cnnkit.augmentations import AnyAugmentation, Flip, Shift

CLASSES = get_args(get_args(AnyAugmentation)[0])
VARIANTS = [
    *(kind() for kind in CLASSES),
    Flip(direction="vertical"),
    Flip(direction="both", probability=0.9),
    Shift(fraction=0.3, fill="black"),
    Shift(fraction=0.5, probability=0.5),
]
SEEDS = tf.stack([tf.fill([64], 5), tf.range(64)], axis=1)
IMAGE = np.random.default_rng(0).uniform(0, 255, (10, 12, 3)).astype(np.float32)

every_variant = pytest.mark.parametrize("augmentation", VARIANTS, ids=repr)


def augmented(augmentation, image=IMAGE, seeds=SEEDS):
    def each(seeds):
        return tf.map_fn(lambda seed: augmentation(image, seed), seeds, fn_output_signature=tf.float32)

    return tf.function(each)(seeds).numpy()  # eager, thousands of images take minutes


def many_seeds(count):
    return tf.stack([tf.range(count), tf.fill([count], 3)], axis=1)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_augmentation_is_tried_here(kind):
    assert any(isinstance(variant, kind) for variant in VARIANTS)


@every_variant
def test_eager_in_a_dataset_and_in_map_fn_are_the_same(augmentation):
    eager = [augmentation(tf.constant(IMAGE), seed).numpy() for seed in SEEDS[:16]]
    dataset = tf.data.Dataset.from_tensor_slices(SEEDS[:16]).map(lambda seed: augmentation(IMAGE, seed))
    assert np.array_equal(eager, [image.numpy() for image in dataset])
    assert np.array_equal(eager, augmented(augmentation)[:16])


@every_variant
def test_the_same_seed_gives_the_same_and_others_give_others(augmentation):
    first, second = augmented(augmentation), augmented(augmentation)
    assert np.array_equal(first, second)
    assert len({image.tobytes() for image in first}) > 1


@every_variant
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 9, 3), (8, 8, 1), (1, 7, 3)])
def test_shape_type_and_range_stay(augmentation, shape):
    image = np.random.default_rng(1).uniform(0, 255, shape).astype(np.float32)
    for value in (image, np.zeros_like(image), np.full_like(image, 255)):
        result = augmentation(tf.constant(value), SEEDS[3])
        assert result.dtype == tf.float32
        assert result.shape == shape
        assert result.numpy().min() >= 0
        assert result.numpy().max() <= 255


@every_variant
def test_the_shape_is_known_before_anything_runs(augmentation):
    dataset = tf.data.Dataset.from_tensors((IMAGE, SEEDS[0])).map(augmentation)
    assert dataset.element_spec == tf.TensorSpec((10, 12, 3), tf.float32)


@pytest.mark.parametrize("augmentation", [*(kind(probability=0.0) for kind in CLASSES), Shift(fraction=0.0)], ids=repr)
def test_without_chance_or_strength_nothing_changes(augmentation):
    assert all(np.array_equal(image, IMAGE) for image in augmented(augmentation))


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("horizontal", np.fliplr(IMAGE)), ("vertical", np.flipud(IMAGE)), ("both", np.fliplr(np.flipud(IMAGE)))],
)
def test_a_flip_is_that_of_numpy(direction, expected):
    assert all(np.array_equal(image, expected) for image in augmented(Flip(direction=direction, probability=1.0)))


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.8])
def test_each_flip_has_its_own_chance(probability):
    image = np.arange(4, dtype=np.float32).reshape(2, 2, 1)
    count = 4000
    corners = Counter(augmented(Flip(direction="both", probability=probability), image, many_seeds(count))[:, 0, 0, 0])
    for corner, chance in {
        0: (1 - probability) ** 2,
        1: (1 - probability) * probability,
        2: (1 - probability) * probability,
        3: probability**2,
    }.items():
        assert abs(corners[corner] - count * chance) < 4 * np.sqrt(count * chance * (1 - chance))


def shifted(image, down, right, fill):
    """By hand: padded all around, then cut out."""
    rows, columns = image.shape[:2]
    mode = {"mode": "edge"} if fill == "edge" else {"constant_values": 0}
    padded = np.pad(image, ((rows, rows), (columns, columns), (0, 0)), **mode)
    return padded[rows - down : 2 * rows - down, columns - right : 2 * columns - right]


@pytest.mark.parametrize("fill", ["edge", "black"])
@pytest.mark.parametrize(("size", "fraction", "farthest"), [((10, 10), 0.2, (2, 2)), ((20, 5), 0.2, (4, 1))])
def test_all_distances_of_a_shift_are_as_likely(fill, size, fraction, farthest):
    image = np.random.default_rng(2).uniform(1, 255, (*size, 1)).astype(np.float32)
    expected = {
        shifted(image, down, right, fill).tobytes(): (down, right)
        for down in range(-farthest[0], farthest[0] + 1)
        for right in range(-farthest[1], farthest[1] + 1)
    }
    count = 5000
    counts = Counter(
        expected[moved.tobytes()] for moved in augmented(Shift(fraction=fraction, fill=fill), image, many_seeds(count))
    )
    mean = count / len(expected)
    chi_square = sum((counts[distance] - mean) ** 2 / mean for distance in expected.values())
    assert chi_square < 2.2 * len(expected)  # beyond the 99.9th percentile for 24 and for 26 degrees of freedom


def test_a_shift_has_its_chance():
    moved = augmented(Shift(fraction=0.5, probability=0.3), IMAGE, many_seeds(2000))
    still = np.mean([np.array_equal(image, IMAGE) for image in moved])
    assert abs(still - (0.7 + 0.3 / (11 * 13))) < 4 * np.sqrt(0.21 / 2000)  # it may also move by nothing


@pytest.mark.parametrize("settings", [{"probability": 1.1}, {"probability": -0.1}, {"probability": "often"}])
@pytest.mark.parametrize("kind", CLASSES)
def test_a_chance_is_a_probability(kind, settings):
    with pytest.raises(ValueError, match="probability"):
        kind(**settings)


@pytest.mark.parametrize("fraction", [-0.1, 0.6, float("inf")])
def test_a_shift_moves_by_half_the_image_at_most(fraction):
    with pytest.raises(ValueError, match="fraction"):
        Shift(fraction=fraction)
