"""The images that the documentation draws: the same each time, no two alike, and never into a folder that is there."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import draw_shapes
import pytest


def test_a_picture_is_the_same_each_time_and_unlike_all_others() -> None:
    def drawn() -> list[str]:
        pictures = [draw_shapes.picture(shape, number) for shape in draw_shapes.SHAPES for number in range(3)]
        return [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]

    assert drawn() == drawn()
    assert len(set(drawn())) == 9


def test_a_folder_that_is_there_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["draw_shapes.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        draw_shapes.main()
    assert "is there already" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
