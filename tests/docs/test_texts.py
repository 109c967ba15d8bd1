"""The texts of the repository: no leftovers of a merge."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import console_blocks
import pytest

ROOT = Path(console_blocks.ROOT)

MARKER = re.compile(rb"^(?:<{7}|\|{7}|>{7}) |^={7}$", re.MULTILINE)
"""What git writes into a file where two sides of a merge differ."""


def files() -> list[Path]:
    """All files that git keeps; none where this is no clone."""
    found = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True)
    if found.returncode:
        pytest.skip("no clone")
    return [path for name in found.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_has_leftovers_of_a_merge() -> None:
    assert [str(path.relative_to(ROOT)) for path in files() if MARKER.search(path.read_bytes())] == []
