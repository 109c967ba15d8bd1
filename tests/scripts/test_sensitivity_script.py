"""Which trainings the table of sensitivity begins, goes on with, or refuses; nothing is trained here."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest
import sensitivity


@pytest.fixture
def called(monkeypatch):
    """Runs no command: remembers the words behind `cnnkit`, and ends as it is told to."""
    calls, codes = [], []

    def run(words):
        calls.append([str(word) for word in words[len(sensitivity.CNNKIT) :]])
        return SimpleNamespace(returncode=codes.pop(0) if codes else 0)

    monkeypatch.setattr(subprocess, "run", run)
    return calls, codes


def asked(folder, *vary):
    return sensitivity.main(["c.yaml", str(folder), "--model", "{name: lenet}", "--vary", *vary])


def test_one_setting_is_changed_at_a_time_and_then_all_are_compared(called, tmp_path):
    calls, _ = called
    assert asked(tmp_path, "train.epochs=2", "data.batch_size=8") == 0
    base = ["--set", "model={name: lenet}"]
    assert [call[:4] for call in calls[:3]] == [
        ["train", "c.yaml", "--run", str(tmp_path / name)] for name in ("0-0-0", "0-1-0", "0-2-0")
    ]
    assert [call[4:] for call in calls[:3]] == [
        [*base, "--set", "seed=0"],
        [*base, "--set", "train.epochs=2", "--set", "seed=0"],
        [*base, "--set", "data.batch_size=8", "--set", "seed=0"],
    ]
    assert calls[3][0] == "compare" and calls[3][-2:] == ["--split", "validation"]
    assert len(calls) == 4


def test_what_has_begun_goes_on_with_the_settings_that_it_should_have(called, tmp_path):
    calls, _ = called
    (tmp_path / "0-0-0" / "evaluation").mkdir(parents=True)
    (tmp_path / "0-1-0").mkdir()
    assert asked(tmp_path, "train.epochs=2", "data.batch_size=8") == 0
    assert [call[2] for call in calls[:3]] == ["--resume", "--resume", "--run"]
    assert "train.epochs=2" in calls[1]  # what it is held against


def test_the_first_training_that_fails_or_is_refused_ends_it_with_its_code(called, tmp_path):
    calls, codes = called
    codes.extend([0, 2])
    assert asked(tmp_path, "train.epochs=2", "data.batch_size=8") == 2
    assert len(calls) == 2
