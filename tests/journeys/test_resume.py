"""Runs that end before their time, however that comes, and go on: to the very bits of one that nobody has stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import killtest
import pytest

from cnnkit import Run, evaluate, read, train
from cnnkit.core.errors import Interrupted, UsageError
from cnnkit.runs import training_states
from cnnkit.runs.training_states import State
from cnnkit.training import observers, resuming, stage_fit, steps
from cnnkit.training.resuming import Resumption
from cnnkit.training.stopping import Clock
from cnnkit.training.train import resume

pytestmark = pytest.mark.usefixtures("without_report")

PLAIN = """
name: plain
data: {source: {name: digits}, image_size: [8, 8], limit: 10, batch_size: 16}
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 2, schedule: {name: constant}, optimizer: {name: adam}, checkpoint: {every_epochs: 1}}
"""


class Killed(BaseException):
    """As SIGKILL: nothing that waits for errors sees it."""


@pytest.fixture(autouse=True)
def one_update_at_a_time(monkeypatch):
    """So that moments are the same on every machine."""
    monkeypatch.setattr(stage_fit, "LONGEST", 0.0)


@pytest.fixture
def when(monkeypatch):
    """Has something happen when a method was called so often."""

    def prepare(owner, name, count, happens):
        before = getattr(owner, name)
        left = [count]

        def hooked(*arguments, **options):
            result = before(*arguments, **options)
            left[0] -= 1
            if left[0] == 0:
                happens()
            return result

        monkeypatch.setattr(owner, name, hooked)

    return prepare


def kill():
    raise Killed


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def outcome(run):
    return killtest.outcome(Path(run))


@pytest.fixture
def made(tmp_path):
    """Writes a config and reads it."""

    def make(text, *settings):
        (tmp_path / "config.yaml").write_text(text)
        return read(tmp_path / "config.yaml", *settings)

    return make


def test_a_run_that_is_stopped_ends_with_the_same_bits(made, stateful, tmp_path, when):
    """By SIGTERM in the middle of its second epoch, the first one of its second stage."""
    experiment, run = made(stateful, "train.stages.1.epochs=2"), tmp_path / "run"
    train(experiment, tmp_path / "whole")
    when(observers.Watch, "updates_done", 7, terminate)
    with pytest.raises(Interrupted, match=r"go on with: cnnkit train --resume .*run$"):
        train(experiment, run)
    stopped = training_states.saved(run / "checkpoints")[-1]
    assert stopped[0] == 2
    resume(run)
    assert killtest.differing(outcome(tmp_path / "whole"), outcome(run)) == []


@pytest.mark.slow
def test_a_run_that_is_stopped_again_and_again_ends_with_the_same_bits(
    made, stateful, tmp_path, when, monkeypatch, command
):
    """By its time in the first epoch, by SIGKILL while its next state is written, by SIGTERM in the second stage."""
    experiment, run = made(stateful), tmp_path / "run"
    train(experiment, tmp_path / "whole")
    stages = [epoch["stage"] for epoch in Run.open(tmp_path / "whole").history()]
    assert stages.count(1) == 1 and 2 <= stages.count(2) < 6  # early stopping has ended the second one

    with monkeypatch.context() as patch:
        patch.setattr(Clock, "is_up", lambda self: True)
        code, out, err = command("train", tmp_path / "config.yaml", "--run", run)
    assert (code, err) == (0, "")
    assert f"train.time_limit (600 minutes) is up after 0 epochs; go on with: cnnkit train --resume {run}\n" in out
    assert training_states.saved(run / "checkpoints") == [(1, 0, 1)]
    assert Run.open(run).provenance()["state"] == "unfinished"

    killed = killtest.Moment("saving", signal.SIGKILL, 1, "synced")
    ended = killtest.trained(["train", "--resume", run], tmp_path, killed)
    assert ended.code == -signal.SIGKILL, ended.out
    assert list((run / "checkpoints").glob(".writing*")) and list(killtest.unreadable(run)) == []
    assert training_states.saved(run / "checkpoints") == [(1, 0, 1)]

    when(steps.Steps, "evaluate", 5, terminate)  # two for a validation
    with pytest.raises(Interrupted, match=r"keeps epoch \d.* go on with: cnnkit train --resume .*run$") as raised:
        resume(run)
    assert raised.value.exit_code == 143
    assert training_states.saved(run / "checkpoints")[-1] == (
        2,
        2,
        5,
    )  # all updates of the third epoch, the last of a batch
    assert Run.open(run).provenance()["state"] == "interrupted"

    document = resume(run, tmp_path / "config.yaml")
    assert document["state"] == "finished"
    assert killtest.differing(outcome(tmp_path / "whole"), outcome(run)) == []
    assert [entry["after"] for entry in Run.open(run).provenance()["resumed"]] == [
        {"stage": 1, "epoch": 0, "update": 1},
        {"stage": 1, "epoch": 0, "update": 1},
        {"stage": 2, "epoch": 2, "update": 5},
    ]
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    code, out, err = command("train", "--resume", run, "--json")
    assert code == 0 and json.loads(out) == document
    assert f"{run} is finished, so there is nothing to go on with; early stopping has ended it" in err
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before


@pytest.mark.slow
def test_when_its_time_is_up_the_best_epoch_so_far_is_evaluated(made, tmp_path, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setattr(Clock, "is_up", lambda self: run.exists() and len(Run(run).history()) == 1)
    document = train(made(PLAIN, "train.time_limit=1"), run)
    assert (document["state"], document["epochs"], document["best_epoch"]) == ("unfinished", 1, 1)
    assert document["test"]["accuracy"] >= 0


@pytest.mark.slow
def test_a_finished_run_that_is_to_be_longer_becomes_one_that_was_longer_from_the_start(made, tmp_path):
    run = tmp_path / "run"
    train(made(PLAIN), run)
    evaluate(run, "train", questions=[], calibrate=True)
    assert Run.open(run).calibration.temperature != 1
    resume(run, settings=["train.epochs=4"])
    assert (
        f"its calibration was of the weights so far, and is gone; later: cnnkit evaluate {run}"
        in (run / "log.txt").read_text()
    )
    train(made(PLAIN, "train.epochs=4"), tmp_path / "whole")
    assert killtest.differing(outcome(tmp_path / "whole"), outcome(run)) == []
    record = Run.open(run).provenance()
    assert Run.open(run).experiment.train.epochs == 4
    assert record["resumed"][0]["changed"] == {"train.epochs": {"from": 2, "to": 4}}
    assert "train.epochs: `2` to `4`" in (run / "log.txt").read_text()


@pytest.mark.slow
def test_a_run_that_ended_before_it_was_saved_begins_anew_in_its_folder(made, tmp_path, when):
    experiment, run = made(PLAIN, "train.checkpoint={}"), tmp_path / "run"
    train(experiment, tmp_path / "whole")
    when(observers.Watch, "updates_done", 6, kill)  # an epoch has 5
    with pytest.raises(Killed):
        train(experiment, run)
    assert len(Run.open(run).history()) == 1
    resume(run)
    assert killtest.differing(outcome(tmp_path / "whole"), outcome(run)) == []
    assert "begins anew" in (run / "log.txt").read_text()


@pytest.mark.slow
def test_what_was_ended_before_it_had_a_record_begins_and_any_other_folder_is_no_run(made, tmp_path, monkeypatch):
    experiment, run = made(PLAIN), tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Run, "write_split", lambda *_: kill())
        train(experiment, run)
    assert sorted(file.name for file in run.iterdir()) == ["config.yaml", "log.txt"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "config.yaml").write_text(PLAIN)  # somebody's own
    (run / "thesis.txt").touch()
    for folder in (run, tmp_path / "notes", tmp_path / "nowhere", tmp_path):
        with pytest.raises(UsageError, match="is not a run of cnnkit"):
            resume(folder)
    (run / "thesis.txt").unlink()
    assert resume(run)["state"] == "finished"


def test_a_run_that_goes_on_on_other_devices_says_that_last_digits_may_differ(made):
    experiment = made(PLAIN)
    resumption = Resumption(Run(Path("run")), experiment, experiment, {"computing": {"devices": ["CPU:0"]}})
    state = State(Path("state"), {"stage": 1, "epoch": 1, "update": 0}, {})
    assert not any("careful" in line for line in resumption.lines(state, {"devices": ["CPU:0"]}))
    *_, line = resumption.lines(state, {"devices": ["CPU:0", "CPU:1"]})
    assert line.startswith(
        "  careful: train.devices was CPU:0 so far and is CPU:0 and CPU:1 from here on, so last digits"
    )


def test_what_keeps_a_run_from_going_on_is_told_and_leaves_it_as_it_was(made, tmp_path, when, command):
    run = tmp_path / "run"
    when(observers.Watch, "updates_done", 1, kill)
    with pytest.raises(Killed):
        train(made(PLAIN), run)
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}

    with Run(run).held(), pytest.raises(UsageError, match="is being trained by another process"):
        resume(run)

    (tmp_path / "other.yaml").write_text(PLAIN.replace("adam", "sgd").replace("limit: 10", "limit: 11"))
    code, _, err = command("train", tmp_path / "other.yaml", "--resume", run)
    assert (code, err) == (
        2,
        f"{tmp_path}/other.yaml:3:59: data.limit: the run has `10`, the config `11`\n"
        f"{tmp_path}/other.yaml:5:66: train.optimizer.name: the run has `adam`, the config `sgd`\n"
        f"{run} goes on as it began; leave the config out, or train it as a run of its own, without --resume\n",
    )
    code, _, err = command("train", "--resume", run, "--set", "train.epochs=1", "--set", "seed=3")
    assert (code, err) == (
        2,
        "--set seed=3: seed: the run has `0`, the config `3`\n"
        "--set train.epochs=1: train.epochs: the run has `2`, the config `1`; a run that goes on can only have more\n"
        f"{run} goes on as it began; train a run of its own, without --resume\n",
    )
    for words, said in (
        (["--resume", run, "--run", tmp_path / "b"], "leave out --run, or --resume"),
        ([], "Missing argument 'CONFIG'"),
        (["--resume", tmp_path / "nowhere"], "is not a run of cnnkit: there is no such folder"),
    ):
        code, _, err = command("train", *words)
        assert code == 2 and said in err
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before


def test_a_finished_run_without_a_state_is_not_begun_anew_in_its_folder(tmp_path, command):
    run = tmp_path / "run"
    shutil.copytree(Path(__file__).with_name("run_of_version_0_1_0"), run)
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    anew = f"train it anew: cnnkit train {run}/config.yaml --set train.epochs=2\n"
    code, out, err = command("train", "--resume", run)
    assert (code, err) == (0, "") and out.startswith(f"{run} is finished") and anew in out
    code, _, err = command("train", "--resume", run, "--set", "train.epochs=2", "--set", "train.schedule.name=constant")
    assert code == 2 and f"{run} is finished" in err and err.endswith(anew)
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(("gone", "left"), [("validation", "test: accuracy"), ("test", "The run: ")])
def test_of_a_finished_run_that_has_lost_a_result_the_rest_is_shown(tmp_path, command, gone, left):
    run = tmp_path / "run"
    shutil.copytree(Path(__file__).with_name("run_of_version_0_1_0"), run)
    (run / "evaluation" / f"{gone}.json").unlink()
    code, out, err = command("train", "--resume", run)
    assert (code, err) == (0, "") and left in out and f"{gone}: accuracy" not in out


@pytest.mark.slow
def test_a_training_names_an_unfinished_run_of_its_config(made, tmp_path, when, monkeypatch):
    monkeypatch.chdir(tmp_path)
    when(observers.Watch, "updates_done", 7, kill)
    with pytest.raises(Killed):
        train(made(PLAIN))
    [first] = (tmp_path / "runs").iterdir()
    line = resuming.unfinished_like(Run(first).experiment)
    assert (
        line == f"runs/{first.name} has this config and is unfinished; cnnkit train --resume runs/{first.name} goes on"
    )
    with Run(first).held():  # somebody trains it
        assert resuming.unfinished_like(Run(first).experiment) is None
    assert resuming.unfinished_like(Run(first).with_settings("seed=1").experiment) is None
