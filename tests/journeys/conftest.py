"""What several journeys need: a config in a file, and an ear for the work that is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cnnkit.core.progress import Progress

STATEFUL = """
name: stateful
data: {source: {name: digits}, image_size: [8, 8], limit: 20, batch_size: 16}
augment: [{name: rotate}, {name: mixup}]
model:
  name: sequential
  layers: [{name: conv, filters: 4}, {name: batch_norm}, {name: flatten}, {name: dropout, rate: 0.3}]
train:
  optimizer: {name: sgd, learning_rate: 0.05, momentum: 0.9}
  ema: {momentum: 0.9}
  gradient_accumulation: 2
  early_stopping: {monitor: val_loss, patience: 2, min_delta: 0.5}
  checkpoint: {every_steps: 4}
  time_limit: 600
  stages: [{freeze: conv1, epochs: 1}, {epochs: 6}]
"""


@pytest.fixture(scope="module")
def without_report():
    """Trainings of a module write no report, of which other tests are: it takes as long as a training of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnnkit.training.closing.reported", lambda *_: None)
        yield


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


@pytest.fixture(scope="session")
def stateful() -> str:
    """A config of all that has a state: chance, momentum, moving statistics, averages, accumulation, two stages."""
    return STATEFUL


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """Writes a config into the folder of the test."""

    def written(text: str, name: str = "config.yaml") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return written
