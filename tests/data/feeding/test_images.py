from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError, TrainingError
from cnnkit.core.progress import Progress
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.augmentations.flip import Flip
from cnnkit.data.balancing.base import training_of
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding import loading
from cnnkit.data.feeding.images import Features, Images, allocated, as_tensor, with_synthetic
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.files.decoding import as_pixels
from cnnkit.data.files.fitting import fit_to
from cnnkit.data.preparation.base import Preparation, Unprepared
from cnnkit.data.preparation.grayscale import Grayscale
from cnnkit.data.section import Cache
from cnnkit.data.sources.folder import Folder

SHAPE = (12, 10, 3)
COUNT = 10
CACHES = {
    "memory": Cache(memory_gib=1, disk_gib=0),
    "disk": Cache(memory_gib=0, disk_gib=1),
    "off": Cache(memory_gib=0, disk_gib=0),
}
KEEPING = ("memory", "disk")

every_cache = pytest.mark.parametrize("cache", CACHES)


class Told(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def picture(number):
    coarse = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((20 + number, 24), Image.Resampling.BICUBIC)


def jpeg(image):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for i in range(COUNT):
        file = root / "ab"[i % 2] / f"{i}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(picture(i)))
    return root


def index_of_folder(folder):
    return Folder(path=str(folder)).open(Progress()).index(Progress())


def loaded(folder, cache, preprocessing=None, progress=None, skip_bad=False):
    """As a new run loads them."""
    preprocessing = preprocessing or Preprocessing(SHAPE, "crop")
    return load(index_of_folder(folder), preprocessing, CACHES[cache], progress or Progress(), skip_bad)


def pixels_of(images):
    return images.rows(range(len(images.index)))


def decoded(folder, names):
    """What Pillow makes of the files now."""

    def seen(name):
        picture = Image.open(folder / name)
        picture.draft(None, (2 * max(SHAPE[:2]),) * 2)
        return fit_to(as_pixels(picture, SHAPE[2]), SHAPE[:2], "crop")

    return np.stack([seen(name) for name in names])


def right(images, folder):
    return np.array_equal(pixels_of(images), decoded(folder, images.index.names))


def batches_of(images, augmentations=()):
    training = training_of(images.index, range(len(images.index)))
    batches = feeding.TrainBatches(images, training, Chain(augmentations, 0), 4).dataset(2)
    with images.errors_as_raised():
        return [batch.numpy() for batch, *_ in batches]


def where(images):
    """Where images are kept, by the name that `CACHES` has for it."""
    store = images.reader and images.reader.store
    return "memory" if images.memory is not None else "disk" if store and store.files else "off"


def kept_files():
    folder = cache_folder() / "pixels"
    return sorted(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def decodings(monkeypatch):
    """Counts how often an image is decoded."""
    counted = []
    of_index = Preprocessing.of_index

    def counting(preprocessing, index, number):
        counted.append(index.names[number])
        return of_index(preprocessing, index, number)

    monkeypatch.setattr(Preprocessing, "of_index", counting)
    return counted


# What is shown is the same wherever it is kept


@every_cache
def test_images_are_those_of_their_files(folder, cache):
    images = loaded(folder, cache)
    assert where(images) == cache
    assert len(images.index) == COUNT
    assert right(images, folder)
    chosen = tf.constant([3, 3, 0], tf.int64)
    batch = next(iter(tf.data.Dataset.from_tensors(chosen).map(images.batch)))
    assert batch.dtype == tf.uint8
    assert np.array_equal(batch, decoded(folder, [images.index.names[i] for i in (3, 3, 0)]))


@pytest.mark.parametrize("augmentations", [(), (Flip(),)], ids=["plain", "augmented"])
def test_batches_are_the_same_wherever_images_are_kept(folder, augmentations):
    shown = [batches_of(loaded(folder, cache), augmentations) for cache in CACHES]
    shown.append(batches_of(loaded(folder, "disk"), augmentations))  # this time they are there already
    for other in shown[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(shown[0], other, strict=True))


def test_images_on_the_disk_are_decoded_by_one_run_alone(folder, decodings):
    loaded(folder, "disk")
    assert sorted(decodings) == sorted(index_of_folder(folder).names)
    decodings.clear()
    images = loaded(folder, "disk")
    assert len(batches_of(images)) == 6
    assert decodings == []
    assert len(kept_files()) == 1


def test_memory_comes_first_then_the_disk(folder):
    size = COUNT * (12 * 10 * 3 + 20) / 2**30
    index, preprocessing = index_of_folder(folder), Preprocessing(SHAPE, "crop")

    def kept(memory_gib, disk_gib):
        images = load(index, preprocessing, Cache(memory_gib=memory_gib, disk_gib=disk_gib), Progress())
        assert right(images, folder)
        return where(images)

    assert kept(size, size) == "memory"
    assert kept(size * 0.99, size) == "disk"
    assert kept(size * 0.99, size * 0.99) == "off"


def test_other_steps_sizes_and_fits_are_kept_in_other_files(folder):
    preprocessings = [
        Preprocessing(SHAPE, "crop"),
        Preprocessing(SHAPE, "pad"),
        Preprocessing((12, 11, 3), "crop"),
        Preprocessing((12, 10, 1), "crop"),
    ]
    preprocessings.append(Preprocessing(SHAPE, "crop", (Grayscale(),)))
    for count, preprocessing in enumerate(preprocessings, start=1):
        loaded(folder, "disk", preprocessing)
        assert len(kept_files()) == count
    assert np.ptp(pixels_of(loaded(folder, "disk", preprocessings[-1])), axis=3).max() == 0
    assert right(loaded(folder, "disk"), folder)


# Made once, for all runs


GREY = Preprocessing(SHAPE, "crop", (Grayscale(),))
BOTH = Cache(memory_gib=1, disk_gib=1)


@pytest.mark.parametrize("cache", [BOTH, CACHES["disk"]], ids=["memory", "disk"])
def test_prepared_images_are_made_once_for_all_runs_wherever_this_one_keeps_them(folder, cache, decodings):
    index = index_of_folder(folder)
    expected = pixels_of(load(index, GREY, CACHES["off"], Progress()))
    decodings.clear()
    for made in (COUNT, 0, 0):
        images = load(index, GREY, cache, Progress())
        assert (images.memory is not None) == (cache is BOTH)
        assert np.array_equal(pixels_of(images), expected)
        assert len(decodings) == made
        decodings.clear()
        assert len(kept_files()) == 1


def test_images_that_are_only_decoded_are_not_kept_on_the_disk_beside_the_memory(folder):
    load(index_of_folder(folder), Preprocessing(SHAPE, "crop"), BOTH, Progress())
    assert kept_files() == []


@pytest.mark.parametrize("cache", [BOTH, CACHES["disk"]], ids=["memory", "disk"])
def test_only_images_that_no_run_has_made_are_made(folder, cache, decodings):
    index = index_of_folder(folder)
    expected = pixels_of(load(index, GREY, CACHES["off"], Progress()))
    decodings.clear()

    def made(chosen):
        images = load(index.take(chosen), GREY, cache, Progress())
        assert np.array_equal(pixels_of(images), expected[chosen])
        names = list(decodings)
        decodings.clear()
        return sorted(names), len(kept_files())

    assert made([1, 2, 3]) == (index.names[1:4], 1)
    assert made([3, 4, 5]) == (index.names[4:6], 2)
    assert made([5, 1, 2]) == ([], 2)  # of two files, and nothing is written
    assert made(range(COUNT)) == (sorted(index.names[i] for i in (0, 6, 7, 8, 9)), 1)  # which holds all others
    assert made([7, 0]) == ([], 1)


@pytest.mark.parametrize("cache", [BOTH, CACHES["disk"]], ids=["memory", "disk"])
def test_beside_a_bad_image_the_good_ones_are_made_once_and_the_bad_one_is_tried_by_every_run(folder, cache, decodings):
    name = spoil(folder, 5)
    index = index_of_folder(folder)
    first = pixels_of(load(index, GREY, cache, Progress(), skip_bad=True))
    assert len(decodings) == COUNT
    [before] = [file.stat().st_ino for file in kept_files()]
    for _ in range(2):
        decodings.clear()
        images = load(index, GREY, cache, Progress(), skip_bad=True)
        assert np.array_equal(pixels_of(images), first)
        assert decodings == [name]
        assert [file.stat().st_ino for file in kept_files()] == [before]


def test_a_damaged_image_is_made_again_and_no_other(folder, decodings):
    index = index_of_folder(folder)
    expected = pixels_of(load(index, GREY, BOTH, Progress()))
    flipped_in_one_image(kept_files()[0])
    for _ in range(2):  # the first finds it out, the second mends the file
        decodings.clear()
        assert np.array_equal(pixels_of(load(index, GREY, BOTH, Progress())), expected)
        assert len(decodings) == 1
    decodings.clear()
    load(index, GREY, BOTH, Progress())
    assert decodings == []


def test_where_prepared_images_find_no_room_on_the_disk_the_memory_has_them(folder, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", no_room, raising=False)
    told = Told()
    images = load(index_of_folder(folder), GREY, BOTH, told)
    assert images.memory is not None
    assert np.array_equal(pixels_of(images), pixels_of(load(images.index, GREY, CACHES["off"], Progress())))
    [line] = told.lines
    assert " is full: " in line and line.endswith("; the next run makes them again")


def test_an_error_of_the_system_in_a_step_is_none_of_the_cache(folder, monkeypatch):
    def failing(*words):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Grayscale, "__call__", failing)
    told = Told()
    with pytest.raises(OSError, match="Too many open files"):
        load(index_of_folder(folder), GREY, CACHES["disk"], told)
    assert told.lines == []


# The memory that images are kept in


def test_a_tensor_is_made_without_a_copy():
    array = allocated((3, 4), np.float32)
    array[:] = np.arange(12).reshape(3, 4)
    tensor = as_tensor(array)
    assert (tensor.dtype, tensor.shape) == (tf.float32, (3, 4))
    assert np.asarray(memoryview(tensor)).ctypes.data == array.ctypes.data
    del array
    assert tf.reduce_sum(tensor) == 66


def filled(shape, dtype):
    array = allocated(shape, dtype)
    array[:] = np.arange(np.prod(shape)).reshape(shape)
    return array


@pytest.mark.parametrize("kind", ["images", "features"])
def test_images_and_features_of_them_are_fed_alike(index_of, kind):
    index = index_of(np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1])
    if kind == "images":
        inputs = Images(index, (2, 3, 1), filled((4, 2, 3, 1), np.uint8))
    else:
        inputs = Features(index, filled((4, 5), np.float32))
    more = with_synthetic(inputs, np.full((2, *inputs.shape), 200, inputs.memory.dtype))
    assert (more.index, more.shape) == (index, inputs.shape)
    expected = np.concatenate([inputs.memory, np.full((2, *inputs.shape), 200, inputs.memory.dtype)])
    assert np.array_equal(more.rows(np.array([5, 0, 3])), expected[[5, 0, 3]])
    assert np.array_equal(more.batch(tf.constant([5, 0, 3], tf.int64)), expected[[5, 0, 3]])
    batches = list(feeding.eval_batches(inputs, [3, 1, 2], 2))
    assert np.array_equal(np.concatenate([batch for batch, _ in batches]), np.float32(inputs.memory)[[3, 1, 2]])
    assert np.concatenate([labels for _, labels in batches]).argmax(1).tolist() == [1, 1, 0]
    with pytest.raises(tf.errors.InvalidArgumentError, match="mine"), inputs.errors_as_raised():
        raise tf.errors.InvalidArgumentError(None, None, "mine")


def test_synthetic_images_are_refused_where_the_others_are_not_in_memory(folder):
    with pytest.raises(DataError, match=r"data\.cache\.memory_gib: synthetic images need all others in memory"):
        with_synthetic(loaded(folder, "disk"), np.zeros((1, *SHAPE), np.uint8))


KEPT_IN_MEMORY = """
import re
from pathlib import Path
import numpy as np
from PIL import Image
from cnnkit.data.section import Cache
from cnnkit.data.feeding.loading import load
from cnnkit.core.lazy import tf
from cnnkit.core.progress import Progress
from cnnkit.data.index import Index
from cnnkit.data.feeding.preprocessing import Preprocessing
count = 1000
index = Index(("a", "b"), [str(i) for i in range(count)], np.arange(count) % 2, ["x"] * count, [None] * count,
              lambda i: Image.new("RGB", (256, 256), (i % 256, 1, 2)))
def peak():  # not ru_maxrss, which begins with that of the process that started this one
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
tf.gather(tf.zeros((2, 2)), [0])
before = peak()
images = load(index, Preprocessing((256, 256, 3), "crop"), Cache(memory_gib=1), Progress())
after = peak()
assert int(images.batch([999])[0, 0, 0, 0]) == 999 % 256
print((after - before) / images.memory.nbytes)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak that Linux tells of")
def test_images_in_memory_take_no_more_than_they_are_even_while_they_are_loaded():
    done = subprocess.run([sys.executable, "-c", KEPT_IN_MEMORY], capture_output=True, text=True, check=True)
    assert 0.9 < float(done.stdout) < 1.3


def test_less_memory_than_the_config_allows_is_told(folder, monkeypatch):
    def lacking(*words):
        raise MemoryError

    monkeypatch.setattr("numpy.empty", lacking)
    with pytest.raises(TrainingError, match=r"data\.cache\.memory_gib: there is not enough memory for .* set less"):
        loaded(folder, "memory")


def test_feeding_takes_memory_for_what_is_known_of_an_image_and_not_for_the_image(tmp_path):
    """Of what NumPy and Python take; scripts/measure_feeding_memory.py measures whole processes."""
    content = jpeg(picture(0))

    def peak(count):
        for i in range(count):
            file = tmp_path / str(count) / "ab"[i % 2] / f"{i}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content + i.to_bytes(4, "big"))
        tracemalloc.start()
        try:
            index = index_of_folder(tmp_path / str(count))
            images = load(index, Preprocessing((64, 64, 3), "crop"), CACHES["off"], Progress())
            training = training_of(index, range(count))
            batches = feeding.TrainBatches(images, training, Chain((Flip(),), 0), 8).dataset(1)
            assert sum(len(batch) for batch, *_ in batches) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(50)  # what is imported on first use
    few = peak(150)
    # How many batches wait to be freed hangs on the threads of TensorFlow, so the best of some tries counts.
    assert any((peak(1200 + more) - few) / 1050 < 2500 < 64 * 64 * 3 for more in range(4))  # bytes an image


# Bad images


def spoil(folder, number):
    """Cuts a file short, so that its header is read and its pixels are not."""
    [file] = folder.rglob(f"{number}.jpg")
    file.write_bytes(file.read_bytes()[:-300])
    return str(file.relative_to(folder))


@every_cache
def test_a_bad_image_is_told_by_every_run_and_only_good_ones_are_kept(folder, cache, decodings):
    names = sorted(spoil(folder, number) for number in (2, 5))
    for repeated in range(2):
        decodings.clear()
        with pytest.raises(DataError) as raised:
            loaded(folder, cache)
        *bad, advice = raised.value.problems
        assert sorted(problem.file for problem in bad) == names
        assert all("damaged" in problem.message for problem in bad)
        assert "these 2 files" in advice.message and "on_bad: skip" in advice.message
        assert len(kept_files()) == (cache == "disk")
        assert len(decodings) == (2 if cache == "disk" and repeated else COUNT)


@every_cache
def test_a_bad_image_is_left_out_by_every_run_where_that_is_asked_for(folder, cache):
    names = sorted(spoil(folder, number) for number in (0, 5))
    for _ in range(2):
        images = loaded(folder, cache, skip_bad=True)
        assert sorted(entry.name for entry in images.index.unused) == names
        assert len(images.index) == COUNT - 2
        assert right(images, folder)
        assert len(batches_of(images)) == 4
        assert len(kept_files()) == (cache == "disk")


def test_a_mended_image_is_shown_by_the_next_run(folder):
    spoil(folder, 5)
    loaded(folder, "disk", skip_bad=True)
    (folder / "b" / "5.jpg").write_bytes(jpeg(picture(5)))
    images = loaded(folder, "disk", skip_bad=True)
    assert len(images.index) == COUNT
    assert right(images, folder)


def test_many_bad_images_are_counted_and_the_first_are_named(folder, monkeypatch):
    monkeypatch.setattr(loading, "BAD_FILES", 3)
    for number in range(5):
        spoil(folder, number)
    with pytest.raises(DataError) as raised:
        loaded(folder, "off")
    assert len(raised.value.problems) == 4
    assert raised.value.problems[-1].message.startswith("and 2 more: repair or remove these 5 files")


# Files that change


def change(folder, index, number):
    (folder / index.names[number]).write_bytes(jpeg(picture(number + 100)))


@every_cache
def test_a_file_that_changed_between_two_runs_is_shown_as_it_is_now(folder, cache):
    before = pixels_of(loaded(folder, cache))
    change(folder, index_of_folder(folder), 4)
    images = loaded(folder, cache)
    assert right(images, folder)
    assert not np.array_equal(pixels_of(images)[4], before[4])


@every_cache
@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_file_that_changed_before_it_was_decoded_is_told(folder, cache, skip_bad):
    index = index_of_folder(folder)
    change(folder, index, 4)
    with pytest.raises(DataError) as raised:
        load(index, Preprocessing(SHAPE, "crop"), CACHES[cache], Progress(), skip_bad)
    [problem] = raised.value.problems
    assert problem.file == index.names[4]
    assert problem.message == "has changed since it was looked at; start again when it stays as it is"
    assert kept_files() == []


def remove(folder, index, number):
    (folder / index.names[number]).unlink()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (change, "has changed since it was looked at; a run needs images that stay"),
        (remove, "can't be read: No such file or directory; nothing was wrong with it before"),
    ],
)
@pytest.mark.parametrize("augmentations", [(), (Flip(),)], ids=["plain", "augmented"])
def test_a_file_that_changes_between_epochs_is_named_where_it_is_decoded_again(folder, how, reason, augmentations):
    images = loaded(folder, "off")
    batches_of(images, augmentations)
    how(folder, images.index, 4)
    with pytest.raises(DataError) as raised:
        batches_of(images, augmentations)
    [problem] = raised.value.problems
    assert (problem.file, problem.message) == (images.index.names[4], reason)
    with pytest.raises(DataError, match=reason.split(";")[0]):
        images.rows([4])


@pytest.mark.parametrize("cache", KEEPING)
@pytest.mark.parametrize("how", [change, remove])
def test_a_file_that_changes_between_epochs_is_shown_as_it_was_where_it_is_kept(folder, cache, how):
    images = loaded(folder, cache)
    before = batches_of(images, (Flip(),))
    how(folder, images.index, 4)
    for one, other in zip(before, batches_of(images, (Flip(),)), strict=True):
        assert np.array_equal(one, other)


def test_an_error_that_is_not_of_an_image_stays_what_it_is(folder):
    images = loaded(folder, "off")
    with pytest.raises(tf.errors.InvalidArgumentError, match="mine"), images.errors_as_raised():
        raise tf.errors.InvalidArgumentError(None, None, "mine")


# Files beside an image


class Masked(Preparation):
    """Shows what a mask beside the image lets through."""

    name: Literal["masked"] = "masked"

    def beside(self, path: Path) -> Path:
        return path.with_suffix(".mask")

    def __call__(self, image):
        raise Unprepared("it has no file, so no mask")

    def of_file(self, image, path):
        try:
            return image * (np.asarray(Image.open(self.beside(path)))[:, :, None] > 0)
        except OSError as error:
            raise Unprepared(f"the mask {self.beside(path).name} can't be read: {error.strerror}") from None


MASKED = Preprocessing(SHAPE, "crop", (Masked(),))


@pytest.fixture
def masks(folder):
    """Writes masks that are all of a grey."""

    def write(grey, files=None):
        for file in files or folder.rglob("*.jpg"):
            with Image.open(file) as image:
                Image.new("L", image.size, grey).save(file.with_suffix(".mask"), "PNG")

    write(255)
    return write


@every_cache
def test_a_mask_that_changed_between_two_runs_is_shown_as_it_is_now(folder, masks, cache):
    assert pixels_of(loaded(folder, cache, MASKED))[4].any()
    masks(0, [folder / "a" / "4.jpg"])
    images = loaded(folder, cache, MASKED)
    shown = pixels_of(images).any(axis=(1, 2, 3))
    assert [name for name, any_light in zip(images.index.names, shown, strict=True) if not any_light] == ["a/4.jpg"]
    assert len(kept_files()) == (2 if cache == "disk" else 0)


def test_a_mask_that_changes_while_images_are_decoded_is_told_and_nothing_is_kept(folder, masks, monkeypatch):
    index = index_of_folder(folder)
    of_index = Preprocessing.of_index

    def changing(preprocessing, index, number):
        if number == 9:
            masks(0, [folder / index.names[2]])
        return of_index(preprocessing, index, number)

    monkeypatch.setattr(Preprocessing, "of_index", changing)
    with pytest.raises(DataError) as raised:
        load(index, MASKED, CACHES["disk"], Progress())
    [problem] = raised.value.problems
    assert problem.file == index.names[2]
    assert problem.message.startswith("a file beside it, which data.prepare reads, has changed")
    assert kept_files() == []


def test_a_mask_that_changes_between_epochs_is_told_where_it_is_read_again(folder, masks):
    images = loaded(folder, "off", MASKED)
    batches_of(images)
    masks(0, [folder / "a" / "4.jpg"])
    with pytest.raises(DataError) as raised:
        batches_of(images)
    [problem] = raised.value.problems
    assert problem.file == "a/4.jpg"
    assert problem.message == (
        "a file beside it, which data.prepare reads, has changed since it was looked at; a run needs images that stay"
    )


@pytest.mark.parametrize("cache", KEEPING)
def test_a_mask_that_changes_between_epochs_changes_nothing_where_images_are_kept(folder, masks, cache):
    images = loaded(folder, cache, MASKED)
    before = pixels_of(images)
    masks(0)
    assert np.array_equal(pixels_of(images), before)


def test_a_mask_that_is_gone_is_told_by_the_name_of_its_image(folder, masks):
    (folder / "a" / "4.mask").unlink()
    with pytest.raises(DataError) as raised:
        loaded(folder, "disk", MASKED)
    assert str(raised.value.problems[0]) == "a/4.jpg: the mask 4.mask can't be read: No such file or directory"


# A disk that is full, or damaged


def no_room(*words):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_on_a_full_disk_one_line_is_said_and_the_run_goes_on(folder, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", no_room, raising=False)
    told = Told()
    images = loaded(folder, "disk", progress=told)
    assert where(images) == "off"
    assert right(images, folder)
    expected = batches_of(loaded(folder, "memory"))
    assert all(np.array_equal(a, b) for a, b in zip(batches_of(images), expected, strict=True))
    [line] = told.lines
    assert line.startswith("decoded images are not kept") and " is full: " in line
    assert kept_files() == []


def test_bad_images_are_told_on_a_full_disk_too(folder, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", no_room, raising=False)
    name = spoil(folder, 9)
    with pytest.raises(DataError) as raised:
        loaded(folder, "disk")
    assert raised.value.problems[0].file == name


def flipped_everywhere(file):
    file.write_bytes(bytes(byte ^ 1 for byte in file.read_bytes()))


def flipped_in_the_checksums(file):
    content = bytearray(file.read_bytes())
    content[-4 * COUNT :] = bytes(byte ^ 255 for byte in content[-4 * COUNT :])
    file.write_bytes(content)


def flipped_in_one_image(file):
    content = bytearray(file.read_bytes())
    content[700] ^= 1
    file.write_bytes(content)


def cut(file):
    os.truncate(file, file.stat().st_size // 2)


def emptied(file):
    file.write_bytes(b"")


@pytest.mark.parametrize("how", [flipped_everywhere, flipped_in_the_checksums, flipped_in_one_image, cut, emptied])
def test_a_damaged_cache_changes_no_image(folder, how):
    loaded(folder, "disk")
    [file] = kept_files()
    how(file)
    assert right(loaded(folder, "disk"), folder)
    assert right(loaded(folder, "disk"), folder)
    assert where(loaded(folder, "disk")) == "disk"
    [file] = kept_files()


def test_a_damaged_image_whose_file_has_changed_meanwhile_is_told(folder):
    images = loaded(folder, "disk")
    flipped_in_one_image(kept_files()[0])
    change(folder, images.index, 1)
    with pytest.raises(DataError) as raised:
        batches_of(images)
    assert raised.value.problems[0].file == images.index.names[1]


def test_whoever_stops_waits_for_no_image_that_has_not_been_begun():
    begun: list[int] = []
    go_on = threading.Event()

    def slow(i: int) -> int:
        begun.append(i)
        if i:
            go_on.wait(10)
        return i

    threading.Timer(0.2, go_on.set).start()
    results = loading._in_parallel(slow, range(1000), lambda done: None)
    assert next(results) == 0
    results.close()
    threads = (os.cpu_count() or 1) + 4
    assert len(begun) <= 2 * threads + 1


def test_images_come_in_their_order_and_only_some_are_decoded_ahead(monkeypatch):
    monkeypatch.setattr(loading, "AHEAD", 8)
    begun: list[int] = []
    done: list[int] = []

    def work(i: int) -> int:
        begun.append(i)
        return i

    results: Iterator[int] = loading._in_parallel(work, range(100), done.append)
    for i, result in enumerate(results):
        assert result == i
        assert len(begun) <= i + 9
    assert sum(done) == 100
    assert list(loading._in_parallel(work, [], done.append)) == []
