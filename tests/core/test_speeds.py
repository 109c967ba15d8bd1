"""Speeds are remembered, a few of each kind, by machine; and a damaged file is no obstacle."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from cnnkit.core import speeds


def test_before_the_first_training_nothing_is_known():
    assert speeds.recorded() == {}


def test_the_one_in_the_middle_of_the_last_few_counts(said):
    for speed in (9e9, 1.0, 2.0, 3.0, 4.0, 50.0):
        speeds.record({"training lenet": speed}, said)
    assert speeds.recorded() == {"training lenet": 3.0}  # of 1, 2, 3, 4 and 50
    assert said.lines == []


def test_what_is_no_speed_is_not_kept(said):
    speeds.record({"a": float("nan"), "b": float("inf"), "c": 0.0, "d": -1.0, "e": 2.0}, said)
    assert speeds.recorded() == {"e": 2.0}


def test_each_machine_has_its_own_and_each_kind_of_kernels(said, monkeypatch):
    speeds.record({"a": 1.0}, said)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert speeds.recorded() == {}
    speeds.record({"a": 2.0}, said)
    monkeypatch.setattr(speeds, "cores", lambda: 64)
    assert speeds.recorded() == {}
    assert len(json.loads(speeds.place().read_text())) == 2


def test_the_file_stays_small(said, monkeypatch):
    for number in range(2 * speeds.KINDS):
        speeds.record({f"training {number}": 1.0}, said)
    for number in range(2 * speeds.MACHINES):
        monkeypatch.setattr(speeds, "cores", lambda number=number: number)
        speeds.record({"a": 1.0}, said)
    known = json.loads(speeds.place().read_text())
    assert len(known) == speeds.MACHINES
    assert max(map(len, known.values())) <= speeds.KINDS
    assert speeds.place().stat().st_size < 20_000


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"m": [1]}', '{"m": {"a": 1}}', '{"m": {"a": ["1"]}}', '{"m": {"a": []}}', "[" * 10_000]
)
def test_a_damaged_file_is_said_and_written_anew(text, said):
    speeds.place().parent.mkdir(parents=True, exist_ok=True)
    speeds.place().write_text(text)
    assert speeds.recorded() is None
    speeds.record({"a": 1.0}, said)
    assert speeds.recorded() == {"a": 1.0}
    [line] = said.lines
    assert "was damaged" in line


def test_where_it_can_not_be_written_a_line_says_so(said, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "file"))
    speeds.record({"a": 1.0}, said)
    assert "can't be written" in said.lines[-1]


def test_of_several_that_write_at_once_none_breaks_the_file(said):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: speeds.record({f"{number % 3}": 1.0}, said), range(60)))
    assert set(speeds.recorded() or {}) <= {"0", "1", "2"}
    assert said.lines == []
