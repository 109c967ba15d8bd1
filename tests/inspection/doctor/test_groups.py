from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from cnnkit.data.index import Index
from cnnkit.inspection.doctor import groups
from cnnkit.inspection.doctor.base import Patient


def patient(names, splits=None, classes=("ill", "well"), of_groups=None):
    """Images by their names, of the class that a folder of it is called."""
    labels = [next((i for i, one in enumerate(classes) if one in name.split("/")), 0) for name in names]
    index = Index(
        classes=classes,
        names=names,
        labels=np.asarray(labels),
        digests=[f"content {i}" for i in range(len(names))],
        splits=[None] * len(names),
        open=lambda i: None,
        path=lambda i: names[i],
        groups=of_groups,
    )
    return Patient(index, splits or [("train", "train", "validation", "test")[i % 4] for i in range(len(names))])


KINDS = ("ill", "well", "old", "odd")

NAMED = {
    "patients": (lambda i, k: f"{'ill' if i % 2 else 'well'}/patient{i}_{k:02d}.png", "patient1"),
    "letters and numbers": (lambda i, k: f"{'ill' if i % 2 else 'well'}/S{i:02d}_{k}.jpg", "S01"),
    "films": (lambda i, k: f"{'ill' if i % 2 else 'well'}/film{i}-frame{k}.png", "film1"),
    "folders": (lambda i, k: f"{'ill' if i % 2 else 'well'}/case {i}/{k:03d}.png", "case 1"),
    "two parts": (lambda i, k: f"{'ill' if i % 2 else 'well'}/XY_{i:03d}_{k}.png", "XY_001"),
    "at the end": (lambda i, k: f"{'ill' if i % 2 else 'well'}/scan_{10 * i + k:03d}_patient{i}.png", "patient1"),
    "at the end, a letter": (lambda i, k: f"{'ill' if i % 2 else 'well'}/IMG_{k}_p{i:02d}.jpg", "p01"),
    "at the end, two parts": (lambda i, k: f"{'ill' if i % 2 else 'well'}/{k}-Plant-{i}.jpg", "Plant-1"),
    "at the end, counted anew": (lambda i, k: f"{'ill' if i % 2 else 'well'}/{k}_a_subject {i}.jpg", "subject 1"),
    "at the end, two sides": (lambda i, k: f"{'ill' if i % 2 else 'well'}/IMG_{k}_p{i:02d}{'LR'[k % 2]}.jpg", "p01"),
    "pages": (lambda i, k: f"{'ill' if i % 2 else 'well'}/book{i}_p{k}.png", "book1"),
    "slices": (lambda i, k: f"{'ill' if i % 2 else 'well'}/scan_{i:03d}_slice{k}.png", "scan_001"),
    "changed pictures": (lambda i, k: f"{'ill' if i % 2 else 'well'}/image{i}_rot{k}.png", "image1"),
    "parts of pictures": (lambda i, k: f"{'ill' if i % 2 else 'well'}/image{i}_{k % 2}_{k}.png", "image1"),
    "in split folders": (lambda i, k: f"train/{'ill' if i % 2 else 'well'}/p{i} {k}.png", "p1"),
    "two spellings": (lambda i, k: f"{KINDS[i % 2]}/{k}_{'Patient' if k % 2 else 'patient_'}{i}.png", "1"),
}


@pytest.mark.parametrize("kind", NAMED)
def test_names_that_look_like_groups_are_told_with_the_pattern_to_write(kind):
    written, first = NAMED[kind]
    names = [written(i, k) for i in range(10) for k in range(4)]
    (finding,) = groups.unnamed(patient(names))
    assert (finding.kind, finding.severity, len(finding.groups)) == ("possible_groups", "warning", 10)
    assert "10 of 10 test and 10 of 10 validation images have a sibling in training" in finding.message
    assert "this in data.source keeps them together: group_pattern" in finding.advice
    pattern = re.search("group_pattern: '(.*)'", finding.advice)[1]
    assert re.fullmatch(pattern, written(1, 2))[1] == first
    assert all(re.fullmatch(pattern, name) for name in names)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (lambda i, k: f"ill/scan_{i:03d}_p{k}.png", ["scan_003", "p4"]),
        (lambda i, k: f"ill/IMG_{k}_p{i:02d}.jpg", ["p03", "IMG_4"]),
        (lambda i, k: f"ill/book{i}_p{k}.png", ["book3"]),
        (lambda i, k: f"ill/patient{i}_p{k}.png", ["patient3"]),
    ],
    ids=["patches", "patients", "pages of a book", "pictures of a patient"],
)
def test_where_p_may_count_patients_or_pages_both_ways_are_told(written, told):
    (finding,) = groups.unnamed(patient([written(i, k) for i in range(20) for k in range(6)]))
    patterns = re.findall("group_pattern: '(.*?)'", finding.advice)
    assert [re.fullmatch(pattern, written(3, 4))[1] for pattern in patterns] == told
    assert len(finding.groups) == 20


def test_of_splits_that_the_source_has_the_pattern_is_not_said_to_keep_groups_together():
    one = patient([f"ill/p{i}_{k}.png" for i in range(10) for k in range(4)])
    own = replace(one, index=replace(one.index, splits=one.splits))
    (finding,) = groups.unnamed(own)
    assert "keeps them together" not in finding.advice and "`cnnkit data --fix-list`" in finding.advice


@pytest.mark.parametrize(
    "written",
    [
        lambda i, k: f"ill/{i:03d}{k}.png",
        lambda i, k: f"ill/cat_{i}{k}.png",
        lambda i, k: f"ill/{i}{k}_n.jpg",
        lambda i, k: f"{'ill' if i % 2 else 'well'}/{'ill' if i % 2 else 'well'}2_{i}{k}.png",  # no more than classes
        lambda i, k: f"ill/2019_{i}{k}.png",  # one for all
        lambda i, k: f"ill/{1000 * i + k}_{k}.png",  # each of its own
        lambda i, k: f"ill/scan_{i}{k}_p{i}{k}.png",
        lambda i, k: f"ill/scan_{i}{k}_age{i}.png",  # a word that is none of a group
        # Numbers that are counted anew in each class, beside one that is the same in all of them, in each or in many.
        lambda i, k: f"{KINDS[k]}/2023_{KINDS[k]}_sample_{i}.png",
        lambda i, k: f"{KINDS[k]}/class{k}_id{i}.png",
        lambda i, k: f"{KINDS[k]}/{2019 + i % 3}_sample_{i}.png",
        lambda i, k: f"{KINDS[k]}/{i:03d}_2023.png",
        lambda i, k: f"{KINDS[k]}/patient{i}_a.jp2",
    ],
)
def test_other_names_are_no_groups(written):
    assert not list(groups.unnamed(patient([written(i, k) for i in range(10) for k in range(4)], classes=KINDS)))


def test_class_folders_that_are_numbers_are_no_groups():
    classes = tuple(map(str, range(10)))
    names = [f"train/{i}/{k}.png" for i in range(10) for k in range(4)]
    assert not list(groups.unnamed(patient(names, classes=classes)))


def test_nothing_is_said_of_names_where_nothing_is_torn():
    names = [f"ill/patient{i}_{k}.png" for i in range(8) for k in range(4)]
    splits = ["train"] * 20 + ["validation"] * 4 + ["test"] * 8
    assert not list(groups.unnamed(patient(names, splits)))


def test_nothing_is_said_of_names_where_the_groups_are_known():
    names = [f"ill/patient{i}_{k}.png" for i in range(8) for k in range(4)]
    assert not list(groups.unnamed(patient(names, of_groups=[name[:12] for name in names])))


def test_a_few_odd_names_are_left_without_a_group_by_the_pattern():
    names = [f"ill/patient{i}_{k}.png" for i in range(10) for k in range(4)] + ["ill/odd.png"]
    (finding,) = groups.unnamed(patient(names))
    assert "this in data.source keeps them together: group_pattern" in finding.advice
    pattern = re.search("group_pattern: '(.*)'", finding.advice)[1]
    assert re.fullmatch(pattern, "ill/odd.png")[1] is None


def test_groups_that_own_splits_tear_are_counted_by_who_judges():
    names = [f"ill/{i}.png" for i in range(8)]
    of_groups = ["a", "a", "a", "b", "b", "c", None, None]
    splits = ["train", "test", "test", "validation", "test", "train", "test", "train"]
    (finding,) = groups.torn(patient(names, splits, of_groups=of_groups))
    assert finding.severity == "warning"
    assert "tear 2 groups apart: 2 of 4 test images have a sibling in training" in finding.message
    assert finding.groups == (("ill/0.png", "ill/1.png", "ill/2.png"), ("ill/3.png", "ill/4.png"))
    assert finding.leave_out == ("ill/0.png", "ill/3.png")
    kept = [i for i, name in enumerate(names) if name not in finding.leave_out]
    again = patient([names[i] for i in kept], [splits[i] for i in kept], of_groups=[of_groups[i] for i in kept])
    assert not list(groups.torn(again))
