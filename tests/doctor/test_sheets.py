from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cnnkit import decoding
from cnnkit.decoding import BadImage
from cnnkit.doctor import sheets
from cnnkit.errors import DataError
from cnnkit.progress import Progress
from cnnkit.sources import Index


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
    daisy, rose = sheets.draw(index, tmp_path / "new" / "sheets", Progress())
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
    made = sheets.draw(made_index(dict.fromkeys(classes, 1)), tmp_path, Progress())
    assert [path.name for path in made][:6] == [
        "1-CON.png", "2-con.png", "3-.png", "4-a_b.png", "5-a_b_c.png", "6-größe_grün.png",
    ]  # fmt: skip
    assert all(path.parent == tmp_path and path.is_file() for path in made)
    assert len({path.name.lower() for path in made}) == len(classes)


def test_umlauts_have_a_shape_of_their_own():
    font = sheets._font(16)
    shapes = {bytes(font.getmask(letter)) for letter in "äöüÄÖÜßéñłЖΩ"}
    unknown = bytes(font.getmask("\ue123"))
    assert len(shapes) == 12
    assert unknown not in shapes


def test_a_sheet_that_is_there_is_kept_and_one_that_changed_drawn_anew(tmp_path, monkeypatch):
    index = made_index({"a": 2, "b": 2})
    first = sheets.draw(index, tmp_path, Progress())
    times = [path.stat().st_mtime_ns for path in first]
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "fitted", None)  # not needed
        assert sheets.draw(index, tmp_path, Progress()) == first
    assert [path.stat().st_mtime_ns for path in first] == times
    sheets.draw(made_index({"a": 2, "b": 3}), tmp_path, Progress())
    assert [path.stat().st_mtime_ns == time for path, time in zip(first, times, strict=True)] == [True, False]
    first[0].write_bytes(first[0].read_bytes()[:-60])
    sheets.draw(made_index({"a": 2, "b": 3}), tmp_path, Progress())
    assert colours(first[0])


def test_of_very_many_classes_the_largest_and_the_smallest_are_drawn(tmp_path):
    said = []
    progress = Progress()
    progress.say = said.append
    index = made_index({f"c{i:03}": 1 if i < 60 else 2 if i < 70 else 3 for i in range(130)})
    made = sheets.draw(index, tmp_path, progress)
    assert len(made) == 100
    assert [path.name for path in made[:2]] == ["001-c000.png", "002-c001.png"]
    assert said == ["contact sheets of 100 of 130 classes: the largest and the smallest"]


def test_a_folder_that_can_not_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"file.* can't be written: "):
        sheets.draw(made_index({"a": 1}), tmp_path / "file" / "sheets", Progress())


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [("short.jpg", 20, "short.jpg"), ("a_very_long_name.jpg", 9, "a_ve….jpg"), ("ab", 1, "…")],
)
def test_names_are_shortened_in_the_middle(text, width, short):
    assert sheets._shortened(text, width, len) == short
