"""What the doctor remembers, and when it looks again."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DiskError
from cnnkit.core.progress import Progress
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.files import decoding
from cnnkit.data.likeness import pixels
from cnnkit.data.section import Cache, Data
from cnnkit.data.sources import Folder
from cnnkit.data.splitting import Split
from cnnkit.inspection.doctor import examine
from cnnkit.inspection.doctor.base import Finding


def picture(number):
    """A picture that no other number has, and none of `image_folder`'s."""
    return Image.fromarray(np.random.default_rng([1, number]).integers(0, 256, (8, 8, 3), np.uint8))


@pytest.fixture
def looked(monkeypatch):
    """The number of times that images were decoded."""
    calls = []
    look = pixels.look
    monkeypatch.setattr(pixels, "look", lambda *words: calls.append(words) or look(*words))
    return calls


def data(root, **options):
    return Data(source=Folder(path=str(root)), **options)


def test_the_same_data_is_not_examined_twice(image_folder, looked):
    root = image_folder({"cat": 12, "dog": 5})
    (root / "cat" / "torn.png").write_bytes(b"")
    (root / "cat" / "notes.txt").write_text("")
    first = examine.examine(data(root), Progress())
    assert examine.examine(data(root), Progress()) == first
    assert len(looked) == 1


@pytest.mark.parametrize("change", ["file", "name", "seed", "split", "format"])
def test_other_data_is_examined_again(image_folder, looked, change):
    root = image_folder({"cat": 12, "dog": 12})
    examine.examine(data(root), Progress())
    file = root / "cat" / "0.png"
    if change == "file":
        picture(99).save(file)
    elif change == "name":
        file.rename(root / "cat" / "zero.png")
    elif change == "format":  # the same pixels
        with Image.open(file) as same:
            same.load()
        same.save(file, format="BMP")
    split = {"split": Split(test=0.3), "seed": Split(seed=1)}.get(change, Split())
    report = examine.examine(data(root, split=split), Progress())
    assert len(looked) == 2
    assert [finding.kind for finding in report.findings] == (["wrong_extension"] if change == "format" else [])


def test_a_class_without_images_is_other_data(image_folder, looked):
    root = image_folder({"cat": 12, "dog": 12})

    def kinds():
        return [finding.kind for finding in examine.examine(data(root), Progress()).findings]

    assert kinds() == []
    (root / "newclass").mkdir()
    assert kinds() == ["empty_class"]
    (root / "newclass").rmdir()
    assert kinds() == []


@pytest.mark.parametrize("content", [b"", b"words", b"0" * 32 + b"\n{}", None])
def test_a_damaged_memory_is_made_anew(image_folder, looked, content):
    root = image_folder({"cat": 12, "dog": 12})
    first = examine.examine(data(root), Progress())
    [file] = (Path(os.environ["CNNKIT_CACHE"]) / "doctor").glob("*/*.json")
    file.write_bytes(file.read_bytes()[:-20] if content is None else content)
    assert examine.examine(data(root), Progress()) == first
    assert examine.examine(data(root), Progress()) == first
    assert len(looked) == 2


def test_what_can_not_be_read_for_now_is_told_and_not_remembered(image_folder, monkeypatch):
    root = image_folder({"cat": 12, "dog": 12})
    read = decoding.read_bytes

    def fails(path):
        if Path(path).name == "0.png":
            raise decoding.Unreadable("can't be read: Input/output error")
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(decoding, "read_bytes", fails)
        assert examine.examine(data(root), Progress()).verdict == "error"
    assert examine.examine(data(root), Progress()).verdict == "good"


def test_before_a_training_it_is_not_remembered_either(image_folder, monkeypatch):
    root = image_folder({"cat": 12, "dog": 12})
    read = decoding.read_bytes

    def fails(path):
        path = Path(path)
        if path.parent.name == "dog" and int(path.stem) >= 4:
            raise decoding.Unreadable("can't be read: Input/output error")
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(decoding, "read_bytes", fails)
        assert before_training(data(root)).findings
    assert before_training(data(root)).findings == ()


def before_training(described):
    collection = described.source.open(Progress())
    index = described.index(collection, Progress())
    used = load(index, Preprocessing((8, 8, 3), "crop"), Cache(), Progress(), skip_bad=True).index
    splits = described.splits(used)
    return examine.before_training(described, index, used, splits, collection.skip_bad, Progress())


def test_before_a_training_a_glance_is_enough_and_is_no_examination(image_folder, looked):
    root = image_folder({"cat": 12, "dog": 4})
    described = data(root)
    found = before_training(described)
    assert {finding.kind for finding in found.findings} == {"tiny_class", "imbalance"} and not found.whole
    assert looked == []
    assert examine.examine(described, Progress()).mean is not None
    assert len(looked) == 1


def test_before_a_training_what_an_examination_found_is_known(image_folder, monkeypatch):
    root = image_folder({"cat": 12, "dog": 12})
    leak = Finding("near_leak", "warning", "seen in the pixels")
    monkeypatch.setattr("cnnkit.inspection.doctor.near.check", lambda *_: iter([leak]))
    examine.examine(data(root), Progress())
    found = before_training(data(root, image_size=(8, 8)))
    assert found.findings == (leak,) and found.whole


def test_a_cache_that_cannot_be_written_is_no_obstacle(image_folder, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "file" / "cache"))
    report = examine.examine(data(image_folder({"cat": 12, "dog": 12})), Progress())
    assert (report.verdict, report.sheets) == ("good", ())


def test_a_full_disk_costs_the_memory_and_the_sheets_not_the_verdict(image_folder, monkeypatch):
    def full(*words):
        raise OSError(errno.ENOSPC, "No space left on device")

    said = []
    progress = Progress()
    progress.say = said.append
    monkeypatch.setattr(os, "fsync", full)
    report = examine.examine(data(image_folder({"cat": 12, "dog": 12})), progress)
    assert (report.verdict, report.sheets) == ("good", ())
    assert len(said) == 5  # files, pixels, near-duplicates, report, sheets
    assert all(f"{cache_folder()}" in line and re.search(r"the disk at /.* is full", line) for line in said)


def test_a_disk_that_is_full_of_a_folder_for_sheets_that_was_asked_for_is_an_error(image_folder, monkeypatch, tmp_path):
    def full(*words):
        raise OSError(errno.ENOSPC, "No space left on device")

    root = image_folder({"cat": 12, "dog": 12})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match=r"is full: .*wanted"):
        examine.examine(data(root), Progress(), tmp_path / "wanted")
    assert not (tmp_path / "wanted").exists()
