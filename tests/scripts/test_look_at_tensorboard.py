"""What TensorBoard itself shows of a run, on its page and behind it; the run is written without any training."""

from __future__ import annotations

import shutil
import sys

import look_at_tensorboard
import pytest

from cnnkit.config.file import read
from cnnkit.runs.run import Run
from cnnkit.training.tracking.tensorboard import TensorBoard

EPOCHS = [
    {"epoch": k, "step": 9 * k, "loss": 1 / k, "val_loss": 2 / k, "gradient_norms": {"stem": 0.5 * k}}
    for k in (1, 2, 3)
]


@pytest.fixture
def run(tmp_path):
    (tmp_path / "config.yaml").write_text("data: {source: {name: digits}}\nmodel: {name: resnet, depth: 20}\n")
    run = Run.create(read(tmp_path / "config.yaml"), tmp_path / "run")
    run.write_provenance(state="finished", files=run.hashes())
    board = TensorBoard(run, run.experiment, ["a", "b"])
    board.begin()
    for metrics in EPOCHS:
        run.record(metrics)
        board.epoch(metrics)
    board.end("finished")
    return run


def looked(monkeypatch, run, *words):
    """The exit code of the script."""
    monkeypatch.setattr(sys, "argv", ["look_at_tensorboard.py", str(run.folder), *map(str, words)])
    try:
        look_at_tensorboard.main()
    except SystemExit as ended:
        return ended.code
    return 0


@pytest.mark.slow
def test_tensorboard_hands_out_the_curves_and_its_page_shows_them(run, monkeypatch, capsys, tmp_path):
    picture = tmp_path / "page.png"
    code = looked(monkeypatch, run, "--picture", picture)
    said = capsys.readouterr()
    assert "TensorBoard hands out 3 curves, as they stand in metrics.jsonl" in said.out
    if any(map(shutil.which, look_at_tensorboard.CHROMIUM)):
        assert (code, picture.is_file()) == (0, True)
    else:
        assert (code, said.err) == (2, "there is no Chromium to look at the page with\n")


@pytest.mark.slow
def test_a_figure_that_tensorboard_lacks_is_found(run, monkeypatch, capsys):
    monkeypatch.setattr(look_at_tensorboard, "PATIENCE", 20.0)
    run.record(EPOCHS[-1] | {"epoch": 4})
    assert looked(monkeypatch, run) == 1
    assert "epoch/loss of tensorboard/train is [(1, 1.0), (2, 0.5)" in capsys.readouterr().err


CARD = "<scalar-card><span>epoch</span>/<b>loss</b></scalar-card>"
CURVE = '<path d="M1,2L3,4L5,6" style="fill: none; stroke: rgb(1, 2, 3)">'


@pytest.mark.parametrize(
    ("page", "missing"),
    [
        (CARD + 2 * CURVE, None),
        (2 * CURVE, "no card for epoch/loss"),
        (CARD + CURVE, "1 curves of 3 points, and 2 are needed"),
        (CARD + CURVE + CURVE.replace("L5,6", ""), "1 curves"),
    ],
)
def test_a_card_or_a_curve_that_the_page_lacks_is_told(run, page, missing):
    if missing is None:
        look_at_tensorboard.check_page(page, run)
    else:
        with pytest.raises(look_at_tensorboard.Missing, match=missing):
            look_at_tensorboard.check_page(page, run)
