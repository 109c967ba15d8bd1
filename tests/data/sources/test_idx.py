from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest

from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.sources import Idx

RANDOM = np.random.default_rng(0)
TRAIN = RANDOM.integers(0, 256, (7, 5, 4), dtype=np.uint8)
TEST = RANDOM.integers(0, 256, (3, 5, 4), dtype=np.uint8)
TRAIN_LABELS = np.array([0, 2, 1, 0, 2, 1, 2])
TEST_LABELS = np.array([1, 0, 2])
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture
def idx_folder(tmp_path, write_idx):
    """Makes the files of a set; `sign` is what stands before `idx` in their names."""

    def make(test=True, sign="-", gz=""):
        parts = [("train", TRAIN, TRAIN_LABELS)] + [("t10k", TEST, TEST_LABELS)] * test
        for prefix, images, labels in parts:
            write_idx(tmp_path / f"{prefix}-images{sign}idx3-ubyte{gz}", images)
            write_idx(tmp_path / f"{prefix}-labels{sign}idx1-ubyte{gz}", labels)
        return tmp_path

    return make


def read(folder, **options):
    """Everything that could fail."""
    return Idx(path=str(folder), **options).open(Progress()).index(Progress())


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize("sign", ["-", "."])
def test_the_four_files_are_read(idx_folder, sign, gz):
    folder = idx_folder(sign=sign, gz=gz)
    collection = Idx(path=str(folder)).open(Progress())
    assert collection.classes == ("0", "1", "2")
    assert collection.splits == {"test"}
    assert collection.shape == (5, 4, 1)
    index = collection.index(Progress())
    assert index.labels.tolist() == [*TRAIN_LABELS, *TEST_LABELS]
    assert index.splits == [None] * 7 + ["test"] * 3
    assert len(set(index.names)) == 10
    for i, pixels in enumerate([*TRAIN, *TEST]):
        assert np.array_equal(np.asarray(index.open(i)), pixels)


def test_without_t10k_there_is_no_split_of_its_own(idx_folder):
    folder = idx_folder(test=False)
    assert Idx(path=str(folder)).open(Progress()).splits == frozenset()
    assert len(read(folder)) == 7


def test_gzip_changes_nothing(idx_folder):
    plain = read(idx_folder()).fingerprint()
    for file in idx_folder().iterdir():
        file.unlink()
    assert read(idx_folder(gz=".gz")).fingerprint() == plain


def test_classes_can_be_named(idx_folder):
    assert read(idx_folder(), classes=("ant", "bee", "cow")).classes == ("ant", "bee", "cow")


def test_labels_beyond_the_names_are_an_error_of_the_names(idx_folder):
    with pytest.raises(DataError, match="2 names, but the labels go from 0 to 2") as error:
        read(idx_folder(), classes=("ant", "bee"))
    assert error.value.problems[0].key == "classes"


def test_equal_images_have_equal_digests(tmp_path, write_idx):
    write_idx(tmp_path / IMAGES, TRAIN[[0, 1, 0]])
    write_idx(tmp_path / LABELS, TRAIN_LABELS[:3])
    digests = read(tmp_path).digests
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize("name", [IMAGES, LABELS, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("damage", ["magic", "other dimensions", "truncated", "too long", "empty", "header cut"])
def test_a_damaged_file_is_named(idx_folder, name, damage):
    folder = idx_folder()
    content = (folder / name).read_bytes()
    changed = {
        "magic": bytes([0, 0, 9]) + content[3:],
        "other dimensions": content[:3] + bytes([2]) + content[4:],
        "truncated": content[:-1],
        "too long": content + b"\0",
        "empty": b"",
        "header cut": content[:6],
    }
    (folder / name).write_bytes(changed[damage])
    with pytest.raises(DataError, match=name):
        read(folder)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
@pytest.mark.parametrize("damage", ["no gzip", "cut", "checksum", "bytes", "junk behind"])
def test_a_damaged_gzip_is_named(idx_folder, name, damage):
    folder = idx_folder(gz=".gz")
    content = (folder / f"{name}.gz").read_bytes()
    middle = len(content) // 2
    changed = {
        "no gzip": gzip.decompress(content),
        "cut": content[:-9],
        "checksum": content[:-8] + b"\1\2\3\4" + content[-4:],
        "bytes": content[:middle] + b"\xff" * 4 + content[middle + 4 :],
        "junk behind": content + b"junk",
    }
    (folder / f"{name}.gz").write_bytes(changed[damage])
    with pytest.raises(DataError, match=name):
        read(folder)


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize("sizes", [(2**20, 2**10, 2**10), (2**32 - 1, 28, 28), (2**32 - 1,) * 3])
def test_an_absurd_size_in_a_header_is_named(idx_folder, write_idx, sizes, gz):
    folder = idx_folder(gz=gz)
    write_idx(folder / f"{IMAGES}{gz}", TRAIN, sizes=sizes)
    with pytest.raises(DataError, match=IMAGES):
        read(folder)


def test_unequal_counts_are_named(tmp_path, write_idx):
    write_idx(tmp_path / IMAGES, TRAIN)
    write_idx(tmp_path / LABELS, TRAIN_LABELS[:-1])
    with pytest.raises(DataError, match=f"{IMAGES} has 7 images, .*{LABELS} 6 labels"):
        read(tmp_path)


def test_images_of_different_sizes_are_named(idx_folder, write_idx):
    folder = idx_folder()
    write_idx(folder / "t10k-images-idx3-ubyte", TEST[:, :4])
    with pytest.raises(DataError, match="different sizes"):
        read(folder)


@pytest.mark.parametrize("part", ["train", "t10k"])
@pytest.mark.parametrize(("kind", "other"), [("images-idx3", "labels-idx1"), ("labels-idx1", "images-idx3")])
def test_one_file_without_the_other_is_named(idx_folder, part, kind, other):
    folder = idx_folder()
    (folder / f"{part}-{other}-ubyte").unlink()
    with pytest.raises(DataError, match=f"{part}-{kind}-ubyte without its {other[:6]}"):
        read(folder)


def test_an_empty_or_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="does not hold train-images-idx3-ubyte"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        read(tmp_path / "nowhere")


def test_one_class_is_too_few(tmp_path, write_idx):
    write_idx(tmp_path / IMAGES, TRAIN)
    write_idx(tmp_path / LABELS, np.zeros(7))
    with pytest.raises(DataError, match="two classes"):
        read(tmp_path)


def test_no_two_classes_share_a_name(idx_folder):
    with pytest.raises((DataError, ValueError), match="bee"):
        read(idx_folder(), classes=("ant", "bee", "bee"))


def test_a_gz_that_unpacks_to_a_hundred_times_its_size_is_refused_by_its_header(idx_folder, write_idx, monkeypatch):
    monkeypatch.setattr("cnnkit.data.files.archive_members.ALLOWANCE", 1000)
    folder = idx_folder()
    write_idx(folder / f"{IMAGES}.gz", np.zeros((7, 500, 500)))
    (folder / IMAGES).unlink()
    with pytest.raises(DataError, match=rf"{IMAGES}\.gz unpacks to more than .* bomb; .* gunzip") as error:
        Idx(path=str(folder)).open(Progress())
    assert error.value.problems[0].key == "path"
    (folder / IMAGES).write_bytes(gzip.decompress((folder / f"{IMAGES}.gz").read_bytes()))
    assert Idx(path=str(folder)).open(Progress()).shape == (500, 500, 1)


@pytest.mark.parametrize("gz", ["", ".gz"])
def test_what_memory_has_no_room_for_is_told_before_it_is_read(idx_folder, gz, monkeypatch):
    folder = idx_folder(gz=gz)
    collection = Idx(path=str(folder)).open(Progress())
    monkeypatch.setattr("cnnkit.data.files.arrays.free_memory", lambda: 100)
    with pytest.raises(DataError, match=rf"{IMAGES}{gz} needs .* GiB of memory"):
        collection.index(Progress())


def test_a_memory_that_is_full_is_told_in_a_line(idx_folder, monkeypatch):
    def full(*_):
        raise MemoryError

    folder = idx_folder(gz=".gz")
    monkeypatch.setattr(gzip.GzipFile, "read", full)
    with pytest.raises(DataError, match=rf"{LABELS}\.gz can't be read: there is no memory"):
        read(folder)


def test_a_set_is_in_memory_once(tmp_path, write_idx):
    write_idx(tmp_path / IMAGES, RANDOM.integers(0, 256, (8, 1000, 1000)))
    write_idx(tmp_path / LABELS, np.arange(8))
    collection = Idx(path=str(tmp_path)).open(Progress())
    tracemalloc.start()
    try:
        index = collection.index(Progress())
        assert len(index) == 8
        assert tracemalloc.get_traced_memory()[1] < 1.5 * 8e6
    finally:
        tracemalloc.stop()
