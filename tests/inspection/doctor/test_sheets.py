from __future__ import annotations

import errno
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cnnkit.core import sheet
from cnnkit.core.cache import cache_folder
from cnnkit.core.progress import Progress
from cnnkit.data.files import decoding
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.index import Index
from cnnkit.inspection.doctor import sheets


def made_index(counts, bad=()):
    """From a class to the number of its images, each of one colour."""
    classes = tuple(counts)
    labels = [label for label, count in enumerate(counts.values()) for _ in range(count)]

    def open_image(i):
        if i in bad:
            raise BadImage("cut short")
        return Image.new("RGB", (40, 20), (0, 0, 10 + i % 200))

    return Index(
        classes=classes,
        names=[f"{classes[label]}/{i}.png" for i, label in enumerate(labels)],
        labels=np.asarray(labels, dtype=np.int64),
        digests=[f"{i * 7919 % 1000:04}" for i in range(len(labels))],
        splits=[None] * len(labels),
        open=open_image,
    )


def colours(path):
    with Image.open(path) as image:
        return {colour for _, colour in image.convert("RGB").getcolors(100_000)}


def test_each_class_has_a_sheet_with_at_most_24_of_its_pictures(tmp_path):
    index = made_index({"daisy": 3, "rose": 60, "empty": 0})
    daisy, rose = sheets.draw(index, tmp_path / "sheets", Progress())
    assert [daisy.name, rose.name] == ["1-daisy.png", "2-rose.png"]
    assert {(0, 0, 10), (0, 0, 11), (0, 0, 12)} <= colours(daisy)
    assert len({colour for colour in colours(rose) if colour[:2] == (0, 0) and 10 < colour[2] < 250}) == 24


def test_a_bad_image_is_a_crossed_out_tile(tmp_path):
    good, bad = (
        sheets.draw(made_index({"a": 1}, bad), tmp_path / str(len(bad)), Progress())[0] for bad in ((), {0: "cut"})
    )
    assert (255, 0, 0) not in colours(good)
    assert (255, 0, 0) in colours(bad)


def test_the_same_data_in_another_order_gives_the_same_sheet(tmp_path):
    index = made_index({"a": 40})
    turned = index.take(reversed(range(40)))
    (one,), (other,) = sheets.draw(index, tmp_path / "1", Progress()), sheets.draw(turned, tmp_path / "2", Progress())
    assert one.read_bytes() == other.read_bytes()


def test_names_that_files_can_not_have_are_made_safe(tmp_path):
    classes = ["CON", "con", "..", "a/b", "a\\b:c*?", "größe grün", "日本", "x" * 300, "nul\udcff"]
    folder = tmp_path / "sheets"
    made = sheets.draw(made_index(dict.fromkeys(classes, 1)), folder, Progress())
    assert [path.name for path in made][:6] == [
        "1-CON.png", "2-con.png", "3-.png", "4-a_b.png", "5-a_b_c.png", "6-größe_grün.png",
    ]  # fmt: skip
    assert all(path.parent == folder and path.is_file() for path in made)
    assert len({path.name.lower() for path in made}) == len(classes)


def test_umlauts_have_a_shape_of_their_own():
    font = sheet.font(16)
    shapes = {bytes(font.getmask(letter)) for letter in "äöüÄÖÜßéñłЖΩ"}
    unknown = bytes(font.getmask("\ue123"))
    assert len(shapes) == 12
    assert unknown not in shapes


def kept(index, progress=None):
    return sheets.in_cache(index, index.fingerprint(), progress or Progress())


def test_sheets_in_the_cache_are_kept_and_drawn_anew_where_one_is_gone_or_shows_something_else(monkeypatch):
    index = made_index({"a": 2, "b": 2})
    first = kept(index)
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "decode", None)  # not needed
        assert kept(index) == first
    first[0].unlink()
    assert kept(index) == first
    assert colours(first[0])
    other = kept(made_index({"a": 2, "b": 3}))
    assert not {*first} & {*other}
    assert {*kept(made_index({"a": 2, "b": 2, "empty": 0}))}.isdisjoint(first)


def test_sheets_that_another_process_has_drawn_meanwhile_are_taken(monkeypatch):
    index = made_index({"a": 2, "b": 2})
    said = []
    progress = Progress()
    progress.say = said.append
    draw = sheets.draw

    def second(*words):
        draw(*words)  # the other one is quicker
        return draw(*words)

    monkeypatch.setattr(sheets, "draw", second)
    assert all(path.is_file() for path in kept(index, progress))
    assert said == []


@pytest.mark.parametrize("name", ["a\nb", "a\x85b", "\t", "\u2028", "a\udcffb", "\0"])
def test_no_name_is_beyond_drawing(tmp_path, name):
    index = replace(made_index({f"class {name}": 1, "b": 1}), names=[f"{name}/1.png", f"2{name}.png"])
    assert all(path.is_file() for path in sheets.draw(index, tmp_path / "sheets", Progress()))


def test_of_very_many_classes_the_largest_and_the_smallest_are_drawn(tmp_path):
    said = []
    progress = Progress()
    progress.say = said.append
    index = made_index({f"c{i:03}": 1 if i < 60 else 2 if i < 70 else 3 for i in range(130)})
    made = sheets.draw(index, tmp_path / "sheets", progress)
    assert len(made) == 100
    assert [path.name for path in made[:2]] == ["001-c000.png", "002-c001.png"]
    assert said == ["contact sheets of 100 of 130 classes: the largest and the smallest"]


def test_a_cache_that_is_full_is_said_and_leaves_nothing(monkeypatch):
    def full(*words):
        raise OSError(errno.ENOSPC, "No space left on device")

    said = []
    progress = Progress()
    progress.say = said.append
    monkeypatch.setattr(sheets, "_sheet", full)
    assert kept(made_index({"a": 1}), progress) == []
    (line,) = said
    assert line.startswith(f"no contact sheets: {cache_folder()}")
    assert line.endswith(" can't be written: No space left on device; choose a folder with --sheets")
    assert list((cache_folder() / "doctor" / "sheets").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [("short.jpg", 20, "short.jpg"), ("a_very_long_name.jpg", 9, "a_ve….jpg"), ("ab", 1, "…")],
)
def test_names_are_shortened_in_the_middle(text, width, short):
    assert sheet.shortened(text, width, len) == short
