from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pexpect
import pytest

from cnnkit import Run, evaluate, read, train
from cnnkit.core import atomic
from cnnkit.core.errors import Interrupted, TrainingError
from cnnkit.runs import training_states
from cnnkit.runs.state_writer import StateWriter

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

# The training loss falls all the time, so there is a new checkpoint nearly every epoch.
ENDLESS = """
name: endless
data:
  source: {name: digits}
  image_size: [16, 16]
  batch_size: 16
  limit: 100
model:
  name: sequential
  layers: [{name: conv, filters: 4}, {name: flatten}, {name: dense, units: 512}]
train:
  epochs: 100000
  optimizer: {name: sgd, learning_rate: 1e-3}
  checkpoint: {monitor: loss}
"""

# All digits one at a time: some seconds on any machine.
ONE_LONG_EPOCH = ["--set", "train.epochs=1", "--set", "data.batch_size=1", "--set", "data.limit=null"]

# Says when it can be interrupted: before that, Python itself is still starting.
COMMAND = "from cnnkit.commands.main import main; print('ready', flush=True); main()"


def as_from_a_terminal():
    """A suite that runs in the background ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def training(config, run, *words):
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "train", config, "--run", run, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=config.parent,
        preexec_fn=as_from_a_terminal,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(happened, process, seconds=300.0, pause=0.02):
    end = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(pause)


def best_of(run):
    return json.loads((run / "checkpoints" / "best.json").read_text())


def usable(folder):
    """The run is readable, and its best checkpoint is the best epoch of those recorded."""
    run = Run.open(folder)
    assert run.experiment.name == "endless"
    epochs = run.history()
    assert [epoch["epoch"] for epoch in epochs] == list(range(1, len(epochs) + 1))
    if epochs:  # none when the end came between the first epoch's weights and its record
        for line in (folder / "metrics.jsonl").read_text().splitlines():
            json.loads(line)
    best = run.load_best(run.network())
    # A better epoch came later, and its weights were not yet on the disk.
    assert all(best["metrics"]["loss"] <= epoch["loss"] or best["epoch"] < epoch["epoch"] for epoch in epochs)
    assert best["epoch"] <= len(epochs) + 1
    document = evaluate(run, "validation")
    assert document["accuracy"] == pytest.approx(best["metrics"]["val_accuracy"])
    return True


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        *(pytest.param(n, 128 + n, marks=pytest.mark.slow) for n in (signal.SIGTERM, signal.SIGHUP)),
    ],
    ids=["ctrl-c", "sigterm", "hangup"],
)
def test_a_run_that_is_stopped_keeps_its_best_epoch_and_says_so_in_one_line(config, tmp_path, number, code):
    run = tmp_path / "run"
    with training(config(ENDLESS), run) as process:
        wait_until((run / "checkpoints" / "best.json").exists, process)
        time.sleep(0.4)
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    [line] = err.splitlines()
    assert f"{run} keeps epoch " in line and ", the best of " in line
    assert f"epoch {best_of(run)['epoch']}" in line
    assert f"cnnkit evaluate {run}" in line and line.endswith(f"; go on with: cnnkit train --resume {run}")
    assert training_states.newest(run / "checkpoints", print).position.epoch == len(Run.open(run).history())
    assert "Traceback" not in out
    assert Run.open(run).provenance()["state"] == "interrupted"
    assert list(run.rglob(".writing*")) == []
    assert usable(run)


@pytest.mark.slow
def test_stopped_in_its_first_epoch_a_run_says_that_there_are_no_weights(config, tmp_path):
    run = tmp_path / "run"
    with training(config(ENDLESS), run, *ONE_LONG_EPOCH) as process:
        wait_until((run / "log.txt").exists, process)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    [line] = err.splitlines()
    assert f"{run} holds the config, but no weights" in line
    with pytest.raises(TrainingError, match="no checkpoint"):
        evaluate(run)
    assert read(run / "config.yaml").name == "endless"


def test_stopped_while_starting_nothing_is_left(config, tmp_path):
    run = tmp_path / "run"
    with training(config(ENDLESS), run) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(1.0)  # TensorFlow is being imported
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    [line] = err.splitlines()
    assert line.startswith("Interrupted")
    assert not run.exists()


def moment_after_the_first(run):
    return lambda: (run / "checkpoints" / "best.json").exists()


def moment_of_saving(run):
    """While a later checkpoint is being written."""
    first = moment_after_the_first(run)
    return lambda: first() and any((run / "checkpoints").glob(".writing*.h5"))


def moment_between(run):
    """In the middle of a later epoch."""
    return lambda: moment_after_the_first(run)() and best_of(run)["epoch"] >= 4


@pytest.mark.slow
@pytest.mark.parametrize("moment", [moment_after_the_first, moment_of_saving, moment_between])
def test_a_run_that_is_killed_stays_usable(config, tmp_path, moment):
    run = tmp_path / "run"
    with training(config(ENDLESS), run) as process:
        wait_until(moment(run), process, pause=0.0005)
        process.kill()
        process.wait()
    assert usable(run)


class Power(Exception):
    """It fails."""


@pytest.mark.parametrize(
    "how", [pytest.param("before", marks=pytest.mark.slow), "half", pytest.param("afterwards", marks=pytest.mark.slow)]
)
def test_a_save_that_fails_leaves_the_best_before_it(config, tmp_path, monkeypatch, how):
    write, save_best = atomic.File.write, StateWriter.save_best
    saves = []

    def save_and_wait(writer, *given):  # else the next best epoch takes the place of one that waits
        save_best(writer, *given)
        writer.flush()

    def failing(file, content):
        if ".weights.h5" not in file.path.name:
            return write(file, content)
        saves.append(file)
        if len(saves) < 3:
            return write(file, content)
        if how == "before":
            raise Power
        write(file, content[: len(content) // 2] if how == "half" else content)
        raise Power

    monkeypatch.setattr(atomic.File, "write", failing)
    monkeypatch.setattr(StateWriter, "save_best", save_and_wait)
    experiment = read(config(ENDLESS), "data.limit=10", "model.layers=[{name: flatten}]", "train.epochs=9")
    with pytest.raises(Power):
        train(experiment, tmp_path / "run")
    assert best_of(tmp_path / "run")["epoch"] == 2
    assert list((tmp_path / "run").rglob(".writing*")) == []
    assert usable(tmp_path / "run")


def test_ctrl_c_during_the_last_evaluation_keeps_the_run_too(config, tmp_path, monkeypatch):
    from cnnkit.evaluation import evaluate as evaluation_evaluate

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation_evaluate, "score", interrupted)
    experiment = read(config(ENDLESS), "data.limit=10", "model.layers=[{name: flatten}]", "train.epochs=2")
    with pytest.raises(Interrupted, match=r"keeps epoch [12], the best of 2") as raised:
        train(experiment, tmp_path / "run")
    assert raised.value.exit_code == 130


def test_after_a_training_sigterm_means_what_it_meant_before(config, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    train(read(config(ENDLESS), "data.limit=10", "train.epochs=1"), tmp_path / "run")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_a_terminal_shows_a_live_line_and_keeps_one_line_an_epoch(config, tmp_path):
    words = ["-m", "cnnkit", "train", str(config(ENDLESS)), "--run", str(tmp_path / "run"), *ONE_LONG_EPOCH]
    words += ["--set", "data.limit=50"]
    # Readline, which pytest loads, sets COLUMNS to 80 behind os.environ; the width is to be that of the terminal.
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    terminal = pexpect.spawn(
        sys.executable, words, timeout=300, encoding="utf-8", dimensions=(40, 150), env=environment
    )
    terminal.expect(r"epoch 1/1 .*\d+/\d+  loss \d\.\d+  accuracy \d\.\d+ +[\d,]+ images/s +\d+:\d\d left")
    terminal.expect(r"epoch 1/1  loss \d\.\d+  accuracy \d\.\d+  val_loss")
    terminal.expect("test: accuracy")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
