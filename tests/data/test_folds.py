"""Folds: K parts of equal size and equal classes, in which nothing is torn apart that belongs together."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from cnnkit.core.errors import DataError
from cnnkit.data.dividing import Pool
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.splitting import Split, together


def contents(count, start=0):
    return [digest_of(f"picture {i}".encode()) for i in range(start, start + count)]


def names_of(labels):
    return [f"class{i}" for i in range(max(labels) + 1)]


def divided(labels, digests, folds, parts=None, own=None, seed=0):
    split = Split(folds=folds, fold=1, seed=seed)
    return split.divided(Pool(names_of(labels), labels, digests, own or [None] * len(labels), parts))


def judged(labels, digests, folds, fold, parts=None, validation=0.15):
    split = Split(folds=folds, fold=fold, validation=validation)
    return split.assign(Pool(names_of(labels), labels, digests, [None] * len(labels), parts))


@pytest.mark.parametrize("folds", [2, 3, 5, 7, 10])
@pytest.mark.parametrize("sizes", [(100,), (50, 50), (200, 11, 37), (10, 10, 10, 10), (23, 10, 10)])
def test_classes_and_sizes_differ_by_one_image_at_most(sizes, folds):
    labels = [c for c, size in enumerate(sizes) for _ in range(size)]
    found = divided(labels, contents(len(labels)), folds)
    by_class = Counter(zip(labels, found, strict=True))
    for c, size in enumerate(sizes):
        held = [by_class[c, fold] for fold in range(1, folds + 1)]
        assert sum(held) == size
        assert max(held) - min(held) <= 1
    sizes_of_folds = Counter(found)
    assert set(sizes_of_folds) == set(range(1, folds + 1))
    assert max(sizes_of_folds.values()) - min(sizes_of_folds.values()) <= 1


def test_each_image_is_the_test_image_of_one_fold_and_copies_never_part():
    labels = [i % 3 for i in range(90)]
    digests = [*contents(80), *contents(10)]  # the last ten are the first once more
    folds = divided(labels, digests, 4)
    tested = Counter()
    for fold in range(1, 5):
        splits = judged(labels, digests, 4, fold)
        assert [split == "test" for split in splits] == [number == fold for number in folds]
        assert set(splits) == {"train", "validation", "test"}
        by_digest = defaultdict(set)
        for digest, split in zip(digests, splits, strict=True):
            by_digest[digest].add(split)
        assert all(len(found) == 1 for found in by_digest.values())
        tested.update(i for i, split in enumerate(splits) if split == "test")
    assert tested == Counter(range(90))


def test_no_group_copy_or_near_duplicate_is_in_two_folds_or_splits():
    """By `together`, the one function that splits and folds know of what never parts."""
    rng = np.random.default_rng(0)
    labels = [i % 4 for i in range(400)]
    digests = [*contents(390), *contents(10)]
    groups = [f"patient {n}" if n < 60 else None for n in rng.integers(0, 80, 400)]
    near = [[int(a), int(b)] for a, b in rng.integers(0, 400, (30, 2))]
    parts = together(digests, groups, near)
    found = divided(labels, digests, 5, parts)
    for pairs in (zip(groups, found, strict=True), zip(digests, found, strict=True), zip(parts, found, strict=True)):
        of_each = defaultdict(set)
        for name, fold in pairs:
            if name is not None:
                of_each[name].add(fold)
        assert all(len(folds) == 1 for folds in of_each.values())
    assert all(found[a] == found[b] for a, b in near)
    for fold in (1, 4):
        splits = judged(labels, digests, 5, fold, parts)
        assert len(set(zip(parts, splits, strict=True))) == len(set(parts))


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_all_sizes_and_several_classes_are_balanced(seed):
    rng = np.random.default_rng(seed)
    groups = [group for group in range(120) for _ in range(int(rng.integers(1, 12)))]
    leaning = rng.integers(0, 3, 120)  # a patient's images are mostly of one class
    labels = [int(leaning[g]) if rng.random() < 0.8 else int(rng.integers(0, 3)) for g in groups]
    digests = contents(len(labels))
    found = divided(labels, digests, 5, together(digests, [str(g) for g in groups]), seed=seed)
    sizes = Counter(found)
    assert max(sizes.values()) - min(sizes.values()) <= 12  # a group
    shares, counts = Counter(labels), Counter(zip(labels, found, strict=True))
    for (label, fold), count in counts.items():
        assert abs(count / sizes[fold] - shares[label] / len(labels)) < 0.03, (label, fold)


def test_each_fold_has_a_class_with_no_more_groups_than_folds():
    """Whatever else is in them, and however large they are."""
    groups = [i // 10 for i in range(250)]  # 25 groups of ten
    labels = [1 if i % 10 < (2 if group % 5 else 9) and group < 5 else 0 for i, group in enumerate(groups)]
    digests = contents(250)
    found = divided(labels, digests, 5, together(digests, [str(g) for g in groups]))
    assert {fold for label, fold in zip(labels, found, strict=True) if label == 1} == {1, 2, 3, 4, 5}


def test_folds_depend_on_contents_and_not_on_the_order_of_files_or_other_folds():
    labels, digests = [i % 3 for i in range(91)], contents(91)
    groups = [str(i // 4) if i % 2 else None for i in range(91)]
    order = np.random.default_rng(1).permutation(91).tolist()
    before = dict(zip(digests, divided(labels, digests, 4, together(digests, groups)), strict=True))
    shuffled = [digests[i] for i in order]
    parts = together(shuffled, [groups[i] for i in order])
    after = divided([labels[i] for i in order], shuffled, 4, parts)
    assert dict(zip(shuffled, after, strict=True)) == before


def test_another_seed_makes_other_folds():
    digests = contents(100)
    assert len({tuple(divided([0] * 100, digests, 5, seed=seed)) for seed in range(5)}) == 5
    assert divided([0] * 100, digests, 5, seed=3) == divided([0] * 100, digests, 5, seed=3)


def test_the_share_of_validation_is_one_of_all_images():
    splits = Counter(judged([0] * 100 + [1] * 100, contents(200), 5, 2, validation=0.2))
    assert splits == {"test": 40, "validation": 40, "train": 120}


@pytest.mark.parametrize(
    ("folds", "few", "message"),
    [
        (5, 4, "class `class1` has 4 different images, and each of 5 folds has to hold some of it; with 4 folds each "),
        (3, 1, "class `class1` has 1 different image, and each of 3 folds has to hold some of it; leave the class out"),
        (2, 3, "class `class1` has 1 different image outside fold 1; at least 2 are needed to have one in each of: "),
    ],
)
def test_a_class_that_is_too_small_is_named(folds, few, message):
    labels = [0] * 50 + [1] * few
    with pytest.raises(DataError) as error:
        judged(labels, contents(len(labels)), folds, 1)
    assert message in str(error.value)


def test_groups_are_what_is_counted_of_a_class():
    labels = [0] * 50 + [1] * 40
    groups = [None] * 50 + [str(i // 10) for i in range(40)]
    digests = contents(90)
    with pytest.raises(DataError, match="class `class1` has 4 groups of images, and each of 5 folds"):
        divided(labels, digests, 5, together(digests, groups))
    assert len(set(divided(labels, digests, 4, together(digests, groups))[50:])) == 4


def test_a_split_of_the_sources_own_is_no_place_for_folds():
    with pytest.raises(DataError, match="the source has a test split of its own, and folds divide all images anew"):
        divided([0] * 20, contents(20), 2, own=["train"] * 15 + ["test"] * 5)
    assert set(divided([0] * 20, contents(20), 2, own=["train"] * 20)) == {1, 2}


def test_a_complete_config_keeps_its_fold_and_sets_no_test_share():
    split = Split(folds=5, fold=2).completed(frozenset())
    assert split == Split(folds=5, fold=2, validation=0.15)
    assert Split.model_validate(split.model_dump()) == split
