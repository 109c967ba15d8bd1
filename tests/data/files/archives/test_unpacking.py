"""Archives are unpacked whole, once, whoever asks for them."""

from __future__ import annotations

import bz2
import errno
import gzip
import os
import random
import shutil
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.files import archives
from cnnkit.data.files.archives import is_archive, unpacked

FILES = {  # what `packed` packs if nothing else is asked for
    "README": b"about",
    "cat/0.png": b"one",
    "cat/deep/er/1.png": b"",
    "dög/ä b.png": random.Random(0).randbytes(300_000),
}
KINDS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]
TEXT = bytes(10) + b"text " * 1000


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


# What is right


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_unpacked_with_all_that_is_in_it(tmp_path, packed, kind):
    folder = unpacked(packed(tmp_path / f"a.{kind}"), Progress())
    assert content(folder) == FILES
    assert folder.is_relative_to(cache_folder())
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{kind}"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_content_tells_what_an_archive_is_not_its_name(tmp_path, packed, kind):
    path = packed(tmp_path / f"a.{kind}").rename(tmp_path / "data.bin")
    assert is_archive(path)
    assert content(unpacked(path, Progress())) == FILES


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read_with_long_names(tmp_path, a_tar, format):
    long = "/".join(["d" * 40] * 3) + "/" + "f" * 90
    path = a_tar(tmp_path / "a.tar", [(long, b"1"), ("./b//c", b"2")], format=format)
    assert content(unpacked(path, Progress())) == {long: b"1", "b/c": b"2"}


def test_archives_of_the_tools_themselves_are_read(tmp_path):
    for name, data in FILES.items():
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    for kind in ("tar", "gztar", "zip"):
        archive = Path(shutil.make_archive(str(tmp_path / "made"), kind, tmp_path / "in"))
        assert content(unpacked(archive, Progress())) == FILES


def test_a_folder_is_taken_as_it_is(tmp_path):
    assert unpacked(tmp_path, Progress()) == tmp_path
    assert not (cache_folder() / "archives").exists()


def test_what_is_unpacked_has_no_rights_of_its_own(tmp_path, a_zip, a_tar):
    odd = tarfile.TarInfo("run.sh")
    odd.mode, odd.uid, odd.uname, odd.mtime = 0o6777, 4711, "root", 0
    also = zipfile.ZipInfo("run.sh")
    also.external_attr = (stat.S_IFREG | 0o6777) << 16
    folder = tarfile.TarInfo("locked")
    folder.type, folder.mode = tarfile.DIRTYPE, 0
    for path in (
        a_tar(tmp_path / "a.tar", [(odd, b"x"), (folder, b""), ("locked/in", b"y")]),
        a_zip(tmp_path / "a.zip", [(also, b"x")]),
    ):
        home = unpacked(path, Progress())
        assert stat.S_IMODE((home / "run.sh").stat().st_mode) & 0o7133 == 0
        for below in home.rglob("*"):
            assert below.stat().st_uid == os.getuid()
            assert not below.is_dir() or stat.S_IMODE(below.stat().st_mode) & 0o7722 == 0o700


@pytest.mark.parametrize("name", ["dög.png", "猫/犬.png", "a b/ c.png", "[x]*?.png", "yes", "é" * 100, "😀.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_any_name_that_can_be_shown_stays(tmp_path, packed, kind, name):
    assert content(unpacked(packed(tmp_path / f"a.{kind}", {name: b"1"}), Progress())) == {name: b"1"}


def test_a_zip_name_in_utf8_that_is_not_marked_so_is_read_as_such(tmp_path, packed):
    # What macOS writes. In the file the mark is the bit 0x800 of two flags, behind the signatures.
    archive_bytes = bytearray(packed(tmp_path / "a.zip", {"dög.png": b"1"}).read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        archive_bytes[archive_bytes.index(signature) + flags + 1] &= ~0x08
    (tmp_path / "b.zip").write_bytes(archive_bytes)
    assert content(unpacked(tmp_path / "b.zip", Progress())) == {"dög.png": b"1"}


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode there")
def test_a_tar_name_that_is_no_utf8_stays_as_it_is(tmp_path, a_tar):
    name = os.fsdecode(b"d\xf6g.png")
    folder = unpacked(a_tar(tmp_path / "a.tar", [(name, b"1")], encoding="utf-8", errors="surrogateescape"), Progress())
    assert [os.fsencode(path.name) for path in folder.iterdir()] == [b"d\xf6g.png"]


OTHERS = {
    "empty": b"",
    "picture": b"\xff\xd8\xff\xe0 a picture",
    "letters": b"PK",
    "gz": gzip.compress(TEXT),
    "bz2": bz2.compress(TEXT),
}


@pytest.mark.parametrize("begin", OTHERS.values(), ids=OTHERS)
def test_other_files_are_no_archives(tmp_path, refused, begin):
    path = tmp_path / "a.zip"
    path.write_bytes(begin)
    assert not is_archive(path)
    refused(path, "no archive", ".tar.gz")


def test_a_picture_with_a_zip_behind_it_is_no_archive(tmp_path, packed):
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + packed(tmp_path / "a.zip").read_bytes())
    assert zipfile.is_zipfile(path)
    assert not is_archive(path)
    assert not is_archive(tmp_path) and not is_archive(tmp_path / "nothing")


# Once


class Watching(Progress):
    def __init__(self):
        self.tasks = []
        self.done = []

    @contextmanager
    def task(self, what, total):
        self.tasks.append((what, total))
        self.done.append(0)

        def advance(count):
            self.done[-1] += count

        yield advance


@pytest.mark.parametrize("kind", KINDS)
def test_progress_goes_to_its_end_and_the_second_time_there_is_none(tmp_path, packed, kind):
    path = packed(tmp_path / f"a.{kind}")
    first, second = Watching(), Watching()
    time.sleep(0.02)
    folder = unpacked(path, first)
    assert [what for what, _ in first.tasks] == [f"reading a.{kind}", f"unpacking a.{kind}"]
    assert first.done == [total for _, total in first.tasks]
    assert unpacked(path, second) == folder
    assert second.tasks == []


@pytest.fixture(autouse=True)
def short_tick(monkeypatch):
    """A change of the last moments can't be told from the next; here the last moments are short."""
    monkeypatch.setattr(archives, "TICK", 10_000_000)


def test_a_file_that_has_just_changed_is_read_again(tmp_path, packed, monkeypatch):
    monkeypatch.setattr(archives, "TICK", 10**12)
    path, watching = packed(tmp_path / "a.zip"), Watching()
    unpacked(path, Progress())
    unpacked(path, watching)
    assert [what for what, _ in watching.tasks] == ["reading a.zip"]


def test_a_copy_is_not_unpacked_again_and_a_change_is(tmp_path, packed):
    path = packed(tmp_path / "a.zip")
    folder = unpacked(path, Progress())
    copy, watching = Path(shutil.copy(path, tmp_path / "b.zip")), Watching()
    assert unpacked(copy, watching) == folder
    assert [what for what, _ in watching.tasks] == ["reading b.zip"]
    packed(path, {"other": b"1"})
    assert content(unpacked(path, Progress())) == {"other": b"1"}
    assert content(folder) == FILES


def test_a_damaged_memory_and_a_folder_that_is_gone_are_made_anew(tmp_path, packed):
    path = packed(tmp_path / "a.zip")
    time.sleep(0.02)
    folder = unpacked(path, Progress())
    [memory] = folder.parent.glob("*.json")
    for damaged in (b"", b"[]", b'{"digest": "../../etc", "stamp": 1}', b"\xff"):
        memory.write_bytes(damaged)
        assert unpacked(path, Progress()) == folder
    shutil.rmtree(folder)
    assert content(unpacked(path, Progress())) == FILES


def _one_less(folder):
    (folder / "cat" / "0.png").unlink()


def _one_shorter(folder):
    (folder / "cat" / "0.png").write_bytes(b"on")


def _one_more(folder):
    (folder / "cat" / "other.png").write_bytes(b"one")


def _one_elsewhere(folder):
    (folder / "cat" / "0.png").rename(folder / "cat" / "deep" / "0.png")


def _all_gone(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize("change", [_one_less, _one_shorter, _one_more, _one_elsewhere, _all_gone])
@pytest.mark.parametrize("remembered", [True, False])
def test_a_folder_that_was_cleaned_in_part_is_unpacked_again_and_that_is_told(tmp_path, packed, change, remembered):
    class Listening(Progress):
        heard = ""

        def say(self, text):
            self.heard += text

    path, listening = packed(tmp_path / "a.zip"), Listening()
    time.sleep(0.02)
    folder = unpacked(path, listening)
    assert listening.heard == ""
    change(folder)
    path = path if remembered else Path(shutil.copy(path, tmp_path / "b.zip"))
    assert unpacked(path, listening) == folder
    assert content(folder) == FILES
    assert f"{path.name}: what was unpacked before is not complete any more" in listening.heard
    assert [entry.name for entry in folder.parent.iterdir() if entry.is_dir()] == [folder.name]


def test_to_see_that_a_folder_is_whole_takes_little_of_what_unpacking_takes(tmp_path, packed):
    path = packed(tmp_path / "a.tar", {f"{i % 10}/{i}.png": b"1" for i in range(2000)})
    time.sleep(0.02)

    def seconds():
        start = time.process_time()
        unpacked(path, Progress())
        return time.process_time() - start

    unpacking, looking = seconds(), seconds()
    assert looking < unpacking / 3


def test_a_changed_memory_is_not_believed(tmp_path, packed):
    path = packed(tmp_path / "a.zip")
    time.sleep(0.02)
    folder = unpacked(path, Progress())
    other = folder.with_name("0" * 32)
    other.mkdir()
    [memory] = folder.parent.glob("*.json")
    memory.write_bytes(memory.read_bytes().replace(folder.name.encode(), other.name.encode()))
    assert unpacked(path, Progress()) == folder


def test_a_memory_that_can_not_be_written_is_told_and_the_folder_is_there(tmp_path, packed, monkeypatch):
    path = packed(tmp_path / "a.zip")
    time.sleep(0.02)
    said = []
    progress = Progress()
    progress.say = said.append
    write = Path.replace

    def full(file, target):
        if target.suffix == ".json":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, target)

    monkeypatch.setattr(Path, "replace", full)
    assert content(unpacked(path, progress)) == FILES
    (line,) = said
    assert line.startswith("a.zip is read again next time: ")
    assert " is full: " in line and ".json needs " in line


def test_two_processes_at_once_both_have_it(tmp_path, packed):
    path = packed(tmp_path / "a.zip", {f"{i}.png": random.Random(i).randbytes(1000) for i in range(300)})
    program = (
        "from pathlib import Path; from cnnkit.data.files.archives import unpacked;"
        "from cnnkit.core.progress import Progress;"
        f"print(unpacked(Path({str(path)!r}), Progress()))"
    )
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(3)]
    answers = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    [folder] = {Path(line.decode().strip()) for line in answers}
    assert len(content(folder)) == 300
    assert [entry.name for entry in folder.parent.iterdir() if entry.is_dir()] == [folder.name]


def test_whoever_comes_second_takes_what_the_first_has_made(tmp_path, packed, monkeypatch):
    path = packed(tmp_path / "a.zip")
    unpack = archives._unpack

    def late(path, kind, folder, progress):
        monkeypatch.setattr(archives, "_unpack", unpack)
        other = folder.with_name("of-another-process")
        other.mkdir()
        unpack(path, kind, other, progress)
        other.rename(folder.with_name(folder.name.rsplit("-", 1)[1]))
        unpack(path, kind, folder, progress)

    monkeypatch.setattr(archives, "_unpack", late)
    folder = unpacked(path, Progress())
    assert content(folder) == FILES
    assert [entry.name for entry in folder.parent.iterdir() if entry.is_dir()] == [folder.name]


def test_an_interruption_leaves_nothing(tmp_path, packed):
    class Interrupting(Progress):
        @contextmanager
        def task(self, what, total):
            def stop(count):
                if "unpacking" in what:
                    raise KeyboardInterrupt

            yield stop

    for kind in KINDS:
        with pytest.raises(KeyboardInterrupt):
            unpacked(packed(tmp_path / f"a.{kind}"), Interrupting())
        assert list((cache_folder() / "archives").iterdir()) == []


def test_a_file_that_changes_meanwhile_is_not_kept(tmp_path, packed):
    path = packed(tmp_path / "a.zip")

    class Writing(Progress):
        @contextmanager
        def task(self, what, total):
            if "unpacking" in what:
                os.utime(path, ns=(0, 0))
            yield lambda done: None

    with pytest.raises(DataError, match="changed"):
        unpacked(path, Writing())
    assert list((cache_folder() / "archives").iterdir()) == []


def test_what_a_killed_process_has_left_is_removed_after_a_day(tmp_path, packed):
    home = cache_folder() / "archives"
    day = time.time() - 25 * 3600
    for name, written in (("old", day), ("new", time.time()), ("slow", day)):
        inner = home / f".writing-{name}" / "cat"
        inner.mkdir(parents=True)
        (inner / "0.png").write_bytes(b"half")
        for path in (inner / "0.png", inner, inner.parent):
            os.utime(path, (written, written))
    os.utime(home / ".writing-slow" / "cat" / "0.png")  # one large file, that is being written still
    (home / ".writing-old-1.json").write_text("half")
    os.utime(home / ".writing-old-1.json", (day, day))
    unpacked(packed(tmp_path / "a.zip"), Progress())
    assert {entry.name for entry in home.glob(".writing-*")} == {".writing-new", ".writing-slow"}
