"""Scripts that measure something else than speed work: each in its smallest form, in this process."""

from __future__ import annotations

import json
import re
import sys

import measure_doctor
import measure_feeding_memory
import measure_near_duplicates
import measure_saving
import measure_unfamiliar
import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def flat_pictures(tmp_path):
    """Six pictures that differ much, the last a copy of the first, enlarged."""
    for i in range(6):
        picture = Image.fromarray(np.random.default_rng(i).integers(0, 256, (6, 6, 3), np.uint8)).resize((48, 48))
        (tmp_path / "pictures" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        picture.save(tmp_path / "pictures" / "ab"[i % 2] / f"{i}.png")
    picture.resize((64, 64)).save(tmp_path / "pictures" / "b" / "larger.png")
    return tmp_path / "pictures"


@pytest.mark.parametrize("half", [None, "--first-half", "--second-half"])
def test_near_duplicates(flat_pictures, tmp_path, monkeypatch, capsys, half):
    monkeypatch.setattr(measure_near_duplicates, "IMAGES", 2)
    monkeypatch.setattr(measure_near_duplicates, "PAIRS", 10)
    words = [flat_pictures, half] if half else [flat_pictures, tmp_path / "sheet.png"]
    monkeypatch.setattr(sys, "argv", ["measure_near_duplicates.py", *map(str, words)])
    measure_near_duplicates.main()
    printed = capsys.readouterr().out
    found = [re.fullmatch(r"(.+?) +\d of (\d) found", line) for line in printed.splitlines()]
    ways = {match[1]: match[2] for match in found if match}
    assert "cropped by 3 % at each edge, brightened by 10 %" in ways
    assert set(ways.values()) == {"2"}
    if not half:
        assert "1 group of different files in all 7 pictures" in printed
        assert Image.open(tmp_path / "sheet.png").size[1] > 100


def test_feeding_memory(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure_feeding_memory, "measure", measure_feeding_memory.feed)
    monkeypatch.setattr(sys, "argv", ["x", "--make", str(tmp_path / "made"), "--images", "5", "10"])
    measure_feeding_memory.main()
    *rows, last = capsys.readouterr().out.splitlines()
    assert [row.split(":")[0].split() for row in rows] == [["5", "images"], ["10", "images"]]
    assert re.fullmatch(rf"{re.escape(str(tmp_path / 'made' / '10'))} takes [+-]\d+\.\d%", last)


def test_feeding_memory_of_a_process(tmp_path, monkeypatch, capsys):
    folder = measure_feeding_memory.make(tmp_path / "made", 5)
    monkeypatch.setattr(sys, "argv", ["x", "--feed", str(folder)])
    measure_feeding_memory.main()
    assert json.loads(capsys.readouterr().out)["images"] == 5


def test_what_the_doctor_is_to_see(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "faults", "--folder", str(tmp_path / "made"), "--images", "24"])
    measure_doctor.main()
    said = capfd.readouterr().out
    assert "warning  masks: 24 pictures seem to be the mask of another one" in said
    assert re.search(r"near_leak: \d groups of near-duplicates lie in two splits .* have a sibling in training", said)
    assert "`data.split: {keep_together: near}`" in said
    assert re.search(r"exit 0, \d+\.\d CPU seconds", said)


def test_saving(tmp_path, monkeypatch, capsys):
    words = [tmp_path, "--parameters", "1500000", "--copies", "2", "--saves", "3"]
    monkeypatch.setattr(sys, "argv", ["measure_saving.py", *map(str, words)])
    measure_saving.main()
    printed = capsys.readouterr().out
    assert re.match(r"a state of 12 MB\ntraining waits \d+ ms for the first, \d+ ms then\nit is on the disk", printed)
    assert not any(tmp_path.iterdir())


def test_unfamiliar_tells_the_areas_under_the_curve_of_distance_and_of_probability():
    known = measure_unfamiliar.Told(np.array([0.5, 0.9, 1.1]), np.array([0.9, 0.8, 0.5]))
    other = measure_unfamiliar.Told(np.array([1.0, 2.0]), np.array([0.7, 0.95]))
    # Of the six pairs five by distance, and two by probability, are in the right order.
    expected = f"| noise | {5 / 6:.4f} | {2 / 6:.4f} | 1 of 2 | 0.825 |"
    assert measure_unfamiliar.row("noise", known, other) == expected
