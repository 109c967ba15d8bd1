"""What fails beside the figures of a network, whatever it is, leaves these: written, or told."""

from __future__ import annotations

import errno
import json

import pytest

from cnnkit import Run, evaluate
from cnnkit.core.errors import CnnkitError, DataError, DiskError, Incomplete
from cnnkit.core.progress import Progress
from cnnkit.core.signals import Terminated
from cnnkit.evaluation import results
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.baseline import Baseline
from cnnkit.evaluation.recalibration import Recalibration
from cnnkit.evaluation.two_classes import TwoClasses
from cnnkit.inspection import same_images


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
            OSError(5, "I/O error", "a/b.json"),
            4,
            "training",
            "a/b.json: I/O error",
            marks=pytest.mark.slow,
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


def test_a_signal_ends_a_program_that_goes_on_behind_errors_once_the_figures_are_kept(run, broken):
    broken(Terminated())
    with pytest.raises(Terminated) as ended:
        evaluate(run.folder)
    assert not isinstance(ended.value, Exception)
    told = ended.value.__cause__
    assert isinstance(told, Incomplete) and told.document["accuracy"] == of_file(run)["accuracy"]
    assert told.exit_code == 143 and "not asked any more" not in str(told)  # nothing else was


def test_who_interrupts_gets_that_code_whatever_failed_before(run, command, broken, monkeypatch):
    broken(ValueError("odd"))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(TwoClasses, "answered", interrupted)
    code, out, err = command("evaluate", run.folder, "--abstain", "0.5")
    assert code == 130 and "test: accuracy 0." in out
    assert "ValueError: odd" in err and "`two_classes`: interrupted\nnot asked any more: `abstain`\n" in err


@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        pytest.param(DiskError("it is full"), DiskError, 4, id="disk", marks=pytest.mark.slow),
        pytest.param(ValueError("odd"), CnnkitError, 1, id="bug"),
    ],
)
def test_what_other_commands_have_evaluated_fails_as_what_failed_in_it(run, monkeypatch, error, raised, code):
    def fail(*_):
        raise error

    monkeypatch.setattr(results, "keep", fail)
    with pytest.raises(CnnkitError) as ended:
        same_images.answers(run, "test", Progress())
    [line] = str(ended.value).splitlines()
    assert line.startswith(f"{run.folder}: the figures are not kept with the run: ")
    assert type(ended.value) is raised and ended.value.exit_code == code
    assert list(ended.value.as_json()) == ["error"]


def test_who_interrupts_other_commands_when_figures_are_kept_interrupts_them(run, command, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "keep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        same_images.answers(run, "test", Progress())


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
@pytest.mark.parametrize("broken_at", ["renew", "keep"])
def test_a_calibration_that_is_kept_is_told_as_such_where_what_comes_behind_it_fails(
    run, command, disk, monkeypatch, broken_at
):
    """Behind its file the record is closed, and what was found before is written anew."""
    step = getattr(Recalibration, broken_at)

    def full(self):
        if broken_at == "keep":
            step(self)
        disk.fail(errno.ENOSPC)
        step(self)

    monkeypatch.setattr(Recalibration, broken_at, full)
    code, out, err = command("evaluate", run.folder, "--no-baseline", "--calibrate")
    assert code == 4 and "calibrated: temperature" in out and "brought up to date" not in out
    assert err.startswith("what was found before is not brought up to date: ") and "calibration is not kept" not in err
    kept = f"the calibration is kept: {run.files.calibration}; to bring that up to date: {run.files.to_calibrate}\n"
    assert kept in err and Run.open(run.folder).calibration.temperature > 1


def test_a_calibration_that_is_not_kept_is_not_told_as_one_and_what_is_in_its_way_is_named(run, command):
    run.files.calibration.mkdir()
    code, out, err = command("evaluate", run.folder, "--no-baseline", "--calibrate")
    assert code == 4 and "not kept: calibrated: temperature" in out and "\ncalibrated: " not in out
    why = f"{run.files.calibration}: exists and is not a file; move it away"
    assert f"the calibration is not kept with the run: {why}\n" in err
    with pytest.raises(Incomplete) as raised:
        evaluate(run.folder, questions=[], calibrate=True)
    assert raised.value.document["calibrated"]["kept"] is False


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
