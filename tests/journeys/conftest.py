"""What several journeys need: a config in a file, and an ear for the work that is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cnnkit.core.progress import Progress


class Tasks(Progress):
    """Remembers the names of the work that it hears of."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def task(self, what, total):
        self.names.append(what)
        return super().task(what, total)


@pytest.fixture
def tasks() -> Tasks:
    return Tasks()


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """Writes a config into the folder of the test."""

    def written(text: str, name: str = "config.yaml") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return written
