"""Balance: what holds for every kind, and weights and resampling against numbers made by hand and by scikit-learn."""

from __future__ import annotations

from collections import Counter
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import TypeAdapter
from sklearn.utils.class_weight import compute_class_weight

from cnnkit.data.balancing import AnyBalance
from cnnkit.data.balancing.base import Balance, Pool, Training

UNION = get_args(get_args(AnyBalance)[0])
NAMES = [kind.model_fields["name"].default for kind in UNION]
CLASSES = ("coat", "dress", "shirt")
COUNTS = (40, 25, 9)
SOURCE = 200
"""Images of the source, of which only some train."""
ADAPTER: Any = TypeAdapter(AnyBalance)


def balance(name: str, **settings: Any) -> Balance:
    after: Balance = ADAPTER.validate_python({"name": name, **settings})
    return after


def training(counts: tuple[int, ...] = COUNTS, weights: Any = None) -> Training:
    """Images of every class in a mixed order, with numbers that have gaps as a split leaves them."""
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    numbers = np.sort(rng.permutation(SOURCE)[: len(labels)])
    return Training(numbers, labels, np.ones(len(labels)) if weights is None else weights / np.mean(weights))


def pixels(given: Training) -> Any:
    """Small images whose classes overlap."""
    rng = np.random.default_rng(2)
    return rng.integers(0, 200, (len(given), 4, 4, 1)).astype(np.uint8) + given.labels[:, None, None, None].astype("u1")


def not_asked_for() -> Any:
    raise AssertionError("only what makes images needs the images")


def balanced(method: Balance, given: Training, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> Training:
    images = (lambda: pixels(given)) if method.makes_images else not_asked_for
    return method(given, Pool(classes, SOURCE, images), seed)


def same(one: Training, other: Training) -> bool:
    return all(
        np.array_equal(getattr(one, part), getattr(other, part))
        for part in ("numbers", "labels", "weights", "synthetic")
        if not (getattr(one, part) is None and getattr(other, part) is None)
    )


# Every kind


@pytest.mark.parametrize("name", NAMES)
def test_what_trains_has_one_form_whatever_the_balance(name):
    after = balanced(balance(name), training())
    assert len(after) == len(after.numbers) == len(after.labels) == len(after.weights)
    assert (after.numbers.dtype, after.labels.dtype, after.weights.dtype) == (np.int64, np.int64, np.float64)
    assert after.weights.mean() == pytest.approx(1, abs=1e-12)
    assert after.weights.min() > 0
    new = after.numbers[after.numbers >= SOURCE] - SOURCE
    assert new.tolist() == list(range(0 if after.synthetic is None else len(after.synthetic)))


@pytest.mark.parametrize("name", NAMES)
def test_an_image_of_the_source_keeps_its_label(name):
    given = training()
    label_of = dict(zip(given.numbers.tolist(), given.labels.tolist(), strict=True))
    after = balanced(balance(name), given)
    of_source = after.numbers < SOURCE
    assert [label_of[number] for number in after.numbers[of_source].tolist()] == after.labels[of_source].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same(name):
    assert same(balanced(balance(name), training(), seed=3), balanced(balance(name), training(), seed=3))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"none", "class_weight"}))
def test_another_seed_gives_something_else(name):
    assert not same(balanced(balance(name), training(), seed=3), balanced(balance(name), training(), seed=4))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_given_is_not_written_to(name):
    given, before = training(), training()
    balanced(balance(name), given)
    assert same(given, before)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"none", "class_weight"}))
def test_all_classes_are_brought_to_one_size(name):
    counts = balanced(balance(name), training()).counts(3)
    assert set(counts.tolist()) == {9} if name == "undersample" else {40}


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"none", "class_weight"}))
def test_the_smallest_class_is_brought_to_a_share_of_the_largest(name):
    counts = balanced(balance(name, ratio=0.5), training()).counts(3).tolist()
    assert counts == ([18, 18, 9] if name == "undersample" else [40, 25, 20])


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"none"}))
def test_a_class_without_images_stays_without(name):
    given = training((40, 0, 9))
    after = balanced(balance(name), given)
    assert after.counts(3)[1] == 0
    assert np.isfinite(after.weights).all()


def test_none_leaves_every_bit_alone():
    given = training(weights=np.random.default_rng(3).uniform(0.1, 3, sum(COUNTS)))
    assert balanced(balance("none"), given) is given


@pytest.mark.parametrize("name", ["class_weight", "oversample", "undersample"])
def test_classes_of_one_size_are_left_as_they_are(name):
    given = training((9, 9, 9))
    assert same(balanced(balance(name), given), given)


# Class weights


def test_inverse_frequency_is_the_balanced_weight_of_scikit_learn():
    given = training()
    weights = compute_class_weight("balanced", classes=np.arange(3), y=given.labels)
    after = balanced(balance("class_weight"), given)
    assert after.weights == pytest.approx(weights[given.labels], rel=1e-12)
    assert np.array_equal(after.numbers, given.numbers)


def test_by_inverse_frequency_all_classes_count_for_the_same():
    after = balanced(balance("class_weight"), training())
    assert np.bincount(after.labels, after.weights) == pytest.approx([sum(COUNTS) / 3] * 3)


@pytest.mark.parametrize("beta", [0.9, 0.999, 1 - 1e-9])
def test_the_effective_number_is_that_of_the_paper(beta):
    given = training()
    of_class = np.array([(1 - beta) / (1 - beta**n) for n in COUNTS])  # arXiv:1901.05555, equation 2
    expected = of_class[given.labels] / of_class[given.labels].mean()
    after = balanced(balance("class_weight", method="effective_number", beta=beta), given)
    assert after.weights == pytest.approx(expected, rel=1e-6)


def test_the_effective_number_lies_between_no_weights_and_the_inverse_frequency():
    spread = {}
    for beta in (1e-6, 0.9, 0.99, 1 - 1e-9):
        weights = balanced(balance("class_weight", method="effective_number", beta=beta), training()).weights
        spread[beta] = weights.max() / weights.min()
    assert sorted(spread.values()) == list(spread.values())
    assert spread[1e-6] == pytest.approx(1, abs=1e-4)
    assert spread[1 - 1e-9] == pytest.approx(40 / 9, rel=1e-4)


def test_weights_of_the_classes_multiply_those_of_the_images():
    own = np.random.default_rng(4).uniform(0.1, 3, sum(COUNTS))
    given = training(weights=own)
    expected = own / np.array(COUNTS)[given.labels]
    assert balanced(balance("class_weight"), given).weights == pytest.approx(expected / expected.mean())


def test_a_beta_that_nothing_uses_is_an_error():
    with pytest.raises(ValueError, match="beta is a setting of `method: effective_number`"):
        balance("class_weight", beta=0.99)


def test_the_beta_that_is_used_is_written_down():
    written = balance("class_weight", method="effective_number").model_dump()
    assert written == {"name": "class_weight", "method": "effective_number", "beta": 0.999}
    assert ADAPTER.validate_python(written).model_dump() == written
    assert balance("class_weight").model_dump()["beta"] is None


# Resampling


def test_oversampling_shows_each_image_of_a_class_equally_often_up_to_one():
    given = training()
    after = balanced(balance("oversample"), given)
    times = Counter(after.numbers.tolist())
    for label, often in ((0, {1}), (1, {1, 2}), (2, {4, 5})):  # 40 of 40, of 25, of 9
        assert {times[number] for number in given.numbers[given.labels == label].tolist()} == often


def test_oversampling_keeps_every_image_in_its_place():
    given = training()
    after = balanced(balance("oversample"), given)
    assert np.array_equal(after.numbers[: len(given)], given.numbers)


def test_undersampling_leaves_the_smallest_class_whole_and_the_others_in_their_order():
    given = training()
    after = balanced(balance("undersample"), given)
    assert set(given.numbers[given.labels == 2]) <= set(after.numbers)
    assert set(after.numbers) <= set(given.numbers)
    assert (np.diff(after.numbers) > 0).all()


def test_over_many_seeds_undersampling_keeps_each_image_of_a_class_about_equally_often():
    given = training()
    times = Counter(
        number for seed in range(400) for number in balanced(balance("undersample"), given, seed).numbers.tolist()
    )
    of_largest = [times[number] / 400 for number in given.numbers[given.labels == 0].tolist()]
    # 9 of 40: a share of 0.225 with a standard deviation of 0.021; of 40 draws none is beyond 4.5 of these.
    assert min(of_largest) > 0.13
    assert max(of_largest) < 0.32


@pytest.mark.parametrize("name", ["oversample", "undersample"])
def test_what_an_image_counts_for_stays_with_it(name):
    own = np.random.default_rng(5).uniform(0.1, 3, sum(COUNTS))
    given = training(weights=own)
    weight_of = dict(zip(given.numbers.tolist(), given.weights, strict=True))
    after = balanced(balance(name), given)
    weights = np.array([weight_of[number] for number in after.numbers.tolist()])
    assert after.weights == pytest.approx(weights / weights.mean())


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"none", "class_weight"}))
@pytest.mark.parametrize("ratio", [0.0, 1.1, float("nan")])
def test_a_ratio_is_a_share(name, ratio):
    with pytest.raises(ValueError, match="ratio"):
        balance(name, ratio=ratio)
