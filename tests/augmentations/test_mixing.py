"""MixUp and CutMix: labels are mixed as the pixels are."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.augmentations import Batch, Chain
from cnnkit.augmentations.cut_mix import CutMix
from cnnkit.augmentations.mix_up import MixUp

COUNT = 16
VARIANTS = [MixUp(), MixUp(alpha=1.0, probability=0.7), CutMix(), CutMix(alpha=0.3), CutMix(probability=0.5)]

every = pytest.mark.parametrize("mixing", VARIANTS, ids=repr)
channels = pytest.mark.parametrize("channels", [1, 3])


def batch(shape=(12, 20, 3), count=COUNT):
    """Image k is k everywhere, and of class k; its weight is k + 1."""
    values = np.arange(count, dtype=np.float32)
    images = np.broadcast_to(values[:, None, None, None], (count, *shape)).copy()
    return Batch(images, np.eye(count, dtype=np.float32), values + 1)


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
def test_what_an_image_counts_for_is_mixed_as_its_label(mixing):
    result = mixed(mixing, batch())
    assert np.allclose(result.weights, result.labels @ (np.arange(COUNT) + 1), rtol=1e-6)


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
