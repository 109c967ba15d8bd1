"""What is damaged, cut, locked or no archive at all is told in one line, and leaves nothing behind."""

from __future__ import annotations

import os
import random
import tarfile

import pytest

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.files.archives import unpacked

KINDS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


# Damage


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_archive_is_told(tmp_path, packed, refused, kind, share):
    path = packed(tmp_path / f"a.{kind}")
    archive_bytes = path.read_bytes()
    path.write_bytes(archive_bytes[: int(share * len(archive_bytes)) if kind != "tar" else int(share * 300_000)])
    refused(path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_damaged_content_is_told(tmp_path, packed, refused, kind):
    path = packed(tmp_path / f"a.{kind}")
    archive_bytes = bytearray(path.read_bytes())
    archive_bytes[len(archive_bytes) // 2] ^= 0x10
    path.write_bytes(archive_bytes)
    refused(path, "damaged")


def test_a_tar_that_ends_between_two_files_is_told(tmp_path, packed, refused):
    path = packed(tmp_path / "a.tar")
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset])
    refused(path, "not complete", "behind `cat/deep/er/1.png`")


def test_a_damaged_header_amid_a_tar_is_not_its_end(tmp_path, packed, refused):
    path = packed(tmp_path / "a.tar")
    with tarfile.open(path) as archive:
        second = archive.getmembers()[1]
    archive_bytes = bytearray(path.read_bytes())
    archive_bytes[second.offset + 150] ^= 1
    path.write_bytes(archive_bytes)
    refused(path, "damaged", "behind `README`")


@pytest.mark.parametrize("size", [-1, -(2**40), 2**62])
def test_a_size_that_can_not_be(tmp_path, refused, size):
    info = tarfile.TarInfo("a")
    info.size = size
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2**14))
    refused(path)


def test_a_sparse_file_is_not_read(tmp_path, a_tar, refused):
    info = tarfile.TarInfo("a")
    info.pax_headers = {"GNU.sparse.map": "0,512", "GNU.sparse.size": str(2**40)}
    refused(a_tar(tmp_path / "a.tar", [(info, bytes(512))], format=tarfile.PAX_FORMAT), "sparse")


@pytest.mark.parametrize("bit", [0x1, 0x41])
def test_an_encrypted_zip_is_told_as_such(tmp_path, packed, refused, bit):
    archive_bytes = bytearray(packed(tmp_path / "a.zip", {"0.png": b"1"}).read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        archive_bytes[archive_bytes.index(signature) + flags] |= bit
    (tmp_path / "a.zip").write_bytes(archive_bytes)
    refused(tmp_path / "a.zip", "`0.png`", "encrypted", "password")


def test_a_compression_that_is_not_known(tmp_path, packed, refused):
    archive_bytes = bytearray(packed(tmp_path / "a.zip", {"0.png": b"1"}).read_bytes())
    for signature, method in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        archive_bytes[archive_bytes.index(signature) + method] = 97
    (tmp_path / "a.zip").write_bytes(archive_bytes)
    refused(tmp_path / "a.zip", "`0.png`", "compression")


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_archive_is_told(tmp_path, packed, refused, kind):
    refused(packed(tmp_path / f"a.{kind}", {}), "no file" if kind == "zip" else "empty")


def test_an_archive_of_folders_alone_is_told(tmp_path, a_zip, refused):
    refused(a_zip(tmp_path / "a.zip", [("a/", b""), ("a/b/", b"")]), "no file")


def test_what_is_not_there_and_what_is_no_file(tmp_path, refused):
    refused(tmp_path / "gone.zip", "no such file")
    os.mkfifo(tmp_path / "pipe.zip")
    refused(tmp_path / "pipe.zip", "neither")
    refused(tmp_path / ("x" * 300), "too long")


def test_a_cache_that_can_not_be_written(tmp_path, packed, refused, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "file" / "cache"))
    refused(packed(tmp_path / "a.zip"), "can't be unpacked")


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_is_more_than_one_line(tmp_path, packed, kind):
    """A few hundred random changes: each is read all the same, or told; nothing else may come of it."""
    path = packed(tmp_path / f"a.{kind}", {"a/0.png": b"1234" * 30, "b/1.png": b"5678" * 30})
    archive_bytes = path.read_bytes()
    chance = random.Random(kind)
    for _ in range(150):
        changed = bytearray(archive_bytes)
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


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_of_archives_alone_is_told_with_the_way_on(tmp_path, a_zip, a_tar, refused, kind):
    make = a_zip if kind == "zip" else a_tar
    inner = a_zip(tmp_path / "inner.zip", [("cat/0.png", b"x")]).read_bytes()
    path = make(tmp_path / f"a.{kind}", [("set/inner.zip", inner), ("set/other.tar.gz", b"x")])
    message = refused(path)
    assert "holds nothing but the archive `set/inner.zip` and 1 more; unpack it, and name what is in it" in str(message)
