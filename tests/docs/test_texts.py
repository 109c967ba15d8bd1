"""The texts of the repository: no leftovers of a merge, and pages whose lines are as long as those of the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import console_blocks
import pytest

ROOT = Path(console_blocks.ROOT)

MARKER = re.compile(rb"^(?:<{7}|\|{7}|>{7}) |^={7}$", re.MULTILINE)
"""What git writes into a file where two sides of a merge differ."""


COLUMNS = 120

FENCE = re.compile(r"\s*```")

NO_PROSE = ("|", "<!--")
"""How rows of tables begin, and comments that say what is run."""

TARGET = re.compile(r"\]\([^)\s]*\)")
"""Where a link leads, which can't be broken."""


def files() -> list[Path]:
    """All files that git keeps; none where this is no clone."""
    found = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True)
    if found.returncode:
        pytest.skip("no clone")
    return [path for name in found.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_has_leftovers_of_a_merge() -> None:
    assert [str(path.relative_to(ROOT)) for path in files() if MARKER.search(path.read_bytes())] == []


def too_long(text: str) -> list[int]:
    """The numbers of the lines of prose that are longer than COLUMNS without the targets of their links."""
    found, code = [], False
    for number, line in enumerate(text.splitlines(), start=1):
        if FENCE.match(line):
            code = not code
        elif not code and not line.lstrip().startswith(NO_PROSE) and len(TARGET.sub("]", line)) > COLUMNS:
            found.append(number)
    return found


def test_lines_of_prose_are_at_most_as_long_as_those_of_the_code() -> None:
    pages = [path for path in files() if path.suffix == ".md"]
    long = {str(page.relative_to(ROOT)): too_long(page.read_text(encoding="utf-8")) for page in pages}
    assert {name: lines for name, lines in long.items() if lines} == {}


def test_of_long_lines_those_of_prose_alone_are_told() -> None:
    word, link = "w" * COLUMNS, f"[a](https://example.org/{'w' * COLUMNS})"
    page = ["w" + word, word, f"| {word}", "```text", f"$ {word}", "```", f"- {word}", f"<!-- run {word} -->", link]
    assert too_long("\n".join(page)) == [1, 7]
