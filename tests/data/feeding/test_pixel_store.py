from __future__ import annotations

import errno
import gc
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cnnkit.core.cache import cache_folder
from cnnkit.core.progress import Progress
from cnnkit.data.feeding import pixel_store
from cnnkit.data.feeding.pixel_store import PixelStore, bytes_of

SHAPE = (4, 5, 3)
COUNT = 6
ALL = bytes_of(COUNT, SHAPE)
AMPLE = 2**20


class Told(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


DIGEST = "0" * 32


def keys_of(name):
    return [f"{name} {i}".ljust(16).encode() for i in range(COUNT)]


def pictures(name="a"):
    chance = np.random.default_rng(list(name.encode()))
    return chance.integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)


def kept(name="a", room=AMPLE, progress=None):
    return kept_of(keys_of(name), pictures(name), room, progress)


def kept_of(keys, images, room=AMPLE, progress=None, digest=DIGEST, shape=SHAPE):
    """What is there afterwards, None if nothing new is; `keys` may be of more images than there are."""
    before = PixelStore.open(digest, keys, shape)
    after = before.keep(enumerate(images), room, progress or Progress(), "they are made again")
    return None if after is before else after


def opened(keys):
    """What a new run finds of images; None if there is nothing of them."""
    store = PixelStore.open(DIGEST, keys, SHAPE)
    return store if store.files else None


def right(store, name="a"):
    """Whether each image of a store is the one that was kept."""
    return all(np.array_equal(store.read(i), image) for i, image in enumerate(pictures(name)))


def there():
    folder = cache_folder() / "pixels"
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def file_of(name="a"):
    return PixelStore(DIGEST, keys_of(name), SHAPE).path


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_is_kept_is_read_again_by_any_number():
    assert right(kept())
    again = opened(keys_of("a"))
    assert right(again)
    assert np.array_equal(again.read(3), pictures()[3])
    assert again.read(3).dtype == np.uint8
    assert there() == [file_of().name]
    assert file_of().stat().st_size == ALL


def test_nothing_is_there_before_it_is_kept():
    assert opened(keys_of("a")) is None


def test_other_images_or_another_order_are_another_file():
    keys = keys_of("a")
    others = (keys, keys[::-1], keys[1:], [*keys, *keys_of("b")], keys_of("b"))
    assert len({PixelStore(DIGEST, chosen, SHAPE).path for chosen in others}) == 5


def test_arrays_in_any_layout_are_kept_as_they_look():
    turned = [image.transpose(1, 0, 2)[::-1] for image in pictures()]
    store = kept_of(keys_of("a"), turned, shape=(5, 4, 3))
    assert all(np.array_equal(store.read(i), image) for i, image in enumerate(turned))


def changed(place, content):
    def change(file):
        whole = bytearray(file.read_bytes())
        whole[place : place + len(content)] = content
        file.write_bytes(whole)

    return change


KEYS = 60 * COUNT
CHECKSUMS = KEYS + 16 * COUNT


@pytest.mark.parametrize("damaged", range(COUNT))
@pytest.mark.parametrize("byte", [0, 30, 59])
def test_an_image_with_a_wrong_byte_is_not_read_and_the_others_are(damaged, byte):
    kept()
    changed(damaged * 60 + byte, bytes([pictures()[damaged].ravel()[byte] ^ 4]))(file_of())
    store = opened(keys_of("a"))
    for i, image in enumerate(pictures()):
        seen = store.read(i)
        assert seen is None if i == damaged else np.array_equal(seen, image)


def test_an_image_with_a_wrong_checksum_is_not_read():
    kept()
    changed(CHECKSUMS + 8, b"\1\2\3\4")(file_of())
    store = opened(keys_of("a"))
    assert [store.read(i) is None for i in range(COUNT)] == [False, False, True, False, False, False]


def test_an_image_with_a_wrong_key_is_not_there():
    kept()
    changed(KEYS + 16 * 2 + 5, b"?")(file_of())
    store = opened(keys_of("a"))
    assert [store.read(i) is None for i in range(COUNT)] == [False, False, True, False, False, False]
    assert 2 not in store and 3 in store


def test_images_are_not_read_by_the_keys_of_others():
    kept()
    first, second, *_ = keys_of("a")
    changed(KEYS, second + first)(file_of())
    store = opened(keys_of("a"))
    assert [store.read(i) is None for i in range(COUNT)] == [True, True, False, False, False, False]


def test_a_damaged_image_is_missing_the_next_time_and_the_others_are_there():
    kept()
    changed(0, bytes(60))(file_of())
    store = opened(keys_of("a"))
    assert 0 in store
    assert store.read(0) is None
    after = opened(keys_of("a"))
    assert [i in after for i in range(COUNT)] == [False] + [True] * (COUNT - 1)
    assert np.array_equal(store.read(1), pictures()[1])  # this run goes on with what is whole
    kept()
    assert store.read(0) is None
    assert right(opened(keys_of("a")))  # and takes nothing from what another run has made meanwhile


@pytest.mark.parametrize("length", [0, 1, 60 * COUNT, ALL // 2, ALL - 1, ALL + 1])
def test_a_file_of_another_length_is_not_read_but_made_anew(length):
    kept()
    os.truncate(file_of(), length)
    assert opened(keys_of("a")) is None
    assert right(kept())
    assert right(opened(keys_of("a")))


def test_a_file_cut_short_while_it_is_read_is_damaged_and_no_more():
    store = kept()
    os.truncate(file_of(), 60 * COUNT - 70)
    assert [store.read(i) is None for i in range(COUNT)] == [False] * 4 + [True, True]


def test_a_disk_that_fails_is_as_good_as_damaged(monkeypatch):
    store = kept()

    def fails(*words):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", fails)
    assert store.read(0) is None


def test_what_is_open_stays_readable_when_the_file_is_removed():
    store = kept()
    file_of().unlink()
    assert right(store)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts the descriptors that Linux tells of")
def test_a_store_that_is_not_used_any_more_is_closed():
    kept()
    gc.collect()
    before = descriptors()
    for _ in range(5):
        assert right(opened(keys_of("a")))
    opened(keys_of("other"))
    os.truncate(file_of(), 3)
    assert opened(keys_of("a")) is None
    assert right(kept())
    gc.collect()
    assert descriptors() == before


# Image by image


def test_images_are_found_in_any_file_of_their_view():
    kept("a")
    kept("b")
    keys = [*keys_of("b")[:2], *keys_of("a")[3:], *keys_of("c")[:1]]
    store = opened(keys)
    assert np.array_equal([store.read(i) for i in range(5)], [*pictures("b")[:2], *pictures("a")[3:]])
    assert 5 not in store and store.read(5) is None
    assert not PixelStore.open("1" * 32, keys, SHAPE).files
    chosen = store.take([4, 0])
    assert np.array_equal([chosen.read(0), chosen.read(1)], [pictures("a")[5], pictures("b")[0]])


def test_images_that_could_not_be_made_take_no_room():
    store = kept_of(keys_of("a"), pictures()[:4])
    assert [i in store for i in range(COUNT)] == [True] * 4 + [False] * 2
    assert file_of().stat().st_size == bytes_of(4, SHAPE)
    assert right(kept())
    assert kept_of(keys_of("b"), []) is None
    assert there() == [file_of().name]


def test_equal_images_are_kept_once():
    keys = keys_of("a")
    store = kept_of([*keys, *keys], [*pictures(), *pictures()])
    assert all(np.array_equal(store.read(COUNT + i), image) for i, image in enumerate(pictures()))
    [file] = (cache_folder() / "pixels").iterdir()
    assert file.stat().st_size == ALL


def test_a_file_that_holds_all_of_another_takes_its_place():
    small, other = kept_of(keys_of("a")[:3], pictures()[:3]), kept("b")
    kept_of(keys_of("a")[:3], pictures()[:3], digest="1" * 32)
    [left] = [name for name in there() if name.startswith("1")]
    kept()
    assert there() == sorted([file_of("a").name, file_of("b").name, left])
    assert np.array_equal(small.read(2), pictures()[2])  # for a run that reads it
    assert right(other, "b")


def test_room_is_made_by_what_is_replaced_before_it_is_made_by_what_is_older():
    kept("b")
    aged("b", 1000)
    kept_of(keys_of("a")[:3], pictures()[:3])
    kept(room=2 * ALL)
    assert there() == sorted(file_of(name).name for name in "ab")


# Room


def aged(name, seconds):
    then = time.time() - seconds
    os.utime(file_of(name), (then, then))


def test_all_files_together_stay_within_the_room_and_the_oldest_go_first():
    for age, name in enumerate("abcd"):
        kept(name)
        aged(name, 1000 - age)
    kept("e", room=3 * ALL)
    assert there() == sorted(file_of(name).name for name in "cde")
    kept("f", room=3 * ALL - 1)
    assert there() == sorted(file_of(name).name for name in "ef")


def test_what_was_used_last_stays():
    for age, name in enumerate("abc"):
        kept(name)
        aged(name, 1000 - age)
    opened(keys_of("a"))
    kept("d", room=3 * ALL)
    assert there() == sorted(file_of(name).name for name in "acd")


def test_a_damaged_file_takes_no_room_from_the_others_as_it_is_replaced():
    kept("a")
    kept("b")
    os.truncate(file_of("b"), 3)
    kept("b", room=2 * ALL)
    assert there() == sorted(file_of(name).name for name in "ab")


def test_what_another_run_removes_meanwhile_is_no_hindrance(monkeypatch):
    kept("a")
    kept("b")
    stat = Path.stat

    def gone(path, **words):
        if path == file_of("a"):
            path.unlink(missing_ok=True)
        return stat(path, **words)

    monkeypatch.setattr(Path, "stat", gone)
    told = Told()
    assert right(kept("c", progress=told), "c")
    assert told.lines == []


def left_by_a_killed_run(age, name="z"):
    left = file_of(name).with_name(f".writing-0123456789ab-{file_of(name).name}")
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(bytes(ALL))
    os.utime(left, (time.time() - age,) * 2)
    return left


@pytest.mark.parametrize("name", ["a", "z"])
def test_what_a_killed_run_has_left_is_removed(name):
    left = left_by_a_killed_run(61, name)
    kept()
    assert not left.exists()
    assert there() == [file_of().name]


def test_what_has_just_been_begun_is_left_alone():
    left = left_by_a_killed_run(30)
    kept()
    assert left.exists()


def test_what_somebody_is_writing_is_left_alone_however_long_it_takes():
    left = left_by_a_killed_run(3600)
    holding = (
        "import fcntl, sys; f = open(sys.argv[1], 'rb'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, left], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "1\n"
        kept()
        assert left.exists()
        told = Told()
        assert kept("b", room=2 * ALL - 1, progress=told) is None  # together they would take more than they may
        assert "what other runs are keeping at the moment leaves no room within data.cache.disk_gib" in told.lines[0]
        other.communicate("\n")
    kept("c")
    assert not left.exists()


# A disk that is full, or not to be written to


def raising(number):
    def fail(*words):
        raise OSError(number, os.strerror(number))

    return fail


class Full:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file):
        self.file, self.left = file, ALL // 2

    def write(self, content):
        self.left -= len(bytes(content))
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.file.close()


def full_while_writing(monkeypatch):
    opened = Path.open

    def open_full(path, mode="r", *words, **named):
        file = opened(path, mode, *words, **named)
        return Full(file) if mode == "xb" else file

    monkeypatch.setattr(Path, "open", open_full)


def full_before(monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", raising(errno.ENOSPC), raising=False)


def full_at_the_end(monkeypatch):
    monkeypatch.setattr(os, "fsync", raising(errno.EDQUOT))


def not_to_be_written_to(monkeypatch):
    monkeypatch.setattr(Path, "open", raising(errno.EROFS))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (full_before, r"the disk at /.* is full: .* needs "),
        (full_while_writing, r"the disk at /.* is full: .* needs "),
        (full_at_the_end, r"your quota on the disk at /.* is used up: .* needs "),
        (not_to_be_written_to, r"the disk at /.* is read-only: .* can't be written"),
    ],
)
def test_where_nothing_can_be_kept_one_line_says_so_and_all_images_are_gone_through(monkeypatch, how, reason):
    how(monkeypatch)
    told, gone_through = Told(), []
    images = (gone_through.append(i) or image for i, image in enumerate(pictures()))
    assert kept_of(keys_of("a"), images, progress=told) is None
    assert gone_through == list(range(COUNT))
    [line] = told.lines
    assert line.startswith("decoded images are not kept: ")
    assert str(cache_folder()) in line
    assert re.search(reason, line)
    assert line.endswith("; they are made again")
    assert there() == []


def test_a_file_system_that_cannot_tell_the_room_before_is_used_all_the_same(monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", raising(errno.EOPNOTSUPP), raising=False)
    assert right(kept())


def test_what_is_kept_is_read_from_a_cache_that_cannot_be_written_to(monkeypatch):
    kept()
    monkeypatch.setattr(os, "utime", raising(errno.EROFS))
    assert right(opened(keys_of("a")))


def test_a_cache_that_is_a_file_is_told_in_one_line(tmp_path, monkeypatch):
    file = tmp_path / "cache"
    file.write_text("mine")
    monkeypatch.setenv("CNNKIT_CACHE", str(file))
    told = Told()
    assert opened(keys_of("a")) is None
    assert kept(progress=told) is None
    [line] = told.lines
    assert str(file) in line and "Not a directory" in line
    assert file.read_text() == "mine"


class Stopped(Exception):
    """Something else went wrong."""


def test_nothing_is_left_when_the_images_fail():
    def failing():
        yield from pictures()[:3]
        raise Stopped

    with pytest.raises(Stopped):
        kept_of(keys_of("a"), failing())
    assert there() == []


@pytest.mark.parametrize("good", [0, 3])
def test_an_error_of_the_system_that_making_an_image_raises_is_none_of_the_disk(good):
    def failing():
        yield from pictures()[:good]
        raise OSError(errno.ENOSPC, "of another disk")

    told = Told()
    with pytest.raises(OSError, match="of another disk"):
        kept_of(keys_of("a"), failing(), progress=told)
    assert told.lines == []
    assert there() == []


# Other processes

KEEPING = """
import sys
import numpy as np
from cnnkit.data.feeding import pixel_store
from cnnkit.data.feeding.pixel_store import PixelStore
from cnnkit.core.progress import Progress

class Told(Progress):
    def say(self, line):
        print(line, flush=True)

def images(pausing=False):
    chance = np.random.default_rng(0)
    for i in range(2000):
        if i == 1000 and pausing:
            print("half", flush=True)
            input()
        yield chance.integers(0, 256, (32, 32, 3), dtype=np.uint8)

keys = [i.to_bytes(16, "big") for i in range(1, 2001)]
before = PixelStore.open("a", keys, (32, 32, 3))
after = before.keep(enumerate(images(pausing=True)), 2**30, Told(), "so be it")
for store in (after, PixelStore.open("a", keys, (32, 32, 3))):
    print(all(np.array_equal(store.read(i), image) for i, image in enumerate(images())) if store.files else None)
"""


def keeping(**options):
    """A process that is half done when it says so, and goes on when it is told."""
    words = [sys.executable, "-c", KEEPING]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
    told = [process.stdout.readline()]
    while told[-1] not in ("half\n", ""):
        told.append(process.stdout.readline())
    process.told = told[:-1]
    return process


def told_by(process):
    lines = process.communicate("\n", timeout=300)[0].splitlines()
    assert process.returncode == 0
    return [*process.told, *lines]


def test_a_run_killed_while_it_fills_the_cache_leaves_nothing_that_is_read():
    with keeping() as killed:
        killed.send_signal(signal.SIGKILL)
    [left] = (cache_folder() / "pixels").iterdir()
    assert left.name.startswith(".writing-")
    os.utime(left, (time.time() - 61,) * 2)
    with keeping() as after:
        assert told_by(after) == ["True", "True"]
    assert not left.exists()
    [file] = there()
    assert not file.startswith(".")


def test_two_runs_that_fill_the_same_cache_at_once_are_both_right():
    with keeping() as one, keeping() as other:
        assert [told_by(process) for process in (one, other)] == [["True", "True"]] * 2
    [file] = there()
    assert not file.startswith(".")


def test_a_limit_of_the_size_of_files_is_told_in_one_line():
    """As on a full disk, but the system says so itself, in a process of its own."""
    import resource

    limit = 2**20
    with keeping(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) as limited:
        told, *stores = told_by(limited)
    assert "decoded images are not kept" in told and "no file may be so large" in told
    assert stores == ["None", "None"]
    assert there() == []


def test_an_abandoned_file_is_one_that_nobody_holds_and_nobody_has_just_begun():
    assert pixel_store._abandoned(left_by_a_killed_run(61))
    assert not pixel_store._abandoned(left_by_a_killed_run(30))
    assert not pixel_store._abandoned(Path("gone"))
