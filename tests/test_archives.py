"""Archives are unpacked whole or not at all, once, and never beyond the cache, whatever is in them."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from cnnkit import archive_members, archives
from cnnkit.archives import is_archive, unpacked
from cnnkit.errors import DataError
from cnnkit.lazy import cache_folder
from cnnkit.progress import Progress

FILES = {
    "README": b"about",
    "cat/0.png": b"one",
    "cat/deep/er/1.png": b"",
    "dög/ä b.png": random.Random(0).randbytes(300_000),
}
KINDS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]
TEXT = bytes(10) + b"text " * 1000


def a_zip(path, members):
    """A zip of (name or ZipInfo, content), whatever the names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            if isinstance(name, str):
                info = zipfile.ZipInfo("x")
                info.filename = name  # the constructor would mend it
                name = info
            archive.writestr(name, content, zipfile.ZIP_DEFLATED)
    return path


def a_tar(path, members, **options):
    """A tar of (name or TarInfo, content), compressed as its name says."""
    mode = {"gz": "w:gz", "bz2": "w:bz2", "xz": "w:xz", "tgz": "w:gz"}.get(path.name.rsplit(".")[-1], "w")
    with tarfile.open(path, mode, **options) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def packed(path, files=FILES):
    make = a_zip if path.suffix == ".zip" else a_tar
    return make(path, files.items())


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def everything(folder):
    """Each path below a folder with what it is, to see that nothing has changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        found[path] = (state.st_mode, state.st_size, state.st_mtime_ns if not path.is_dir() else None)
    return found


def refused(path, *words):
    """The one line that is told, where nothing is left in the cache and nothing written outside of it."""
    top = path.parent
    before = everything(top)
    with pytest.raises(DataError) as caught:
        unpacked(path, Progress())
    assert everything(top) == before
    home = cache_folder() / "archives"
    assert not home.is_dir() or list(home.iterdir()) == []
    [problem] = caught.value.problems
    assert problem.key == "path"
    assert "\n" not in problem.message and problem.message.isprintable()
    assert str(path) in problem.message
    for word in words:
        assert word in problem.message
    return problem.message


@pytest.fixture
def own_cache_below(tmp_path, monkeypatch):
    """The cache beside the archive, so that what leaves it by one or two steps is seen."""
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "archives").mkdir(parents=True)


# What is right


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_unpacked_with_all_that_is_in_it(tmp_path, kind):
    folder = unpacked(packed(tmp_path / f"a.{kind}"), Progress())
    assert content(folder) == FILES
    assert folder.is_relative_to(cache_folder())
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{kind}"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_content_tells_what_an_archive_is_not_its_name(tmp_path, kind):
    path = packed(tmp_path / f"a.{kind}").rename(tmp_path / "data.bin")
    assert is_archive(path)
    assert content(unpacked(path, Progress())) == FILES


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read_with_long_names(tmp_path, format):
    long = "/".join(["d" * 40] * 3) + "/" + "f" * 90
    path = a_tar(tmp_path / "a.tar", [(long, b"1"), ("./b//c", b"2")], format=format)
    assert content(unpacked(path, Progress())) == {long: b"1", "b/c": b"2"}


def test_archives_of_the_tools_themselves_are_read(tmp_path):
    for name, data in FILES.items():
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    for kind in ("tar", "gztar", "zip"):
        made = Path(shutil.make_archive(str(tmp_path / "made"), kind, tmp_path / "in"))
        assert content(unpacked(made, Progress())) == FILES


def test_a_folder_is_taken_as_it_is(tmp_path):
    assert unpacked(tmp_path, Progress()) == tmp_path
    assert not (cache_folder() / "archives").exists()


def test_what_is_unpacked_has_no_rights_of_its_own(tmp_path):
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
        made = unpacked(path, Progress())
        assert stat.S_IMODE((made / "run.sh").stat().st_mode) & 0o7133 == 0
        for below in made.rglob("*"):
            assert below.stat().st_uid == os.getuid()
            assert not below.is_dir() or stat.S_IMODE(below.stat().st_mode) & 0o7722 == 0o700


@pytest.mark.parametrize("name", ["dög.png", "猫/犬.png", "a b/ c.png", "[x]*?.png", "yes", "é" * 100, "😀.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_any_name_that_can_be_shown_stays(tmp_path, kind, name):
    assert content(unpacked(packed(tmp_path / f"a.{kind}", {name: b"1"}), Progress())) == {name: b"1"}


def test_a_zip_name_in_utf8_that_is_not_marked_so_is_read_as_such(tmp_path):
    # What macOS writes. In the file the mark is the bit 0x800 of two flags, behind the signatures.
    made = bytearray(packed(tmp_path / "a.zip", {"dög.png": b"1"}).read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        made[made.index(signature) + flags + 1] &= ~0x08
    (tmp_path / "b.zip").write_bytes(made)
    assert content(unpacked(tmp_path / "b.zip", Progress())) == {"dög.png": b"1"}


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode there")
def test_a_tar_name_that_is_no_utf8_stays_as_it_is(tmp_path):
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
def test_other_files_are_no_archives(tmp_path, begin):
    path = tmp_path / "a.zip"
    path.write_bytes(begin)
    assert not is_archive(path)
    refused(path, "no archive", ".tar.gz")


def test_a_picture_with_a_zip_behind_it_is_no_archive(tmp_path):
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
def test_progress_goes_to_its_end_and_the_second_time_there_is_none(tmp_path, kind):
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


def test_a_file_that_has_just_changed_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "TICK", 10**12)
    path, watching = packed(tmp_path / "a.zip"), Watching()
    unpacked(path, Progress())
    unpacked(path, watching)
    assert [what for what, _ in watching.tasks] == ["reading a.zip"]


def test_a_copy_is_not_unpacked_again_and_a_change_is(tmp_path):
    path = packed(tmp_path / "a.zip")
    folder = unpacked(path, Progress())
    copy, watching = Path(shutil.copy(path, tmp_path / "b.zip")), Watching()
    assert unpacked(copy, watching) == folder
    assert [what for what, _ in watching.tasks] == ["reading b.zip"]
    packed(path, {"other": b"1"})
    assert content(unpacked(path, Progress())) == {"other": b"1"}
    assert content(folder) == FILES


def test_a_damaged_memory_and_a_folder_that_is_gone_are_made_anew(tmp_path):
    path = packed(tmp_path / "a.zip")
    time.sleep(0.02)
    folder = unpacked(path, Progress())
    [memory] = folder.parent.glob("*.json")
    for damaged in (b"", b"[]", b'{"digest": "../../etc", "stamp": 1}', b"\xff"):
        memory.write_bytes(damaged)
        assert unpacked(path, Progress()) == folder
    shutil.rmtree(folder)
    assert content(unpacked(path, Progress())) == FILES


def test_two_processes_at_once_both_have_it(tmp_path):
    path = packed(tmp_path / "a.zip", {f"{i}.png": random.Random(i).randbytes(1000) for i in range(300)})
    program = (
        "from pathlib import Path; from cnnkit.archives import unpacked; from cnnkit.progress import Progress;"
        f"print(unpacked(Path({str(path)!r}), Progress()))"
    )
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(3)]
    told = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    [folder] = {Path(line.decode().strip()) for line in told}
    assert len(content(folder)) == 300
    assert [entry.name for entry in folder.parent.iterdir() if entry.is_dir()] == [folder.name]


def test_whoever_comes_second_takes_what_the_first_has_made(tmp_path, monkeypatch):
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


def test_an_interruption_leaves_nothing(tmp_path):
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


def test_a_file_that_changes_meanwhile_is_not_kept(tmp_path):
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


# Attacks: names

OUTSIDE = [
    "../evil",
    "../../evil",
    "a/../../evil",
    "a/../b",
    "..",
    "/evil",
    "//evil",
    "{top}/evil",
    "C:/evil",
    "c:evil",
]


@pytest.mark.usefixtures("own_cache_below")
@pytest.mark.parametrize("name", [*OUTSIDE, "..\\evil", "a\\..\\..\\evil", "C:\\evil", "\\\\host\\evil"])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_no_name_leads_out(tmp_path, kind, name):
    name = name.format(top=tmp_path)
    path = packed(tmp_path / f"a.{kind}", {"good.png": b"1", name: b"evil"})
    refused(path, name[-37:], "backslash" if "\\" in name else "outside")


@pytest.mark.usefixtures("own_cache_below")
def test_no_folder_leads_out(tmp_path):
    folder = tarfile.TarInfo("../evil")
    folder.type = tarfile.DIRTYPE
    refused(a_tar(tmp_path / "a.tar", [(folder, b""), ("good.png", b"1")]), "../evil", "outside")
    refused(a_zip(tmp_path / "a.zip", [("../evil/", b""), ("good.png", b"1")]), "../evil/", "outside")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\x7f", "\x9bx", "a\tb"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_control_character_in_a_name_is_refused_and_shown_harmlessly(tmp_path, kind, name):
    refused(packed(tmp_path / f"a.{kind}", {name: b"1"}), "control character")


def test_a_zip_name_that_ends_early_is_refused(tmp_path):
    made = packed(tmp_path / "a.zip", {"good.pngX/../../evil": b"1"}).read_bytes()
    (tmp_path / "a.zip").write_bytes(made.replace(b"good.pngX", b"good.png\0"))
    refused(tmp_path / "a.zip", "control character")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["x" * 300, "/".join(["d" * 200] * 30), "a/" * 30_000 + "b"])
def test_a_name_that_is_too_long_is_told_short(tmp_path, kind, name):
    told = "100 folders" if name.startswith("a/") else "too long"
    message = refused(packed(tmp_path / f"a.{kind}", {name: b"1"}), told, "...")
    assert len(message) < len(str(tmp_path)) + 300


def test_a_name_that_is_no_utf8_though_a_zip_says_so(tmp_path):
    made = packed(tmp_path / "a.zip", {"dög.png": b"1"}).read_bytes()
    (tmp_path / "a.zip").write_bytes(made.replace("ö".encode(), b"\xf6\xf6"))
    refused(tmp_path / "a.zip", "damaged")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make", [a_zip, a_tar])
@pytest.mark.parametrize("names", [("a/b", "a/b"), ("a/b", "./a//b"), ("a", "a/b"), ("a/b", "a")])
def test_a_name_that_is_there_twice(tmp_path, make, names):
    path = tmp_path / ("a.zip" if make is a_zip else "a.tar")
    refused(make(path, [(name, b"1") for name in names]), "twice")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_differ_by_case_are_both_there_or_refused_where_the_disk_mixes_them(tmp_path, kind, monkeypatch):
    path = packed(tmp_path / f"a.{kind}", {"a/0.png": b"1", "A/0.png": b"2"})
    mixes = (tmp_path / f"A.{kind.upper()}").exists()
    if not mixes:
        assert content(unpacked(path, Progress())) == {"a/0.png": b"1", "A/0.png": b"2"}
        shutil.rmtree(cache_folder() / "archives")
        mkdir, made = Path.mkdir, set()

        def mixing(self, *options, **more):
            if self.name.lower() in made:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self))
            made.add(self.name.lower())
            mkdir(self, *options, **more)

        monkeypatch.setattr(Path, "mkdir", mixing)
    refused(path, "`A/0.png`", "capitals")


# Attacks: what is no file


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.usefixtures("own_cache_below")
@pytest.mark.parametrize("target", ["../../..", "/etc", "{top}", "inside", "."])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_no_link_is_followed(tmp_path, kind, target):
    target = target.format(top=tmp_path)
    members = [("inside", b"1"), (link("way", target, kind), b""), ("way/evil", b"evil")]
    refused(a_tar(tmp_path / "a.tar.gz", members), "`way`", "link")


@pytest.mark.usefixtures("own_cache_below")
@pytest.mark.parametrize("target", ["../../..", "/etc", "inside"])
def test_no_link_of_a_zip_is_followed(tmp_path, target):
    info = zipfile.ZipInfo("way")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    refused(a_zip(tmp_path / "a.zip", [("inside", b"1"), (info, target), ("way/evil", b"evil")]), "`way`", "link")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"V", b"Z"])
def test_no_device_nor_pipe_is_made(tmp_path, kind):
    info = tarfile.TarInfo("dev")
    info.type, info.devmajor, info.devminor = kind, 1, 5
    refused(a_tar(tmp_path / "a.tar", [(info, b""), ("good.png", b"1")]), "`dev`", "device")


def test_no_pipe_of_a_zip_is_made(tmp_path):
    info = zipfile.ZipInfo("dev")
    info.external_attr = (stat.S_IFIFO | 0o644) << 16
    refused(a_zip(tmp_path / "a.zip", [(info, b"")]), "`dev`", "device")


# Attacks: size


@pytest.fixture
def small_bounds(monkeypatch):
    """Bounds that a test meets in no time: a hundred times the size, and 1 MB."""
    monkeypatch.setattr(archive_members, "ALLOWANCE", 2**20)


@pytest.mark.usefixtures("small_bounds")
@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_bomb_is_stopped(tmp_path, kind):
    path = packed(tmp_path / f"a.{kind}", {"good.png": b"1", "zeros.bmp": bytes(20 * 2**20)})
    assert path.stat().st_size < 100_000
    refused(path, "bomb", "100 times", "1 MB")


def test_ten_gigabytes_in_ten_megabytes_are_stopped_in_time(tmp_path):
    path = tmp_path / "bomb.tar.gz"
    block = gzip.compress(bytes(2**26))
    info = tarfile.TarInfo("zeros.bmp")
    info.size = 10 * 2**30 - 512
    with path.open("wb") as file:
        file.write(gzip.compress(info.tobuf()))
        for _ in range(10 * 2**30 // 2**26):  # gzip files one behind the other are one
            file.write(block)
    assert path.stat().st_size < 11 * 2**20
    refused(path, "bomb")


@pytest.mark.usefixtures("small_bounds")
def test_a_bomb_of_many_files_is_stopped(tmp_path):
    refused(packed(tmp_path / "a.tar.gz", {f"{i}.bmp": bytes(2**19) for i in range(100)}), "bomb")


@pytest.mark.usefixtures("small_bounds")
def test_a_zip_that_lies_about_its_sizes_is_stopped_or_damaged(tmp_path):
    made = bytearray(packed(tmp_path / "a.zip", {"zeros.bmp": bytes(20 * 2**20)}).read_bytes())
    for signature, size in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = made.index(signature) + size
        made[at : at + 4] = struct.pack("<I", 10)
    (tmp_path / "a.zip").write_bytes(made)
    refused(tmp_path / "a.zip", "zeros.bmp", "damaged")


@pytest.mark.usefixtures("small_bounds")
def test_a_zip_of_overlapping_members_is_stopped(tmp_path):
    # One compressed megabyte, and a directory that leads to it two hundred times.
    made = packed(tmp_path / "one.zip", {"aaa": bytes(2**20)}).read_bytes()
    local, entry = made[: made.index(b"PK\1\2")], made[made.index(b"PK\1\2") : made.index(b"PK\5\6")]
    directory = entry * 200
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 200, 200, len(directory), len(local), 0)
    (tmp_path / "a.zip").write_bytes(local + directory + end)
    refused(tmp_path / "a.zip")


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz"])
def test_a_bomb_of_files_and_folders_without_content_is_stopped(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archive_members, "ALLOWANCE", 2**18)
    files = {f"{i}/x": b"" for i in range(20_000)}
    refused(packed(tmp_path / f"a.{kind}", files), "bomb")


@pytest.mark.usefixtures("small_bounds")
def test_a_header_without_end_is_stopped(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**40
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10 * 2**20)))
    refused(path, "header")


def test_headers_upon_headers_are_stopped(tmp_path):
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, 512
    one = head.tobuf() + b"20 comment=xxxxxxxx\n".ljust(512, b"\0")
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(one * 20_000))
    refused(path, "damaged")


@pytest.mark.usefixtures("small_bounds")
def test_zeros_behind_the_end_are_not_read_for_ever(tmp_path):
    path = packed(tmp_path / "a.tar")
    path.write_bytes(gzip.compress(path.read_bytes() + bytes(50 * 2**20)))
    refused(path, "bomb")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_disk_without_room_is_told_before_it_is_full(tmp_path, kind, monkeypatch):
    path = packed(tmp_path / f"a.{kind}")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda where: usage._replace(free=archives.ROOM + 100_000))
    refused(path, "no room", "CNNKIT_CACHE")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_disk_that_fills_up_meanwhile(tmp_path, kind, monkeypatch):
    path = packed(tmp_path / f"a.{kind}")
    opened = Path.open

    def full(self, mode="r", *options):
        if mode == "xb":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return opened(self, mode, *options)

    monkeypatch.setattr(Path, "open", full)
    refused(path, "`README`", os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_members(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    refused(packed(tmp_path / f"a.{kind}"), "more than 3 files")


# Damage


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_archive_is_told(tmp_path, kind, share):
    path = packed(tmp_path / f"a.{kind}")
    made = path.read_bytes()
    path.write_bytes(made[: int(share * len(made)) if kind != "tar" else int(share * 300_000)])
    refused(path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_damaged_content_is_told(tmp_path, kind):
    path = packed(tmp_path / f"a.{kind}")
    made = bytearray(path.read_bytes())
    made[len(made) // 2] ^= 0x10
    path.write_bytes(made)
    refused(path, "damaged")


def test_a_tar_that_ends_between_two_files_is_told(tmp_path):
    path = packed(tmp_path / "a.tar")
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset])
    refused(path, "not complete", "behind `cat/deep/er/1.png`")


def test_a_damaged_header_amid_a_tar_is_not_its_end(tmp_path):
    path = packed(tmp_path / "a.tar")
    with tarfile.open(path) as archive:
        second = archive.getmembers()[1]
    made = bytearray(path.read_bytes())
    made[second.offset + 150] ^= 1
    path.write_bytes(made)
    refused(path, "damaged", "behind `README`")


@pytest.mark.parametrize("size", [-1, -(2**40), 2**62])
def test_a_size_that_can_not_be(tmp_path, size):
    info = tarfile.TarInfo("a")
    info.size = size
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2**14))
    refused(path)


def test_a_sparse_file_is_not_read(tmp_path):
    info = tarfile.TarInfo("a")
    info.pax_headers = {"GNU.sparse.map": "0,512", "GNU.sparse.size": str(2**40)}
    refused(a_tar(tmp_path / "a.tar", [(info, bytes(512))], format=tarfile.PAX_FORMAT), "sparse")


@pytest.mark.parametrize("bit", [0x1, 0x41])
def test_an_encrypted_zip_is_told_as_such(tmp_path, bit):
    made = bytearray(packed(tmp_path / "a.zip", {"0.png": b"1"}).read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        made[made.index(signature) + flags] |= bit
    (tmp_path / "a.zip").write_bytes(made)
    refused(tmp_path / "a.zip", "`0.png`", "encrypted", "password")


def test_a_compression_that_is_not_known(tmp_path):
    made = bytearray(packed(tmp_path / "a.zip", {"0.png": b"1"}).read_bytes())
    for signature, method in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        made[made.index(signature) + method] = 97
    (tmp_path / "a.zip").write_bytes(made)
    refused(tmp_path / "a.zip", "`0.png`", "compression")


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_archive_is_told(tmp_path, kind):
    refused(packed(tmp_path / f"a.{kind}", {}), "no file" if kind == "zip" else "empty")


def test_an_archive_of_folders_alone_is_told(tmp_path):
    refused(a_zip(tmp_path / "a.zip", [("a/", b""), ("a/b/", b"")]), "no file")


def test_what_is_not_there_and_what_is_no_file(tmp_path):
    refused(tmp_path / "gone.zip", "no such file")
    os.mkfifo(tmp_path / "pipe.zip")
    refused(tmp_path / "pipe.zip", "neither")
    refused(tmp_path / ("x" * 300), "too long")


def test_a_cache_that_can_not_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "file" / "cache"))
    refused(packed(tmp_path / "a.zip"), "can't be unpacked")


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_is_more_than_one_line(tmp_path, kind):
    """A few hundred random changes: each is read all the same, or told; nothing else may come of it."""
    path = packed(tmp_path / f"a.{kind}", {"a/0.png": b"1234" * 30, "b/1.png": b"5678" * 30})
    made = path.read_bytes()
    chance = random.Random(kind)
    for _ in range(150):
        changed = bytearray(made)
        for _ in range(chance.choice([1, 1, 3, 20])):
            changed[chance.randrange(min(len(changed), 3000))] = chance.randrange(256)
        path.write_bytes(changed)
        try:
            assert content(unpacked(path, Progress()))
        except DataError as error:
            assert len(error.problems) == 1 and "\n" not in str(error)
    left = list((cache_folder() / "archives").glob(".writing-*")) if (cache_folder() / "archives").is_dir() else []
    assert left == []
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
