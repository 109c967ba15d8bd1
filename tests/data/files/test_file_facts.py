from __future__ import annotations

import hashlib
import os
import time

import numpy as np
import pytest
from PIL import Image

from cnnkit.core.cache import cache_folder
from cnnkit.core.progress import Progress
from cnnkit.data.files import decoding, file_facts
from tests.conftest import random_picture

LONG_AGO = time.time() - 3600


@pytest.fixture
def files(image_folder, monkeypatch):
    """Three pictures whose times are past the moments in which a second change could not be told from the first."""
    monkeypatch.setattr(file_facts, "TICK", -(10**12))
    return image_folder({"a": 2, "b": 1}), ["a/0.png", "a/1.png", "b/0.png"]


@pytest.fixture
def reads(monkeypatch):
    """The files that are read."""
    seen = []
    read = decoding.read_bytes

    def counted(path):
        seen.append(path.name if path.parent.name != "a" else f"a/{path.name}")
        return read(path)

    monkeypatch.setattr(decoding, "read_bytes", counted)
    return seen


def test_a_second_look_reads_nothing(files, reads):
    first = file_facts.look(*files, Progress())
    assert len(reads) == 3
    reads.clear()
    assert file_facts.look(*files, Progress()) == first
    assert reads == []


def test_a_changed_file_is_read_again_and_a_removed_one_forgotten(files, reads):
    root, names = files
    before = file_facts.look(root, names, Progress())
    random_picture(99).save(root / "a/1.png")
    os.utime(root / "a/1.png", (LONG_AGO, LONG_AGO))
    reads.clear()
    after = file_facts.look(root, names, Progress())
    assert reads == ["a/1.png"]
    assert [x == y for x, y in zip(before, after, strict=True)] == [True, False, True]
    (root / "b/0.png").unlink()
    (gone,) = file_facts.look(root, ["b/0.png"], Progress())
    assert gone.bad == "can't be read: No such file or directory"


def test_a_change_that_keeps_size_and_time_of_change_is_seen(files):
    """As `cp -p` and some tools do: only the time of the inode tells."""
    root, names = files
    path = root / "a/0.png"
    path.write_bytes(b"one")
    os.utime(path, (LONG_AGO, LONG_AGO))
    before = file_facts.look(root, names, Progress())[0]
    time.sleep(0.02)
    path.write_bytes(b"two")
    os.utime(path, (LONG_AGO, LONG_AGO))
    assert file_facts.look(root, names, Progress())[0].digest != before.digest


def test_a_file_that_changed_within_the_last_moments_is_read_again(image_folder, reads, monkeypatch):
    monkeypatch.setattr(file_facts, "TICK", 10**12)
    root = image_folder({"a": 1})
    for _ in range(2):
        file_facts.look(root, ["a/0.png"], Progress())
    assert reads == ["a/0.png"] * 2


@pytest.mark.parametrize("year", [1900, 2300])
def test_a_file_may_be_of_any_year(files, year):
    root, names = files
    seconds = (year - 1970) * 31_556_952
    os.utime(root / names[0], (seconds, seconds))
    first = file_facts.look(root, names, Progress())
    assert file_facts.look(root, names, Progress()) == first
    assert not first[0].settled


@pytest.mark.parametrize("damage", ["empty", "words", "deep", "a character"])
def test_a_damaged_memory_is_made_anew(files, reads, damage):
    first = file_facts.look(*files, Progress())
    (memory,) = (cache_folder() / "index").iterdir()
    content = memory.read_bytes()
    digest = first[0].digest.encode()
    changed = content.replace(digest, digest[:-1] + (b"0" if digest[-1:] != b"0" else b"1"))
    damaged = {
        "empty": b"",
        "words": f'{{"version": {file_facts.VERSION}}}\nwords'.encode(),
        "deep": b"[" * 100_000,
        "a character": changed,
    }
    memory.write_bytes(damaged[damage])
    reads.clear()
    assert file_facts.look(*files, Progress()) == first
    assert len(reads) == 3
    assert memory.read_bytes() == content


def test_files_that_were_not_asked_for_stay_remembered_up_to_a_bound(files, reads, monkeypatch):
    root, names = files
    file_facts.look(root, names[:2], Progress())
    file_facts.look(root, names[2:], Progress())
    assert len(reads) == 3
    file_facts.look(root, names, Progress())
    assert len(reads) == 3
    monkeypatch.setattr(file_facts, "OTHERS", 1)
    (root / "b/0.png").touch()
    file_facts.look(root, names[2:], Progress())
    reads.clear()
    file_facts.look(root, names, Progress())
    assert len(reads) == 1


def test_a_file_that_can_not_be_read_is_read_again(files, monkeypatch):
    root, names = files
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", raising(PermissionError(13, "Permission denied")))
        assert [fact.bad for fact in file_facts.look(root, names, Progress())] == [
            "can't be read: Permission denied"
        ] * 3
    assert [fact.bad for fact in file_facts.look(root, names, Progress())] == [None] * 3


def test_a_picture_that_memory_was_lacking_for_is_read_again(files, monkeypatch):
    root, names = files
    with monkeypatch.context() as patched:
        patched.setattr("PIL.ImageFile.ImageFile.load", raising(MemoryError()))
        seen = {fact.bad for fact in file_facts.look(root, names, Progress())}
    assert seen == {"there is not enough memory to decode it"}
    assert [fact.bad for fact in file_facts.look(root, names, Progress())] == [None] * 3


def raising(error):
    def fails(*_, **__):
        raise error

    return fails


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_large_picture_has_the_same_digest_though_it_is_hashed_in_parts(tmp_path, monkeypatch, mode):
    image = random_picture(1, (50, 7)).convert(mode)
    image.save(tmp_path / "a.png")
    monkeypatch.setattr(file_facts, "_PART", 100)
    (fact,) = file_facts.look(tmp_path, ["a.png"], Progress())
    pixels = np.asarray(image)
    shape = "x".join(map(str, pixels.shape))
    assert fact.digest == hashlib.blake2b(f"{shape}:".encode() + pixels.tobytes(), digest_size=16).hexdigest()
    assert fact.digest == file_facts.digest_of_pixels(pixels)
    assert fact.digest == file_facts.digest_of_pixels(np.asarray(pixels, order="F"))


def test_large_pictures_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    for i in range(6):
        random_picture(i, (20, 20)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(decoding, "LARGE", 100)
    inside, most = [], []
    loaded = decoding._loaded

    def slowly(*words):
        inside.append(1)
        time.sleep(0.01)
        most.append(len(inside))
        inside.pop()
        return loaded(*words)

    monkeypatch.setattr(decoding, "_loaded", slowly)
    file_facts.look(tmp_path, [f"{i}.png" for i in range(6)], Progress())
    assert set(most) == {1}


def test_what_an_image_says_of_itself_is_known(files):
    root, names = files
    exif = Image.Exif()
    exif[0x0112] = 6
    random_picture(1, (4, 6)).save(root / "a/0.png", "JPEG", exif=exif)
    (root / "a/1.png").write_bytes(b"words")
    photo, text, plain = file_facts.look(root, names, Progress())
    assert photo.header == ("JPEG", "RGB", 6, 4, 6, 1, 8)
    assert photo.size == (root / "a/0.png").stat().st_size
    assert text.header is None
    assert text.bad.startswith("not a JPEG, PNG, BMP")
    assert plain.header == ("PNG", "RGB", 8, 8, 1, 1, 8)


def test_a_plain_picture_is_the_same_in_every_file_without_loss(tmp_path):
    image = random_picture(1)
    files = {"a.png": {}, "b.png": {"compress_level": 1}, "c.bmp": {}, "d.jpg": {"quality": 95}, "e.webp": {}}
    for name, options in files.items():
        image.save(tmp_path / name, **options)
    image.convert("L").save(tmp_path / "f.png")
    digests = [fact.digest for fact in file_facts.look(tmp_path, [*files, "f.png"], Progress())]
    assert digests[0] == digests[1] == digests[2] == file_facts.digest_of_pixels(np.asarray(image))
    assert len(set(digests)) == 4


def test_black_pictures_of_two_shapes_are_not_the_same(tmp_path):
    for name, size in (("a.png", (4, 9)), ("b.png", (6, 6))):
        Image.new("L", size).save(tmp_path / name)
    one, other = file_facts.look(tmp_path, ["a.png", "b.png"], Progress())
    assert one.digest != other.digest


def test_a_cache_that_cannot_be_written_is_told_and_costs_nothing_else(files, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "file"))
    said = []

    class Listener(Progress):
        def say(self, line):
            said.append(line)

    assert len(file_facts.look(*files, Listener())) == 3
    assert len(said) == 1
    assert "read again next time" in said[0]
