from __future__ import annotations

import io
import os
import sys
import unicodedata
import zipfile

import numpy as np
import pytest

from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.files import arrays as array_files
from cnnkit.data.section import Cache
from cnnkit.data.sources import Arrays, Folder, recognised
from tests.conftest import random_picture

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = np.array([0, 2, 1, 0, 2, 1])


class Lines(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture
def npz(tmp_path):
    """Writes arrays into an .npz."""

    def write(packed=False, **arrays):
        file = tmp_path / "set.npz"
        (np.savez_compressed if packed else np.savez)(file, **arrays)
        return file

    return write


@pytest.fixture
def pair(tmp_path):
    """Writes images and labels as two .npy files."""

    def write(images=GREY, labels=LABELS):
        np.save(tmp_path / "images.npy", images)
        np.save(tmp_path / "labels.npy", labels)
        return tmp_path / "images.npy"

    return write


def index_of(file, progress=None, **options):
    if file.suffix == ".npy" and "labels" not in options:
        options["labels"] = str(file.with_name("labels.npy"))
    return Arrays(path=str(file), **options).open(Progress()).index(progress or Progress())


def pixels(index):
    return np.stack([np.asarray(index.open(i)) for i in range(len(index))])


def problem(file, **options):
    with pytest.raises(DataError) as error:
        index_of(file, **options)
    (found,) = error.value.problems
    return found.message


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("images", "shape"), [(GREY, (5, 4, 1)), (GREY[..., None], (5, 4, 1)), (COLOUR, (5, 4, 3))])
def test_images_and_labels_of_an_npz(npz, images, shape, packed):
    file = npz(packed, images=images, labels=LABELS)
    collection = Arrays(path=str(file)).open(Progress())
    assert collection.classes == ("0", "1", "2")
    assert collection.shape == shape
    assert collection.splits == frozenset()
    index = collection.index(Progress())
    assert index.labels.tolist() == LABELS.tolist()
    assert index.names[1] == "arrays/00001"
    assert np.array_equal(pixels(index), images.squeeze() if shape[2] == 1 else images)


@pytest.mark.parametrize("images", [GREY, COLOUR, np.asfortranarray(COLOUR)], ids=["grey", "colour", "Fortran's order"])
def test_a_pair_of_npy_files_is_read_from_disk(pair, images):
    index = index_of(pair(images))
    assert np.array_equal(pixels(index), images)
    assert index.labels.tolist() == LABELS.tolist()


def test_the_same_pictures_in_files_have_the_same_digests(image_folder, npz):
    folder = Folder(path=str(image_folder({"cat": 2, "dog": 2}))).open(Progress()).index(Progress())
    stack = np.stack([np.asarray(random_picture(i)) for i in range(4)])
    assert index_of(npz(x=stack, y=np.array([0, 0, 1, 1]))).digests == folder.digests


@pytest.mark.parametrize(
    "names",
    [
        ("images", "labels"),
        ("x", "y"),
        ("X", "y"),
        ("data", "target"),
        ("data", "labels"),
        ("arr_0", "arr_1"),
        ("a", "b"),
    ],
)
def test_usual_names_are_found(npz, names):
    index = index_of(npz(**{names[0]: GREY, names[1]: LABELS}))
    assert index.labels.tolist() == LABELS.tolist()


def test_names_may_be_given_and_what_is_over_is_told(npz):
    file = npz(first=GREY, second=GREY[::-1], kind=LABELS, x=GREY)
    index = index_of(file, images_key="second", labels_key="kind")
    assert np.array_equal(pixels(index), GREY[::-1])
    assert [entry.name for entry in index.unused] == [f"{file}: first", f"{file}: x"]


@pytest.mark.parametrize("form", ["x_{}", "{}_images", "X_{}"])
@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_splits_of_its_own_are_kept(npz, form, validation):
    arrays = {}
    for split, of in (("train", slice(0, 3)), (validation, slice(3, 5)), ("test", slice(0, 1))):
        arrays[form.format(split)] = GREY[of]
        arrays[form.lower().replace("x", "y").replace("images", "labels").format(split)] = LABELS[of]
    file = npz(**arrays)
    assert Arrays(path=str(file)).open(Progress()).splits == {"validation", "test"}
    index = index_of(file)
    assert index.names == [*(f"train/0000{i}" for i in range(3)), "validation/00000", "validation/00001", "test/00000"]
    assert index.splits == ["train"] * 3 + ["validation"] * 2 + ["test"]
    assert np.array_equal(pixels(index), GREY[[0, 1, 2, 3, 4, 0]])
    assert index.labels.tolist() == [0, 2, 1, 0, 2, 0]


# What numbers mean

WIDE = RANDOM.integers(0, 65536, (6, 5, 4), dtype=np.uint16)
RAMP = np.linspace(0, 1, GREY.size).reshape(GREY.shape)


@pytest.mark.parametrize(
    ("images", "expected", "message"),
    [
        (GREY > 99, np.where(GREY > 99, 255, 0), None),
        (GREY.astype(np.int64), GREY, "0..255"),
        (GREY.astype(np.uint16), GREY, "0..255"),
        (WIDE, np.rint(WIDE / 257), "16 bits"),
        (RAMP, np.rint(RAMP * 255), "0..1"),
        (RAMP.astype(">f4"), np.rint(RAMP.astype(">f4") * 255.0), "0..1"),
        (RAMP * 1.0005, np.minimum(np.rint(RAMP * 1.0005 * 255), 255), "0..1"),
        (GREY.astype(np.float32), GREY, "0..255"),
        (GREY + 0.3, GREY, "rounded"),
        (np.minimum(GREY, 1).astype(np.int32), np.minimum(GREY, 1), "all but black"),
    ],
    ids=[
        "bool",
        "int64",
        "uint16 to 255",
        "uint16",
        "0..1",
        "other byte order",
        "a bit over 1",
        "0..255",
        "rounded",
        "01",
    ],
)
def test_numbers_become_grey_levels_and_their_range_is_told(npz, images, expected, message):
    progress = Lines()
    index = index_of(npz(images=images, labels=LABELS), progress)
    assert np.array_equal(pixels(index), expected)
    assert pixels(index).dtype == np.uint8
    assert len(progress.lines) == (message is not None)
    assert all(message in line for line in progress.lines)


def spoilt(images, value, at=3):
    result = np.array(images)
    result[at, 2, 1] = value
    return result


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (spoilt(RAMP, np.nan), "arrays/00003 holds a value that is no number"),
        (spoilt(RAMP, np.inf), "arrays/00003 holds a value that is no number"),
        (spoilt(RAMP, -0.5), "arrays/00003 holds -0.5; .* -1..1 comes to 0..1"),
        (spoilt(RAMP, 1.5), "neither 0..1 nor 0..255"),
        (spoilt(GREY * 1.0, 300), "arrays/00003 holds 300; floats should be in 0..1 or 0..255"),
        (spoilt(GREY.astype(int), 300), "arrays/00003 holds 300; whole numbers should be in 0..255"),
        (spoilt(GREY.astype(int), -1), "arrays/00003 holds -1; whole numbers"),
        (GREY.astype(complex), "of the type complex128"),
    ],
    ids=["NaN", "infinity", "negative", "1.5", "300.0", "300", "-1", "complex"],
)
@pytest.mark.parametrize("block", [1, 30, 2**24])
def test_the_first_image_beyond_any_range_is_named(npz, images, message, block, monkeypatch):
    monkeypatch.setattr("cnnkit.data.files.pixel_range.BLOCK", block)
    with pytest.raises(DataError, match=message):
        index_of(npz(images=images, labels=LABELS))


# Labels


@pytest.mark.parametrize(
    "labels",
    [
        LABELS[:, None],
        LABELS.astype(np.uint8),
        LABELS.astype(np.float32),
        np.eye(3)[LABELS],
        np.eye(3, dtype=bool)[LABELS],
    ],
    ids=["column", "uint8", "float", "one-hot", "one-hot bool"],
)
def test_labels_in_any_form_are_the_same(npz, labels):
    index = index_of(npz(images=GREY, labels=labels))
    assert index.classes == ("0", "1", "2")
    assert index.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("labels", [["b", "ä", "b", "a", "a", "b"], ["no", "yes", "no", "no", "yes", "no"]])
def test_labels_may_be_text(npz, labels):
    for array in (np.array(labels), np.char.encode(np.array(labels), "utf-8")):
        index = index_of(npz(images=GREY, labels=array))
        assert index.classes == tuple(sorted(set(labels)))
        assert [index.classes[label] for label in index.labels] == labels


def test_labels_need_not_begin_at_zero(npz):
    index = index_of(npz(images=GREY, labels=LABELS * 10 + 1))
    assert index.classes == ("1", "11", "21")
    assert index.labels.tolist() == LABELS.tolist()


def test_classes_may_be_named(npz):
    index = index_of(npz(images=GREY, labels=LABELS), classes=("ant", "bee", "cat"))
    assert index.classes == ("ant", "bee", "cat")
    assert index.labels.tolist() == LABELS.tolist()
    text = np.array(["bee", "ant", "bee", "ant", "bee", "ant"])
    index = index_of(npz(images=GREY, labels=text), classes=("bee", "ant"))
    assert index.labels.tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:5], "6 images, .*labels 5 labels"),
        (LABELS - 1, "label number 0 .* is negative"),
        (LABELS + 0.5, "is no whole number, as are 5 others"),
        (np.where(LABELS == 1, np.nan, LABELS), "label number 2 .* is no whole number"),
        (np.eye(3)[LABELS] * 0.9, "is not one-hot"),
        (np.ones((6, 3)), "is not one-hot"),
        (np.zeros(6), "one label only, `0`"),
        (np.array(["a", "b\tc"] * 3), "can't be the name of a class"),
        (np.array(["a", ""] * 3), "can't be the name of a class"),
        (np.array(["a", "b"] * 3, dtype=object), "holds Python objects .pickled., which are never loaded"),
        (np.zeros((6, 2, 2)), r"has the shape \(6, 2, 2\)"),
        (np.array(3), r"has the shape \(\)"),
        (LABELS * 10**12, "too large"),
        (np.zeros(6, "M8[s]"), "whole numbers or text"),
    ],
)
def test_wrong_labels_are_told(npz, labels, message):
    with pytest.raises(DataError, match=message):
        index_of(npz(images=GREY, labels=labels))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("a", "b"), "2 names, but the labels go from 0 to 2"),
        (("a", "b", "b"), "two classes are called `b`"),
    ],
)
def test_names_that_do_not_suit_are_told(npz, classes, message):
    with pytest.raises(DataError, match=message) as error:
        index_of(npz(images=GREY, labels=LABELS), classes=classes)
    assert error.value.problems[0].key == "classes"


# Mistakes


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.moveaxis(COLOUR, -1, 1), r"np\.moveaxis\(images, 1, -1\)"),
        (GREY[:, None], r"np\.moveaxis\(images, 1, -1\)"),
        (GREY.reshape(6, -1), r"images\.reshape\(-1, height, width\)"),
        (RANDOM.integers(0, 255, (6, 5, 4, 2)), "should be"),
        (np.zeros((6, 0, 4)), "holds nothing"),
    ],
    ids=["channels first", "a channel first", "flat", "two channels", "nothing"],
)
def test_images_of_another_shape_are_told_what_to_do(npz, images, message):
    with pytest.raises(DataError, match=message):
        index_of(npz(images=images, labels=LABELS))


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": GREY, "data": GREY, "y": LABELS},
        {"x": GREY, "y": LABELS, "x_train": GREY, "y_train": LABELS},
        {"x_train": GREY, "y_train": LABELS, "x_test": GREY},
        {"a": GREY, "b": LABELS, "c": LABELS},
        {"a": GREY, "b": GREY},
        {"a": GREY},
    ],
)
def test_a_question_of_names_lists_them_with_their_shapes(npz, arrays):
    message = problem(npz(**arrays))
    assert "Set images_key and labels_key" in message
    assert all(f"{key} {value.shape}" in message for key, value in arrays.items())


def test_a_wrong_name_lists_those_there_are(npz):
    file = npz(images=GREY, labels=LABELS)
    assert problem(file, images_key="pictures").endswith(
        "has no array `pictures`; it holds images (6, 5, 4), labels (6,)"
    )


def test_splits_must_fit_each_other(npz):
    assert "labels that y_train lacks: `7`" in problem(
        npz(x_train=GREY, y_train=LABELS, x_test=GREY[:1], y_test=LABELS[:1] + 7)
    )
    assert "different sizes" in problem(npz(x_train=GREY, y_train=LABELS, x_test=GREY[:1, :3], y_test=LABELS[:1]))
    assert "different types: x_train uint8 and x_test float64" in problem(
        npz(x_train=GREY, y_train=LABELS, x_test=RAMP[:1], y_test=LABELS[:1])
    )
    assert "no images to train on" in problem(npz(x_test=GREY, y_test=LABELS))


def test_settings_that_can_not_be_meant_are_told(npz, pair):
    assert "leave this out" in problem(npz(x=GREY, y=LABELS), labels="labels.npy")
    assert "leave this out" in problem(pair(), images_key="x")
    assert "is required beside a .npy" in problem(pair(), labels=None)
    assert "should be a .npz or a .npy" in problem(pair().with_suffix(".txt"))
    assert "can't be read: No such file" in problem(pair().with_name("gone.npz"))


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


LYING = npy(GREY).replace(b"(6, 5, 4)", b"(6, 5, 9)")
DAMAGED = {
    "empty": b"",
    "text": b"1,2,3\n",
    "cut": npy(GREY)[:-7],
    "cut header": npy(GREY)[:50],
    "long": npy(GREY) + b"more",
    "lying": LYING,
    "quote": npy(GREY).replace(b"(6, 5, 4)", b"('''5, 4)"),
    "code": npy(GREY).replace(b"(6, 5, 4), ", b"exit(), ()"),
    "objects": npy(np.array([{}, None])),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "set.npz"])
def test_a_damaged_file_is_told_in_a_line(pair, tmp_path, damage, name):
    images = pair()
    file = tmp_path / name
    if name == "set.npz":
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("images.npy", DAMAGED[damage])
            packed.writestr("labels.npy", npy(LABELS))
        images = file
    else:
        file.write_bytes(DAMAGED[damage])
    message = problem(images)
    assert message.startswith(str(file))
    assert "\n" not in message


@pytest.mark.parametrize("damage", ["text", "cut", "bytes"])
def test_a_damaged_npz_is_told_in_a_line(npz, damage):
    file = npz(packed=True, images=COLOUR, labels=LABELS)
    content = file.read_bytes()
    changed = {"text": b"1,2\n", "cut": content[:-30], "bytes": content[:200] + b"\xff" * 40 + content[240:]}
    file.write_bytes(changed[damage])
    message = problem(file)
    assert message.startswith(str(file))
    assert "\n" not in message


def test_more_than_memory_holds_is_told(npz, monkeypatch):
    monkeypatch.setattr("cnnkit.data.files.arrays.free_memory", lambda: 100)
    with pytest.raises(DataError, match=r"save it as \.npy"):
        index_of(npz(images=GREY, labels=LABELS))


def test_what_is_free_is_asked_and_not_what_the_machine_has():
    free = array_files.free_memory()
    assert free is None or free > 0
    if sys.platform == "linux":
        assert free < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_an_npz_that_unpacks_to_a_hundred_times_its_size_is_refused_by_its_headers(npz, monkeypatch):
    """All its arrays count together."""
    monkeypatch.setattr("cnnkit.data.files.archive_members.ALLOWANCE", 1000)
    half = np.zeros((6, 300, 300), np.uint8)
    rest = RANDOM.integers(0, 256, 8000, dtype=np.uint8)
    assert len(index_of(npz(packed=True, images=half, labels=LABELS, rest=rest))) == 6
    message = problem(npz(packed=True, images=half, labels=LABELS, more=half, rest=rest))
    assert "unpacks to more than" in message and "np.savez" in message
    assert len(index_of(npz(images=half, labels=LABELS, more=half))) == 6


def test_a_memory_that_is_full_is_told_in_a_line(npz, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    file = npz(images=GREY, labels=LABELS)
    monkeypatch.setattr(np.lib.format, "read_array", full)
    with pytest.raises(DataError, match=r"set\.npz: .* for which there is no memory"):
        index_of(file)
    monkeypatch.setattr(np.lib.format, "read_magic", full)
    assert "there is no memory" in problem(file)


# What is recognised


def test_an_npz_and_a_pair_are_recognised(npz, pair, tmp_path):
    assert recognised(pair()).open(Progress()).classes == ("0", "1", "2")
    assert recognised(tmp_path) == recognised(pair())
    (tmp_path / "labels.npy").unlink()
    with pytest.raises(DataError, match="there are no labels beside it"):
        recognised(tmp_path / "images.npy")
    (tmp_path / "images.npy").unlink()
    file = npz(x=GREY, y=LABELS)
    assert recognised(file) == recognised(tmp_path) == Arrays(path=str(file))


@pytest.mark.parametrize(
    ("images", "labels"), [("X_train", "y_train"), ("x", "y"), ("train_images", "train_labels"), ("all", "all_labels")]
)
def test_labels_beside_are_found_by_name(tmp_path, images, labels):
    np.save(tmp_path / f"{images}.npy", GREY)
    np.save(tmp_path / f"{labels}.npy", LABELS)
    assert recognised(tmp_path / f"{images}.npy").labels == str(tmp_path / f"{labels}.npy")


def test_a_folder_with_class_folders_stays_a_folder(image_folder):
    root = image_folder({"cat": 1, "dog": 1})
    np.savez(root / "features.npz", x=GREY, y=LABELS)
    assert isinstance(recognised(root), Folder)


def test_arrays_are_decoded_into_batches(npz):
    images = load(index_of(npz(x=COLOUR, y=LABELS)), Preprocessing((5, 4, 3), "crop"), Cache(), Progress())
    assert np.array_equal(images.batch(np.arange(6)).numpy(), COLOUR)


@pytest.mark.parametrize("options", [{}, {"classes": ("Ka\u0308tzchen", "dog")}])
def test_labels_of_text_are_names_as_in_a_manifest(tmp_path, options):
    cats = [unicodedata.normalize(form, "K\u00e4tzchen") for form in ("NFC", "NFD")]
    labels = np.array([cats[0], f" {cats[1]} ", "dog", "dog\n"])
    file = tmp_path / "x.npz"
    np.savez(file, images=np.zeros((4, 5, 5), np.uint8), labels=labels)
    index = Arrays(path=str(file), **options).open(Progress()).index(Progress())
    assert index.classes == (options.get("classes") or ("K\u00e4tzchen", "dog"))
    assert index.labels.tolist() == [0, 0, 1, 1]
