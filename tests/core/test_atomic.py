from __future__ import annotations

import ast
import errno
import json
import os
import stat
import sys
from pathlib import Path

import pytest

import cnnkit
from cnnkit.core import atomic, disk
from cnnkit.core.errors import DiskError


def test_a_file_is_written_whole(tmp_path):
    atomic.write_text(tmp_path / "a.txt", "one\ntwo: ü\n")
    assert (tmp_path / "a.txt").read_bytes() == "one\ntwo: ü\n".encode()
    atomic.write_json(tmp_path / "a.json", {"ü": [1, 2.5, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"ü": [1, 2.5, None]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.txt"]


def test_while_a_file_is_written_the_old_one_stands(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic.replacing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
        assert file.path.parent == path.parent
    assert path.read_text() == "new"


@pytest.mark.parametrize("end", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_when_writing_fails_the_old_file_stands_and_nothing_else_is_left(tmp_path, end):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(end), atomic.replacing(path) as file:
        file.write(b"ne")
        raise end
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("many", [0, 1000])
def test_a_folder_is_made_whole_or_not_at_all(tmp_path, many, monkeypatch):
    monkeypatch.setattr(atomic, "MANY", many)
    with pytest.raises(KeyboardInterrupt), atomic.making(tmp_path / "a") as folder:
        (folder / "half").write_text("1")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with atomic.making(tmp_path / "a") as folder:
        (folder / "below").mkdir()
        (folder / "below" / "whole").write_text("1")
        assert not (tmp_path / "a").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "below" / "whole").read_text() == "1"


def test_what_is_no_json_is_not_written(tmp_path):
    atomic.write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        atomic.write_json(tmp_path / "a.json", {"a": object()})
    assert (tmp_path / "a.json").read_text() == "1\n"


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_behind_a_link_the_file_is_replaced_not_the_link(tmp_path):
    (tmp_path / "file.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("file.txt")
    atomic.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "file.txt").read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_what_is_no_file_is_never_replaced_by_one(tmp_path):
    """As root, /dev/null would be."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        atomic.write_text(pipe, "text")
    except OSError:
        pass  # to refuse is right too
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_two_containers_that_share_a_disk_do_not_write_over_each_other(tmp_path, monkeypatch):
    """In each the process has the number 1."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with atomic.making(tmp_path / "a") as first:
        (first / "whole").write_text("1")
        with pytest.raises(KeyboardInterrupt), atomic.making(tmp_path / "a"):
            raise KeyboardInterrupt
    assert (tmp_path / "a" / "whole").read_text() == "1"
    with atomic.replacing(tmp_path / "b") as first:
        first.write(b"1")
        with pytest.raises(KeyboardInterrupt), atomic.replacing(tmp_path / "b") as second:
            second.write(b"2")
            raise KeyboardInterrupt
    assert (tmp_path / "b").read_text() == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


# A disk that is full, or fails

WRITES = {
    "bytes": lambda path: atomic.write_bytes(path, b"x" * 5000),
    "text": lambda path: atomic.write_text(path, "ü" * 2500),
    "json": lambda path: atomic.write_json(path, ["x" * 4993]),
    "line": lambda path: atomic.append(path, "x" * 4999),
}

REASONS = {
    errno.ENOSPC: r"the disk at /.* is full: .*a\.txt needs 5 KB, .* are free; make room there",
    errno.EDQUOT: r"your quota on the disk at /.* is used up: .*a\.txt needs 5 KB; make room there",
    errno.EFBIG: r"no file may be so large on the disk at /.*, or by `ulimit -f`: .*a\.txt needs 5 KB",
    errno.EROFS: r"the disk at /.* is read-only: .*a\.txt needs 5 KB",
    errno.EIO: r"the disk at /.* fails \(Input/output error\): .*a\.txt needs 5 KB",
}


def test_a_file_that_may_not_be_written_is_told_by_its_own_name(tmp_path):
    error = disk.worded(PermissionError(13, "Permission denied", str(atomic.beside(tmp_path / "a.txt"))), tmp_path)
    assert isinstance(error, PermissionError) and error.filename == str(tmp_path / "a.txt")


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("number", REASONS, ids=map(errno.errorcode.get, REASONS))
@pytest.mark.parametrize("taken", [0, 4000])
def test_what_a_disk_has_against_a_write_is_told_with_the_disk_and_what_is_needed(tmp_path, disk, write, number, taken):
    path = tmp_path / "a.txt"
    path.write_text("old\n")
    disk.fail(number, taken=taken)
    with pytest.raises(DiskError, match=REASONS[number]) as raised:
        write(path)
    assert raised.value.exit_code == 4 and "\n" not in str(raised.value)
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_limit_of_the_system_is_met_likewise(tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
        for write in WRITES.values():
            with pytest.raises(DiskError, match="no file may be so large"):
                write(tmp_path / "a.txt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "a.txt").read_bytes() == b""  # a line is added to a file that is there
    assert len(list(tmp_path.iterdir())) == 1


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError):
        atomic.write_text(tmp_path / "no folder" / "a.txt", "text")
    with pytest.raises(IsADirectoryError):
        atomic.append(tmp_path, "line")
    with pytest.raises(FileExistsError):
        atomic.write_text(tmp_path, "text")


def test_a_folder_for_which_there_is_no_room_is_not_made(tmp_path, disk):
    with pytest.raises(DiskError, match="is full"), atomic.making(tmp_path / "a") as folder:
        atomic.write_within(folder / "first", [b"1"])
        disk.fail(errno.ENOSPC)
        atomic.write_within(folder / "second", [b"2"])
    assert list(tmp_path.iterdir()) == []


def test_what_has_room_kept_for_it_is_written_though_the_disk_is_full(tmp_path, disk):
    path = tmp_path / "a.json"
    atomic.write_json(path, {"state": "training"})
    atomic.reserve(path)
    disk.fail(errno.ENOSPC, new_files=True)
    with pytest.raises(DiskError):
        atomic.reserve(path)
        atomic.write_json(path, {"state": "training"})
    atomic.write_last_json(path, {"state": "failed", "more": "x" * 4000})
    assert json.loads(path.read_text())["state"] == "failed"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(DiskError):
        atomic.write_json(path, {"state": "finished"})
    assert json.loads(path.read_text())["state"] == "failed"


@pytest.mark.parametrize("left", [0, 100, 10_000])
def test_room_that_a_killed_process_left_is_used_again_and_given_back(tmp_path, left):
    path = tmp_path / "a.json"
    atomic.write_json(path, {"state": "training"})
    atomic.reserve(path)
    (room,) = {*tmp_path.iterdir()} - {path}
    size = room.stat().st_size
    room.write_bytes(b" " * left)
    atomic.reserve(path)
    assert {*tmp_path.iterdir()} == {path, room}
    assert room.stat().st_size == max(size, left)
    atomic.write_last_json(path, {"state": "finished"})
    assert list(tmp_path.iterdir()) == [path]


def test_more_than_there_is_room_for_leaves_the_old(tmp_path, disk):
    path = tmp_path / "a.json"
    atomic.write_json(path, {"state": "training"})
    atomic.reserve(path)
    disk.fail(errno.ENOSPC, new_files=True)
    with pytest.raises(DiskError):
        atomic.write_last_json(path, ["x" * 10_000])
    assert json.loads(path.read_text()) == {"state": "training"}
    assert list(tmp_path.iterdir()) == [path]


# What writes, by the name of a function or a method; reading has other names, or another mode.
WRITING = {
    "write_text",
    "write_bytes",
    "touch",
    "mkdir",
    "makedirs",
    "save",
    "savefig",
    "save_weights",
    "savez",
    "tofile",
}
WRITING |= {"copy", "copy2", "copyfile", "copyfileobj", "copytree", "move", "symlink_to", "hardlink_to", "rename"}
WRITING |= {"NamedTemporaryFile", "TemporaryFile", "TemporaryDirectory", "SpooledTemporaryFile", "mkstemp", "mkdtemp"}
WRITING |= {"pwrite", "imwrite", "export", "to_csv", "posix_fallocate"}

# Where something of such a name is no write of a file, or is none that could be half done; each with the reason.
ELSEWHERE = {
    ("core/lazy.py", "TemporaryFile"): "only where a file in memory can't be had",
    ("core/sheet.py", "save"): "into memory",
    ("evaluation/answers.py", "save"): "into memory",
    ("evaluation/familiarity.py", "save"): "into memory",
    ("report/pictures.py", "save"): "into memory",
    ("report/rate_chart.py", "save"): "by `report.png`",
    ("training/rate_finder.py", "TemporaryDirectory"): "for the states of a try, which are written like any",
    ("report/schedule_sheet.py", "save"): "by `report.png`",
    ("report/png.py", "savefig"): "into memory",
    ("studies/material.py", "TemporaryDirectory"): "for the run of a study, which is written like any",
    ("studies/trial.py", "TemporaryDirectory"): "for the runs of a trial, which are written like any",
    ("training/observers.py", "save"): "hands weights to `checkpoints`",
    ("optimization/tracking/wandb.py", "save"): "tells Weights & Biases of a file that is there",
    ("training/saving.py", "save"): "hands states to a `StateWriter`",
    ("data/feeding/pixel_store.py", "pwrite"): "takes its key from a damaged image, in place",
    ("data/feeding/pixel_store.py", "open"): "takes its key from a damaged image, in place",
    ("data/files/archives.py", "rename"): "out of the way, before it is removed",
}


def writes_in(source):
    """The calls in a file that write: names, and `open` with a mode that is not for reading."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        module = getattr(getattr(node.func, "value", None), "id", "")
        texts = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
        texts += [
            word.value.value for word in node.keywords if word.arg == "mode" and isinstance(word.value, ast.Constant)
        ]
        mode = any(isinstance(text, str) and set(text) <= set("rwxabt+") and set(text) & set("wxa+") for text in texts)
        copies = name == "copy" and module != "shutil"  # of an array
        if (
            module not in ("atomic", "checkpoints", "training_states")
            and not copies
            and (name in WRITING or (name == "open" and mode))
        ):
            yield name


def test_nothing_else_in_the_package_writes():
    home = Path(cnnkit.__file__).parent
    found = {
        (file.relative_to(home).as_posix(), name)
        for file in home.rglob("*.py")
        if file != home / "core" / "atomic.py"
        for name in writes_in(file.read_text(encoding="utf-8"))
    }
    assert sorted(found - ELSEWHERE.keys()) == [], "write through cnnkit.core.atomic"
    assert sorted(ELSEWHERE.keys() - found) == [], "of these there is none any more"
