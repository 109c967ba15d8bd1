"""SMOTE and Borderline-SMOTE: where new images lie, told by geometry, and what is said where none can be made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cnnkit.core.errors import DataError
from cnnkit.data.balancing.base import Pool, Training
from cnnkit.data.balancing.borderline_smote import BorderlineSmote
from cnnkit.data.balancing.smote import Smote

CLASSES = ("coat", "shirt", "dress")
METHODS = [Smote(), BorderlineSmote(), BorderlineSmote(kind="borderline-2")]


def training(labels: Any, weights: Any = None) -> Training:
    labels = np.asarray(labels, np.int64)
    return Training(np.arange(len(labels)), labels, np.ones(len(labels)) if weights is None else weights)


def clouds(counts: tuple[int, ...] = (60, 12, 30), width: int = 6) -> tuple[Training, Any]:
    """Features of classes whose clouds overlap."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return training(labels), (rng.normal(size=(len(labels), width)) + 0.5 * labels[:, None]).astype(np.float32)


def images(shape: tuple[int, ...] = (6, 5, 3)) -> tuple[Training, Any]:
    given, _ = clouds()
    rng = np.random.default_rng(1)
    return given, rng.integers(0, 256, (len(given), *shape)).astype(np.uint8)


def balanced_by(method: Any, given: Training, vectors: Any, seed: int = 0) -> Training:
    result: Training = method(given, Pool(CLASSES, len(given), lambda: vectors), seed)
    return result


def ways(points: Any, starts: Any, ends: Any) -> tuple[Any, Any]:
    """How far each point is from each segment, and where along it the nearest place lies: (points, starts, ends)."""
    along = ends[None] - starts[:, None]
    squared = np.maximum((along**2).sum(-1), 1e-12)
    share = np.clip(((points[:, None, None] - starts[None, :, None]) * along).sum(-1) / squared, 0, 1)
    nearest = starts[None, :, None] + share[..., None] * along
    return np.linalg.norm(points[:, None, None] - nearest, axis=-1), share


def nearest(starts: Any, points: Any, k: int) -> Any:
    """Which points are the k nearest of each start, by sorting all distances; each start is one of the points."""
    distances = np.linalg.norm(starts[:, None] - points[None], axis=-1)
    return np.argsort(distances, axis=1)[:, 1 : k + 1]


def in_danger(vectors: Any, labels: Any, label: int, m: int = 10) -> Any:
    """Where the images are that have at least half but not all of their m nearest neighbours in other classes."""
    of_class = np.flatnonzero(labels == label)
    foreign = (labels[nearest(vectors[of_class], vectors, m)] != label).sum(1)
    return of_class[(foreign >= m / 2) & (foreign < m)]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_originals_stay_as_they_are_and_the_new_ones_come_behind(method):
    given, vectors = clouds()
    after = balanced_by(method, given, vectors)
    n = len(given)
    assert np.array_equal(after.numbers, np.arange(n + 48 + 30))
    assert np.array_equal(after.labels, [*given.labels, *[1] * 48, *[2] * 30])
    assert after.synthetic.shape == (78, 6)
    assert after.synthetic.dtype == np.float32


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_new_images_have_the_form_of_those_that_are_there(method):
    given, pixels = images()
    after = balanced_by(method, given, pixels)
    assert after.synthetic.shape[1:] == (6, 5, 3)
    assert after.synthetic.dtype == np.uint8


def test_smote_makes_points_between_an_image_and_a_near_one_of_its_class():
    given, vectors = clouds()
    after = balanced_by(Smote(neighbors=3), given, vectors)
    for label in (1, 2):
        own = vectors[given.labels == label].astype(np.float64)
        new = after.synthetic[after.labels[len(given) :] == label].astype(np.float64)
        distance, _ = ways(new, own, own)
        allowed = np.zeros(distance.shape[1:], bool)
        np.put_along_axis(allowed, nearest(own, own, 3), True, axis=1)
        assert distance[:, allowed].min(axis=1).max() < 1e-5
        assert np.median(ways(new + 1, own, own)[0].min(axis=(1, 2))) > 0.1  # other points do not lie there


def test_new_pixels_are_those_between_two_images_rounded():
    given, pixels = images()
    after = balanced_by(Smote(), given, pixels)
    own = pixels[given.labels == 1].reshape(12, -1).astype(np.float64)
    new = after.synthetic[after.labels[len(given) :] == 1].reshape(48, -1).astype(np.float64)
    _, share = ways(new, own, own)
    between = own[None, :, None] + share[..., None] * (own[None] - own[:, None])
    off = new[:, None, None] - between
    furthest = np.abs(off).max(axis=-1).reshape(48, -1)
    assert furthest.min(axis=1).max() < 1  # half for rounding, a little as the share is found from rounded pixels
    of_nearest = off.reshape(48, 144, -1)[np.arange(48), furthest.argmin(axis=1)]
    assert abs(of_nearest.mean()) < 0.05  # rounded and not cut off, which would be half darker in the mean


def test_new_images_differ():
    given, pixels = images()
    after = balanced_by(Smote(), given, pixels)
    assert len(np.unique(after.synthetic.reshape(78, -1), axis=0)) == 78


def test_borderline_smote_starts_only_where_classes_meet():
    given, vectors = clouds()
    after = balanced_by(BorderlineSmote(), given, vectors)
    for label in (1, 2):
        danger = in_danger(vectors, given.labels, label)
        own = np.flatnonzero(given.labels == label)
        assert 0 < len(danger) < len(own)
        new = after.synthetic[after.labels[len(given) :] == label].astype(np.float64)
        distance, _ = ways(new, vectors[danger].astype(np.float64), vectors[own].astype(np.float64))
        assert distance.min(axis=(1, 2)).max() < 1e-5


def test_borderline_2_goes_less_than_half_of_the_way_to_another_class():
    given, vectors = clouds()
    after = balanced_by(BorderlineSmote(kind="borderline-2"), given, vectors)
    points = vectors.astype(np.float64)
    danger = in_danger(vectors, given.labels, 1)
    own = np.flatnonzero(given.labels == 1)
    new = after.synthetic[after.labels[len(given) :] == 1].astype(np.float64)
    distance, share = ways(new, points[danger], points)
    hits = distance < 1e-5
    assert hits.any(axis=(1, 2)).all()
    foreign = ~np.isin(np.arange(len(points)), own)
    to_others = hits[..., foreign].any(axis=(1, 2)) & ~hits[..., ~foreign].any(axis=(1, 2))
    assert to_others.any()
    assert share[..., foreign][hits[..., foreign]].max() <= 0.5 + 1e-4


def test_chance_is_not_the_same_for_each_class():
    # Two classes of the same points, far apart: with the same numbers for both they would get the same new ones.
    rng = np.random.default_rng(2)
    cloud = rng.normal(size=(10, 3))
    vectors = np.concatenate([cloud, cloud + 100, rng.normal(size=(30, 3))]).astype(np.float32)
    after = balanced_by(Smote(), training([0] * 10 + [1] * 10 + [2] * 30), vectors)
    new = after.synthetic.reshape(2, 20, 3)
    assert not np.allclose(new[0], new[1] - 100, atol=1e-3)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_number_of_threads_changes_nothing(method):
    given, _ = clouds((600, 150, 300))
    rng = np.random.default_rng(3)
    vectors = rng.integers(0, 3, (len(given), 20)).astype(np.float32)  # many neighbours at the same distance
    after = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            after.append(balanced_by(method, given, vectors).synthetic)
    assert np.array_equal(*after)


def test_a_new_image_counts_for_what_those_of_its_class_count_for_in_the_mean():
    given, vectors = clouds()
    own = np.random.default_rng(4).uniform(0.5, 2, len(given))
    after = balanced_by(Smote(), training(given.labels, own / own.mean()), vectors)
    expected = np.concatenate([own, [own[given.labels == 1].mean()] * 48, [own[given.labels == 2].mean()] * 30])
    assert after.weights == pytest.approx(expected / expected.mean())


# What is said where none can be made


def problems_of(method: Any, given: Training, vectors: Any = None) -> list[tuple[str | None, str]]:
    with pytest.raises(DataError) as caught:
        balanced_by(method, given, vectors)
    return [(problem.key, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize("method", METHODS[:2], ids=str)
def test_every_class_with_too_few_images_is_named_with_what_helps(method):
    assert problems_of(method, training([0] * 20 + [1] * 5 + [2])) == [
        (
            "data.balance.neighbors",
            "class `shirt` has 5 training images; for 5 neighbours it needs at least 6: set neighbors to at most 4, or "
            "use oversample",
        ),
        (
            "data.balance.neighbors",
            "class `dress` has 1 training image; for 5 neighbours it needs at least 6: use oversample",
        ),
    ]


def test_what_is_advised_for_too_few_images_works():
    given = training([0] * 20 + [1] * 5)
    vectors = np.random.default_rng(0).normal(size=(25, 3)).astype(np.float32)
    assert balanced_by(Smote(neighbors=4), given, vectors).counts(2).tolist() == [20, 20]


def test_neighbours_at_the_border_need_images_too():
    method = BorderlineSmote(border_neighbors=30, neighbors=40, kind="borderline-2")
    assert problems_of(method, training([0] * 20 + [1] * 6)) == [
        (
            "data.balance.border_neighbors",
            "so many neighbours need at least 31 training images, and there are 26; set it to at most 25",
        ),
        (
            "data.balance.neighbors",
            "so many neighbours need at least 41 training images, and there are 26; set it to at most 25",
        ),
    ]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_classes_of_one_size_need_no_new_images(method):
    message = "each class has 8 training images already, so no image would be made; leave data.balance out"
    assert problems_of(method, training([0] * 8 + [1] * 8 + [2] * 8)) == [("data.balance", message)]


def test_a_ratio_that_is_there_already_needs_no_new_images():
    message = (
        "the smallest class, `shirt`, has 6 training images, the largest, `coat`, 10: that is a share of 0.5 already, "
        "so no image would be made; raise ratio, or leave data.balance out"
    )
    assert problems_of(Smote(ratio=0.5), training([0] * 10 + [1] * 6)) == [("data.balance.ratio", message)]


@pytest.mark.parametrize("apart", [1000, 0.0], ids=["far from all others", "each alone among others"])
def test_a_smallest_class_without_images_at_the_border_is_an_error(apart):
    rng = np.random.default_rng(0)
    if apart:
        vectors = np.concatenate([rng.normal(size=(40, 3)), rng.normal(size=(12, 3)) + apart])
    else:  # around each image of the small class eleven of the other: all its neighbours are foreign
        centres = 1000.0 * np.arange(8)[:, None] * np.ones(3)
        vectors = np.concatenate([(centres[:, None] + rng.normal(size=(8, 11, 3))).reshape(-1, 3), centres])
    few = 12 if apart else 8
    ((key, message),) = problems_of(
        BorderlineSmote(), training([0] * (len(vectors) - few) + [1] * few), np.float32(vectors)
    )
    assert key == "data.balance"
    assert message.startswith(f"makes no image of the smallest class, `shirt` with {few} training images: none of them")
    assert message.endswith("use smote or oversample")


def test_a_larger_class_without_images_at_the_border_stays_as_it_is():
    rng = np.random.default_rng(0)
    given = training([0] * 40 + [1] * 12 + [2] * 30)
    vectors = np.concatenate([rng.normal(size=(52, 3)), rng.normal(size=(30, 3)) + 1000]).astype(np.float32)
    assert balanced_by(BorderlineSmote(), given, vectors).counts(3).tolist() == [40, 40, 30]


# What other sections of the config must be like


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_pixels_are_mixed_up_to_32(method):
    for shape in [(32, 32, 1), (28, 28, 3), (8, 32, 1)]:
        for frozen in (False, True):
            assert list(method.problems(shape, frozen=frozen, augmented=True)) == []
    assert list(method.problems(None, frozen=False, augmented=True)) == []


@pytest.mark.parametrize("shape", [(33, 32, 3), (32, 33, 3), (224, 224, 3)])
def test_larger_images_need_a_frozen_backbone_and_no_augmentation(shape):
    for augmented in (False, True):
        (problem,) = Smote().problems(shape, frozen=False, augmented=augmented)
        assert f"images of {shape[0]} x {shape[1]} are too large" in problem.message
        assert "freeze the backbone" in problem.message
    (problem,) = Smote().problems(shape, frozen=True, augmented=True)
    assert "leave augment out" in problem.message
    assert list(Smote().problems(shape, frozen=True, augmented=False)) == []
