"""Whatever goes wrong with what records a run elsewhere is said once, recorded, and changes nothing else."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import time
from pathlib import Path

import pytest

from cnnkit.config.file import read
from cnnkit.core.errors import DiskError, NobodyReads, TrainingError
from cnnkit.core.progress import Progress
from cnnkit.runs.run import Run
from cnnkit.training.tracking import apart, follow
from cnnkit.training.tracking.apart import Apart
from cnnkit.training.tracking.base import Recorder
from cnnkit.training.tracking.tracking import Tracking

CONFIG = """
data: {source: {name: digits}, image_size: [16, 16], channels: 1}
model: {name: lenet}
train: {epochs: 3, track: [{name: mlflow}]}
"""

EPOCHS = [{"epoch": k, "step": 10 * k, "loss": 1 / k, "val_loss": 2 / k, "learning_rate": None} for k in (1, 2, 3)]


class Heard(Progress):
    """Remembers what is said."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


class Remembers(Recorder):
    """Remembers what it was told."""

    def __init__(self, key="one"):
        self.key = self.title = key
        self.told = []

    def begin(self):
        self.told.append("begin")

    def epoch(self, metrics):
        self.told.append(metrics["epoch"])

    def end(self, state):
        self.told.append(state)

    def state(self):
        return {"told": len(self.told)}

    def restore(self, state):
        self.told.append(state)


class Fails(Remembers):
    """Fails at one moment."""

    def __init__(self, key, moment, error):
        super().__init__(key)
        self._moment, self._error = moment, error

    def __getattribute__(self, name):
        if name == object.__getattribute__(self, "__dict__").get("_moment"):
            self.told.append(name)
            raise self._error
        return object.__getattribute__(self, name)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    run = Run.create(read(tmp_path / "config.yaml", "name=try", "train.track=[]"), tmp_path / "run")
    run.write_provenance(state="training")
    return run


def full():
    return DiskError("the disk at / is full: x needs 1 KB, 0 B are free; make room there")


@pytest.mark.parametrize("moment", ["begin", "epoch", "end"])
@pytest.mark.parametrize("error", [full(), OSError(errno.EIO, "Input/output error")])
def test_one_that_fails_is_said_once_recorded_and_let_go_and_the_others_go_on(run, moment, error):
    failing, other, heard = Fails("one", moment, error), Remembers("other"), Heard()
    with Tracking(run, heard, [failing, other]).following() as tracking:
        for metrics in EPOCHS:
            tracking.epoch(metrics)
        run.write_provenance(state="finished")
    assert other.told == ["begin", 1, 2, 3, "finished"]
    assert failing.told.count(moment) == 1 and failing.told[-1] == moment
    (line,) = heard.lines
    assert line.startswith("careful: one does not have all of this run: ") and "\n" not in line
    recorded = run.provenance()
    assert recorded["tracking"]["one"].startswith("failed: ") and recorded["state"] == "finished"
    assert line in run.files.log.read_text()


def test_a_disk_that_is_full_does_not_end_a_training_by_what_is_recorded_elsewhere(run, disk):
    """What it does to the run's own files is another matter."""
    heard = Heard()
    tracking = Tracking(run, heard, [Fails("one", "epoch", full())])
    disk.fail(errno.ENOSPC)
    tracking.epoch(EPOCHS[0])
    tracking.epoch(EPOCHS[1])
    assert len(heard.lines) == 1


def test_a_bug_of_ours_is_not_hidden(run):
    with pytest.raises(TypeError), Tracking(run, Heard(), [Fails("one", "epoch", TypeError())]).following() as tracking:
        tracking.epoch(EPOCHS[0])


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (TrainingError("x"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (NobodyReads(), "interrupted"),
        (full(), "failed"),
    ],
)
def test_all_are_told_how_the_run_ended(run, error, state):
    recorder = Remembers()
    with pytest.raises(type(error)), Tracking(run, Heard(), [recorder]).following():
        raise error
    assert recorder.told == ["begin", state]


def test_a_resume_goes_on_with_the_states_and_the_name_of_the_run(run):
    first = Tracking(run, Heard(), [Remembers("one"), Remembers("two")])
    with first.following():
        pass
    known, recorder = run.provenance()["tracking"]["id"], Remembers("two")
    again = Tracking(run, Heard(), [recorder, Remembers("three")])
    again.restore(json.loads(json.dumps(first.state())))
    with again.following():
        assert run.provenance()["tracking"]["id"] == known
    assert recorder.told == [{"told": 2}, "begin", "training"]


# A tracker in a process of its own. The package that it asks for is a made-up one.


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a package `mlflow` that does something when its client is made."""

    def make(code):
        folder = tmp_path / "packages" / "mlflow"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(code)
        monkeypatch.syspath_prepend(folder.parent)

    return make


@pytest.fixture
def tracked(run):
    """A run that is recorded by the made-up MLflow, and what is said."""
    text = run.files.config.read_text().replace("track: []", "track: [{name: mlflow}]")
    run.files.config.write_text(text)
    run = Run(run.folder)
    (tracker,) = run.experiment.train.track
    heard = Heard()
    return run, heard, Tracking(run, heard, [Apart(tracker, 0, run, heard)])


def processes():
    """How many processes follow a run."""
    commands = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return sum(b"cnnkit.training.tracking.follow" in command for command in commands)


HANGS = """
import os, sys, threading, time, atexit
print("noise"); print("noise", file=sys.stderr); os.system("echo noise")
atexit.register(time.sleep, 600)
threading.Thread(target=time.sleep, args=(600,)).start()
class MlflowClient:
    def __init__(self, **words): time.sleep(600)
"""

FALLS = """
import os
class MlflowClient:
    def __init__(self, **words): os.abort()
"""

RAISES = """
raise RuntimeError("no such server\\nsecond line")
"""


@pytest.mark.parametrize(
    ("code", "why", "patience"),
    [
        (HANGS, "has not answered for", 0.5),
        (FALLS, "has ended without a word", 60.0),
        (RAISES, "RuntimeError: no such server", 60.0),
    ],
    ids=["hangs", "falls", "raises"],
)
def test_one_that_hangs_falls_or_raises_is_left_behind(tracked, package, code, why, patience, monkeypatch, capfd):
    package(code)
    monkeypatch.setattr(apart, "PATIENCE", patience)
    run, heard, tracking = tracked
    with tracking.following():
        for metrics in EPOCHS:
            run.record(metrics)
            tracking.epoch(metrics)
        run.write_provenance(state="finished")
    (line,) = heard.lines
    assert line.startswith("careful: MLflow does not have all of this run: ") and why in line
    assert why in run.provenance()["tracking"]["mlflow"]
    assert capfd.readouterr() == ("", "")
    assert processes() == 0


class Books:
    """A session that keeps what it is told."""

    where = "a book"

    def __init__(self):
        self.told = []

    def epoch(self, number, metrics):
        self.told.append((number, metrics))

    def end(self, state, figures, files):
        self.told.append((state, figures, [file.name for file in files]))


@pytest.mark.parametrize("words", [["epoch", "epoch", "finished"], ["finished"], ["epoch", "epoch"]])
def test_what_follows_a_run_hands_on_each_epoch_once_and_how_it_ended(tracked, monkeypatch, words):
    run, _, _ = tracked
    books, runs, answers = Books(), [], []
    monkeypatch.setattr(type(run.experiment.train.track[0]), "begin", lambda *parts: (runs.append(parts[1]), books)[1])
    facts = {"tracking": {"id": "07"}, "versions": {"keras": "3.15"}, "git": None, "device": "CPU, 2 threads"}
    run.write_provenance(**facts, best_epoch=2, state="finished")
    for metrics in EPOCHS[:2]:
        run.record(metrics | {"accuracy": float("nan"), "gradient_norms": {"stem": 0.5}})
    run.files.evaluation.mkdir()
    run.files.result("test").write_text(json.dumps({"split": "test", "images": 3, "accuracy": 0.75, "classes": []}))
    follow.follow(run.folder, 0, iter(words), answers.append)
    *epochs, end = books.told
    assert epochs == [(k, {"loss": 1 / k, "val_loss": 2 / k, "gradient_norms/stem": 0.5}) for k in (1, 2)]
    state = words[-1] if words[-1] == "finished" else "interrupted"  # by whoever ended the process without a word
    assert end == (state, {"test_accuracy": 0.75, "best_epoch": 2.0}, ["config.yaml", "test.json"])
    assert answers == [{"where": "a book"}, {"sent": 1}, {"sent": 2}]
    (told,) = runs
    assert (told.id, told.experiment, told.folder) == ("07", "try", run.folder.absolute())
    assert told.tags == {"version.keras": "3.15", "device": "CPU, 2 threads"}
    assert told.parameters["data.image_size"] == "[16, 16]" and told.parameters["train.epochs"] == 3
    assert not [name for name in told.parameters if "track" in name]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("epoch\nepoch\nfinished\n", ["epoch", "epoch", "finished"]),
        ("epoch\n", ["epoch"]),
        ("failed\nepoch\n", ["failed"]),
    ],
)
def test_from_the_end_of_a_run_the_process_has_two_minutes_whatever_it_hangs_in(monkeypatch, said, words):
    alarms = []
    monkeypatch.setattr(follow.signal, "alarm", alarms.append)
    assert list(follow._heard(io.StringIO(said))) == words
    assert alarms == [120]


WAITS = """
import time
class MlflowClient:
    def __init__(self, **words): self.books = open("BOOKS", "a")
    def get_experiment_by_name(self, name): return None
    def create_experiment(self, name, **words): return "1"
    def search_runs(self, *words, **more): return [type("", (), {"info": type("", (), {"run_id": "1"})})]
    def get_metric_history(self, *words): return []
    def log_batch(self, run, metrics=(), **more):
        time.sleep(0.5)
        for metric in metrics:
            print(metric, file=self.books, flush=True)
    def log_artifact(self, *words): pass
    def update_run(self, run, status): pass
    def set_terminated(self, run, state): print(state, file=self.books, flush=True)
"""


@pytest.mark.parametrize("killed", [False, True])
def test_where_a_run_is_stopped_the_process_tells_the_rest_by_itself(tracked, package, tmp_path, monkeypatch, killed):
    package(WAITS.replace("BOOKS", str(tmp_path / "books")))
    entities = tmp_path / "packages" / "mlflow" / "entities.py"
    entities.write_text("def Metric(name, value, time, step): return f'{name} {value} {step}'")
    monkeypatch.setattr(apart, "SHORT", 0.2)
    run, heard, tracking = tracked
    child = os.fork()
    if not child:
        try:
            with tracking.following():
                run.record({"epoch": 1, "loss": 0.5})
                tracking.epoch({"epoch": 1})
                while killed:
                    time.sleep(1)
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            os._exit(len(heard.lines))
    deadline = time.monotonic() + 30
    while killed and not processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    if killed:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert killed or os.waitstatus_to_exitcode(status) == 1  # it has said that something is still under way
    while processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "books").read_text().splitlines() == ["loss 0.5 1", "KILLED"]
