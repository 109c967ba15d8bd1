"""A learning rate that is found: `cnnkit lr`, and `learning_rate: auto` at the beginning of a training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest
from PIL import Image

from cnnkit import Run, read, train
from cnnkit.core.errors import UsageError
from cnnkit.core.progress import Progress
from cnnkit.runs.epochs import TIMES
from cnnkit.training import rate_finder
from cnnkit.training.train import resume

pytestmark = pytest.mark.usefixtures("without_report")

CONFIG = """
seed: 3
data: {source: {name: digits}, image_size: [8, 8], limit: 12, batch_size: 16}
augment: [{name: shift, fraction: 0.1}, {name: mixup}]
model:
  name: sequential
  layers: [{name: conv, filters: 4}, {name: batch_norm}, {name: flatten}, {name: dropout, rate: 0.3}]
train:
  epochs: 2
  optimizer: {name: sgd, weight_decay: 1e-3}
  scale_learning_rate_with_batch: true
  checkpoint: {monitor: loss}
"""
RATE = "train.optimizer.learning_rate={}"

USUAL = 1.6
"""A handful of images can't tell rates apart: the usual one of SGD is found, 0.1, for 16 images an update, not 256."""


@pytest.fixture(scope="module")
def short() -> Iterator[None]:
    """Searches of a few updates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_finder, "RANGE", 40)
        patch.setattr(rate_finder, "SHORT", 10)
        patch.setattr(rate_finder, "FEWEST", 10)
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, short: None) -> dict[str, Run]:
    """Two trainings in one process: with the usual rate given, then with `auto`, of which the judges are too few."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "config.yaml").write_text(CONFIG)
    made: dict[str, Run] = {}
    for name, rate in (("given", USUAL), ("found", "auto")):
        made[name] = Run.open(train(read(folder / "config.yaml", RATE.format(rate)), folder / name)["run"])
    return made


def left(run: Run) -> tuple[str, list[dict[str, float]]]:
    """The hash of a run's weights, and its metrics without times."""
    lines = [{name: value for name, value in line.items() if name not in TIMES} for line in run.history()]
    return json.loads((run.files.checkpoints / "best.json").read_text())["sha256"], lines


def test_a_training_after_a_search_is_bit_by_bit_the_one_with_the_same_rate_given(runs):
    assert left(runs["found"]) == left(runs["given"])


def test_the_run_keeps_the_rate_how_it_was_found_and_the_curve(runs):
    run = runs["found"]
    found = json.loads(run.files.rate_test.read_text())
    assert run.experiment.train.optimizer.learning_rate == found["learning_rate"] == USUAL
    assert found["from_runs"] in [run["rate"] for run in found["runs"]] and "stands: 1.6" in found["caution"]
    assert run.provenance()["learning_rate"] == {"asked": "auto", "found": USUAL, "how": "lr.json"}
    assert len(found["curve"]) > 5 and found["setting"] == RATE.format(USUAL)
    assert "learning rate 1.6, the usual one of sgd: after 10 updates at" in run.files.log.read_text()
    assert Image.open(run.files.rate_curve).size > (400, 200)
    assert run.files.config.read_bytes() == runs["given"].files.config.read_bytes()
    assert not runs["given"].files.rate_test.exists()


def test_a_run_that_is_killed_as_soon_as_it_is_there_knows_that_its_rate_was_found(runs, tmp_path, monkeypatch):
    whole, killed = runs["found"].files, Run(tmp_path / "killed")
    killed.folder.mkdir()
    for file in (whole.config, whole.rate_test):  # all that is in it before its record
        shutil.copy(file, killed.folder)
    monkeypatch.setattr("cnnkit.training.train._trained", lambda *_: {"epochs": []})
    resume(killed.folder, whole.folder.parent / "config.yaml", [RATE.format("auto")])
    assert killed.provenance()["learning_rate"] == runs["found"].provenance()["learning_rate"]


@pytest.mark.slow
def test_the_first_stage_that_takes_steps_is_tried_as_the_stages_before_leave_it(runs, short, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    settings = [
        f"model.weights={runs['given'].folder}",
        "augment=[]",
        "train.checkpoint.monitor=val_loss",
        "train.epochs=null",
        "train.stages=[{freeze: backbone}, {epochs: 1}]",
    ]
    made = Run.open(train(read(config, *settings, RATE.format("auto")), tmp_path / "auto")["run"])
    assert json.loads(made.files.rate_test.read_text())["stage"] == 2
    assert [line["epoch"] for line in made.history()] == [1, 2]
    rate = made.experiment.train.optimizer.learning_rate
    given = Run.open(train(read(config, *settings, RATE.format(rate)), tmp_path / "given")["run"])
    assert left(made) == left(given)


def test_a_classifier_that_is_fitted_has_no_learning_rate_to_find(tmp_path, runs):
    config = tmp_path / "config.yaml"
    config.write_text(f"data: {{source: {{name: digits}}}}\nmodel: {{name: lenet, weights: {runs['given'].folder}}}\n")
    with pytest.raises(UsageError, match=r"fitted, without steps.*train\.optimizer: \{name: adam, learning_rate: auto"):
        rate_finder.for_experiment(read(config), Progress())
