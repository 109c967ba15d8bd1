"""What fails beside the figures of a network, whatever it is, leaves these: written, or told."""

from __future__ import annotations

import errno
import json

import pytest

from cnnkit import Run, evaluate
from cnnkit.core.errors import DataError, DiskError, Incomplete
from cnnkit.evaluation import results
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.baseline import Baseline


@pytest.fixture
def run(run_too_sure):
    return run_too_sure(["cat", "dog"], (4, 4, 1))


def of_file(run):
    return results.read(run, "test")


@pytest.fixture
def broken(monkeypatch):
    """Makes the baseline fail."""

    def fail(error):
        def answered(*_):
            raise error

        monkeypatch.setattr(Baseline, "answered", answered)

    return fail


@pytest.mark.parametrize(
    ("error", "code", "kind", "why"),
    [
        (ValueError("odd"), 1, "bug", "this is a bug in cnnkit, please report it: ValueError: odd; the same command w"),
        pytest.param(
            DataError("cat/0.png: is gone", "cat/1.png: too"), 3, "data", "cat/0.png: is gone", marks=pytest.mark.slow
        ),
        pytest.param(DiskError("the disk is full"), 4, "disk", "the disk is full", marks=pytest.mark.slow),
        pytest.param(
            OSError(5, "Input/output error"), 4, "training", "[Errno 5] Input/output error", marks=pytest.mark.slow
        ),
        (KeyboardInterrupt(), 130, "interrupted", "interrupted"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_fails_beside_the_figures_of_the_network_leaves_them(run, command, broken, error, code, kind, why):
    broken(error)
    found, out, err = command("evaluate", run.folder, "--abstain", "0.5")
    kept = of_file(run)
    assert found == code and f"test: accuracy {kept['accuracy']:.4f}" in out and "baseline" not in out
    assert f"there is no `baseline`: {why}" in err and ("cat/1.png: too" in err) == (code == 3)
    assert err.endswith(f"the figures of the network are kept: {run.files.result('test')}\n")
    assert ("not asked any more: `two_classes`, `abstain`\n" in err) == (code == 130)
    assert ("abstain" in kept) == ("abstain: " in out) == (code != 130)  # who stops it waits for nothing else
    document = json.loads(command("evaluate", run.folder, "--json", "--abstain", "0.5")[1])
    assert document["accuracy"] == kept["accuracy"] and document["error"]["message"] == err.rstrip("\n")
    [failed] = document["failed"]
    assert failed["step"] == "there is no `baseline`" and failed["kind"] == kind and failed["message"].startswith(why)


def test_where_it_failed_is_shown_to_who_debugs_and_raised_to_a_program(run, command, broken):
    broken(ValueError("odd"))
    assert "in answered" in command("evaluate", run.folder, "--debug")[2]
    with pytest.raises(Incomplete, match="ValueError: odd") as told:
        evaluate(run.folder)
    assert told.value.document["accuracy"] == of_file(run)["accuracy"]
    assert [type(each) for each in told.value.__cause__.exceptions] == [ValueError]


@pytest.mark.parametrize("words", [[], pytest.param(["--calibrate"], marks=pytest.mark.slow)])
def test_figures_that_can_not_be_written_are_told(run, command, disk, monkeypatch, words):
    answered = Answers.of
    monkeypatch.setattr(Answers, "of", lambda *those: disk.fail(errno.ENOSPC) or answered(*those))
    code, out, err = command("evaluate", run.folder, "--no-baseline", *words)
    assert code == 4 and "test: accuracy 0." in out and not run.files.result("test").exists()
    what = "calibration is" if words else "figures are"
    assert err.startswith(f"the {what} not kept with the run: ") and "full" in err and "up to date" not in out
    assert err.endswith("the figures of the network are told, and not kept with the run\n")
    document = json.loads(command("evaluate", run.folder, "--no-baseline", "--json", *words)[1])
    assert document["failed"][0]["kind"] == "disk" and 0 <= document["accuracy"] <= 1
    assert not Run.open(run.folder).files.calibration.exists()


@pytest.mark.slow
def test_gates_are_told_all_the_same(run, command, broken):
    broken(ValueError("odd"))
    code, out, err = command("evaluate", run.folder, "--json", "--fail-under", "baseline.network_adds=0")
    assert code == 1 and [gate["met"] for gate in json.loads(out)["gates"]] == [False]
    assert err == "not met: baseline.network_adds has no value, wanted at least 0\n"


@pytest.mark.slow
def test_what_tells_unfamiliar_images_may_fail_and_the_calibration_stays(run, command, monkeypatch):
    def fit(*_):
        raise ValueError("odd")

    monkeypatch.setattr("cnnkit.evaluation.familiarity.fit", fit)
    code, out, err = command("evaluate", run.folder, "--no-baseline", "--calibrate")
    assert code == 1 and "calibrated: temperature" in out and "what tells unfamiliar images is not made anew" in err
    assert of_file(run)["temperature"] == Run.open(run.folder).calibration.temperature > 1


def test_figures_are_shown_before_what_is_said_of_them(run, command, monkeypatch):
    monkeypatch.setattr(Baseline, "lines", lambda *_: 1 / 0)
    code, out, err = command("evaluate", run.folder)
    assert code == 1 and out.rstrip().splitlines()[-1].startswith("test: accuracy 0.") and "ZeroDivisionError" in err
