from __future__ import annotations

import errno
import json
import signal

import pytest

from cnnkit import Run, read
from cnnkit.core.errors import DataError, DiskError, NobodyReads, TrainingError
from cnnkit.core.lazy import tf
from cnnkit.core.progress import Progress
from cnnkit.evaluation.baseline import Baseline
from cnnkit.report import report
from cnnkit.training import closing, train
from cnnkit.training.closing import Closing

CONFIG = """
name: tiny
data: {source: {name: digits}, image_size: [4, 4], limit: 10}
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 1, optimizer: {name: adam}}
"""


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return read(tmp_path / "tiny.yaml")


@pytest.fixture
def run(experiment, tmp_path):
    """A run that has just been made."""
    return Run.create(experiment, tmp_path / "run")


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(Progress, "say", lambda self, line: lines.append(line))
    return lines


def raising(error):
    def write(*_):
        raise error

    return write


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda *_: signal.raise_signal(signal.SIGINT), "interrupted"),
        (lambda *_: signal.raise_signal(signal.SIGTERM), "interrupted"),
        (raising(DataError("cat/3.png: is gone")), "cat/3.png: is gone"),
        (raising(TrainingError("metrics.jsonl is damaged")), "metrics.jsonl is damaged"),
        (raising(DiskError("the disk is full")), "the disk is full"),
        (raising(PermissionError(errno.EACCES, "Permission denied")), "Permission denied"),
        (raising(MemoryError()), "out of memory"),
        (raising(tf.errors.ResourceExhaustedError(None, None, "OOM")), "out of memory"),
    ],
)
def test_a_report_that_fails_costs_a_run_nothing_and_a_line_says_how_to_make_it(
    run, begin, said, monkeypatch, write, why
):
    begin()
    before, progress = run.files.provenance.read_bytes(), Progress()
    steps = Closing(run, progress)
    monkeypatch.setattr(report, "write", write)
    assert closing.reported(run, None, None, progress, steps) is None
    whole = f"({why}); the run is complete without it; make it with: cnnkit report {run.folder}"
    assert said == [f"report.html is not written {whole}"]
    assert run.files.log.read_text().endswith(f"{said[0]}\n")
    assert run.files.provenance.read_bytes() == before


def test_a_line_on_a_full_disk_is_told_though_the_log_has_no_room_for_it(run, begin, disk, monkeypatch):
    begin()
    monkeypatch.setattr(report, "write", lambda *_: disk.fail(errno.ENOSPC) or run.write_provenance(x=1))
    assert closing.reported(run, None, None, Progress(), Closing(run, Progress())) is None


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (DataError("cat/3.png: is gone"), "data", "cat/3.png: is gone"),
        (MemoryError(), "training", "out of memory"),
        (DiskError("the disk is full"), "disk", "the disk is full"),
        (ValueError("odd\nshape"), "bug", "this is a bug in cnnkit, please report it: ValueError: odd; "),
    ],
)
def test_what_fails_is_told_with_its_command_and_what_comes_behind_it_goes_on(run, said, error, kind, told):
    steps = Closing(run, Progress())
    with steps.step("there is no baseline", "cnnkit evaluate"):
        raise error
    with steps.step("there is no other", None):
        done = True
    assert done
    [failed] = steps.failed
    assert (failed["kind"], failed["again"]) == (kind, f"cnnkit evaluate {run.folder}")
    assert failed["message"].startswith(told)
    assert said == [
        f"there is no baseline ({failed['message']}); the run is complete without it; make it with: {failed['again']}"
    ]
    log = run.files.log.read_text()
    assert said[0] in log
    assert ("Traceback" in log and "test_closing.py" in log) == (kind == "bug")  # where a bug is can be found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("error", [None, RuntimeError("TensorFlow makes this of it")])
def test_a_signal_before_the_run_is_recorded_ends_the_training(run, said, number, error):
    steps = Closing(run, Progress())
    with pytest.raises(KeyboardInterrupt), steps.step("there is no baseline", None):
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise error or KeyboardInterrupt from None
    assert not steps.failed and not said


def test_where_nobody_reads_nothing_more_is_done(run):
    steps = Closing(run, Progress())
    with pytest.raises(NobodyReads), steps.step("there is no baseline", None, recorded=True):
        raise NobodyReads


def test_a_training_is_finished_whatever_fails_behind_it(experiment, tmp_path, monkeypatch, said):
    broken = raising(ValueError("odd"))
    monkeypatch.setattr(Baseline, "answered", broken)
    for place in ("evaluation.familiarity.fit", "training.verdict.judge.remarks", "report.report.write"):
        monkeypatch.setattr(f"cnnkit.{place}", broken)
    monkeypatch.setattr("cnnkit.training.pace.record", broken)
    document = train.train(experiment, tmp_path / "run")
    assert document["state"] == Run(tmp_path / "run").provenance()["state"] == "finished"
    assert [step["again"] for step in document["failed"]] == [
        f"cnnkit evaluate {tmp_path / 'run'}",
        f"cnnkit evaluate --calibrate {tmp_path / 'run'}",
        None,
        f"cnnkit report {tmp_path / 'run'}",
        None,
    ]
    kept = json.loads((tmp_path / "run/evaluation/test.json").read_text())
    assert kept.pop("sha256") and kept == document["test"] and "baseline" not in kept
    assert document["report"] is None
    assert train.resume(tmp_path / "run")["failed"] == []


@pytest.mark.parametrize(
    ("kinds", "code"), [([], 0), (["interrupted"], 4), (["disk", "data"], 4), (["data", "bug"], 1)]
)
def test_the_exit_code_says_that_something_failed(command, experiment, tmp_path, monkeypatch, kinds, code):
    failed = [{"step": "no report", "kind": kind, "message": "odd", "again": None} for kind in kinds]
    document = {"run": "runs/tiny", "test": None, "failed": failed}
    monkeypatch.setattr(train, "train", lambda *_: document)
    found, out, _ = command("train", tmp_path / "tiny.yaml", "--json")
    assert (found, json.loads(out)) == (code, document)
