from __future__ import annotations

import functools
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

from cnnkit.core.disjoint_sets import joined
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.index import Index
from cnnkit.data.likeness import confirming
from cnnkit.data.likeness import near_duplicates as search
from cnnkit.data.likeness.near_duplicates import near_duplicates
from cnnkit.data.likeness.pixels import Pixels
from cnnkit.inspection.doctor import near
from cnnkit.inspection.doctor.base import Patient

COUNT = 60


def photo(number, side=128):
    """A photo-like picture: a sum of smooth random fields, each coarser one twice as strong."""
    rng = np.random.default_rng(number)
    total = np.zeros((side, side))
    for cells in (2, 4, 8, 16, 32):
        field = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
        total += np.asarray(field.resize((side, side), Image.Resampling.BICUBIC)) / cells
    total = (total - total.mean()) / total.std()
    return Image.fromarray(np.clip(115 + 45 * total, 0, 255).astype(np.uint8))


def on_paper(picture):
    if picture.mode == "RGBA":
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture


def thumbnail(picture):
    return np.asarray(on_paper(picture).convert("L").resize((32, 32), Image.Resampling.BILINEAR))


def index_of_pictures(pictures):
    return Index(
        classes=("a",),
        names=[f"a/{i:04d}" for i in range(len(pictures))],
        labels=np.zeros(len(pictures), np.int64),
        digests=[f"{i}" for i in range(len(pictures))],
        splits=[None] * len(pictures),
        open=lambda i: pictures[i].copy(),
    )


def groups_among(pictures, progress=None):
    shown = np.stack([thumbnail(picture) for picture in pictures]) if pictures else np.zeros((0, 32, 32), np.uint8)
    found = near_duplicates(index_of_pictures(pictures), shown, progress or Progress())
    return sorted(sorted(group) for group in found.groups)


def findings_of(pictures):
    """What is said of pictures that random splits put into training and test by turns."""
    shown = np.stack([thumbnail(picture) for picture in pictures])
    nothing = np.zeros((len(pictures), 3))
    splits = ["train" if i % 2 else "test" for i in range(len(pictures))]
    return list(
        check(Patient(index_of_pictures(pictures), splits, pixels=Pixels({}, shown, nothing, nothing)), Progress())
    )


@pytest.fixture(scope="module")
def photos():
    return [photo(i) for i in range(100)]


def resized(share):
    return lambda picture: picture.resize(
        (round(picture.width * share), round(picture.height * share)), Image.Resampling.BICUBIC
    )


def recompressed(picture):
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=60)
    return Image.open(content)


def cropped(picture):
    right, down = round(0.03 * picture.width), round(0.03 * picture.height)
    return picture.crop((right, down, picture.width - right, picture.height - down))


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
    photos, copies = photos[:COUNT], []
    for picture in photos:
        for step in CHANGES[change]:
            picture = step(picture)
        copies.append(picture)
    groups = groups_among([*photos, *copies])
    true = [[i, i + COUNT] for i in range(COUNT)]
    assert all(group in true for group in groups)
    assert len(groups) >= 0.95 * COUNT


def test_different_pictures_are_no_near_duplicates():
    rng = np.random.default_rng(0)
    assert groups_among([photo(1000 + i, 32) for i in range(1000)]) == []  # half a million pairs
    assert groups_among([Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)) for _ in range(500)]) == []


def test_pictures_without_structure_match_nothing():
    rng = np.random.default_rng(0)
    plain = [np.full((32, 32), value, np.uint8) for value in range(0, 256, 8)]
    nearly = [np.clip(128 + rng.normal(0, 1.5, (32, 32)), 0, 255).astype(np.uint8) for _ in range(30)]
    slope = [np.linspace(low, low + 100, 32)[:, None].repeat(32, 1).astype(np.uint8) for low in range(0, 150, 7)]
    assert groups_among([Image.fromarray(pixels) for pixels in plain + nearly + slope + plain]) == []


def test_the_same_outline_with_something_else_inside_is_another_picture(photos):
    """As of scans of two people."""
    down, right = np.mgrid[-1:1:128j, -1:1:128j]
    outline = (down**2 + right**2 < 0.8**2).astype(np.uint8)
    inside = [Image.fromarray(outline * (np.asarray(picture) // 2 + 90)) for picture in photos]
    assert groups_among(inside) == []


def test_equal_pixels_in_different_files_are_in_one_group(photos):
    one, other = photos[:2]
    assert groups_among([one, other, one, one]) == [[0, 2, 3]]


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_have_no_near_duplicates(photos, count):
    assert groups_among(photos[:count]) == []


def test_the_order_of_the_pictures_does_not_matter(photos):
    pictures = [*photos[:40], *map(cropped, photos[:40])]
    groups = groups_among(pictures)
    order = np.random.default_rng(0).permutation(len(pictures))
    shuffled = groups_among([pictures[i] for i in order])
    assert sorted(sorted(int(order[i]) for i in group) for group in shuffled) == groups


def test_the_first_of_a_group_is_the_one_that_all_others_are_the_same_as(photos, monkeypatch):
    """Each is the same as its neighbours in a row, so that all together would be a chain."""
    row = [photos[0].crop((k, 0, k + 110, 128)) for k in range(0, 18, 3)]
    found = near_duplicates(index_of_pictures(row), np.stack([thumbnail(picture) for picture in row]), Progress())
    for first, *others in found.groups:
        for other in others:
            assert groups_among([row[first], row[other]]) == [[0, 1]]
    assert groups_among([row[0], row[-1]]) == []
    assert max(map(len, found.groups)) < len(row)


FONT = ImageFont.load_default(20)


@functools.cache
def form(number):
    """An invoice on a form that is always the same, with other numbers."""
    rng = np.random.default_rng(number)
    page = Image.new("RGB", (620, 800), (250, 250, 250))
    draw = ImageDraw.Draw(page)
    draw.text((60, 50), "INVOICE", font=FONT, fill="black")
    for line in range(12):
        draw.line((60, 160 + 50 * line, 560, 160 + 50 * line), fill=(90, 90, 90), width=2)
        draw.text((70, 172 + 50 * line), f"item {line}", font=FONT, fill="black")
    for line in (2, 5, 9):
        draw.text((440, 172 + 50 * line), f"{rng.integers(10_000, 99_999)}", font=FONT, fill="black")
    return page


@functools.cache
def screenshot(number):
    """A program's window that is always the same, with two lines of other words."""
    rng = np.random.default_rng(number)
    screen = Image.new("RGB", (1280, 800), (245, 245, 248))
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, 1280, 50), fill=(40, 60, 110))
    draw.rectangle((0, 50, 220, 800), fill=(200, 205, 215))
    for line in range(16):
        draw.text((20, 80 + 40 * line), f"Menu {line}", font=FONT, fill=(50, 50, 50))
        draw.text((260, 80 + 40 * line), "the same words in every line " * 3, font=FONT, fill=(30, 30, 30))
    for line in range(2):
        words = "".join(map(chr, rng.integers(97, 123, 60)))
        draw.rectangle((250, 720 + 35 * line, 1270, 750 + 35 * line), fill="white")
        draw.text((260, 722 + 35 * line), words, font=FONT, fill=(30, 30, 30))
    return screen


def icon(number):
    """One shape on nothing, in other colours, places and sizes."""
    rng = np.random.default_rng(number)
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    x, y, half = rng.integers(26, 38), rng.integers(26, 38), rng.integers(14, 20)
    colour = (*rng.choice([0, 70, 140, 210], 3).tolist(), 255)
    ImageDraw.Draw(picture).ellipse((x - half, y - half, x + half, y + half), fill=colour)
    return picture


def digit(number):
    return Image.fromarray((load_digits().images[number] * 15).astype(np.uint8))


def distinct(kind, count):
    """So many pictures of a kind, no two with the same content."""
    made = {}
    for number in range(10 * count):
        picture = kind(number)
        made.setdefault(picture.tobytes(), picture)
        if len(made) == count:
            break
    return list(made.values())


@pytest.mark.parametrize("kind", [form, screenshot, icon])
def test_pictures_that_differ_in_a_small_place_or_in_colour_are_no_near_duplicates(kind):
    assert findings_of(distinct(kind, 6)) == []


# A screenshot that was brightened or cropped may go unnoticed among others: what they share outweighs their text.
@pytest.mark.parametrize(
    ("kind", "step"),
    [
        (form, resized(0.7)),
        (form, recompressed),
        (form, cropped),
        (form, brightened),
        (screenshot, resized(0.7)),
        (screenshot, recompressed),
    ],
)
def test_copies_of_forms_and_screenshots_are_found_beside_others(kind, step):
    pictures = [kind(i) for i in range(4)]
    assert groups_among([*pictures, step(pictures[2])]) == [[2, 4]]


def test_pictures_smaller_than_their_thumbnails_are_not_compared():
    digits = [digit(i) for i in range(200)]
    assert findings_of([*digits, digits[3].resize((9, 9))]) == []


def test_a_series_that_the_split_tears_is_a_warning_that_offers_to_keep_it_together():
    rng = np.random.default_rng(0)
    scene = np.asarray(photo(0, 96), np.float64)
    series = [
        Image.fromarray(np.clip(scene + rng.normal(0, 3, scene.shape), 0, 255).astype(np.uint8)) for _ in range(20)
    ]
    (finding,) = findings_of(series)
    assert (finding.kind, finding.severity, len(finding.leave_out)) == ("near_leak", "warning", 19)
    assert "10 of 10 test images have a sibling in training" in finding.message
    assert "`data.split: {keep_together: near}`" in finding.advice


def test_parts_before_a_camera_that_does_not_move_are_at_most_a_note():
    def part(number):
        rng = np.random.default_rng(number)
        belt = photo(0, 160).convert("RGB")
        draw = ImageDraw.Draw(belt)
        x, y = rng.integers(70, 90, 2)
        draw.ellipse((x - 30, y - 30, x + 30, y + 30), fill=(180, 180, 185))
        if number % 2:
            end = rng.uniform(0, 6.3)
            draw.line((x, y, x + 25 * np.cos(end), y + 25 * np.sin(end)), fill=(40, 40, 40), width=3)
        return belt

    findings = findings_of([part(i) for i in range(30)])
    assert [finding.severity for finding in findings] in ([], ["note"])
    # Two shots of the same part are a copy; most shots must stay.
    assert sum(len(finding.leave_out) for finding in findings) < 15


def check(patient, progress, kept=False):
    return near.check(patient, kept, progress)


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
        open=lambda i: pictures[i].copy(),
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
    assert finding.leave_out == ("a/2",), "another seed would tear the two apart"
    assert "another data.split.seed" in finding.advice
    assert finding.message == "1 group of near-duplicates lies within a class and split"


def test_within_a_split_of_the_source_nothing_needs_to_be_done(photos):
    entries = [("a/1", 1, None, "train"), ("a/2", 1, cropped, "train"), ("b/3", 2, None, "train")]
    (finding,) = check(patient(entries, photos, given=True), Progress())
    assert (finding.kind, finding.severity, finding.leave_out) == ("near_duplicates", "note", ())


def test_across_classes_it_is_a_warning_for_a_person_to_look_at(photos):
    entries = [("a/1", 1, None, "train"), ("b/1", 1, recompressed, "train"), ("b/3", 2, None, "train")]
    (finding,) = check(patient(entries, photos), Progress())
    assert (finding.kind, finding.severity) == ("near_contradicting", "warning")
    assert finding.leave_out == ("a/1", "b/1"), "which of the classes is right is not known"
    assert finding.groups == (("a/1", "b/1"),)


SPLIT = [
    ("a/1", 1, None, "train"),
    ("a/2", 1, cropped, "test"),
    ("a/3", 1, recompressed, "test"),
    ("a/4", 2, None, "train"),
    ("a/5", 2, brightened, "validation"),
    ("b/6", 3, None, "validation"),
]


def test_across_splits_of_the_source_the_copies_in_training_go(photos):
    (finding,) = check(patient(SPLIT, photos, given=True), Progress())
    assert (finding.kind, finding.severity) == ("near_leak", "warning")
    assert finding.groups == (("a/1", "a/2", "a/3"), ("a/4", "a/5"))
    assert finding.leave_out == ("a/1", "a/4")


def test_across_drawn_splits_it_is_a_warning_and_one_copy_stays(photos):
    """Without some pictures the split is drawn anew, and might tear what is left."""
    (finding,) = check(patient(SPLIT, photos), Progress())
    assert (finding.kind, finding.severity) == ("near_leak", "warning")
    assert finding.leave_out == ("a/2", "a/3", "a/5")


def test_across_classes_and_splits_it_is_both(photos):
    entries = [("a/1", 1, None, "train"), ("b/1", 1, cropped, "test")]
    findings = list(check(patient(entries, photos), Progress()))
    assert [finding.kind for finding in findings] == ["near_leak", "near_contradicting"]
    assert [finding.leave_out for finding in findings] == [("a/1", "b/1")] * 2


@pytest.mark.parametrize("given", [False, True])
def test_what_is_left_after_the_list_has_nothing_of_the_same_finding(photos, given):
    entries = [
        (f"{of}/{number}{k}", number, change, split)
        for number, of, k, change, split in [
            (1, "a", 0, None, "train"),
            (1, "a", 1, cropped, "test"),
            (1, "b", 2, recompressed, "test"),
            (2, "a", 0, None, "train"),
            (2, "b", 1, brightened, "validation"),
            (3, "b", 0, None, "validation"),
            (3, "b", 1, cropped, "test"),
            (4, "a", 0, None, "train"),
            (4, "a", 1, recompressed, "train"),
            (5, "a", 0, None, "test"),
        ]
    ]
    findings = list(check(patient(entries, photos, given), Progress()))
    assert {"near_leak", "near_contradicting"} <= {finding.kind for finding in findings}
    gone = {name for finding in findings for name in finding.leave_out}
    rest = [entry for entry in entries if entry[0] not in gone]
    left = [finding.kind for finding in check(patient(rest, photos, given), Progress())]
    assert left == (["near_duplicates"] if given else [])
    assert {entry[1] for entry in rest} >= {1, 3, 4, 5}


def test_where_the_split_keeps_them_together_nothing_needs_to_be_left_out(photos):
    entries = [("a/1", 1, None, "train"), ("a/2", 1, cropped, "train"), ("b/3", 2, None, "train")]
    (finding,) = check(patient(entries, photos), Progress(), kept=True)
    assert (finding.kind, finding.leave_out) == ("near_duplicates", ())


def test_the_frames_of_a_film_belong_together_though_the_first_is_not_the_last(photos):
    film = [photos[0].crop((k, 0, k + 110, 128)) for k in range(0, 18, 3)]
    shown = np.stack([thumbnail(picture) for picture in film])
    found = near_duplicates(index_of_pictures(film), shown, Progress())
    assert len(set(joined(len(film), [*found.groups, *found.links]))) == 1


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


def test_where_all_pictures_look_alike_only_the_most_alike_are_compared_and_it_is_a_note(photos, monkeypatch):
    monkeypatch.setattr(search, "FEW", 150)
    monkeypatch.setattr(search, "CLOSER_LOOKS", 1)
    common = np.asarray(photo(5000), np.uint16)
    alike = [Image.fromarray(((common * 3 + np.asarray(picture)) // 4).astype(np.uint8)) for picture in photos[:100]]
    pictures = [*alike, *map(resized(0.7), alike)]
    assert groups_among(pictures) == [[i, i + 100] for i in range(100)]
    findings = {finding.kind: finding for finding in findings_of(pictures)}
    assert findings["look_alike"].severity == "note"
    assert findings["look_alike"].message.startswith("the pictures look much alike: only the most alike were compared")


def test_more_pairs_in_vain_than_may_be_are_a_note(monkeypatch):
    monkeypatch.setattr(confirming, "IN_VAIN", 0)
    assert [finding.kind for finding in findings_of(distinct(form, 12))] == ["look_alike"]


def test_a_file_that_is_gone_meanwhile_is_named(photos):
    pictures = index_of_pictures([photos[0], cropped(photos[0])])

    def gone(i):
        raise BadImage("can't be read: No such file or directory")

    shown = np.stack([thumbnail(photos[0])] * 2)
    with pytest.raises(DataError, match="a/0000: can't be read: No such file"):
        near_duplicates(replace(pictures, open=gone), shown, Progress())


def test_how_long_very_many_pictures_take_is_said(photos, monkeypatch):
    monkeypatch.setattr(search, "MANY", 20)
    said = []
    progress = Progress()
    progress.say = said.append
    groups_among(photos[:20], progress)
    assert said == ["comparing 20 pictures with one another takes about 0.0 minutes"]
