"""Archives that lie beside a table are looked into, whatever they are, without harm and without unpacking them."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import tracemalloc
import zipfile

import pytest

from cnnkit.core.cache import cache_folder
from cnnkit.data.files import locating

KINDS = ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tbz2", "tar.xz", "txz"]
FILES = {"README": b"", "some/train/0.png": b"1" * 70_000, "some/train/1.png": b"2" * 600}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("names", "ending"), [(["0.png", "1.png"], None), (["0", "1"], ".png")])
def test_images_are_found_in_every_kind_of_archive(tmp_path, a_zip, a_tar, kind, names, ending):
    written = "tar" + {"z2": ".bz2", "xz": ".xz", "gz": ".gz"}.get(kind[-2:], "")
    archive = (a_zip if kind == "zip" else a_tar)(tmp_path / f"archive.{written}", FILES.items())
    path = archive.rename(tmp_path / f"data.{kind}")
    assert locating.in_archives(tmp_path, names) == (path / "some" / "train", ending)
    assert not cache_folder().exists() or list(cache_folder().iterdir()) == []


def changed_in(path, offset, new, signatures=((b"PK\3\4", 0), (b"PK\1\2", 2))):
    archive_bytes = bytearray(path.read_bytes())
    for signature, further in signatures:
        at = archive_bytes.index(signature) + offset + further
        archive_bytes[at : at + len(new)] = new
    path.write_bytes(archive_bytes)


DAMAGES = {
    "version": lambda path: changed_in(path, 4, b"\xd2"),
    "no UTF-8": lambda path: changed_in(path, 46, b"\xff\xfe", [(b"PK\1\2", 0)]),
    "extra": lambda path: changed_in(path, 30, b"\xff\xff", [(b"PK\1\2", 0)]),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "text": lambda path: path.write_text("<html>not found</html>"),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_zip_beside_the_right_one_does_not_count(tmp_path, a_zip, packed, damage):
    wrong = a_zip(tmp_path / "a.zip", [("d\u00f6g/0.png", b"1")])
    DAMAGES[damage](wrong)
    right = packed(tmp_path / "b.zip", FILES)
    assert locating.in_archives(tmp_path, ["1.png"]) == (right / "some" / "train", None)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_no_damage_stops_the_look(tmp_path, packed, kind):
    path = packed(tmp_path / f"a.{kind}", FILES)
    archive_bytes = path.read_bytes()
    chance = random.Random(kind)
    for _ in range(150):
        changed = bytearray(archive_bytes)
        for _ in range(chance.choice([1, 3, 20])):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        path.write_bytes(changed[: chance.choice([None, chance.randrange(len(archive_bytes))])])
        locating.in_archives(tmp_path, ["0.png"])


def looked(tmp_path):
    """Bytes of memory that a look takes which finds nothing."""
    tracemalloc.start()
    try:
        assert locating.in_archives(tmp_path, ["0.png"]) is None
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_notes_of_a_size_without_measure_are_not_read(tmp_path, kind):
    info = tarfile.TarInfo("notes")
    info.type, info.size = kind, 100 * 2**20
    with gzip.open(tmp_path / "a.tar.gz", "wb", 1) as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(info.size))
    assert looked(tmp_path) < 10 * 2**20


def test_of_a_tar_no_more_is_read_than_has_room(tmp_path, a_tar, monkeypatch):
    monkeypatch.setattr(locating, "BYTES", 300_000)
    large = [("large.bin", random.Random(0).randbytes(400_000))]
    small = [("0.png", b"1")]
    a_tar(tmp_path / "a.tar.gz", large + small)
    looked(tmp_path)
    a_tar(tmp_path / "a.tar.gz", small + large)
    assert locating.in_archives(tmp_path, ["0.png"])


def test_what_is_no_image_counts_as_well(tmp_path, packed, monkeypatch):
    monkeypatch.setattr(locating, "MEMBERS", 30)
    for kind in ("zip", "tar"):
        path = packed(tmp_path / f"a.{kind}", {**{f"{i}.xml": b"" for i in range(30)}, "0.png": b"1"})
        looked(tmp_path)
        path.unlink()
        packed(path, {**{f"{i}.xml": b"" for i in range(29)}, "0.png": b"1"})
        assert locating.in_archives(tmp_path, ["0.png"])
        path.unlink()


def test_nothing_is_unpacked_to_look_into_a_zip(tmp_path):
    """Its content is damaged here, which only who reads it sees."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("0.png", b"the picture")
    (tmp_path / "a.zip").write_bytes(content.getvalue().replace(b"the picture", b"a lie, this"))
    assert locating.in_archives(tmp_path, ["0.png"]) == (tmp_path / "a.zip", None)
