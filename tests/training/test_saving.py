"""A training is saved by minutes, updates or epochs, and at once when asked."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import numpy as np
import pytest

from cnnkit.core import disk
from cnnkit.core.errors import DiskError
from cnnkit.core.lazy import keras, tf
from cnnkit.optimization.section import Checkpoint
from cnnkit.runs import training_states
from cnnkit.runs.state_writer import StateWriter
from cnnkit.training.saving import Saving, values

UPDATES = 10
"""Of an epoch."""


class Fit(SimpleNamespace):
    """Where a training stands."""

    stopped, end = False, 1000

    @property
    def step(self):
        return self.epoch * UPDATES + self.update


@pytest.fixture
def follow(tmp_path):
    """Follows three epochs, some updates at a time, each of which takes some seconds; gives what was saved when."""

    def go(checkpoint, at_once=1, seconds=1.0, metrics=None, epochs=3, said=None):
        now, given = [0.0], []

        class Writer(StateWriter):
            def save(self, arrays, facts):
                given.append((facts["epoch"], facts["update"]))
                super().save(arrays, facts)

        saving = Saving(
            Checkpoint(**checkpoint),
            Writer(tmp_path / "checkpoints", 2),
            lambda fit: {"kernel": np.full(1000, fit.step, np.float32)},
            lambda fit: {"stage": 1, "epoch": fit.epoch, "update": fit.update},
            (said if said is not None else []).append,
            lambda: now[0],
        )
        fit = Fit(number=1, epoch=0, update=0)
        saving.stage_begins(fit)
        while fit.epoch < epochs:
            while fit.update < UPDATES:
                fit.update = min(fit.update + at_once, UPDATES)
                now[0] += seconds * at_once
                saving.updates_done(fit)
            now[0] += seconds
            fit.epoch, fit.update = fit.epoch + 1, 0
            saving.epoch_ends(fit, metrics or {"epoch": fit.epoch, "loss": 0.5, "C": None})
        saving.writer.flush()
        return given

    return go


@pytest.mark.parametrize(
    ("checkpoint", "at_once", "expected"),
    [
        ({"every_steps": 7}, 1, [(0, 7), (1, 4), (2, 1), (2, 8)]),
        ({"every_steps": 7}, 3, [(0, 9), (1, 6), (2, 3), (2, 9)]),
        ({"every_steps": 10}, 4, [(0, 10), (1, 10), (2, 10)]),
        ({"every_epochs": 1}, 1, [(1, 0), (2, 0), (3, 0)]),
        ({"every_epochs": 2}, 3, [(2, 0)]),
        ({"every_minutes": 0.2}, 1, [(1, 1), (2, 2)]),
        ({"every_minutes": 0.175}, 1, [(1, 0), (2, 0), (3, 0)]),
        ({"every_minutes": 0.1}, 2, [(0, 6), (1, 2), (1, 8), (2, 4), (2, 10)]),
        ({"every_minutes": None}, 1, []),
        ({}, 1, []),
    ],
)
def test_it_is_saved_as_often_as_the_config_says(follow, checkpoint, at_once, expected):
    assert follow(checkpoint, at_once) == expected


def test_by_default_it_is_saved_every_five_minutes(follow):
    assert follow({}, seconds=60.0) == [(0, 5), (0, 10), (1, 4), (1, 9), (2, 3), (2, 8)]


def test_the_end_of_a_stage_is_saved_unless_nothing_is(follow, monkeypatch):
    monkeypatch.setattr(Fit, "end", 3)
    assert follow({"every_minutes": 99}) == [(3, 0)]
    assert follow({"every_minutes": None}) == []


def test_what_has_diverged_is_not_saved(follow):
    assert follow({"every_epochs": 1}, metrics={"loss": 1.0, "val_loss": float("nan")}) == []


@pytest.fixture
def saving(tmp_path):
    said = []
    made = Saving(
        Checkpoint(),
        StateWriter(tmp_path / "checkpoints", 2),
        lambda fit: {"kernel": np.zeros(25_000, np.float32)},
        lambda fit: {"stage": 1, "epoch": fit.epoch, "update": fit.update},
        said.append,
    )
    return made, said, tmp_path / "checkpoints"


def test_asked_for_it_is_on_the_disk_at_once(saving):
    made, _, folder = saving
    made.save_now(Fit(epoch=1, update=3))
    assert training_states.newest(folder, pytest.fail).position == (1, 1, 3)


@pytest.mark.parametrize("moment", ["updates_done", "epoch_ends", "save_now"])
def test_a_full_disk_ends_the_training(saving, disk, moment):
    made, _, folder = saving
    made.save_now(Fit(epoch=1, update=3))
    disk.fail(errno.ENOSPC)
    made.writer.save({"kernel": np.zeros(3)}, {"stage": 1, "epoch": 1, "update": 4})
    assert made.writer._idle.wait(10)
    with pytest.raises(DiskError, match="is full"):
        getattr(made, moment)(Fit(epoch=1, update=5), *[{}] * (moment == "epoch_ends"))
    assert training_states.newest(folder, pytest.fail).position == (1, 1, 3)


def test_a_disk_with_too_little_room_is_told_once_before_the_first_update(saving, monkeypatch):
    made, said, folder = saving
    monkeypatch.setattr(disk, "free_for", lambda path: (folder.parent, 350_000))
    made.stage_begins(Fit(epoch=0, update=0))
    made.stage_begins(Fit(epoch=1, update=0))
    assert said == [
        "careful: 3 states of this training, of 100 KB each, and the best weights need about 400 KB, and 350 KB are "
        f"free on the disk at {folder.parent}; make room there, or training ends when it is full"
    ]


def test_what_lies_there_already_counts_as_room(saving, monkeypatch):
    made, said, folder = saving
    made.save_now(Fit(epoch=1, update=3))
    monkeypatch.setattr(disk, "free_for", lambda path: (folder.parent, 350_000))
    made.stage_begins(Fit(epoch=1, update=3))
    assert said == []


@pytest.mark.parametrize("setting", ["every_steps", "every_epochs"])
def test_where_updates_or_epochs_are_counted_minutes_are_not_and_a_written_config_says_so(setting):
    made = Checkpoint(**{setting: 3})
    assert made.every_minutes is None and made.saves
    assert Checkpoint(**made.model_dump()) == made
    assert Checkpoint().every_minutes == 5 and not Checkpoint(every_minutes=None).saves


def test_values_are_those_of_the_moment_and_are_not_copied():
    variables = {"keras": keras.Variable(np.ones(3, np.float32)), "tf": tf.Variable(7, dtype=tf.int64)}
    held = values(variables)
    assert held["keras"].tolist() == [1, 1, 1] and held["tf"] == 7 and held["tf"].dtype == np.int64
    assert not held["keras"].flags.owndata
    variables["keras"].assign(np.zeros(3))
    assert values(variables)["keras"].tolist() == [0, 0, 0]
