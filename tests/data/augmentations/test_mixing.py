"""MixUp and CutMix: labels are mixed as the pixels are."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.data.augmentations.chain import Batch, Chain
from cnnkit.data.augmentations.cut_mix import CutMix
from cnnkit.data.augmentations.mix_up import MixUp

COUNT = 16
VARIANTS = [MixUp(), MixUp(alpha=1.0, probability=0.7), CutMix(), CutMix(alpha=0.3), CutMix(probability=0.5)]

every = pytest.mark.parametrize("mixing", VARIANTS, ids=repr)
channels = pytest.mark.parametrize("channels", [1, 3])


def batch(shape=(12, 20, 3), count=COUNT):
    """Image k is k everywhere, and of class k; all count the same."""
    values = np.arange(count, dtype=np.float32)
    images = np.broadcast_to(values[:, None, None, None], (count, *shape)).copy()
    return Batch(images, np.eye(count, dtype=np.float32), np.full(count, 0.7, np.float32))


def weighted(weights):
    """The same, but that each image counts for something else."""
    given = batch(count=len(weights))
    return Batch(given.images, given.labels, np.asarray(weights, np.float32))


def mixed(mixing, given, epoch=0, first=0, seed=0):
    return Chain([mixing], seed).mixed(given, epoch, np.arange(len(given.images)) + first)


@every
@pytest.mark.parametrize("shape", [(12, 20, 3), (9, 9, 1), (1, 1, 3), (1, 5, 1)], ids=str)
def test_labels_have_the_share_of_the_pixels(mixing, shape):
    for epoch in range(20):
        result = mixed(mixing, batch(shape), epoch)
        for own, (image, label) in enumerate(zip(result.images, result.labels, strict=True)):
            assert abs(label.sum() - 1) < 1e-6
            assert label.min() >= 0
            assert (label > 0).sum() <= 2
            # Of constant images the mean says which are in it, by how much.
            assert abs(image.mean(dtype=np.float64) - label @ np.arange(COUNT)) < 1e-4
            if isinstance(mixing, CutMix):
                assert np.allclose(label, [(image == k).mean() for k in range(COUNT)], atol=1e-6)
            elif label[own] < 1:
                assert np.ptp(image) == 0


@every
def test_images_that_count_the_same_have_labels_of_exactly_the_shares_of_the_pixels(mixing):
    ones = weighted(np.ones(COUNT))
    result = mixed(mixing, batch())
    assert np.array_equal(result.labels, mixed(mixing, ones).labels)
    assert np.allclose(result.weights, 0.7, rtol=1e-6)


@every
def test_the_loss_is_that_of_each_image_times_what_it_counts_for_and_its_share_of_the_pixels(mixing):
    counts = np.random.default_rng(0).uniform(0.05, 9, COUNT)
    shares = mixed(mixing, batch()).labels  # image k is of class k
    losses = np.random.default_rng(1).uniform(0, 3, (COUNT, COUNT))  # of each mixed image, if it were of this class
    result = mixed(mixing, weighted(counts))
    assert np.allclose(result.labels.sum(1), 1, atol=1e-6)
    # Cross-entropy is linear in the label: CE(label) is the sum of label times CE of a class.
    assert np.allclose(result.weights * (result.labels * losses).sum(1), (shares * counts * losses).sum(1), rtol=1e-4)


@pytest.mark.parametrize("mixing", [MixUp(), MixUp(alpha=1.0), CutMix()], ids=repr)
def test_a_class_counts_as_much_in_all_as_without_mixing(mixing):
    # Nine of ten are common; each rare one counts nine times as much, so that both classes count the same.
    rare = np.arange(200) % 10 == 0
    images = np.zeros((200, 10, 10, 1), np.float32)
    given = Batch(images, np.eye(2, dtype=np.float32)[rare.astype(int)], np.where(rare, 5, 5 / 9).astype(np.float32))
    mass = np.zeros(2)
    for epoch in range(60):
        result = mixed(mixing, given, epoch)
        mass += (result.weights[:, None] * result.labels).sum(0)
    assert abs(mass[1] / mass.sum() - 0.5) < 0.01


@every
def test_images_that_count_for_nothing_keep_the_shares_of_the_pixels(mixing):
    result = mixed(mixing, weighted(np.zeros(COUNT)))
    assert np.array_equal(result.labels, mixed(mixing, batch()).labels)
    assert (result.weights == 0).all()
    some = mixed(mixing, weighted(np.arange(COUNT) % 2))
    assert np.allclose(some.labels.sum(1), 1, atol=1e-6)
    assert np.isfinite(some.weights).all()


@every
def test_what_is_given_stays_as_it_is(mixing):
    given, same = batch(), batch()
    for array in (given.images, given.labels, given.weights):
        array.flags.writeable = False
    mixed(mixing, given)
    assert np.array_equal(given.images, same.images)


@every
def test_each_image_has_a_partner_of_its_own(mixing):
    seen = np.zeros((COUNT, COUNT))
    for epoch in range(200):
        others = mixed(mixing, batch(), epoch).labels * (1 - np.eye(COUNT))
        assert ((others > 0).sum(0) <= 1).all()  # nobody is the partner of two
        seen += others > 0
    assert (seen + np.eye(COUNT) > 0).all(), "every image meets every other one in some epoch"


@every
def test_an_image_alone_is_mixed_with_itself(mixing):
    given = batch(count=1)
    result = mixed(mixing, given)
    assert np.array_equal(result.images, given.images)
    assert np.array_equal(result.labels, given.labels)


def test_mixup_is_the_weighted_mean():
    images, partners = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 6, 3)).astype(np.float32)
    share = np.array([[0.5], [0.75], [0.9], [1.0]])
    result, own = MixUp()(images, partners, share)
    assert np.allclose(own, share[:, 0])
    assert np.allclose(result, own[:, None, None, None] * images + (1 - own)[:, None, None, None] * partners, atol=1e-4)
    assert np.array_equal(result[3], images[3])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_of_mixup_are_of_a_beta_distribution(alpha):
    share = MixUp(alpha=alpha).amounts(np.random.default_rng(0).random((20_000, 1)))[:, 0]
    drawn = np.random.default_rng(1).beta(alpha, alpha, 20_000)
    expected = np.maximum(drawn, 1 - drawn)
    assert share.min() >= 0.5
    assert np.abs(np.sort(share) - np.sort(expected)).mean() < 0.01


@pytest.mark.parametrize("alpha", [0.3, 1.0, 5.0])
def test_boxes_of_cutmix_are_of_a_beta_distribution(alpha):
    area = CutMix(alpha=alpha).amounts(np.random.default_rng(0).random((20_000, 3)))[:, 0]
    assert np.abs(np.sort(area) - np.sort(np.random.default_rng(1).beta(alpha, alpha, 20_000))).mean() < 0.01


@channels
@pytest.mark.parametrize(
    ("amount", "box"),
    [
        ((0.25, 0.5, 0.5), (5, 15, 3, 9)),
        ((0.25, 0.2, 0.75), (0, 9, 6, 12)),  # the middle in column 4 and row 9
        ((0.25, 0.75, 0.25), (10, 20, 0, 6)),
        ((0.25, 0.0, 0.0), (0, 5, 0, 3)),
        ((0.25, 0.999, 0.999), (14, 20, 8, 12)),
        ((0.0, 0.5, 0.5), (0, 0, 0, 0)),
        ((1.0, 0.5, 0.5), (0, 20, 0, 12)),
    ],
)
def test_a_box_lies_about_its_middle_and_ends_at_the_border(channels, amount, box):
    images, partners = np.zeros((1, 12, 20, channels), np.float32), np.ones((1, 12, 20, channels), np.float32)
    result, own = CutMix()(images, partners, np.array([amount]))
    left, right, top, bottom = box
    expected = np.zeros_like(images)
    expected[:, top:bottom, left:right] = 1
    assert np.array_equal(result, expected)
    assert own[0] == 1 - expected.mean(dtype=np.float64)


def test_whoever_is_not_hit_stays_to_the_bit():
    given = batch()
    result = mixed(CutMix(probability=0.5), given, first=100)
    whole = result.labels.max(1) == 1
    assert 0 < whole.sum() < COUNT
    assert np.array_equal(result.images[whole], given.images[whole])
    assert np.array_equal(result.weights[whole], given.weights[whole])


def test_two_mixings_are_done_one_after_the_other():
    given = batch()
    result = Chain([MixUp(alpha=1.0), CutMix()], 0).mixed(given, 0, np.arange(COUNT))
    assert (result.labels > 0).sum(1).max() > 2
    assert np.allclose(result.images.mean((1, 2, 3), dtype=np.float64), result.labels @ np.arange(COUNT), atol=1e-4)


@pytest.mark.parametrize("kind", [MixUp, CutMix])
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_alpha_is_above_0(kind, alpha):
    with pytest.raises(ValueError, match="alpha"):
        kind(alpha=alpha)


@pytest.mark.parametrize("kind", [MixUp, CutMix])
@pytest.mark.parametrize("alpha", [1e-9, 1e9])
def test_extreme_alphas_are_as_right(kind, alpha):
    result = mixed(kind(alpha=alpha), batch())
    assert np.isfinite(result.images).all()
    assert np.allclose(result.images.mean((1, 2, 3), dtype=np.float64), result.labels @ np.arange(COUNT), atol=1e-4)
