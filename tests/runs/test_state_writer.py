"""States are written in a thread: none is half there, no more than one waits, and what goes wrong is told."""

from __future__ import annotations

import errno
import threading

import numpy as np
import pytest

from cnnkit.core.errors import DiskError
from cnnkit.runs import training_states
from cnnkit.runs.state_writer import StateWriter
from cnnkit.runs.training_states import Position


def arrays(number, shape=(3, 2)):
    return {"kernel": np.full(shape, number, np.float32), "seed": np.array(number, np.uint32)}


def facts(epoch):
    return {"stage": 1, "epoch": epoch, "update": 0}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


@pytest.fixture
def gate(monkeypatch):
    """Writing waits at its first moment until the gate is opened; `reached` tells that it does."""

    class Gate:
        opened, reached = threading.Event(), threading.Event()

    def wait(where):
        if where == "written":
            Gate.reached.set()
            assert Gate.opened.wait(10)

    monkeypatch.setattr(training_states, "_pause", wait)
    yield Gate
    Gate.opened.set()


def epochs(folder):
    return [position.epoch for position in training_states.saved(folder)]


@pytest.mark.parametrize(("keep", "left"), [(1, [4]), (2, [3, 4]), (9, [1, 2, 3, 4])])
def test_the_last_few_are_kept_and_nothing_else_lies_there(folder, keep, left):
    (folder / "best-0002.weights.h5").touch()
    writer = StateWriter(folder, keep)
    for epoch in range(1, 5):
        writer.save(arrays(epoch), facts(epoch))
        writer.flush()
    writer.close()
    assert epochs(folder) == left
    assert len(list(folder.iterdir())) == 2 * len(left) + 1
    assert training_states.newest(folder, pytest.fail).arrays["kernel"][0, 0] == 4


def test_what_is_saved_is_what_was_there_when_it_was_given(folder, gate):
    writer, given, told = StateWriter(folder, 2), arrays(1), facts(1) | {"list": [1]}
    writer.save(given, told)
    given["kernel"][:] = 5
    told["list"].append(2)
    gate.opened.set()
    writer.close()
    state = training_states.newest(folder, pytest.fail)
    assert np.all(state.arrays["kernel"] == 1) and state.facts["list"] == [1]


def test_of_those_that_wait_only_the_newest_is_written(folder, gate):
    writer = StateWriter(folder, 9)
    for epoch in range(1, 6):
        writer.save(arrays(epoch), facts(epoch))
        assert gate.reached.wait(10)
    gate.opened.set()
    writer.close()
    assert epochs(folder) == [1, 5]
    assert training_states.newest(folder, pytest.fail).arrays["seed"] == 5
    assert training_states.read(folder, Position(1, 1, 0)).arrays["seed"] == 1


def test_it_tells_the_states_that_a_crash_may_leave(folder, gate):
    gate.opened.set()
    for epoch in (1, 2):
        training_states.save(folder, arrays(epoch), facts(epoch))
    gate.opened.clear()
    gate.reached.clear()
    writer = StateWriter(folder, 2, last=Position(1, 2, 0))
    for epoch in range(3, 7):  # the first is being written, the last waits
        writer.save(arrays(epoch), facts(epoch))
        assert gate.reached.wait(10)
    assert [position.epoch for position in writer.positions] == [1, 2, 3, 6]
    gate.opened.set()
    writer.close()
    assert [position.epoch for position in writer.positions] == epochs(folder) == [3, 6]


def test_given_up_nobody_waits_for_it_and_what_others_have_saved_meanwhile_stays(folder, gate):
    writer = StateWriter(folder, 1)
    writer.save(arrays(1), facts(1))
    assert gate.reached.wait(10)
    writer.save(arrays(2), facts(2))
    thread = writer._thread
    writer.give_up()
    writer.flush()
    assert thread.daemon and thread.is_alive() and epochs(folder) == []
    gate.opened.set()
    training_states.save(folder, arrays(7), facts(7))
    thread.join(10)
    assert epochs(folder) == [1, 7]


def test_stages_may_have_other_arrays(folder):
    writer = StateWriter(folder, 9)
    for epoch, shape in ((1, (3, 2)), (2, (4,)), (3, ()), (4, (3, 2))):
        writer.save(arrays(epoch, shape), facts(epoch))
        writer.flush()
        state = training_states.newest(folder, pytest.fail)
        assert state.arrays["kernel"].shape == shape and np.all(state.arrays["kernel"] == epoch)


def test_the_same_moment_is_not_saved_twice(folder, monkeypatch):
    writer = StateWriter(folder, 2)
    writer.save(arrays(1), facts(1))
    writer.flush()
    monkeypatch.setattr(training_states, "save", lambda *_: pytest.fail("saved"))
    writer.save(arrays(1), facts(1))
    StateWriter(folder, 2, last=Position(1, 1, 0)).save(arrays(1), facts(1))
    writer.close()


def test_damaged_states_are_not_among_those_that_are_kept(folder):
    """After one that was used there were newer ones, which were damaged: they go, and it stays."""
    for epoch in (1, 2, 3, 4):
        training_states.save(folder, arrays(epoch), facts(epoch))
    writer = StateWriter(folder, 2, last=Position(1, 2, 0))
    assert epochs(folder) == [1, 2, 3, 4]
    writer.save(arrays(5), facts(5))
    writer.close()
    assert epochs(folder) == [2, 5]


def test_what_a_crash_left_half_done_is_removed(folder):
    training_states.save(folder, arrays(1), facts(1))
    for name in (".writing-0123456789ab-state-01-0002-00000000.safetensors", "state-01-0002-00000000.safetensors"):
        (folder / name).write_bytes(b"half")
    (folder / ".writing-room-best.json").touch()
    writer = StateWriter(folder, 2, last=Position(1, 1, 0))
    writer.save(arrays(3), facts(3))
    writer.close()
    assert epochs(folder) == [1, 3]
    assert len(list(folder.iterdir())) == 5 and (folder / ".writing-room-best.json").exists()


@pytest.mark.parametrize("told", ["check", "flush", "close", "save"])
def test_a_full_disk_is_told_by_the_next_call_and_once(folder, disk, told):
    writer = StateWriter(folder, 2)
    writer.save(arrays(1), facts(1))
    writer.flush()
    disk.fail(errno.ENOSPC)
    writer.save(arrays(2), facts(2))
    while writer._thread:
        pass
    with pytest.raises(DiskError, match="is full"):
        writer.save(arrays(3), facts(3)) if told == "save" else getattr(writer, told)()
    assert epochs(folder) == [1]
    disk.number = None
    writer.save(arrays(2), facts(2))
    writer.close()
    assert epochs(folder) == [1, 2]


def test_what_waits_behind_a_failure_is_not_lost(folder, disk, gate):
    writer = StateWriter(folder, 2)
    writer.save(arrays(1), facts(1))
    assert gate.reached.wait(10)
    writer.save(arrays(2), facts(2))
    disk.fail(errno.ENOSPC)
    gate.opened.set()
    with pytest.raises(DiskError):
        writer.flush()
    disk.number = None
    writer.save(arrays(3), facts(3))
    writer.close()
    assert epochs(folder) == [3]
