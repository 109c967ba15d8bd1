from __future__ import annotations

import errno
import os
import re
import sys

import pytest
from platformdirs import macos, windows

from cnnkit.core import cache
from cnnkit.core.errors import UsageError
from cnnkit.core.progress import Progress


@pytest.mark.parametrize("content", [b"", b"a", b"\0" * 100_000])
def test_what_is_kept_is_recalled(tmp_path, content):
    file = tmp_path / "new" / "file"
    assert cache.read(file) is None
    cache.write(file, content, "", Progress())
    assert cache.read(file) == content


def test_what_is_damaged_anywhere_is_not_there(tmp_path):
    file = tmp_path / "file"
    cache.write(file, b"content", "", Progress())
    whole = file.read_bytes()
    damaged = [whole[:end] for end in range(len(whole))]
    damaged += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))]
    for content in [*damaged, whole + b"\0"]:
        file.write_bytes(content)
        assert cache.read(file) is None


def test_what_can_not_be_kept_is_told_with_the_file_and_the_old_one_stands(tmp_path, monkeypatch):
    file = tmp_path / "file"
    cache.write(file, b"old", "", Progress())

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    said = []
    progress = Progress()
    progress.say = said.append
    monkeypatch.setattr(os, "fsync", full)
    cache.write(file, b"new", "it is made again next time", progress)
    [line] = said
    assert re.fullmatch(
        f"it is made again next time: the disk at /.* is full: {file} needs 19 B, .* are free; make room there", line
    )
    assert cache.read(file) == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_cache_folder_is_the_one_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "here"))
    assert cache.cache_folder() == tmp_path / "here"


@pytest.mark.skipif(sys.platform != "linux", reason="the rule of Linux")
def test_a_user_that_there_is_not_is_told(monkeypatch):
    monkeypatch.setenv("CNNKIT_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(UsageError, match="CNNKIT_CACHE=~nobody-of-this-name/cache: there is no user"):
        cache.cache_folder()


def test_the_cache_folder_is_below_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("CNNKIT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "cnnkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "cnnkit"


@pytest.mark.parametrize(
    ("system", "below"), [(macos.MacOS, "home/Library/Caches/cnnkit"), (windows.Windows, "local/cnnkit")]
)
def test_on_other_systems_too_it_is_where_their_programs_have_theirs(monkeypatch, tmp_path, system, below):
    for variable in ("CNNKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(windows, "get_win_folder", lambda name: str(tmp_path / "local"))
    monkeypatch.setattr("platformdirs.PlatformDirs", system)
    assert cache.cache_folder() == tmp_path / below
