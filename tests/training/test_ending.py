from __future__ import annotations

import errno
import json

import numpy as np
import pytest

from cnnkit import Run, read
from cnnkit.core.errors import DataError, DiskError, Interrupted, NobodyReads, TrainingError
from cnnkit.core.lazy import keras
from cnnkit.runs import checkpoints, training_states
from cnnkit.training import ending

CONFIG = """
name: tiny
data: {source: {name: digits}, image_size: [6, 5], channels: 3}
model: {name: sequential, layers: [{name: flatten}]}
"""

EPOCH = {"loss": 0.5, "accuracy": 0.5, "val_loss": 0.5, "val_accuracy": 0.5}


@pytest.fixture
def run(tmp_path):
    """A run that has just been made."""
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return Run.create(read(tmp_path / "tiny.yaml"), tmp_path / "run")


@pytest.fixture
def epoch(run):
    """What `train` writes after an epoch that is the best so far."""
    keras.utils.set_random_seed(0)
    model = run.experiment.model.build((6, 5, 3), 2)

    def epoch(number):
        checkpoints.save(
            checkpoints.Weights.of(model), run.files.checkpoints, checkpoints.BEST, number, {"metrics": EPOCH}
        )
        run.record({"epoch": number, **EPOCH})
        run.log(f"epoch {number}")

    return epoch


def count_of(disk, work):
    """Bytes that some work writes to a disk."""
    disk.fail(errno.ENOSPC, taken=2**40)
    work()
    return 2**40 - disk.left


def test_a_disk_that_fills_up_at_any_write_ends_a_run_which_keeps_its_best_epoch(run, begin, epoch, disk):
    """Full so many bytes behind the first epoch: within the weights, and just before and within each line."""
    begin()
    epoch(1)
    size = count_of(disk, lambda: epoch(2))
    weights = len((run.files.checkpoints / "best-0002.weights.h5").read_bytes())
    for taken, kept in [(0, 2), (weights - 1, 2), (weights + 1, 2), (size - 10, 3)]:
        with ending.recorded(run):
            disk.number = None
            epoch(2)
        run.write_provenance(state="training")
        epochs = len(run.history())
        with pytest.raises(DiskError) as raised, ending.recorded(run):
            disk.fail(errno.ENOSPC, taken=taken, new_files=True)
            epoch(3)
        assert raised.value.exit_code == 4
        [line] = str(raised.value).splitlines()
        assert "is full: " in line and f"{run.folder} keeps epoch {kept}, the best of " in line, (taken, line)
        assert "cnnkit evaluate" in line and "could not be recorded" not in line
        disk.number = None
        opened = Run.open(run.folder)
        assert opened.provenance()["state"] == "failed"
        assert opened.load_best(opened.network())["epoch"] == kept
        assert len(opened.history()) in (epochs, epochs + 1)
        assert [file.name for file in run.folder.rglob(".writing*")] == []


def test_when_it_is_full_before_a_run_has_begun_nothing_is_left(run, begin, disk):
    experiment = run.experiment
    size = count_of(disk, begin)
    for taken in (0, 10, size // 3, size // 2, size - 1):
        run.remove()
        disk.number = None
        Run.create(experiment, run.folder)
        with pytest.raises(DiskError, match="Nothing was trained, and nothing is left"), ending.recorded(run):
            disk.fail(errno.ENOSPC, taken=taken)
            begin()
        assert not run.folder.exists()


def test_a_run_whose_config_has_no_room_is_not_made(run, disk, tmp_path):
    for taken in (0, 1, 100):  # the folder, a part of the config
        disk.fail(errno.ENOSPC, taken=taken)
        with pytest.raises(DiskError, match="is full"):
            Run.create(run.experiment, tmp_path / "other")
        assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("error", "state", "kind"),
    [
        (KeyboardInterrupt(), "interrupted", Interrupted),
        (TrainingError("diverged"), "failed", TrainingError),
        (DataError("gone"), "failed", DataError),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "failed", TrainingError),
    ],
)
def test_the_end_of_a_run_is_recorded_and_no_room_is_kept_any_more(run, begin, epoch, error, state, kind):
    with pytest.raises(kind, match="keeps epoch 1"), ending.recorded(run):
        begin()
        assert list(run.folder.glob(".writing*")) != []
        epoch(1)
        raise error
    assert Run.open(run.folder).provenance()["state"] == state
    assert list(run.folder.rglob(".writing*")) == []
    assert json.loads(run.files.provenance.read_text())["epochs"] == 1


def test_a_reader_that_goes_interrupts_a_run(run, begin):
    with pytest.raises(NobodyReads), ending.recorded(run):
        begin()
        raise NobodyReads
    assert run.provenance()["state"] == "interrupted"


def test_only_what_has_a_state_goes_on(run):
    assert ending.going_on(run) == f"no state of it was saved, so begin anew with: cnnkit train --resume {run.folder}"
    training_states.save(run.files.checkpoints, {}, {"stage": 1, "epoch": 1, "update": 0})
    assert ending.going_on(run) == f"go on with: cnnkit train --resume {run.folder}"


def test_where_a_limit_was_too_short_for_anything_a_longer_one_is_told(run, tmp_path):
    experiment = read(tmp_path / "tiny.yaml", "train.time_limit=0.1")
    for update in (4, 8):
        facts = {"stage": 1, "epoch": 0, "update": update}
        position = training_states.save(run.files.checkpoints, {"a": np.zeros(1)}, facts)
    before, last = (training_states.read(run.files.checkpoints, position._replace(update=update)) for update in (4, 8))
    goes_on = f"go on with: cnnkit train --resume {run.folder}"
    for begun in (None, before):
        line = ending.time_is_up(run, experiment, begun)
        assert line == f"train.time_limit (0.1 minutes) is up after 0 epochs; {goes_on}"
    line = ending.time_is_up(run, experiment, last)
    assert "is up, and the run is where it was, after 0 epochs and 8 updates" in line
    assert line.endswith(f"{goes_on} --set train.time_limit=0.2, or more")


def test_a_run_that_begins_anew_and_is_ended_before_it_has_a_record_stays(run):
    with pytest.raises(Interrupted) as raised, ending.recorded(run, new=False):
        raise KeyboardInterrupt
    anew = f"no state of it was saved, so begin anew with: cnnkit train --resume {run.folder}"
    assert str(raised.value) == f"Interrupted. Nothing was trained; {anew}"
    assert Run.begun(run.folder).experiment.name == "tiny"
