from __future__ import annotations

import numpy as np
import pytest

from cnnkit.data.index import Index
from cnnkit.inspection.doctor import labels
from cnnkit.inspection.doctor.base import Patient


def patient(*rows, classes=("cat", "dog")):
    """From (name, class, content, split) of each image."""
    names, owners, contents, splits = (list(column) for column in zip(*rows, strict=True))
    numbers = np.array([classes.index(owner) for owner in owners], np.int64)
    index = Index(classes, names, numbers, contents, [None] * len(names), lambda i: None)
    return Patient(index, None if None in splits else splits)


def many(count, owner, split="train", start=0):
    return [(f"{split}/{owner}/{i}.png", owner, f"{owner} {i}", split) for i in range(start, start + count)]


def kinds(findings):
    return {finding.kind: finding for finding in findings}


@pytest.mark.parametrize(("images", "severity"), [(201, "warning"), (200, "error"), (20, "error")])
def test_one_picture_in_two_classes_is_an_error_from_one_percent_of_the_images(images, severity):
    rows = [("cat/x.png", "cat", "x", "train"), ("dog/x.png", "dog", "x", "train")]
    found = kinds(labels.copies(patient(*rows, *many(images - 2, "cat"))))
    assert found.keys() == {"contradicting_labels"}
    finding = found["contradicting_labels"]
    assert finding.severity == severity
    assert finding.groups == (("cat/x.png", "dog/x.png"),)
    assert finding.leave_out == ("cat/x.png", "dog/x.png"), "nobody knows which label is right"


def test_copies_within_a_class_are_told_and_the_first_is_kept():
    rows = [(name, "cat", "x", "train") for name in ("cat/c.png", "cat/a.png", "cat/b.png")]
    found = kinds(labels.copies(patient(*rows, *many(100, "dog"))))
    assert found.keys() == {"duplicates"}
    assert found["duplicates"].severity == "note"
    assert found["duplicates"].groups == (("cat/a.png", "cat/b.png", "cat/c.png"),)
    assert found["duplicates"].leave_out == ("cat/b.png", "cat/c.png")


def test_many_copies_are_a_warning():
    rows = [(f"cat/{i}.png", "cat", "x", "train") for i in range(6)]
    assert kinds(labels.copies(patient(*rows, *many(94, "dog"))))["duplicates"].severity == "warning"


@pytest.mark.parametrize(
    ("splits", "leave_out"),
    [
        (("train", "test"), {"0"}),
        (("train", "validation"), {"0"}),
        (("validation", "test"), {"0"}),
        (("train", "validation", "test"), {"0", "1"}),
        (("train", "train", "test", "test"), {"0", "1"}),
    ],
    ids=lambda value: "-".join(sorted(value)) if isinstance(value, tuple) else "",
)
def test_a_picture_in_two_splits_is_a_leak_and_what_judges_is_kept(splits, leave_out):
    rows = [(str(i), "cat", "x", split) for i, split in enumerate(splits)]
    found = kinds(labels.copies(patient(*rows, *many(50, "dog"))))
    assert found["leak"].severity == "error"
    assert found["leak"].groups == (tuple(str(i) for i in range(len(splits))),)
    assert set(found["leak"].leave_out) == leave_out
    assert ("duplicates" in found) == (len(splits) > 3), "copies within a split are told for themselves"


def test_different_pictures_are_nothing():
    assert list(labels.copies(patient(*many(20, "cat"), *many(20, "dog", "test")))) == []


def test_a_class_without_images_is_an_error_and_one_with_a_handful_a_warning():
    found = kinds(labels.classes(patient(*many(9, "cat"), *many(12, "dog"), classes=("cat", "dog", "owl"))))
    assert found.keys() == {"empty_class", "tiny_class"}
    assert found["empty_class"].severity == "error"
    assert "`owl`" in found["empty_class"].message
    assert found["tiny_class"].severity == "warning"
    assert "`cat` has only 9 different images" in found["tiny_class"].message


def test_copies_do_not_make_a_class_larger():
    rows = [(f"cat/{i}.png", "cat", f"{i % 5}", "train") for i in range(20)]
    assert "only 5 different" in kinds(labels.classes(patient(*rows, *many(20, "dog"))))["tiny_class"].message


def test_a_class_that_a_split_lacks_is_named():
    rows = [*many(20, "cat"), *many(20, "dog"), *many(10, "dog", "test")]
    found = kinds(labels.classes(patient(*rows)))
    assert found["missing_class"].severity == "warning"
    assert "test has no image of `cat`" in found["missing_class"].message


@pytest.mark.parametrize(
    ("large", "severity"), [(28, None), (30, "note"), (59, "note"), (60, "warning"), (90, "warning")]
)
def test_imbalance_is_told_by_how_uneven_the_classes_are(large, severity):
    found = kinds(labels.classes(patient(*many(20, "cat"), *many(large, "dog"))))
    assert (found["imbalance"].severity if found else None) == severity


def test_what_to_do_about_imbalance_is_told():
    finding = kinds(labels.classes(patient(*many(20, "cat"), *many(100, "dog"))))["imbalance"]
    assert "5.0 times" in finding.message
    assert "`cat`" in finding.advice
    assert "macro F1" in finding.advice
    assert "`data.balance: {name: class_weight}`" in finding.advice


def test_the_table_counts_each_class_in_each_split():
    rows = [*many(3, "cat"), *many(1, "cat", "test"), *many(2, "dog")]
    cat, dog = labels.table(patient(*rows))
    assert (cat.name, cat.images, cat.splits) == ("cat", 4, {"train": 3, "test": 1})
    assert (dog.name, dog.images, dog.splits) == ("dog", 2, {"train": 2, "test": 0})


@pytest.mark.parametrize(
    ("names", "similar"),
    [
        (("Rose", "rose", "tulip"), True),
        (("cafe\u0301", "caf\u00e9", "tea"), True),
        (("black_cat", "black cat"), True),
        (("rose", "roses", "tulip"), False),
        (("1", "01", "10"), False),
    ],
)
def test_classes_that_differ_in_how_they_are_written_alone_are_told(names, similar):
    rows = [row for name in names for row in many(12, name)]
    assert ("similar_classes" in kinds(labels.classes(patient(*rows, classes=names)))) == similar
