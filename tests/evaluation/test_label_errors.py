"""Confident learning, against the definitions of Northcutt et al. 2021 (arXiv:1911.00068), by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.evaluation import label_errors

# Two of three classes inhabited. Thresholds by equation 2: class 0: mean(0.9, 0.6, 0.3) = 0.6; class 1: mean(0.8, 0.2)
# = 0.5; class 2 has no images. The third image reaches only the threshold of class 1, the fifth only that of class 0.
LABELS = np.array([0, 0, 0, 1, 1])
PROBABILITIES = np.array([[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.3, 0.5, 0.2], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1]])


def test_thresholds_are_the_mean_self_confidence_of_each_class():
    assert label_errors.thresholds(LABELS, PROBABILITIES) == pytest.approx([0.6, 0.5, np.inf])


def test_an_image_is_counted_to_the_likeliest_class_whose_threshold_it_reaches():
    assert label_errors.confident(LABELS, PROBABILITIES).tolist() == [0, 0, 1, 1, 0]


def test_an_image_below_all_thresholds_is_counted_to_no_class():
    probabilities = np.vstack([PROBABILITIES, [[0.4, 0.4, 0.2]]])
    labels = np.append(LABELS, 1)  # the threshold of class 1 becomes (0.8 + 0.2 + 0.4) / 3
    assert label_errors.confident(labels, probabilities)[-1] == label_errors.NONE


def test_the_joint_is_the_confident_counts_by_the_number_of_labels():
    expected = np.array([[2, 1, 0], [1, 1, 0], [0, 0, 0]]) / 5
    assert label_errors.joint(LABELS, PROBABILITIES) == pytest.approx(expected)


def test_quality_is_the_normalised_margin_in_0_to_1():
    margins = np.array([0.9 - 0.1, 0.6 - 0.3, 0.3 - 0.5, 0.8 - 0.1, 0.2 - 0.7])
    assert label_errors.quality(LABELS, PROBABILITIES) == pytest.approx((margins + 1) / 2)


def test_suspects_come_first_each_part_by_the_margin():
    order, suspects = label_errors.ranked(LABELS, PROBABILITIES)
    assert (order.tolist(), suspects) == ([4, 2, 1, 3, 0], 2)


def test_a_label_that_is_the_likeliest_class_itself_is_no_suspect_however_rare_the_other_class():
    # The threshold of class 1, which has one image, is 0.15. The first image reaches it, and not that of its own class,
    # (0.58 + 0.9 + 0.9) / 3; it is likeliest 0 all the same. So is the last, whose label is 1: a suspect.
    labels, probabilities = np.array([0, 0, 0, 1]), np.array([[0.58, 0.42], [0.9, 0.1], [0.9, 0.1], [0.85, 0.15]])
    assert label_errors.confident(labels, probabilities).tolist() == [1, 0, 0, 0]
    order, suspects = label_errors.ranked(labels, probabilities)
    assert (order[:2].tolist(), suspects) == ([3, 0], 1)


def test_flipped_labels_are_found_and_their_share_is_estimated():
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 4000)
    labels, flipped = truth.copy(), random.random(4000) < 0.05
    labels[flipped] = (truth[flipped] + random.integers(1, 4, flipped.sum())) % 4
    logits = random.normal(0, 1, (4000, 4))
    logits[np.arange(4000), truth] += 4
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    order, _ = label_errors.ranked(labels, probabilities)
    assert flipped[order[: flipped.sum()]].mean() > 0.8
    assert 1 - np.trace(label_errors.joint(labels, probabilities)) == pytest.approx(flipped.mean(), abs=0.02)
