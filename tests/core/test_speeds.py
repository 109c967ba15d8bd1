"""Speeds are remembered, a few of each kind, by machine; and a damaged file is no obstacle."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from cnnkit.core import speeds
from cnnkit.core.progress import Progress


class Lines(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture
def lines():
    return Lines()


def test_before_the_first_training_nothing_is_known():
    assert speeds.recorded() == {}


def test_the_one_in_the_middle_of_the_last_few_counts(lines):
    for speed in (9e9, 1.0, 2.0, 3.0, 4.0, 50.0):
        speeds.record({"training lenet": speed}, lines)
    assert speeds.recorded() == {"training lenet": 3.0}  # of 1, 2, 3, 4 and 50
    assert lines.lines == []


def test_what_is_no_speed_is_not_kept(lines):
    speeds.record({"a": float("nan"), "b": float("inf"), "c": 0.0, "d": -1.0, "e": 2.0}, lines)
    assert speeds.recorded() == {"e": 2.0}


def test_each_machine_has_its_own_and_each_kind_of_kernels(lines, monkeypatch):
    speeds.record({"a": 1.0}, lines)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert speeds.recorded() == {}
    speeds.record({"a": 2.0}, lines)
    monkeypatch.setattr(speeds, "cores", lambda: 64)
    assert speeds.recorded() == {}
    assert len(json.loads(speeds.place().read_text())) == 2


def test_the_file_stays_small(lines, monkeypatch):
    for number in range(2 * speeds.KINDS):
        speeds.record({f"training {number}": 1.0}, lines)
    for number in range(2 * speeds.MACHINES):
        monkeypatch.setattr(speeds, "cores", lambda number=number: number)
        speeds.record({"a": 1.0}, lines)
    known = json.loads(speeds.place().read_text())
    assert len(known) == speeds.MACHINES
    assert max(map(len, known.values())) <= speeds.KINDS
    assert speeds.place().stat().st_size < 20_000


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"m": [1]}', '{"m": {"a": 1}}', '{"m": {"a": ["1"]}}', '{"m": {"a": []}}', "[" * 10_000]
)
def test_a_damaged_file_is_said_and_written_anew(text, lines):
    speeds.place().parent.mkdir(parents=True, exist_ok=True)
    speeds.place().write_text(text)
    assert speeds.recorded() is None
    speeds.record({"a": 1.0}, lines)
    assert speeds.recorded() == {"a": 1.0}
    [line] = lines.lines
    assert "was damaged" in line


def test_where_it_can_not_be_written_a_line_says_so(lines, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "file"))
    speeds.record({"a": 1.0}, lines)
    assert "can't be written" in lines.lines[-1]


def test_of_several_that_write_at_once_none_breaks_the_file(lines):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: speeds.record({f"{number % 3}": 1.0}, lines), range(60)))
    assert set(speeds.recorded() or {}) <= {"0", "1", "2"}
    assert lines.lines == []
