from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.dividing import Pool
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.section import Data
from cnnkit.data.sources import Folder
from cnnkit.data.splitting import Split, together


def contents(*names):
    return [digest_of(name.encode()) for name in names]


def assign(labels, digests, own=None, parts=None, **options):
    classes = [f"class{i}" for i in range(max(labels) + 1)]
    return Split(**options).assign(Pool(classes, labels, digests, own or [None] * len(labels), parts))


def different(count, start=0):
    return contents(*(f"picture {i}" for i in range(start, start + count)))


@pytest.mark.parametrize(("validation", "test"), [(0.15, 0.15), (0.1, 0.3), (0.25, 0.5), (1 / 3, 1 / 3)])
@pytest.mark.parametrize("size", [*range(3, 30), 100, 333, 1000])
def test_every_class_is_divided_to_within_one_image(size, validation, test):
    labels = [i % 2 for i in range(2 * size)]
    splits = Counter(zip(labels, assign(labels, different(2 * size), validation=validation, test=test), strict=True))
    for label in (0, 1):
        assert abs(splits[label, "test"] - test * size) <= 1
        assert abs(splits[label, "validation"] - validation * size) <= 1
        assert min(splits[label, name] for name in ("train", "validation", "test")) >= 1


def test_a_rare_class_is_in_every_split():
    labels = [0] * 500 + [1] * 3
    splits = assign(labels, different(503))
    assert sorted(splits[500:]) == ["test", "train", "validation"]


def test_without_words_fifteen_percent_are_for_each():
    assert Counter(assign([0] * 200 + [1] * 100, different(300))) == {"train": 210, "validation": 45, "test": 45}


def test_membership_depends_on_content_not_on_order():
    labels, digests = [i % 3 for i in range(90)], different(90)
    before = dict(zip(digests, assign(labels, digests), strict=True))
    after = dict(zip(digests[::-1], assign(labels[::-1], digests[::-1]), strict=True))
    assert after == before


def test_a_class_does_not_depend_on_the_others():
    alone = assign([0] * 50, different(50))
    assert assign([0] * 50 + [1] * 9, different(59))[:50] == alone


def test_one_more_file_moves_few():
    before = assign([0] * 200, different(200))
    for extra in range(200, 220):
        after = assign([0] * 201, [*different(200), *different(1, extra)])
        assert sum(b != a for b, a in zip(before, after, strict=False)) <= 2


def test_another_seed_divides_otherwise():
    digests = different(100)
    divisions = {tuple(assign([0] * 100, digests, seed=seed)) for seed in range(5)}
    assert len(divisions) == 5
    assert len({tuple(sorted(Counter(division).items())) for division in divisions}) == 1


def test_the_same_seed_divides_the_same():
    assert assign([0] * 100, different(100), seed=7) == assign([0] * 100, different(100), seed=7)


def test_every_image_is_as_likely_as_another_to_be_set_apart():
    counts = Counter()
    for seed in range(300):
        splits = assign([0] * 20, different(20), seed=seed, test=0.25, validation=0.25)
        counts.update(i for i, split in enumerate(splits) if split == "test")
    # 300 tries of 1/4 each: 75 with a standard deviation of 7.5
    assert all(75 - 4 * 7.5 < counts[i] < 75 + 4 * 7.5 for i in range(20))


@pytest.mark.parametrize("seed", range(20))
def test_equal_files_never_part(seed):
    digests = different(30) + different(10) + different(5)  # ten of them twice, five three times
    splits = assign([0] * 45, digests, seed=seed)
    for digest in set(digests):
        assert len({split for split, other in zip(splits, digests, strict=True) if other == digest}) == 1


@pytest.mark.parametrize("seed", range(20))
def test_equal_files_never_part_though_they_lie_in_two_classes(seed):
    labels, digests = [0] * 20 + [1] * 20, different(20) + different(20, start=15)
    splits = assign(labels, digests, seed=seed)
    assert splits[15:20] == splits[20:25]
    for label in (0, 1):
        assert {split for split, other in zip(splits, labels, strict=True) if other == label} == {
            "train",
            "validation",
            "test",
        }


def test_what_the_source_sets_apart_is_kept():
    own = ["test"] * 5 + ["train"] * 35
    splits = assign([0] * 40, different(40), own, validation=0.2)
    assert splits[:5] == ["test"] * 5
    assert Counter(splits[5:]) == {"validation": 7, "train": 28}


def test_nothing_is_divided_where_the_source_sets_all_apart():
    own = ["train"] * 3 + ["validation"] * 2 + ["test"]
    assert assign([0] * 6, different(6), own) == own


def test_an_own_split_does_not_change_how_the_rest_is_divided():
    alone = assign([0] * 30, different(30), ["train"] * 30, test=0.1, validation=0.2)
    own = ["train"] * 30 + ["test"] * 10
    rest = assign([0] * 40, different(40), own, validation=0.2)[:30]
    assert Counter(rest)["validation"] == Counter(alone)["validation"] == 6


@pytest.mark.parametrize(
    ("labels", "digests", "message"),
    [
        ([0] * 9 + [1] * 2, different(11), "class `class1` has 2 different images to divide; at least 3"),
        ([0] * 9 + [1] * 9, different(9) + different(2, 20) + [different(1, 20)[0]] * 7, "class `class1` has 2"),
        ([0] * 9 + [1] * 9, [*different(9)] * 2, "each image of class `class1` is in another class too, so none"),
        ([0] * 9 + [2] * 9, different(18), "class `class1` has no image; add images of it, or remove the class"),
    ],
    ids=["few", "copies", "of others", "none"],
)
def test_a_class_too_small_to_divide_is_named(labels, digests, message):
    with pytest.raises(DataError, match=message):
        assign(labels, digests)


def families(patients, each, classes=1, seed=0):
    """Labels and groups of so many images of each patient; of several classes by chance."""
    random = np.random.default_rng(seed)
    groups = [f"patient {i}" for i in range(patients) for _ in range(each)]
    return random.integers(0, classes, len(groups)).tolist(), groups


@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_a_group_never_parts_and_every_class_has_about_its_share_in_each_split(classes, seed):
    labels, groups = families(60, 7, classes, seed)
    digests = different(len(groups))
    splits = assign(labels, digests, parts=together(digests, groups), seed=seed)
    assert all(len({split for split, of in zip(splits, groups, strict=True) if of == group}) == 1 for group in groups)
    for label in range(classes):
        held = Counter(split for split, other in zip(splits, labels, strict=True) if other == label)
        assert 0.09 * held.total() <= held["test"] <= 0.26 * held.total()
        assert 0.09 * held.total() <= held["validation"] <= 0.26 * held.total()


def test_a_patient_with_half_of_the_images_is_not_what_judges():
    groups = ["large"] * 50 + [f"small {i // 2}" for i in range(50)]
    digests = different(100)
    for seed in range(10):
        splits = assign([0] * 100, digests, parts=together(digests, groups), seed=seed)
        assert Counter(splits) == {"train": 68, "validation": 16, "test": 16}
        assert set(splits[:50]) == {"train"}


def test_a_rare_class_that_always_comes_with_another_is_in_every_split():
    groups = [f"patient {i // 10}" for i in range(300)]
    labels = [1 if i % 10 == 0 and i < 60 else 0 for i in range(300)]  # one image of each of six patients
    digests = different(300)
    splits = assign(labels, digests, parts=together(digests, groups))
    held = Counter(split for split, label in zip(splits, labels, strict=True) if label)
    assert held.keys() == {"train", "validation", "test"}


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_one_image_divide_as_images_do(seed):
    labels, digests = [i % 3 for i in range(90)], different(90)
    parts = together(digests, [None if i % 2 else f"alone {i}" for i in range(90)])
    assert assign(labels, digests, parts=parts, seed=seed) == assign(labels, digests, seed=seed)


def test_a_class_with_too_few_groups_is_named_with_their_number():
    digests = different(40)
    parts = together(digests, [f"patient {i // 10}" for i in range(20)] + [None] * 20)
    message = "class `class0` has 2 groups of images to divide; at least 3 are needed"
    with pytest.raises(DataError, match=message):
        assign([0] * 20 + [1] * 20, digests, parts=parts)


@pytest.mark.parametrize(
    ("digests", "groups", "near", "expected"),
    [
        ("abcd", None, [], [0, 1, 2, 3]),
        ("abab", None, [], [0, 1, 0, 1]),
        ("abcd", ["x", None, None, "x"], [], [0, 1, 2, 0]),
        ("abcd", None, [(1, 3), (3, 2)], [0, 1, 1, 1]),
        ("abcb", ["x", None, "y", "y"], [(0, 2)], [0, 0, 0, 0]),  # from one to another
    ],
)
def test_what_belongs_together_is_what_is_equal_near_or_of_one_group(digests, groups, near, expected):
    assert together(list(digests), groups, near) == expected


@pytest.mark.parametrize("limit", [None, 6])
def test_which_images_are_set_apart_and_which_are_taken_follows_from_the_seed_of_the_split(image_folder, limit):
    root = image_folder({"cat": 20, "dog": 20})

    def division(seed):
        data = Data(source=Folder(path=str(root)), split=Split(seed=seed), limit=limit)
        index = data.index(data.source.open(Progress()), Progress())
        return dict(zip(index.names, data.splits(index), strict=True))

    assert division(1) == division(1) != division(0)
    assert (division(1).keys() == division(0).keys()) == (limit is None)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan"), "0.1"])
def test_a_share_lies_between_none_and_all(share):
    with pytest.raises(ValueError, match="test"):
        Split(test=share)
