from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from PIL import Image

from cnnkit.core.cache import cache_folder
from cnnkit.core.progress import Progress
from cnnkit.data.files import decoding
from cnnkit.data.likeness import pixels
from cnnkit.data.sources import Digits, Folder
from tests.conftest import random_picture


def index_of_folder(root):
    return Folder(path=str(root)).open(Progress()).index(Progress())


def look(root, progress=None):
    return pixels.look(index_of_folder(root), str(root), progress or Progress())


@pytest.fixture
def decodes(monkeypatch):
    """How many images are decoded."""
    seen = []
    decoded = decoding.decode
    lock = threading.Lock()

    def told(*args):
        with lock:
            seen.append(1)
        return decoded(*args)

    monkeypatch.setattr(decoding, "decode", told)
    return seen


def memory():
    return next((cache_folder() / "doctor" / "pixels").iterdir())


def triangles(side):
    """The matrix that takes a mean over two areas of the thumbnail, weighted by the distance from the middle."""
    middles = (np.arange(32) + 0.5) * side / 32
    away = np.abs(np.arange(side) + 0.5 - middles[:, None]) / (side / 32)
    weights = np.maximum(0, 1 - away)
    return weights / weights.sum(1, keepdims=True)


def test_means_and_squares_are_those_of_all_pixels_and_the_thumbnail_is_a_mean_over_areas(image_folder):
    root = image_folder({"a": 1, "b": 1})
    picture = random_picture(5, (64, 96))
    picture.save(root / "a/0.png")
    found = look(root)
    image = np.asarray(picture, np.float64)
    np.testing.assert_allclose(found.means[0], image.mean((0, 1)))
    np.testing.assert_allclose(found.squares[0], (image**2).mean((0, 1)))
    grey = image @ [0.299, 0.587, 0.114]  # ITU-R 601, as Pillow documents its mode L
    wanted = triangles(64) @ grey @ triangles(96).T
    assert np.abs(found.thumbnails[0] - wanted).max() < 1.5  # it rounds three times
    assert found.bad == {}


def test_grey_counts_as_three_equal_channels(image_folder):
    root = image_folder({"a": 1, "b": 1})
    Image.new("L", (9, 9), 100).save(root / "a/0.png")
    found = look(root)
    assert found.means[0].tolist() == [100.0] * 3
    assert found.squares[0].tolist() == [10000.0] * 3
    assert (found.thumbnails[0] == 100).all()


def test_a_picture_is_measured_upright(image_folder):
    root = image_folder({"a": 1, "b": 1})
    half = np.zeros((40, 40), np.uint8)
    half[:, 20:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the right side of what is stored is the bottom
    Image.fromarray(half).save(root / "a/0.jpg", exif=exif, quality=95)
    index = index_of_folder(root)
    found = pixels.look(index, str(root), Progress())
    thumbnail = found.thumbnails[list(index.names).index("a/0.jpg")]
    assert thumbnail[0].max() < 20
    assert thumbnail[-1].min() > 235


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_file_is_bad_for_the_reason_that_training_gives(image_folder, share):
    root = image_folder({"a": 1, "b": 1})
    content = io.BytesIO()
    random_picture(1, (600, 700)).save(content, "JPEG")
    cut = content.getvalue()[: int(share * len(content.getvalue()))]
    (root / "a/0.png").unlink()
    (root / "a/1.jpg").write_bytes(cut)
    with pytest.raises(decoding.BadImage) as error:
        decoding.pixels(cut, 3)
    found = look(root)
    assert found.bad == {0: str(error.value)}
    assert np.isnan(found.means[0]).all()
    assert not np.isnan(found.means[1]).any()


def test_what_was_decoded_once_is_not_decoded_again_and_a_changed_file_alone_is(image_folder, decodes):
    root = image_folder({"a": 3, "b": 3})
    first = look(root)
    assert len(decodes) == 6
    second = look(root)
    assert len(decodes) == 6
    for name in ("thumbnails", "means", "squares"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    random_picture(99).save(root / "b/1.png")
    third = look(root)
    assert len(decodes) == 7
    assert (third.thumbnails[4] != first.thumbnails[4]).any()
    np.testing.assert_array_equal(np.delete(third.thumbnails, 4, 0), np.delete(first.thumbnails, 4, 0))


def test_equal_files_are_decoded_once(image_folder, decodes):
    root = image_folder({"a": 1, "b": 1})
    (root / "b/0.png").write_bytes((root / "a/0.png").read_bytes())
    found = look(root)
    assert len(decodes) == 1
    np.testing.assert_array_equal(found.means[0], found.means[1])


def test_a_bad_file_is_tried_again(image_folder, decodes):
    root = image_folder({"a": 1, "b": 1})
    content = (root / "a/0.png").read_bytes()
    Image.open(io.BytesIO(content)).save(root / "a/0.jpg")
    (root / "a/0.jpg").write_bytes((root / "a/0.jpg").read_bytes()[:-40])
    for _ in range(2):
        decodes.clear()
        found = look(root)
        assert list(found.bad) == [0]
    assert len(decodes) == 1


@pytest.mark.parametrize("damage", ["empty", "cut", "a byte changed", "a zip"])
def test_a_damaged_memory_is_made_anew(image_folder, decodes, damage):
    root = image_folder({"a": 2, "b": 1})
    first = look(root)
    content = bytearray(memory().read_bytes())
    content[500] ^= 1
    damaged = {"empty": b"", "cut": content[: len(content) // 2], "a byte changed": content, "a zip": b"PK\x03\x04"}
    memory().write_bytes(damaged[damage])
    np.testing.assert_array_equal(look(root).thumbnails, first.thumbnails)
    assert len(decodes) == 6
    look(root)
    assert len(decodes) == 6


def test_images_that_were_not_asked_for_stay_remembered_up_to_a_bound(image_folder, decodes, monkeypatch):
    root = image_folder({"a": 4, "b": 4})
    look(root)
    index = index_of_folder(root)
    random_picture(99).save(root / "a/0.png")
    few = index_of_folder(root).take([0, 1])
    pixels.look(few, str(root), Progress())
    assert len(decodes) == 9
    pixels.look(index.take(range(1, 8)), str(root), Progress())
    assert len(decodes) == 9
    monkeypatch.setattr(pixels, "OTHERS", 0)
    random_picture(98).save(root / "a/0.png")
    pixels.look(index_of_folder(root).take([0, 1]), str(root), Progress())
    assert len(decodes) == 10
    look(root)
    assert len(decodes) == 16


def test_the_memory_is_the_sources_whichever_of_its_images_are_asked_for():
    homes = {pixels.home_of(Folder(path="/x", **options)) for options in ({}, {"glob": "*"}, {"on_bad": "skip"})}
    assert len(homes) == 1
    assert pixels.home_of(Folder(path="/y")) not in homes
    assert pixels.home_of(Digits()) not in homes


def test_a_file_that_changes_before_it_is_decoded_is_not_remembered(image_folder, decodes):
    root = image_folder({"a": 1, "b": 1})
    before = (root / "a/0.png").read_bytes()
    index = index_of_folder(root)
    Image.new("RGB", (9, 9), "white").save(root / "a/0.png")
    assert not pixels.look(index, str(root), Progress()).lasting
    (root / "a/0.png").write_bytes(before)
    seen = look(root)
    assert seen.lasting
    assert seen.thumbnails[0].min() < 255
    assert len(decodes) == 3


def test_a_file_that_can_not_be_read_for_now_is_no_lasting_result(image_folder, monkeypatch):
    root = image_folder({"a": 1, "b": 1})
    index = index_of_folder(root)

    def fails(path):
        raise decoding.Unreadable("can't be read: Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(decoding, "read_bytes", fails)
        found = pixels.look(index, str(root), Progress())
    assert (len(found.bad), found.lasting) == (2, False)
    assert (look(root).bad, look(root).lasting) == ({}, True)


def test_a_memory_that_can_not_be_written_is_said(image_folder):
    said = []
    progress = Progress()
    progress.say = said.append
    root = image_folder({"a": 1, "b": 1})
    index = index_of_folder(root)
    (cache_folder() / "doctor").write_text("in the way")
    assert pixels.look(index, str(root), progress).thumbnails.any()
    (line,) = said
    assert line.startswith("the images are decoded again next time: ")


def test_images_that_are_no_files_are_measured_too(index_of):
    index = index_of(np.stack([np.full((8, 8), 10 * i, np.uint8) for i in range(4)]), [0, 1, 0, 1])
    found = pixels.look(index, "made here", Progress())
    assert found.means[:, 0].tolist() == [0, 10, 20, 30]
