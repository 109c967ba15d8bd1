from __future__ import annotations

import numpy as np
import pytest

from cnnkit.evaluation import familiarity
from cnnkit.evaluation.familiarity import FAMILIAR, NEIGHBOUR, Familiarity


@pytest.fixture
def features():
    """Training, validation and other images, which look another way: float64 (n, 12)."""
    random = np.random.default_rng(0)
    centre = np.zeros(12)
    centre[0] = 3.0
    return tuple(random.normal(size=(n, 12)) + at for n, at in ((300, centre), (200, centre), (50, -centre)))


def test_the_distance_is_that_to_the_neighbour_on_the_sphere_as_scikit_learn_finds_it(features):
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    train, validation, others = features
    found = Familiarity.fitted(train, validation, "")
    near = NearestNeighbors(n_neighbors=NEIGHBOUR).fit(normalize(train))
    threshold = np.sort(near.kneighbors(normalize(validation))[0][:, -1])[198]  # of 200; 199 / 201 is 0.99
    assert found.threshold == pytest.approx(threshold, abs=2e-3)
    expected = near.kneighbors(normalize(others))[0][:, -1] / threshold
    np.testing.assert_allclose(found.scores(others), expected, atol=5e-3)


def test_what_looks_another_way_is_unfamiliar_and_one_of_200_of_its_own(features):
    train, validation, others = features
    found = Familiarity.fitted(train, validation, "")
    assert np.sum(found.scores(validation) > 1) == 1
    assert np.all(found.scores(others) > 1)


@pytest.mark.parametrize(("images", "share"), [(20, 1 / 21), (99, 1 / 100), (100, 1 / 101), (648, 6 / 649)])
def test_of_further_images_no_more_than_one_in_a_hundred_is_unfamiliar_or_one_more_than_there_are(images, share):
    """Of even numbers in 0..1 the part above the bound is 1 less the bound: its mean is told exactly."""
    random = np.random.default_rng(0)
    above = [1 - familiarity.bound(random.random(images)) for _ in range(2000)]
    assert np.mean(above) == pytest.approx(share, rel=0.1)
    assert share <= max(1 - FAMILIAR, 1 / (images + 1)) + 1e-12


def test_length_says_nothing(features):
    train, validation, others = features
    found = Familiarity.fitted(train, validation, "")
    np.testing.assert_allclose(found.scores(1000 * others), found.scores(others), atol=1e-5)
    assert np.all(np.isfinite(found.scores(np.zeros((1, 12)))))


@pytest.mark.parametrize("images", [1, NEIGHBOUR - 1])
def test_of_few_training_images_the_farthest_is_the_neighbour(images):
    kept = np.eye(12)[:images]
    found = Familiarity.fitted(kept, np.eye(12)[-1:], "")
    assert found.threshold == pytest.approx(np.sqrt(2), abs=1e-3)


def test_equal_images_leave_a_threshold_above_0():
    equal = np.ones((20, 4))
    found = Familiarity.fitted(equal, equal, "")
    assert 0 < found.threshold < 0.1
    assert np.all(np.isfinite(found.scores(equal)))


def test_some_images_are_drawn_by_the_seed_in_their_order(shown):
    images = shown(np.zeros((30, 2, 2, 3), np.uint8), [0] * 30)
    drawn = familiarity._some(images, 10, 4).numbers
    assert list(drawn) == sorted(set(drawn)) and len(drawn) == 10
    assert list(drawn) == list(familiarity._some(images, 10, 4).numbers)
    assert list(familiarity._some(images, 99, 4).numbers) == list(range(30))
