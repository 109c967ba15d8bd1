"""The measurement of first results, with commands that only pretend."""

from __future__ import annotations

import json
from pathlib import Path

import measure_first_result
import numpy as np
import pytest

CONFIG = """name: x
seed: 0

data:
  source: a

# The other candidate, b: ...
# data:
#   source: b
# model:
#   name: b
"""


@pytest.fixture
def pretending(tmp_path):
    """Runs no command: tells what a training by each split seed would, and what was asked."""
    asked = []

    def command(*words):
        words = [*map(str, words)]
        asked.append(words)
        if words[0] == "init":
            Path(words[words.index("--output") + 1]).write_text(CONFIG)
            return {"title": "a small network"}, 2.0
        if "--set" not in words:
            return {"validation": {"accuracy": 0.5}, "test": {"accuracy": 0.4}}, 9.0
        seed = int(words[-1].removeprefix("data.split.seed="))
        return {"validation": {"accuracy": 0.7 + seed / 10}, "test": {"accuracy": 0.6 + seed / 10}}, 3.0 + seed

    command.asked = asked
    return command


def test_a_row_tells_the_means_over_the_split_seeds_and_the_longest_training(pretending, tmp_path, capsys):
    (tmp_path / "weights.h5").touch()
    (tmp_path / "flowers").mkdir()
    words = [tmp_path / "weights.h5", tmp_path / "out", "--data", tmp_path / "flowers", "--split-seeds", 3, "--full"]
    assert measure_first_result.main([*map(str, words)], lambda cache: pretending) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["data", "taken"]
    # 2 minutes of trial and 5 of the longest training; means of 0.7, 0.8, 0.9 and 0.6, 0.7, 0.8.
    assert row.split()[-8:] == ["network", "8.0", "2.0", "5.0", "7.0", "0.800", "0.700", "0.500"]
    assert (tmp_path / "out" / "cache" / "backbones" / "weights.h5").exists()
    assert (tmp_path / "out" / "flowers-other.yaml").read_text() == (
        "name: x\nseed: 0\n\ndata:\n  source: b\nmodel:\n  name: b\n"
    )
    assert json.loads((tmp_path / "out" / "flowers.json").read_text())["test"] == pytest.approx(0.7)


def test_idx_files_become_pngs_in_folders_of_splits_and_classes(tmp_path, write_idx):
    for prefix, count in (("train", 12), ("t10k", 6)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28))
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte", np.arange(count) % 3)
    folder = measure_first_result.write_pngs(tmp_path, tmp_path / "pngs")
    counts = {part: len([*folder.glob(f"{part}/*/*.png")]) for part in ("train", "test")}
    assert counts == {"train": 12, "test": 6}
    assert len([*folder.glob("train/*")]) == 3


def test_a_config_without_another_candidate_has_none():
    assert measure_first_result.other_candidate("name: x\ndata:\n  source: a\n") is None
