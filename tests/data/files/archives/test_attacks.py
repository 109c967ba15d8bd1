"""Nothing that is in an archive leads beyond the cache, fills the disk or leaves anything behind."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DiskError
from cnnkit.core.progress import Progress
from cnnkit.data.files import archive_members, archives
from cnnkit.data.files.archives import unpacked


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


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
def test_no_name_leads_out(tmp_path, packed, refused, kind, name):
    name = name.format(top=tmp_path)
    path = packed(tmp_path / f"a.{kind}", {"good.png": b"1", name: b"evil"})
    refused(path, name[-37:], "backslash" if "\\" in name else "outside")


@pytest.mark.usefixtures("own_cache_below")
def test_no_folder_leads_out(tmp_path, a_zip, a_tar, refused):
    folder = tarfile.TarInfo("../evil")
    folder.type = tarfile.DIRTYPE
    refused(a_tar(tmp_path / "a.tar", [(folder, b""), ("good.png", b"1")]), "../evil", "outside")
    refused(a_zip(tmp_path / "a.zip", [("../evil/", b""), ("good.png", b"1")]), "../evil/", "outside")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\x7f", "\x9bx", "a\tb"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_control_character_in_a_name_is_refused_and_shown_harmlessly(tmp_path, packed, refused, kind, name):
    refused(packed(tmp_path / f"a.{kind}", {name: b"1"}), "control character")


def test_a_zip_name_that_ends_early_is_refused(tmp_path, packed, refused):
    archive_bytes = packed(tmp_path / "a.zip", {"good.pngX/../../evil": b"1"}).read_bytes()
    (tmp_path / "a.zip").write_bytes(archive_bytes.replace(b"good.pngX", b"good.png\0"))
    refused(tmp_path / "a.zip", "control character")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["x" * 300, "/".join(["d" * 200] * 30), "a/" * 30_000 + "b"])
def test_a_name_that_is_too_long_is_told_short(tmp_path, packed, refused, kind, name):
    reason = "100 folders" if name.startswith("a/") else "too long"
    message = refused(packed(tmp_path / f"a.{kind}", {name: b"1"}), reason, "...")
    assert len(message) < len(str(tmp_path)) + 300


def test_a_name_that_is_no_utf8_though_a_zip_says_so(tmp_path, packed, refused):
    archive_bytes = packed(tmp_path / "a.zip", {"dög.png": b"1"}).read_bytes()
    (tmp_path / "a.zip").write_bytes(archive_bytes.replace("ö".encode(), b"\xf6\xf6"))
    refused(tmp_path / "a.zip", "damaged")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("names", [("a/b", "a/b"), ("a/b", "./a//b"), ("a", "a/b"), ("a/b", "a")])
def test_a_name_that_is_there_twice(tmp_path, refused, a_zip, a_tar, kind, names):
    make = a_zip if kind == "zip" else a_tar
    refused(make(tmp_path / f"a.{kind}", [(name, b"1") for name in names]), "twice")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_differ_by_case_are_kept_or_refused_where_the_disk_mixes_them(
    tmp_path, packed, refused, kind, monkeypatch
):
    path = packed(tmp_path / f"a.{kind}", {"a/0.png": b"1", "A/0.png": b"2"})
    mixes = (tmp_path / f"A.{kind.upper()}").exists()
    if not mixes:
        assert content(unpacked(path, Progress())) == {"a/0.png": b"1", "A/0.png": b"2"}
        shutil.rmtree(cache_folder() / "archives")
        mkdir, taken = Path.mkdir, set()

        def mixing(self, *options, **more):
            if self.name.lower() in taken:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self))
            taken.add(self.name.lower())
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
def test_no_link_is_followed(tmp_path, a_tar, refused, kind, target):
    target = target.format(top=tmp_path)
    members = [("inside", b"1"), (link("way", target, kind), b""), ("way/evil", b"evil")]
    refused(a_tar(tmp_path / "a.tar.gz", members), "`way`", "link")


@pytest.mark.usefixtures("own_cache_below")
@pytest.mark.parametrize("target", ["../../..", "/etc", "inside"])
def test_no_link_of_a_zip_is_followed(tmp_path, a_zip, refused, target):
    info = zipfile.ZipInfo("way")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    refused(a_zip(tmp_path / "a.zip", [("inside", b"1"), (info, target), ("way/evil", b"evil")]), "`way`", "link")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"V", b"Z"])
def test_no_device_nor_pipe_is_made(tmp_path, a_tar, refused, kind):
    info = tarfile.TarInfo("dev")
    info.type, info.devmajor, info.devminor = kind, 1, 5
    refused(a_tar(tmp_path / "a.tar", [(info, b""), ("good.png", b"1")]), "`dev`", "device")


def test_no_pipe_of_a_zip_is_made(tmp_path, a_zip, refused):
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
def test_a_bomb_is_stopped(tmp_path, packed, refused, kind):
    path = packed(tmp_path / f"a.{kind}", {"good.png": b"1", "zeros.bmp": bytes(20 * 2**20)})
    assert path.stat().st_size < 100_000
    refused(path, "bomb", "100 times", "1 MiB")


def test_ten_gigabytes_in_ten_megabytes_are_stopped_in_time(tmp_path, refused):
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
def test_a_bomb_of_many_files_is_stopped(tmp_path, packed, refused):
    refused(packed(tmp_path / "a.tar.gz", {f"{i}.bmp": bytes(2**19) for i in range(100)}), "bomb")


@pytest.mark.usefixtures("small_bounds")
def test_a_zip_that_lies_about_its_sizes_is_stopped_or_damaged(tmp_path, packed, refused):
    archive_bytes = bytearray(packed(tmp_path / "a.zip", {"zeros.bmp": bytes(20 * 2**20)}).read_bytes())
    for signature, size in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = archive_bytes.index(signature) + size
        archive_bytes[at : at + 4] = struct.pack("<I", 10)
    (tmp_path / "a.zip").write_bytes(archive_bytes)
    refused(tmp_path / "a.zip", "zeros.bmp", "damaged")


@pytest.mark.usefixtures("small_bounds")
def test_a_zip_of_overlapping_members_is_stopped(tmp_path, packed, refused):
    # One compressed megabyte, and a directory that leads to it two hundred times.
    archive_bytes = packed(tmp_path / "one.zip", {"aaa": bytes(2**20)}).read_bytes()
    local, entry = (
        archive_bytes[: archive_bytes.index(b"PK\1\2")],
        archive_bytes[archive_bytes.index(b"PK\1\2") : archive_bytes.index(b"PK\5\6")],
    )
    directory = entry * 200
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 200, 200, len(directory), len(local), 0)
    (tmp_path / "a.zip").write_bytes(local + directory + end)
    refused(tmp_path / "a.zip")


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz"])
def test_a_bomb_of_files_and_folders_without_content_is_stopped(tmp_path, packed, refused, kind, monkeypatch):
    monkeypatch.setattr(archive_members, "ALLOWANCE", 2**18)
    files = {f"{i}/x": b"" for i in range(20_000)}
    refused(packed(tmp_path / f"a.{kind}", files), "bomb")


@pytest.mark.usefixtures("small_bounds")
def test_a_header_without_end_is_stopped(tmp_path, refused):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**40
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10 * 2**20)))
    refused(path, "header")


def test_headers_upon_headers_are_stopped(tmp_path, refused):
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, 512
    one = head.tobuf() + b"20 comment=xxxxxxxx\n".ljust(512, b"\0")
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(one * 20_000))
    refused(path, "damaged")


@pytest.mark.usefixtures("small_bounds")
def test_zeros_behind_the_end_are_not_read_for_ever(tmp_path, packed, refused):
    path = packed(tmp_path / "a.tar")
    path.write_bytes(gzip.compress(path.read_bytes() + bytes(50 * 2**20)))
    refused(path, "bomb")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_disk_without_room_is_told_before_it_is_full(tmp_path, packed, refused, kind, monkeypatch):
    path = packed(tmp_path / f"a.{kind}")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda where: usage._replace(free=archives.ROOM + 100_000))
    refused(path, "no room", "CNNKIT_CACHE")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("taken", [0, 3, 20])
def test_a_disk_that_fills_up_meanwhile(tmp_path, packed, kind, taken, disk):
    path = packed(tmp_path / f"a.{kind}")
    disk.fail(errno.ENOSPC, taken=taken)
    with pytest.raises(DiskError, match=rf"the disk at /.* is full: {cache_folder()}/archives"):
        unpacked(path, Progress())
    left = cache_folder() / "archives"
    assert not left.exists() or list(left.iterdir()) == []


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_members(tmp_path, packed, refused, kind, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    refused(packed(tmp_path / f"a.{kind}"), "more than 3 files")
