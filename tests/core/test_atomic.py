from __future__ import annotations

import json
import os
import stat
import sys

import pytest

from cnnkit.core import atomic


def test_a_file_is_written_whole(tmp_path):
    atomic.write_text(tmp_path / "a.txt", "one\ntwo: ü\n")
    assert (tmp_path / "a.txt").read_bytes() == "one\ntwo: ü\n".encode()
    atomic.write_json(tmp_path / "a.json", {"ü": [1, 2.5, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"ü": [1, 2.5, None]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.txt"]


def test_while_a_file_is_written_the_old_one_stands(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
    assert path.read_text() == "new"


@pytest.mark.parametrize("end", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_when_writing_fails_the_old_file_stands_and_nothing_else_is_left(tmp_path, end):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(end), atomic.replacing(path) as temporary:
        temporary.write_text("ne")
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


def test_the_ending_of_the_name_is_kept_for_those_who_choose_a_format_by_it(tmp_path):
    with atomic.replacing(tmp_path / "best.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
        temporary.touch()


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
        first.write_text("1")
        with pytest.raises(KeyboardInterrupt), atomic.replacing(tmp_path / "b") as second:
            second.write_text("2")
            raise KeyboardInterrupt
    assert (tmp_path / "b").read_text() == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
