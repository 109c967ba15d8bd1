"""`cnnkit lr`: what it shows and writes, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cnnkit.commands.text_chart import MARK
from cnnkit.core.cache import cache_folder
from cnnkit.optimization.rate_test import Finding, Point, ShortRun
from cnnkit.training import rate_finder

Command = Callable[..., tuple[int, str, str]]

CONFIG = """\
data: {source: {name: digits}, image_size: [8, 8], limit: 8, batch_size: 16}
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 2, optimizer: {name: adam, learning_rate: auto}}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(CONFIG)
    return tmp_path


CURVE = tuple(Point(10.0**-x, float(x), float(x)) for x in (6, 5, 4, 3, 2, 1))
RUNS = (ShortRun(0.001, 0.5, 0.8), ShortRun(0.003, 0.25, 0.9), ShortRun(0.009, None, None))
FOUND = Finding(
    *(0.003, "train.optimizer.learning_rate", "adam", 1, 1, 0.003, CURVE, "at 0.1 it ended", 2.3, RUNS, 10, 1.0),
    judges=500,
    usual=0.001,
)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (FOUND, []),
        (replace(FOUND, begun=0.2), []),
        (replace(FOUND, stage=2, stages=3), ["Tried in stage 2 of 3, the first that takes steps."]),
    ],
)
def test_it_shows_the_curve_and_the_setting_that_uses_what_was_found(
    config: Path, command: Command, monkeypatch: pytest.MonkeyPatch, found: Finding, said: list[str]
) -> None:
    monkeypatch.setattr(rate_finder, "for_experiment", lambda *arguments: (found, Path("curve.png")))
    code, out, err = command("lr", "mine.yaml", "--set", "seed=1", "--set", f"{found.key}=7")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[: len(said)] == said
    assert lines[len(said)].endswith("over 6 updates at rising learning rates; at 0.1 it ended:")
    assert [line.split()[:3] for line in lines if line.lstrip().startswith("0.00")] == [
        ["0.001", "0.5000", "0.8000"],
        ["0.003", "0.2500", "0.9000"],
        ["0.009", "diverged", "-"],
    ]
    assert "Learning rate 0.003 for adam: --set train.optimizer.learning_rate=0.003" in lines
    assert lines[-2:] == [
        "The curve: curve.png",
        "Next: cnnkit train mine.yaml --set seed=1 --set train.optimizer.learning_rate=0.003",
    ]
    assert any(line.startswith("careful: at none of these rates") for line in lines) == (found.begun < 1)
    assert sum(line.strip() == MARK for line in lines) == 1


def test_where_the_judges_are_too_few_all_lines_have_the_usual_rate(
    config: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(FOUND, judges=4, usual=0.0005)
    monkeypatch.setattr(rate_finder, "for_experiment", lambda *_: (few, Path("curve.png")))
    _, out, _ = command("lr", "mine.yaml")
    assert "<- suggested" not in out  # it was not tried
    assert "Learning rate 0.0005 for adam, the usual one: --set train.optimizer.learning_rate=0.0005\n" in out
    found = json.loads(command("lr", "mine.yaml", "--json")[1])
    assert (found["learning_rate"], found["setting"]) == (0.0005, "train.optimizer.learning_rate=0.0005")
    assert found["from_runs"] == 0.003
    assert "careful: 4 validation images can't tell these rates apart" in out
    assert out.endswith("Next: cnnkit train mine.yaml --set train.optimizer.learning_rate=0.0005\n")


def test_its_json_has_the_whole_curve_which_nobody_named_is_drawn_in_the_cache(
    config: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_finder, "network_of", lambda *arguments: (None, None))
    monkeypatch.setattr(rate_finder, "find", lambda *arguments: FOUND)
    code, out, _ = command("lr", "mine.yaml", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["learning_rate"] == 0.003 and found["setting"] == "train.optimizer.learning_rate=0.003"
    assert {"config", "optimizer", "stage", "updates", "seconds", "ended", "caution"} <= found.keys()
    assert found["curve"][0] == {"rate": 1e-6, "loss": 6.0, "smoothed": 6.0} and len(found["curve"]) == 6
    assert found["runs"][2] == {"rate": 0.009, "loss": None, "accuracy": None}
    assert Path(found["plot"]).is_file() and Path(found["plot"]).is_relative_to(cache_folder())
    assert sorted(path.name for path in config.iterdir()) == ["mine.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plot", "curve.jpg"], "--plot curve.jpg: the curve is a PNG; give it a name that ends in .png"),
        (["--plot", "no/curve.png"], "--plot no/curve.png: there is no folder no"),
        (["--force"], "--force is for --plot"),
        (["--minutes", "0"], "--minutes"),
        (["--set", "train.optimizer.learning_rate=fast"], "should be a number or auto, not the text 'fast'"),
    ],
)
def test_what_it_cannot_do_is_said_before_any_work(config: Path, command: Command, words, message) -> None:
    code, _, err = command("lr", "mine.yaml", *words)
    assert code == 2
    assert message in err
