"""Where pixels go, against NumPy, Pillow and scikit-image."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from skimage import transform

from cnnkit.data.augmentations.affine import Affine
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.augmentations.crop import Crop
from cnnkit.data.augmentations.flip import Flip
from cnnkit.data.augmentations.perspective import Perspective
from cnnkit.data.augmentations.random_resized_crop import RandomResizedCrop
from cnnkit.data.augmentations.rotate import Rotate
from cnnkit.data.augmentations.shear import Shear
from cnnkit.data.augmentations.shift import Shift
from cnnkit.data.augmentations.zoom import Zoom

PADDING = {"edge": "edge", "black": "constant", "reflect": "reflect"}

fills = pytest.mark.parametrize("fill", PADDING)
channels = pytest.mark.parametrize("channels", [1, 3])


def near(a, b, mean=0.7, most=4):
    """Whether two pictures differ by no more than rounding in the interpolation."""
    difference = np.abs(np.asarray(a, float) - np.asarray(b, float))
    return difference.mean() <= mean and difference.max() <= most


def shifted(image, down, right, fill):
    """By hand: padded all around, then cut out."""
    rows, columns = image.shape[:2]
    padded = np.pad(image, ((rows, rows), (columns, columns), (0, 0)), mode=PADDING[fill])
    return padded[rows - down : 2 * rows - down, columns - right : 2 * columns - right]


def inside(image, share=0.25):
    rows, columns = (round(size * share) for size in image.shape[:2])
    return image[rows:-rows, columns:-columns]


def warped(image, back, fill="edge"):
    """By scikit-image: `back` takes (x, y) of the result, counted from the middle, to those of the original."""
    middle = np.array([image.shape[1] - 1, image.shape[0] - 1]) / 2
    return transform.warp(image, lambda xy: back(xy - middle) + middle, order=1, mode=fill, preserve_range=True)


# Flip


@channels
@pytest.mark.parametrize(
    ("amount", "axes"), [((1, 0), 1), ((0, 1), 0), ((1, 1), (0, 1))], ids=["left-right", "top-bottom", "both"]
)
def test_a_flip_is_that_of_numpy(rough, fixed, done, amount, axes, channels):
    image = rough(10, 13, channels)
    assert np.array_equal(done(image, fixed(Flip(), *amount)), np.flip(image, axes))


@pytest.mark.parametrize(
    ("direction", "axes"), [("horizontal", {None, (1,)}), ("vertical", {None, (0,)}), ("both", {None, 0, 1, (0, 1)})]
)
def test_a_flip_is_in_the_directions_that_are_asked_for(rough, direction, axes):
    image = rough(5, 6, 3)
    results = Chain([Flip(direction=direction)], 0).images([image] * 100, 0, np.arange(100))
    expected = {(image if axis is None else np.flip(image, axis)).tobytes() for axis in axes}
    assert {result.astype(np.uint8).tobytes() for result in results} == expected


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.8])
def test_each_flip_has_its_own_chance(probability):
    image, count = np.arange(4, dtype=np.uint8).reshape(2, 2, 1), 4000
    results = Chain([Flip(direction="both", probability=probability)], 0).images([image] * count, 0, np.arange(count))
    corners = Counter(results[:, 0, 0, 0])
    no = 1 - probability
    for corner, chance in enumerate([no * no, probability * no, no * probability, probability * probability]):
        assert abs(corners[corner] - count * chance) < 4 * np.sqrt(count * chance * (1 - chance))


def test_a_flip_says_which_ones_happened(rough):
    chain, image = Chain([Flip(direction="both")], 0), rough(5, 5, 1)
    told = {tuple(chain.descriptions(image, 0, number)) for number in range(50)}
    assert told == {(), ("flip left-right",), ("flip top-bottom",), ("flip left-right and flip top-bottom",)}


# Whole pixels


@fills
@channels
@pytest.mark.parametrize(("down", "right"), [(0, 3), (-2, 0), (5, -6), (-1, 1)])
def test_a_shift_is_slicing_of_a_padded_picture(rough, fixed, done, fill, channels, down, right):
    image = rough(10, 12, channels)
    shift = fixed(Shift(fraction=0.5, fill=fill), right / 12, down / 10)
    assert np.array_equal(done(image, shift), shifted(image, down, right, fill))


@pytest.mark.parametrize("kind", [Shift, Crop])
@pytest.mark.parametrize("fill", ["edge", "black"])
@pytest.mark.parametrize(("size", "fraction", "farthest"), [((10, 10), 0.2, (2, 2)), ((20, 5), 0.2, (4, 1))])
def test_all_distances_are_as_likely(rough, kind, fill, size, fraction, farthest):
    image, count = rough(*size, 1) // 2 + 1, 5000
    expected = {
        shifted(image, down, right, fill).tobytes(): (down, right)
        for down in range(-farthest[0], farthest[0] + 1)
        for right in range(-farthest[1], farthest[1] + 1)
    }
    moved = Chain([kind(fraction=fraction, fill=fill)], 0).images([image] * count, 0, np.arange(count))
    counts = Counter(expected[result.astype(np.uint8).tobytes()] for result in moved)
    mean = count / len(expected)
    chi_square = sum((counts[distance] - mean) ** 2 / mean for distance in expected.values())
    assert chi_square < 2.2 * len(expected)  # beyond the 99.9th percentile for 24 and for 26 degrees of freedom


def test_a_crop_says_where_its_window_is(rough, fixed, done):
    image = rough(32, 32, 3)
    crop = fixed(Crop(), 2 / 32, -3 / 32)
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
    assert np.array_equal(done(image, crop), padded[4 - 3 : 36 - 3, 4 + 2 : 36 + 2])
    assert Chain([crop], 0).descriptions(image, 0, 0) == ["crop +6%, -9%"]


def test_a_crop_by_default_is_that_of_cifar(rough):
    image = rough(32, 32, 3)
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
    windows = {padded[y : y + 32, x : x + 32].tobytes() for y in range(9) for x in range(9)}
    cropped = Chain([Crop()], 0).images([image] * 1000, 0, np.arange(1000))
    assert {result.astype(np.uint8).tobytes() for result in cropped} == windows


# Turned, made larger, slanted


@pytest.mark.parametrize(("size", "channels"), [(9, 1), (10, 3)])
@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_a_turn_by_quarters_is_that_of_numpy(rough, fixed, done, size, channels, quarters):
    image = rough(size, size, channels)
    assert np.array_equal(done(image, fixed(Rotate(), 90 * quarters)), np.rot90(image, quarters))


@channels
@pytest.mark.parametrize("degrees", [-120, -12, 5, 45])
def test_a_turn_is_that_of_scikit_image(smooth, fixed, done, channels, degrees):
    image = smooth(40, 60, channels)
    expected = transform.rotate(image, degrees, order=1, mode="edge", preserve_range=True)
    assert near(done(image, fixed(Rotate(), degrees)), expected)


@channels
@pytest.mark.parametrize("larger", [1.0, 0.3, -0.2, -0.5])
def test_a_zoom_brings_what_is_nearer_to_the_middle(smooth, fixed, done, channels, larger):
    image = smooth(40, 61, channels)
    assert near(done(image, fixed(Zoom(), larger)), warped(image, lambda xy: xy / (1 + larger)))


def test_a_zoom_by_its_whole_size_makes_a_square_twice_as_wide(fixed, done):
    image = np.zeros((40, 40, 1), np.uint8)
    image[15:25, 15:25] = 200
    assert (done(image, fixed(Zoom(), 1.0)) > 100).sum() == 20 * 20


def test_a_zoom_is_up_to_a_factor_and_down_to_its_inverse_each_as_often():
    larger = Zoom(fraction=0.25).amounts(np.linspace(0, 1, 10_001)[:, None])
    assert np.allclose([larger.min(), larger.max()], [-0.2, 0.25])
    assert np.isclose(np.median(larger), 0)


@channels
def test_a_slant_to_the_right_moves_the_top_to_the_right(smooth, fixed, done, channels):
    image, tangent = smooth(40, 60, channels), np.tan(np.radians(20))
    across = warped(image, lambda xy: xy + tangent * xy[:, ::-1] * (1, 0))
    assert near(done(image, fixed(Shear(), 20, 0)), across)
    down = warped(image, lambda xy: xy - tangent * xy[:, ::-1] * (0, 1))
    assert near(done(image, fixed(Shear(), 0, 20)), down)
    both = done(done(image, fixed(Shear(), 20, 0)), fixed(Shear(), 0, 20))
    assert near(inside(done(image, fixed(Shear(direction="both"), 20, 20))), inside(both), most=6)


@pytest.mark.parametrize(
    ("direction", "told"),
    [("horizontal", "shear +4 deg across"), ("vertical", "shear +4 deg down")],
)
def test_a_slant_is_in_the_direction_that_is_asked_for(direction, told):
    shear = Shear(degrees=10.0, direction=direction)
    (amount,) = shear.amounts(np.array([[0.7, 0.7]]))
    assert shear.description(amount, np.zeros((8, 8, 1), np.uint8)) == told


@channels
def test_affine_is_slant_zoom_turn_and_shift_one_after_the_other(smooth, fixed, done, channels):
    image = smooth(60, 80, channels)
    at_once = done(image, fixed(Affine(shift=0.1), 25, 0.05, -0.1, -0.1, 8))
    for step in (Shear(), 8, 0), (Zoom(), -0.1), (Rotate(), 25), (Shift(fraction=0.1), 0.05, -0.1):
        image = done(image, fixed(*step))
    assert near(inside(at_once), inside(image), most=6)


@channels
@pytest.mark.parametrize("fill", ["edge", "black"])
def test_perspective_moves_the_corners_where_it_says(smooth, fixed, done, channels, fill):
    image = smooth(40, 60, channels)
    moves = np.array([[0.1, 0.05], [-0.08, 0.1], [0.02, -0.1], [-0.1, 0.0]])
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    projection = transform.ProjectiveTransform.from_estimate(corners * (60, 40), (corners + moves) * (60, 40))
    result = done(image, fixed(Perspective(fill=fill), *moves.ravel()))
    expected = warped(image, projection, {"edge": "edge", "black": "constant"}[fill])
    assert near(inside(result, 0.1), inside(expected, 0.1))


def test_perspective_never_folds_a_picture_over():
    chance = np.random.default_rng(0).random((5000, 8))
    chance = np.concatenate([chance, (chance > 0.5).astype(float)])  # the extremes too
    perspective = Perspective(strength=0.2)
    matrices = perspective.matrices(perspective.amounts(chance), (50, 30))
    corners = np.array([[-25, -15, 1], [25, -15, 1], [25, 15, 1], [-25, 15, 1]])
    assert ((matrices @ corners.T)[:, 2] > 0).all()
    assert (np.linalg.det(matrices) > 0).all()


# Random resized crop


@channels
@pytest.mark.parametrize("box", [(3, 5, 40, 30), (0, 0, 17, 30), (40, 10, 60, 40), (59, 39, 60, 40)])
def test_a_random_resized_crop_is_crop_and_resize_of_pillow(rough, fixed, done, channels, box):
    image = rough(40, 60, channels)
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    place = ((left + 0.5) / (60 - width + 1), (top + 0.5) / (40 - height + 1))
    result = done(image, fixed(RandomResizedCrop(), width / 60, height / 40, *place))
    pillow = Image.fromarray(image.squeeze()).crop(box).resize((60, 40), Image.Resampling.BILINEAR)
    assert near(result, np.asarray(pillow).reshape(image.shape), most=2)


@pytest.mark.parametrize("size", [(40, 60), (33, 33), (7, 5)])
def test_windows_are_whole_pixels_inside_of_the_picture_anywhere_in_it(size):
    crop, count = RandomResizedCrop(), 5000
    height, width = size
    matrices = crop.matrices(crop.amounts(np.random.default_rng(0).random((count, 4))), (width, height))
    spans = matrices[:, [0, 1], [0, 1]] * (width, height)
    first = np.array([width, height]) / 2 + matrices[:, :2, 2] - spans / 2
    assert np.allclose(spans, np.rint(spans))
    assert np.allclose(first, np.rint(first))
    assert first.min() > -1e-9
    assert (first + spans < np.array([width, height]) + 1e-9).all()
    area = spans.prod(1) / (width * height)
    assert area.min() > 0.08 - 0.5 * (width + height) / (width * height)
    middles = (first + spans / 2) / (width, height)
    assert np.abs(middles.mean(0) - 0.5).max() < 0.02


def test_a_crop_of_the_whole_picture_is_the_picture(rough, done):
    image = rough(20, 30, 3)
    assert np.array_equal(done(image, RandomResizedCrop(area=(1.0, 1.0))), image)


# One warp for all in a row


@channels
def test_those_in_a_row_are_done_in_their_order(rough, fixed, done, channels):
    image = rough(20, 20, channels)
    turn, shift = fixed(Rotate(fill="black"), 90), fixed(Shift(fill="black", fraction=0.2), 0.2, 0)
    assert np.array_equal(done(image, turn, shift), shifted(np.rot90(image), 0, 4, "black"))
    assert np.array_equal(done(image, shift, turn), np.rot90(shifted(image, 0, 4, "black")))


@fills
@channels
def test_whole_pixels_in_a_row_are_exact(rough, fixed, done, channels, fill):
    image = rough(20, 30, channels)
    steps = [fixed(Flip(), 1, 1), fixed(Shift(fraction=0.2, fill=fill), 0.1, -0.2), fixed(Flip(), 1, 0)]
    expected = image
    for step in steps:
        expected = done(expected, step)
    assert np.array_equal(done(image, *steps), expected)


@channels
def test_a_row_is_resampled_once_and_is_what_one_after_the_other_would_be(smooth, fixed, done, channels):
    image = smooth(60, 80, channels)
    steps = [
        fixed(RandomResizedCrop(), 0.8, 0.7, 0.3, 0.6),
        fixed(Flip(), 1, 0),
        fixed(Rotate(), 10),
        fixed(Zoom(), 0.2),
        fixed(Perspective(), *np.linspace(-0.05, 0.05, 8)),
    ]
    expected = image
    for step in steps:
        expected = done(expected, step)
    assert near(inside(done(image, *steps)), inside(expected), most=6)


def test_fine_detail_stays_finer_than_by_one_after_the_other(rough, fixed, done):
    image, there, back = rough(60, 60, 3), fixed(Rotate(), 30), fixed(Rotate(), -30)
    assert near(inside(done(image, there, back)), inside(image), mean=0.1, most=1)
    assert not near(inside(done(done(image, there), back)), inside(image), mean=5, most=50)


def test_those_that_fill_with_something_else_are_not_one_warp(rough, fixed, done):
    image = rough(20, 20, 1)
    first, second = fixed(Shift(fill="black", fraction=0.5), 0.5, 0), fixed(Shift(fill="edge", fraction=0.5), -0.5, 0)
    expected = shifted(shifted(image, 0, 10, "black"), 0, -10, "edge")
    assert np.array_equal(done(image, first, second), expected)


def test_what_one_moved_out_the_next_may_bring_back(rough, fixed, done):
    image = rough(20, 20, 1)
    assert np.array_equal(done(image, fixed(Shift(), 0.1, 0), fixed(Shift(), -0.1, 0)), image)


# How they are spread


@pytest.mark.parametrize(
    ("augmentation", "reach"),
    [(Rotate(degrees=30.0), 30), (Shear(degrees=12.0), 12), (Shift(fraction=0.3), 0.3), (Crop(fraction=0.2), 0.2)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_amounts_are_uniform_to_both_sides(augmentation, reach):
    amounts, _ = Chain([augmentation], 0)._amounts(0, augmentation, 1, np.arange(20_000))
    first = np.sort(amounts[:, 0] / reach)
    assert np.abs(first - np.linspace(-1, 1, 20_000)).max() < 0.03  # Kolmogorov-Smirnov, far beyond 99.9 %
