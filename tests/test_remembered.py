from __future__ import annotations

import errno
import os

import pytest

from cnnkit import remembered
from cnnkit.progress import Progress


@pytest.mark.parametrize("content", [b"", b"a", b"\0" * 100_000])
def test_what_is_kept_is_recalled(tmp_path, content):
    file = tmp_path / "new" / "file"
    assert remembered.recall(file) is None
    remembered.keep(file, content, "", Progress())
    assert remembered.recall(file) == content


def test_what_is_damaged_anywhere_is_not_there(tmp_path):
    file = tmp_path / "file"
    remembered.keep(file, b"content", "", Progress())
    whole = file.read_bytes()
    damaged = [whole[:end] for end in range(len(whole))]
    damaged += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))]
    for content in [*damaged, whole + b"\0"]:
        file.write_bytes(content)
        assert remembered.recall(file) is None


def test_what_can_not_be_kept_is_told_with_the_file_and_the_old_one_stands(tmp_path, monkeypatch):
    file = tmp_path / "file"
    remembered.keep(file, b"old", "", Progress())

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    said = []
    progress = Progress()
    progress.say = said.append
    monkeypatch.setattr(os, "fsync", full)
    remembered.keep(file, b"new", "it is made again next time", progress)
    assert said == [f"it is made again next time: {file} can't be written: No space left on device"]
    assert remembered.recall(file) == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
