from __future__ import annotations

import numpy as np
import pytest

from cnnkit.core.lazy import keras
from cnnkit.evaluation import familiarity
from cnnkit.evaluation.familiarity import FAMILIAR, NEIGHBOUR, Familiarity, Seen
from cnnkit.evaluation.image_statistics import image_statistics
from cnnkit.evaluation.strangers import CONTENT, KINDS


@pytest.fixture
def images():
    """Training, validation and other images, which look another way: float64 (n, 12) and (n, 5)."""
    random = np.random.default_rng(0)
    centre = np.zeros(12)
    centre[0] = 3.0
    return tuple(
        Seen(random.normal(size=(n, 12)) + at, random.normal(size=(n, 5)) * [1, 2, 3, 4, 5])
        for n, at in ((300, centre), (200, centre), (50, -centre))
    )


def test_the_larger_of_two_distances_counts_to_the_neighbour_and_mahalanobis_as_scikit_learn_finds_them(images):
    from sklearn.covariance import LedoitWolf
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler, normalize

    train, validation, others = images
    found = Familiarity.fitted(train, validation, "")
    near = NearestNeighbors(n_neighbors=NEIGHBOUR).fit(normalize(train.features))
    scaled = StandardScaler().fit(train.statistics).transform
    gaussian = LedoitWolf().fit(scaled(train.statistics))

    def far(seen, neighbour=NEIGHBOUR):
        nearest = near.kneighbors(normalize(seen.features), neighbour)[0][:, -1]
        return [nearest, np.sqrt(gaussian.mahalanobis(scaled(seen.statistics)))]

    units = [np.quantile(distances, 0.99) for distances in far(train, NEIGHBOUR + 1)]  # the first is the image itself
    assert found.units == pytest.approx(units, abs=2e-3)
    larger = np.max([distances / unit for distances, unit in zip(far(validation), units, strict=True)], axis=0)
    threshold = np.sort(larger)[198]  # of 200; 199 / 201 is 0.99
    assert found.threshold == pytest.approx(threshold, abs=5e-3)
    expected = (
        np.max([distances / unit for distances, unit in zip(far(others), units, strict=True)], axis=0) / threshold
    )
    np.testing.assert_allclose(found.scores(others), expected, atol=5e-3)


def test_what_looks_another_way_is_unfamiliar_and_one_of_200_of_its_own(images):
    train, validation, others = images
    found = Familiarity.fitted(train, validation, "")
    assert np.sum(found.scores(validation) > 1) == 1
    assert np.mean(found.scores(Seen(others.features, validation.statistics[:50])) > 1) > 0.9
    assert np.all(
        found.scores(Seen(validation.features, validation.statistics + 100)) > 1
    )  # the network sees no change


@pytest.mark.parametrize(("images", "share"), [(20, 1 / 21), (99, 1 / 100), (100, 1 / 101), (648, 6 / 649)])
def test_of_further_images_no_more_than_one_in_a_hundred_is_unfamiliar_or_one_more_than_there_are(images, share):
    """Of even numbers in 0..1 the part above the bound is 1 less the bound: its mean is told exactly."""
    random = np.random.default_rng(0)
    above = [1 - familiarity.bound(random.random(images)) for _ in range(2000)]
    assert np.mean(above) == pytest.approx(share, rel=0.1)
    assert share <= max(1 - FAMILIAR, 1 / (images + 1)) + 1e-12


def test_length_of_features_says_nothing(images):
    train, validation, others = images
    found = Familiarity.fitted(train, validation, "")
    longer = Seen(1000 * others.features, others.statistics)
    np.testing.assert_allclose(found.scores(longer), found.scores(others), atol=1e-5)
    assert np.all(np.isfinite(found.scores(Seen(np.zeros((1, 12)), np.zeros((1, 5))))))


@pytest.mark.parametrize("count", [1, NEIGHBOUR - 1])
def test_of_few_training_images_the_farthest_is_the_neighbour(count):
    kept = Seen(np.eye(12)[:count], np.zeros((count, 1)))
    found = Familiarity.fitted(kept, Seen(np.eye(12)[-1:], np.zeros((1, 1))), "")
    assert found.units[0] * found.threshold == pytest.approx(np.sqrt(2), abs=1e-3)


def test_equal_images_leave_a_threshold_above_0():
    equal = Seen(np.ones((20, 4)), np.ones((20, 2)))
    found = Familiarity.fitted(equal, equal, "")
    assert 0 < found.threshold < 0.1
    assert np.all(np.isfinite(found.scores(equal)))


def test_how_well_strangers_are_told_is_measured_and_where_it_is_too_bad_that_is_said(images):
    train, validation, others = images
    found = Familiarity.fitted(train, validation, "", {"noise": others, "gratings": others, CONTENT: validation})
    assert found.areas == {kind: pytest.approx(0.5 if kind == CONTENT else 1.0, abs=0.01) for kind in found.areas}
    assert found.called == {"noise": pytest.approx(1.0, abs=0.1), "gratings": found.called["noise"], CONTENT: 0.0}
    assert (
        found.tells and "noise 100 % (1.00)" in found.line() and found.line().endswith("textures are mostly not told")
    )
    assert found.facts() == {"areas": found.areas, "called": found.called, "tells": True}
    blind = Familiarity.fitted(train, validation, "", {"noise": validation, CONTENT: validation})
    assert not blind.tells and blind.line().endswith("tells too little, so it is left empty")


def test_strangers_that_lie_behind_the_known_and_within_the_bound_are_not_told(images):
    """One validation image that is like nothing, of fewer than 99, sets the bound for all."""
    train, validation, others = images
    few = Seen(validation.features[:60], np.r_[validation.statistics[:59], [[500.0] * 5]])
    strange = Seen(others.features, 9 * others.statistics)
    for known, tells in ((validation, True), (few, False)):
        found = Familiarity.fitted(train, known, "", {"noise": strange, "gratings": strange})
        assert found.tells is tells and found.areas["noise"] > 0.95
        assert found.called["noise"] == np.mean(found.scores(strange) > 1)


def test_content_is_judged_by_features_alone(images):
    """Seams between tiles are pixels of another kind: they say nothing of whether other content is told."""
    train, validation, others = images
    seams = Seen(validation.features[:50], validation.statistics[:50] + 100)
    found = Familiarity.fitted(train, validation, "", {"noise": seams, CONTENT: seams})
    assert (found.called["noise"], found.areas["noise"]) == (1.0, 1.0)
    assert found.called[CONTENT] < 0.1 and found.areas[CONTENT] == pytest.approx(0.5, abs=0.1)
    told = Familiarity.fitted(train, validation, "", {CONTENT: Seen(others.features, validation.statistics[:50])})
    assert told.called[CONTENT] > 0.9 and told.line().endswith("textures may be told less often")


def test_statistics_of_images_are_means_spreads_and_differences_of_neighbours_at_each_size():
    grey = np.random.default_rng(0).integers(0, 256, (2, 9, 6, 1)).astype(np.float32)
    found = image_statistics(keras.ops.convert_to_tensor(grey)).numpy()
    pixels = grey[..., 0].astype(float) / 255
    expected = [pixels.mean((1, 2)), np.log(pixels.std((1, 2)) + 1 / 255)]
    for axis in (2, 1):  # halved they are 4 x 3, less than 4
        expected.append(np.log(np.abs(np.diff(pixels, axis=axis)).mean((1, 2)) + 1 / 255))
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-4)
    colour = keras.ops.convert_to_tensor(np.repeat(grey, 3, axis=-1))
    assert image_statistics(colour).shape == (2, 3 + 3 + 2)
    large = np.kron(grey[:, :8], np.ones((1, 20, 20, 1), np.float32))  # 160 x 120, made 80 x 60 of the same means
    small = np.kron(grey[:, :8], np.ones((1, 10, 10, 1), np.float32))
    found = [image_statistics(keras.ops.convert_to_tensor(images)).numpy() for images in (large, small)]
    np.testing.assert_allclose(*found, rtol=1e-4)


@pytest.mark.parametrize("shape", [(9, 6, 3), (1, 1, 1), (3, 40, 1)])
def test_strangers_are_images_of_the_same_shape_and_shuffled_ones_have_the_same_pixels(shape):
    own = np.random.default_rng(1).integers(0, 256, (5, *shape), np.uint8)
    made = {kind: make(np.random.default_rng(0), own) for kind, make in KINDS.items()}
    assert all(images.shape == own.shape and images.dtype == np.uint8 for images in made.values())
    np.testing.assert_array_equal(np.sort(made[CONTENT], axis=None), np.sort(own, axis=None))
    assert len(np.unique(made["plain areas"][0].reshape(-1, shape[-1]), axis=0)) == 1


def test_some_images_are_drawn_by_the_seed_in_their_order(shown):
    images = shown(np.zeros((30, 2, 2, 3), np.uint8), [0] * 30)
    drawn = familiarity._some(images, 10, 4).numbers
    assert list(drawn) == sorted(set(drawn)) and len(drawn) == 10
    assert list(drawn) == list(familiarity._some(images, 10, 4).numbers)
    assert list(familiarity._some(images, 99, 4).numbers) == list(range(30))
