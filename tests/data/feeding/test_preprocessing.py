from __future__ import annotations

import io
import os
import shutil
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from PIL import Image

from cnnkit.core.progress import Progress
from cnnkit.data.feeding import preprocessing
from cnnkit.data.feeding.preprocessing import Changed, Preprocessing
from cnnkit.data.files import decoding, file_facts
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.files.fitting import fit_to
from cnnkit.data.preparation.base import Preparation, Unprepared
from cnnkit.data.preparation.clahe import Clahe
from cnnkit.data.preparation.grayscale import Grayscale
from cnnkit.data.sources.folder import Folder


class Masked(Preparation):
    """Shows what a mask beside the image lets through."""

    name: Literal["masked"] = "masked"

    def beside(self, path: Path) -> Path:
        return path.with_suffix(".mask")

    def __call__(self, image):
        raise Unprepared("it has no file, so no mask")

    def of_file(self, image, path):
        return image * (np.asarray(Image.open(self.beside(path)))[:, :, None] > 0)


def index_of_folder(folder):
    return Folder(path=str(folder)).open(Progress()).index(Progress())


@pytest.fixture
def folder(tmp_path):
    """JPEGs and PNGs of many sizes, in two classes, as `index_of_folder` reads them."""
    chance = np.random.default_rng(0)
    root = tmp_path / "images"
    for i in range(8):
        place = root / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(chance.integers(0, 256, (5, 7, 3), dtype=np.uint8))
        coarse.resize((40 + 9 * i, 70 - 5 * i), Image.Resampling.BICUBIC).save(place / f"{i}.{('jpg', 'png')[i // 4]}")
    return root


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_shown_as_pillow_decodes_and_resizes_it(folder, fit, channels):
    index = index_of_folder(folder)
    shown = Preprocessing((10, 14, channels), fit)
    for i, name in enumerate(index.names):
        picture = Image.open(folder / name)
        picture.draft(None, (28, 28))
        expected = fit_to(decoding.as_pixels(picture, channels), (10, 14), fit)
        assert np.array_equal(shown.of_index(index, i), expected)
        assert np.array_equal(shown.of_file(folder / name), expected)
        assert np.array_equal(shown.of_content((folder / name).read_bytes(), None), expected)


def test_an_image_of_an_array_is_shown_as_one_of_a_file(folder, index_of):
    files = index_of_folder(folder)
    pixels = [np.asarray(Image.open(folder / name)) for name in files.names]
    arrays = index_of(pixels, [0] * len(pixels))
    shown = Preprocessing((12, 12, 3), "pad", (Clahe(),))
    for i, name in enumerate(files.names):
        if name.endswith(".png"):
            assert np.array_equal(shown.of_index(arrays, i), shown.of_index(files, i))


def test_steps_come_in_their_order_before_the_size(folder):
    file = folder / "a" / "4.png"
    pixels = np.asarray(Image.open(file))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    even = cv2.createCLAHE(3.0, (4, 4)).apply(grey)
    small = fit_to(np.repeat(even[:, :, None], 3, axis=2), (10, 10), "crop")
    prepared = Preprocessing((10, 10, 3), "crop", (Grayscale(), Clahe(clip_limit=3.0, tiles=4)))
    assert np.array_equal(prepared.of_file(file), small)
    names, results = zip(*prepared.steps(pixels, file), strict=True)
    assert names == ("grayscale", "clahe", "fit")
    assert [np.array_equal(a, b) for a, b in zip(results, (grey[:, :, None], even[:, :, None], small), strict=True)]


def test_steps_see_a_large_jpeg_in_full(tmp_path):
    seen = []

    class Watching(Preparation):
        name: Literal["watching"] = "watching"

        def __call__(self, image):
            seen.append(image.shape)
            return image

    stream = io.BytesIO()
    Image.new("RGB", (640, 480)).save(stream, "JPEG")
    Preprocessing((16, 16, 3), "crop", (Watching(),)).of_content(stream.getvalue(), None)
    assert seen == [(480, 640, 3)]


class Alone(Preparation):
    """Tells how many pictures it has been working on at the same time."""

    name: Literal["alone"] = "alone"

    def __call__(self, image):
        WORKING.append(1)
        time.sleep(0.01)
        MOST.append(len(WORKING))
        WORKING.pop()
        return image


WORKING: list[int] = []
MOST: list[int] = []


@pytest.mark.parametrize("large", [True, False])
def test_large_pictures_are_prepared_one_at_a_time(folder, index_of, monkeypatch, large):
    monkeypatch.setattr(decoding, "LARGE", 100 if large else 2**24)
    index = index_of_folder(folder)
    arrays = index_of([np.asarray(Image.open(folder / name)) for name in index.names], [0] * len(index))
    shown = Preprocessing((8, 8, 3), "crop", (Alone(),))
    for ways in (
        [lambda i=i: shown.of_index(index, i) for i in range(8)],
        [lambda i=i: shown.of_index(arrays, i) for i in range(8)],
        [lambda i=i: shown.of_file(folder / index.names[i]) for i in range(8)],
    ):
        MOST.clear()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda way: way(), ways))
        assert (max(MOST) == 1) == large


def test_steps_that_leave_other_channels_than_the_network_takes_are_refused():
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(Unprepared, match="leave 3 channels, not 1"):
        Preprocessing((4, 4, 1), "crop").of_pixels(picture, None)


# What decides what is shown, and the name that it is kept under


def test_the_key_of_an_image_is_its_content_wherever_it_lies(folder, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    (moved / "a" / "0.jpg").rename(moved / "a" / "z.jpg")
    keys = Preprocessing((8, 8, 3), "crop").keys(index_of_folder(folder))
    assert len(set(keys)) == len(keys)
    assert sorted(Preprocessing((8, 8, 3), "crop").keys(index_of_folder(moved))) == sorted(keys)


def test_whatever_changes_what_is_shown_changes_every_key(folder, monkeypatch):
    index = index_of_folder(folder)
    preprocessings = [
        Preprocessing((8, 8, 3), "crop"),
        Preprocessing((8, 9, 3), "crop"),
        Preprocessing((9, 8, 3), "crop"),
        Preprocessing((8, 8, 1), "crop"),
        Preprocessing((8, 8, 3), "pad"),
        Preprocessing((8, 8, 3), "stretch"),
        Preprocessing((8, 8, 3), "crop", (Grayscale(),)),
        Preprocessing((8, 8, 3), "crop", (Clahe(),)),
        Preprocessing((8, 8, 3), "crop", (Clahe(tiles=9),)),
        Preprocessing((8, 8, 3), "crop", (Clahe(), Grayscale())),
        Preprocessing((8, 8, 3), "crop", (Grayscale(), Clahe())),
    ]
    keys = [key for shown in preprocessings for key in shown.keys(index)]
    monkeypatch.setattr(preprocessing, "_VERSION", preprocessing._VERSION + 1)
    keys += preprocessings[0].keys(index)
    version = preprocessing.metadata.version
    for library in ("pillow", "opencv-python-headless", "numpy"):
        monkeypatch.setattr(
            preprocessing.metadata, "version", lambda name, other=library: "0" if name == other else version(name)
        )
        keys += preprocessings[0].keys(index)
    assert len(set(keys)) == len(keys) == len(index) * (len(preprocessings) + 4)


def test_a_mask_that_changed_changes_the_key_of_its_image_alone(folder):
    for file in folder.rglob("*.*"):
        with Image.open(file) as picture:
            Image.new("L", picture.size, 255).save(file.with_suffix(".mask"), "PNG")
    index = index_of_folder(folder)
    shown = Preprocessing((8, 8, 3), "crop", (Masked(),))
    before, unmasked = shown.keys(index), Preprocessing((8, 8, 3), "crop").keys(index)
    mask = (folder / index.names[5]).with_suffix(".mask")
    with Image.open(mask) as picture:
        Image.new("L", picture.size, 0).save(mask, "PNG")
    after = shown.keys(index)
    assert [one == other for one, other in zip(before, after, strict=True)] == [i != 5 for i in range(len(index))]
    assert Preprocessing((8, 8, 3), "crop").keys(index) == unmasked
    assert not shown.of_index(index, 5).any()
    mask.unlink()
    assert shown.keys(index)[5] not in (before[5], after[5])


# Files that change


def rewritten(file):
    """Another picture of the same form in a file, as long as the one before."""
    length = file.stat().st_size
    stream = io.BytesIO()
    with Image.open(file) as before:
        Image.new(before.mode, before.size, 77).save(stream, "JPEG", quality=30)
    assert len(stream.getvalue()) < length
    file.write_bytes(stream.getvalue().ljust(length, b"\0"))


def test_a_file_that_was_written_since_it_was_looked_at_has_changed(folder):
    index = index_of_folder(folder)
    rewritten(folder / index.names[0])
    with pytest.raises(Changed, match="has changed since it was looked at"):
        Preprocessing((8, 8, 3), "crop").of_index(index, 0)
    Preprocessing((8, 8, 3), "crop").of_index(index, 1)


def test_a_file_that_is_gone_says_so(folder):
    index = index_of_folder(folder)
    (folder / index.names[0]).unlink()
    with pytest.raises(BadImage, match="can't be read: No such file"):
        Preprocessing((8, 8, 3), "crop").of_index(index, 0)


def test_a_second_change_within_a_tick_of_the_clock_is_seen_by_the_content(folder, monkeypatch):
    """Where a file system keeps whole seconds, the times of a file that is written twice in one are the same."""
    stamps = file_facts.stamp_of
    monkeypatch.setattr(file_facts, "stamp_of", lambda path: stamps(path) and struct.pack("<3Q", 1, 2**62, 2**62))
    index = index_of_folder(folder)
    shown = Preprocessing((8, 8, 3), "crop")
    before = [shown.of_index(index, i) for i in range(len(index))]
    assert all(image.any() for image in before)
    rewritten(folder / index.names[0])
    assert not index.changed(0)
    with pytest.raises(Changed):
        shown.of_index(index, 0)


def test_files_that_have_long_been_there_are_hashed_only_once(folder, monkeypatch):
    for file in folder.rglob("*.*"):
        os.utime(file, (1, 1))
    stamps = file_facts.stamp_of
    monkeypatch.setattr(file_facts, "stamp_of", lambda path: stamps(path)[:16] + bytes(8))
    index = index_of_folder(folder)
    monkeypatch.setattr(file_facts, "facts_of", None)
    for i in range(len(index)):
        Preprocessing((8, 8, 3), "crop").of_index(index, i)
