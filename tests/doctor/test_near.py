from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cnnkit.doctor import Patient, Pixels, near
from cnnkit.doctor.near import check, near_duplicates
from cnnkit.progress import Progress
from cnnkit.sources import Index

COUNT = 200


def photo(number, side=128):
    """A photo-like picture: a sum of smooth random fields, each coarser one twice as strong."""
    rng = np.random.default_rng(number)
    total = np.zeros((side, side))
    for cells in (2, 4, 8, 16, 32):
        field = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
        total += np.asarray(field.resize((side, side), Image.Resampling.BICUBIC)) / cells
    total = (total - total.mean()) / total.std()
    return Image.fromarray(np.clip(115 + 45 * total, 0, 255).astype(np.uint8))


def thumbnail(picture):
    return np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR))


@pytest.fixture(scope="module")
def photos():
    return [photo(i) for i in range(COUNT)]


def resized(share):
    return lambda picture: picture.resize((round(128 * share),) * 2, Image.Resampling.BICUBIC)


def recompressed(picture):
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=60)
    return Image.open(content)


def cropped(picture):
    side = picture.width
    edge = round(0.03 * side)
    return picture.crop((edge, edge, side - edge, side - edge))


def cropped_at_a_corner(picture):
    side = round(0.97 * picture.width)
    return picture.crop((0, 0, side, side))


def brightened(picture):
    return picture.point(lambda value: min(255, round(value * 1.1)))


CHANGES = {
    "half the size": [resized(0.5)],
    "1.5 times the size": [resized(1.5)],
    "recompressed": [recompressed],
    "cropped": [cropped],
    "cropped at a corner": [cropped_at_a_corner],
    "brightened": [brightened],
    "resized, recompressed": [resized(0.6), recompressed],
    "cropped, recompressed": [cropped, recompressed],
    "cropped, resized": [cropped, resized(0.7)],
    "brightened, cropped": [brightened, cropped],
}


@pytest.mark.parametrize("change", CHANGES)
def test_95_of_100_changed_pictures_are_found_and_no_two_different_ones(photos, change):
    copies = []
    for picture in photos:
        for step in CHANGES[change]:
            picture = step(picture)
        copies.append(thumbnail(picture))
    groups = near_duplicates(np.stack([*map(thumbnail, photos), *copies]), Progress())
    true = [[i, i + COUNT] for i in range(COUNT)]
    assert all(group in true for group in groups)
    assert len(groups) >= 0.95 * COUNT


def test_different_pictures_are_no_near_duplicates():
    rng = np.random.default_rng(0)
    pictures = np.stack([thumbnail(photo(1000 + i, 32)) for i in range(1000)])  # half a million pairs
    assert near_duplicates(pictures, Progress()) == []
    noise = rng.integers(0, 256, (500, 32, 32), dtype=np.uint8)
    assert near_duplicates(noise, Progress()) == []


def test_pictures_without_structure_match_nothing():
    rng = np.random.default_rng(0)
    plain = [np.full((32, 32), value, np.uint8) for value in range(0, 256, 8)]
    nearly = [np.clip(128 + rng.normal(0, 1.5, (32, 32)), 0, 255).astype(np.uint8) for _ in range(30)]
    slope = [np.linspace(low, low + 100, 32)[:, None].repeat(32, 1).astype(np.uint8) for low in range(0, 150, 7)]
    assert near_duplicates(np.stack(plain + nearly + slope + plain), Progress()) == []


def test_the_same_outline_with_something_else_inside_is_another_picture(photos):
    """As of scans of two people."""
    down, right = np.mgrid[-1:1:128j, -1:1:128j]
    outline = (down**2 + right**2 < 0.8**2).astype(np.uint8)
    inside = [Image.fromarray(outline * (np.asarray(picture) // 2 + 90)) for picture in photos]
    assert near_duplicates(np.stack([thumbnail(picture) for picture in inside]), Progress()) == []


def test_equal_thumbnails_are_in_one_group(photos):
    one, other = thumbnail(photos[0]), thumbnail(photos[1])
    assert near_duplicates(np.stack([one, other, one, one]), Progress()) == [[0, 2, 3]]


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_have_no_near_duplicates(photos, count):
    thumbnails = np.stack([thumbnail(photos[0])])[:count]
    assert near_duplicates(thumbnails, Progress()) == []


def test_the_order_of_the_pictures_does_not_matter(photos):
    pictures = [thumbnail(p) for p in photos[:40]] + [thumbnail(cropped(p)) for p in photos[:40]]
    groups = near_duplicates(np.stack(pictures), Progress())
    order = np.random.default_rng(0).permutation(len(pictures))
    shuffled = near_duplicates(np.stack([pictures[i] for i in order]), Progress())
    assert sorted(sorted(int(order[i]) for i in group) for group in shuffled) == groups


def patient(entries, photos, given=False):
    """A patient of (name, number of the photo, how it is changed, split); equal entries but for the name are copies."""
    classes = tuple(sorted({name.split("/")[0] for name, *_ in entries}))
    splits = [split for *_, split in entries]
    pictures = [change(photos[number]) if change else photos[number] for _, number, change, _ in entries]
    index = Index(
        classes=classes,
        names=[name for name, *_ in entries],
        labels=np.asarray([classes.index(name.split("/")[0]) for name, *_ in entries]),
        digests=[f"{number}{change}" for _, number, change, _ in entries],
        splits=splits if given else [None] * len(entries),
        open=lambda i: pictures[i],
    )
    shown = np.stack([thumbnail(picture) for picture in pictures])
    nothing = np.zeros((len(entries), 3))
    return Patient(index, splits, pixels=Pixels({}, shown, nothing, nothing))


def test_within_a_class_and_split_it_is_a_note(photos):
    entries = [("a/1", 1, None, "train"), ("a/2", 1, cropped, "train"), ("b/3", 2, None, "train")]
    (finding,) = check(patient(entries, photos), Progress())
    assert (finding.kind, finding.severity) == ("near_duplicates", "note")
    assert finding.groups == (("a/1", "a/2"),)
    assert finding.files == ("a/1", "a/2")
    assert finding.leave_out == ()
    assert finding.message == "1 group of near-duplicates lies within a class and split"


def test_across_classes_it_is_a_warning_for_a_person_to_look_at(photos):
    entries = [("a/1", 1, None, "train"), ("b/1", 1, recompressed, "train"), ("b/3", 2, None, "train")]
    (finding,) = check(patient(entries, photos), Progress())
    assert (finding.kind, finding.severity, finding.leave_out) == ("near_contradicting", "warning", ())
    assert finding.groups == (("a/1", "b/1"),)


SPLIT = [
    ("a/1", 1, None, "train"),
    ("a/2", 1, cropped, "test"),
    ("a/3", 1, recompressed, "test"),
    ("a/4", 2, None, "train"),
    ("a/5", 2, brightened, "validation"),
    ("b/6", 3, None, "validation"),
]


def test_across_splits_of_the_source_it_is_an_error_and_the_copies_in_training_go(photos):
    (finding,) = check(patient(SPLIT, photos, given=True), Progress())
    assert (finding.kind, finding.severity) == ("near_leak", "error")
    assert finding.groups == (("a/1", "a/2", "a/3"), ("a/4", "a/5"))
    assert finding.leave_out == ("a/1", "a/4")


def test_across_drawn_splits_it_is_a_warning_and_one_copy_stays(photos):
    """Without some pictures the split is drawn anew, and might tear what is left."""
    (finding,) = check(patient(SPLIT, photos), Progress())
    assert (finding.kind, finding.severity) == ("near_leak", "warning")
    assert finding.leave_out == ("a/1", "a/3", "a/4")


def test_across_classes_and_splits_it_is_both(photos):
    entries = [("a/1", 1, None, "train"), ("b/1", 1, cropped, "test")]
    assert [finding.kind for finding in check(patient(entries, photos), Progress())] == [
        "near_leak",
        "near_contradicting",
    ]


def test_exact_copies_are_not_near_duplicates_but_go_with_one(photos):
    exact = [("a/1", 1, None, "train"), ("a/2", 1, None, "test")]
    assert list(check(patient(exact, photos, given=True), Progress())) == []
    (finding,) = check(patient([*exact, ("a/3", 1, cropped, "test")], photos, given=True), Progress())
    assert finding.groups == (("a/1", "a/2", "a/3"),)


def test_undecodable_images_and_unknown_splits_and_pixels_are_no_matter(photos):
    sick = patient(SPLIT[:3], photos)
    bad = replace(sick, pixels=replace(sick.pixels, bad={1: "cut", 2: "cut"}))
    assert list(check(bad, Progress())) == []
    assert [finding.kind for finding in check(replace(sick, splits=None), Progress())] == ["near_duplicates"]
    assert list(check(replace(sick, pixels=None), Progress())) == []


def test_where_all_pictures_look_alike_only_the_most_alike_are_compared_and_it_is_said(photos, monkeypatch):
    monkeypatch.setattr(near, "FEW", 150)
    monkeypatch.setattr(near, "CLOSER_LOOKS", 1)
    said = []
    progress = Progress()
    progress.say = said.append
    common = np.asarray(photo(5000), np.uint16)
    alike = [Image.fromarray(((common * 3 + np.asarray(picture)) // 4).astype(np.uint8)) for picture in photos[:100]]
    copies = [thumbnail(resized(0.7)(picture)) for picture in alike]
    groups = near_duplicates(np.stack([*map(thumbnail, alike), *copies]), progress)
    assert groups == [[i, i + 100] for i in range(100)]
    assert said == ["the pictures look much alike: of near-duplicates that are cropped, some may not be found"]


def test_how_long_very_many_pictures_take_is_said(photos, monkeypatch):
    monkeypatch.setattr(near, "MANY", 20)
    said = []
    progress = Progress()
    progress.say = said.append
    near_duplicates(np.stack([thumbnail(picture) for picture in photos[:20]]), progress)
    assert said == ["comparing 20 pictures with one another takes about 0.0 minutes"]
