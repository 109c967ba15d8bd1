from __future__ import annotations

import math

import numpy as np
import pytest

from cnnkit.data.files.decoding import Header
from cnnkit.data.files.file_facts import FileFacts
from cnnkit.data.index import Index, Unused
from cnnkit.inspection.doctor import files
from cnnkit.inspection.doctor.base import Finding, Patient


def patient(*headers, names=None, labels=None, classes=("cat", "dog"), unused=(), bad=None, skip_bad=False):
    """Files of which only this much is known; `bad` is from the number of one to its reason."""
    bad = bad or {}
    names = names or [f"cat/{i}.jpg" for i in range(len(headers))]
    facts = [FileFacts(f"content {i}", 1, None if i in bad else header, bad.get(i)) for i, header in enumerate(headers)]
    labels = np.array(labels or [0] * len(headers), np.int64)
    digests = [known.digest for known in facts]
    index = Index(classes, names, labels, digests, [None] * len(names), lambda i: None, facts, unused=unused)
    return Patient(index, None, skip_bad)


def header(width=500, height=375, **others):
    plain = {"format": "JPEG", "mode": "RGB", "width": width, "height": height}
    return Header(**plain | {"orientation": 1, "frames": 1, "bits": 8} | others)


def kinds(findings) -> dict[str, Finding]:
    return {finding.kind: finding for finding in findings}


PLAIN = header()


@pytest.mark.parametrize(
    ("name", "odd", "kind", "severity"),
    [
        ("a.jpg", header(format="PNG"), "wrong_extension", "warning"),
        ("a.PNG", header(format="JPEG"), "wrong_extension", "warning"),
        ("a.webp", header(format="GIF"), "wrong_extension", "warning"),
        ("a.gif", header(format="GIF", frames=2), "animated", "warning"),
        ("a.png", header(format="PNG", frames=3), "animated", "warning"),
        ("a.jpg", header(mode="CMYK"), "cmyk", "warning"),
        ("a.png", header(format="PNG", mode="RGB", bits=16), "sixteen_bit", "warning"),
        ("a.png", header(format="PNG", mode="P"), "palette", "note"),
        ("a.jpg", header(orientation=6), "rotated", "note"),
        ("a.jpg", header(mode="L"), "mixed_channels", "note"),
    ],
)
def test_a_picture_in_an_odd_form_is_named(name, odd, kind, severity):
    found = kinds(files.forms(patient(PLAIN, odd, PLAIN, names=["0.jpg", name, "2.jpg"])))
    assert found.keys() == {kind}
    assert (found[kind].severity, found[kind].files) == (severity, (name,))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        *((f"a.{ending}", header()) for ending in ("jpg", "JPEG", "jpe", "jfif")),
        ("a.jpg", header(format="MPO", frames=2)),  # phones put a second view beside the picture
        ("a.gif", header(format="GIF", mode="P")),
        ("a.png", header(format="PNG", mode="RGBA")),
        ("id_17", header()),  # a manifest may call it as it likes
        ("a.jpg", header(orientation=0)),  # means nothing
    ],
)
def test_a_picture_in_a_plain_form_is_not(name, plain):
    assert list(files.forms(patient(plain, names=[name]))) == []


def test_all_grey_pictures_are_not_mixed():
    assert list(files.forms(patient(*[header(mode="L")] * 3))) == []


def of_sizes(*sizes):
    return patient(*(header(width, height) for width, height in sizes))


def test_a_size_that_stands_out_is_named():
    ordinary = [(500 + i % 40, 375 + i % 30) for i in range(60)]
    for odd in ((12_000, 9_000), (12_000, 3_900), (40, 30)):
        found = kinds(files.outliers(of_sizes(*ordinary, odd)))
        assert found["odd_size"].files == ("cat/60.jpg",)
    assert list(files.outliers(of_sizes(*ordinary, (3_000, 2_250), (80, 60)))) == []


def test_proportions_that_stand_out_are_named():
    upright = [(480, 640) if i % 3 else (640, 480) for i in range(60)]
    assert list(files.outliers(of_sizes(*upright))) == []
    assert kinds(files.outliers(of_sizes(*upright, (2_000, 300))))["odd_proportions"].files == ("cat/60.jpg",)


def test_where_all_sizes_differ_none_stands_out():
    random = np.random.default_rng(0)
    sides = np.exp(random.normal(math.log(400), 0.7, (300, 2))).astype(int)
    assert list(files.outliers(of_sizes(*map(tuple, sides.tolist())))) == []


def test_pictures_far_smaller_than_the_network_is_shown_are_named():
    index = of_sizes((28, 28), (56, 56), (20, 300)).index
    [finding] = files.enlarged(index, (224, 224))
    assert (finding.kind, finding.files) == ("enlarged", ("cat/0.jpg",))
    assert list(files.enlarged(index, (64, 64))) == []
    assert list(files.enlarged(index, None)) == []


def test_files_without_a_picture_are_told_with_their_reason():
    bad = {
        1: "the file is empty",
        2: "damaged: cut (5 bytes not processed)",
        3: "damaged: cut (17 bytes not processed)",
    }
    findings = list(files.undecodable(patient(*[PLAIN] * 4, bad=bad)))
    told = {finding.message: finding.files for finding in findings}
    assert told == {
        "1 file can't be decoded: the file is empty": ("cat/1.jpg",),
        "2 files can't be decoded: damaged: cut": ("cat/2.jpg", "cat/3.jpg"),
    }
    assert {finding.severity for finding in findings} == {"error"}
    assert all(finding.leave_out == finding.files for finding in findings)


def test_files_that_the_source_skips_are_a_warning():
    [finding] = files.undecodable(patient(PLAIN, PLAIN, bad={1: "the file is empty"}, skip_bad=True))
    assert finding.severity == "warning"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["cat/images/0.png", "cat/masks/0.png", "dog/images/0.png", "dog/masks/0.png"], "`images`, `masks`"),
        (["train/cat/0.png", "train/cat/masks/0.png", "test/dog/0.png", "test/dog/masks/0.png"], "`masks`"),
        (["cat/images/0.png", "cat/images/1.png", "dog/images/0.png", "dog/images/1.png"], None),
        (["cat/indoor/0.png", "cat/1.png", "dog/outdoor/0.png", "dog/1.png"], None),
        (["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"], None),
    ],
    ids=["images and masks", "masks beside", "images alone", "other names", "flat"],
)
def test_the_same_subfolders_in_every_class_are_told(names, told):
    findings = list(files.nested(patient(*[PLAIN] * 4, names=names, labels=[0, 0, 1, 1])))
    assert bool(findings) == bool(told)
    for finding in findings:
        assert finding.severity == "note"
        assert told in finding.message
        assert "data.source.glob" in finding.advice


def test_what_was_not_used_is_told_by_reason_and_a_systems_files_only_counted():
    unused = (
        Unused("cat/.DS_Store", "hidden or a system's file"),
        Unused("cat/b.txt", "no image"),
        Unused("cat/a.txt", "no image"),
    )
    told = {finding.message: finding.files for finding in files.unused(patient(PLAIN, unused=unused).index)}
    assert told == {
        "1 file not used: hidden or a system's file": (),
        "2 files not used: no image": ("cat/a.txt", "cat/b.txt"),
    }
