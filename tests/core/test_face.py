"""The names that `cnnkit` itself has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import cnnkit

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "python.md"
NAMES = sorted(set(cnnkit.__all__) - {"__version__"})


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_there_and_says_nothing_unless_asked_to(name):
    found = getattr(cnnkit, name)
    assert inspect.getdoc(found)
    progress = inspect.signature(found).parameters.get("progress")
    assert progress is None or progress.default is None


def test_the_reference_has_all_of_them():
    assert sorted(re.findall(r"::\s+cnnkit\.(\w+)$", REFERENCE.read_text(), re.MULTILINE)) == NAMES
