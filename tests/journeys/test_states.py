"""Trainings that are saved: saving changes nothing, and from whatever state they go on, they end the same."""

from __future__ import annotations

import errno
import json
import shutil

import killtest
import pytest

from cnnkit import read, train
from cnnkit.core.errors import DiskError
from cnnkit.runs import training_states
from cnnkit.runs.state_writer import StateWriter
from cnnkit.training import stage_fit
from cnnkit.training.train import resume

SMALLER = ("data.limit=6", "data.batch_size=8", "train.gradient_accumulation=1", "train.stages.1.epochs=2")
SAVED = ("train.checkpoint={every_steps: 1, keep: 1000}", "train.early_stopping={monitor: val_loss, patience: 1}")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory, stateful):
    file = tmp_path_factory.mktemp("config") / "config.yaml"
    file.write_text(stateful)
    return read(file, *SMALLER, *SAVED)


@pytest.fixture(scope="module")
def whole(experiment, tmp_path_factory):
    """A run that was saved after each of its updates."""
    folder, save = tmp_path_factory.mktemp("runs") / "whole", StateWriter.save

    def save_and_wait(writer, arrays, facts):  # else a state takes the place of one that waits
        save(writer, arrays, facts)
        writer.flush()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage_fit, "LONGEST", 0.0)  # one update at a time
        patch.setattr(StateWriter, "save", save_and_wait)
        train(experiment, folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of the run as it was when the first so many of its states were saved; all if left out."""

    def make(states=None):
        folder = tmp_path / "run"
        shutil.copytree(whole, folder)
        positions = training_states.saved(folder / "checkpoints")
        training_states.remove_others(folder / "checkpoints", positions[:states])
        record = json.loads((folder / "provenance.json").read_text())
        (folder / "provenance.json").write_text(json.dumps(record | {"state": "interrupted"}))
        return folder

    return make


def same(whole, run):
    return killtest.differing(killtest.outcome(whole), killtest.outcome(run)) == []


@pytest.mark.slow
def test_a_run_that_is_saved_ends_with_the_bits_of_one_that_is_not(whole, experiment, tmp_path):
    """But for the ends of its stages, which are always saved."""
    checkpoint = experiment.train.checkpoint.model_copy(update={"every_steps": None, "every_minutes": 1000.0})
    other = experiment.model_copy(update={"train": experiment.train.model_copy(update={"checkpoint": checkpoint})})
    train(other, tmp_path / "other")
    assert len(training_states.saved(tmp_path / "other" / "checkpoints")) == 2
    assert same(whole, tmp_path / "other")


@pytest.mark.slow
def test_from_whatever_state_it_goes_on_it_ends_with_the_same_bits(whole, copy, tmp_path):
    count = len(training_states.saved(whole / "checkpoints"))
    assert count == 3 * 5 + 2  # after each update of three epochs, and at the end of both stages
    for states in range(1, count):
        run = copy(states)
        resume(run)
        assert same(whole, run), f"from {training_states.saved(whole / 'checkpoints')[states - 1]}"
        shutil.rmtree(run)


def newest(run):
    return max((run / "checkpoints").glob("state-*.safetensors"))


def flip_a_bit(run):
    content = bytearray(newest(run).read_bytes())
    content[-9] ^= 8
    newest(run).write_bytes(content)


def cut_short(run):
    newest(run).write_bytes(newest(run).read_bytes()[:-100])


def remove(run):
    newest(run).unlink()


def swap(run):
    earlier = sorted((run / "checkpoints").glob("state-*.safetensors"))[-2]
    content = earlier.read_bytes()
    earlier.with_suffix(".json").unlink()
    earlier.unlink()
    newest(run).write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("harm", [flip_a_bit, cut_short, remove, swap])
def test_a_damaged_state_is_named_and_the_one_before_is_used(whole, copy, command, harm):
    run = copy(6)
    damaged = newest(run)
    harm(run)
    code, out, err = command("train", "--resume", run)
    assert code == 0 and err == ""
    assert f"{damaged} is " in out and "is used" in out
    assert same(whole, run)


@pytest.mark.slow
def test_a_run_whose_disk_was_full_goes_on_once_there_is_room(whole, experiment, tmp_path, disk, monkeypatch):
    run, save = tmp_path / "run", training_states.save

    def fill(folder, arrays, facts):
        if facts["epoch"]:  # any but the last of a stage may be left out for a newer one
            disk.fail(errno.ENOSPC, taken=300)
        return save(folder, arrays, facts)

    monkeypatch.setattr(stage_fit, "LONGEST", 0.0)
    with monkeypatch.context() as patch, pytest.raises(DiskError, match=r"is full: .* keeps epoch \d, ") as raised:
        patch.setattr(training_states, "save", fill)
        train(experiment, run)
    assert raised.value.exit_code == 4 and len(str(raised.value).splitlines()) == 1
    for position in training_states.saved(run / "checkpoints"):
        training_states.read(run / "checkpoints", position)
    assert not list((run / "checkpoints").glob(".writing*"))
    disk.number = None
    resume(run)
    assert same(whole, run)
