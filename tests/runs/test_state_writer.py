"""States are written in a thread: none is half there, no more wait than are needed, and what goes wrong is told."""

from __future__ import annotations

import errno
import threading

import h5py
import numpy as np
import pytest

from cnnkit.core import atomic
from cnnkit.core.errors import DiskError
from cnnkit.runs import checkpoints, training_states
from cnnkit.runs.checkpoints import Weights
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
    assert epochs(folder) == left
    assert len(list(folder.iterdir())) == 2 * len(left) + 1
    assert training_states.newest(folder, pytest.fail).arrays["kernel"][0, 0] == 4


def test_what_is_saved_is_what_was_there_when_it_was_given(folder, gate):
    writer, given, told = StateWriter(folder, 2), arrays(1), facts(1) | {"list": [1]}
    writer.save(given, told)
    given["kernel"][:] = 5
    told["list"].append(2)
    gate.opened.set()
    writer.flush()
    state = training_states.newest(folder, pytest.fail)
    assert np.all(state.arrays["kernel"] == 1) and state.facts["list"] == [1]


def test_of_those_that_wait_only_the_newest_is_written(folder, gate):
    writer = StateWriter(folder, 9)
    for epoch in range(1, 6):
        writer.save(arrays(epoch), facts(epoch))
        assert gate.reached.wait(10)
    gate.opened.set()
    writer.flush()
    assert epochs(folder) == [1, 5]
    assert training_states.newest(folder, pytest.fail).arrays["seed"] == 5
    assert training_states.read(folder, Position(1, 1, 0)).arrays["seed"] == 1


def weights(number):
    return Weights([("dense", {"name": "dense"})], {("dense", "0"): np.full((3, 2), number, np.float32)})


def files(folder):
    return sorted(file.name for file in folder.glob("best-*"))


def first_weight(file):
    with h5py.File(file) as opened:
        return opened["dense/vars/0"][0, 0]


def test_the_best_weights_are_copied_and_are_on_the_disk_before_the_state_that_names_them(folder, gate):
    """Of those that come while another is written the newest are, and those that a state has named."""
    writer = StateWriter(folder, 9)
    writer.save(arrays(0), facts(0))
    assert gate.reached.wait(10)
    given = {epoch: weights(epoch) for epoch in range(1, 6)}
    for epoch in (1, 2):
        writer.save_best(given[epoch], epoch, {"metrics": {"loss": 1.0}})
    writer.save(arrays(2), facts(2))
    for epoch in (3, 4, 5):
        writer.save_best(given[epoch], epoch, {"metrics": {"loss": 0.5}})
    for each in given.values():
        each.arrays["dense", "0"][:] = -1
    assert files(folder) == []
    gate.opened.set()
    writer.flush()
    assert files(folder) == ["best-0002.weights.h5", "best-0005.weights.h5"]
    assert [first_weight(folder / name) for name in files(folder)] == [2, 5]
    first, second = (training_states.read(folder, Position(1, epoch, 0)).facts for epoch in (0, 2))
    assert first["best_checkpoint"] is None
    assert second["best_checkpoint"] | {"sha256": ""} == {
        "epoch": 2,
        "metrics": {"loss": 1.0},
        "file": "best-0002.weights.h5",
        "sha256": "",
    }
    assert checkpoints.verified(folder, "best")[1] == writer.best and writer.best["epoch"] == 5


def test_a_state_comes_to_the_disk_however_fast_better_epochs_do(folder, monkeypatch):
    """Each time that something is written, there is a better epoch and a state of it."""
    writer, save, left = StateWriter(folder, 99), checkpoints.save, [6]

    def slow(*given):
        if left[0]:
            left[0] -= 1
            writer.save(arrays(0), facts(10 - left[0]))
            writer.save_best(weights(0), 11 - left[0], {})
        return save(*given)

    monkeypatch.setattr(checkpoints, "save", slow)
    writer.save_best(weights(0), 1, {})
    writer.flush()
    assert len(epochs(folder)) == 6


def test_best_weights_stay_as_long_as_a_state_that_names_them(folder):
    writer = StateWriter(folder, 2)
    for epoch in (1, 2, 3, 4):
        if epoch != 3:
            writer.save_best(weights(epoch), epoch, {})
        writer.save(arrays(epoch), facts(epoch))
        writer.flush()
    assert files(folder) == ["best-0002.weights.h5", "best-0004.weights.h5"]
    best = training_states.newest(folder, pytest.fail).facts["best_checkpoint"]
    again = StateWriter(folder, 2, last=Position(1, 4, 0), best=best)  # what earlier states name it does not know
    again.save_best(weights(5), 5, {})
    again.flush()
    assert len(files(folder)) == 3
    for epoch in (6, 7):
        again.save(arrays(epoch), facts(epoch))
        again.flush()
    assert files(folder) == ["best-0005.weights.h5"]


def test_a_disk_that_is_full_or_gives_back_something_else_leaves_the_best_before(folder, disk, monkeypatch):
    writer, sync = StateWriter(folder, 2), atomic.File.sync
    writer.save_best(weights(1), 1, {})
    writer.flush()
    disk.fail(errno.ENOSPC)
    writer.save_best(weights(2), 2, {})
    with pytest.raises(DiskError, match=r"is full: .*best-0002"):
        writer.flush()
    disk.number, writer = None, StateWriter(folder, 2)

    def harmed(file):
        sync(file)
        content = bytearray(file.path.read_bytes())
        content[-9] ^= 8
        file.path.write_bytes(content)

    with monkeypatch.context() as patch:
        patch.setattr(atomic.File, "sync", harmed)
        writer.save_best(weights(3), 3, {})
        with pytest.raises(DiskError, match=r"best-0003\.weights\.h5 does not hold what was written to it"):
            writer.flush()
    assert files(folder) == ["best-0001.weights.h5"] and checkpoints.verified(folder, "best")[1]["epoch"] == 1


def the_thread():
    [thread] = [each for each in threading.enumerate() if each.name == "states"]
    return thread


def test_given_up_nobody_waits_for_it_and_what_others_have_saved_meanwhile_stays(folder, gate):
    writer = StateWriter(folder, 1)
    writer.save(arrays(1), facts(1))
    assert gate.reached.wait(10)
    writer.save(arrays(2), facts(2))
    thread = the_thread()
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
    writer.flush()


def test_damaged_states_are_not_among_those_that_are_kept(folder):
    """After one that was used there were newer ones, which were damaged: they go, and it stays."""
    for epoch in (1, 2, 3, 4):
        training_states.save(folder, arrays(epoch), facts(epoch))
    writer = StateWriter(folder, 2, last=Position(1, 2, 0))
    assert epochs(folder) == [1, 2, 3, 4]
    writer.save(arrays(5), facts(5))
    writer.flush()
    assert epochs(folder) == [2, 5]


def test_what_a_crash_left_half_done_is_removed(folder):
    training_states.save(folder, arrays(1), facts(1))
    for name in (".writing-0123456789ab-state-01-0002-00000000.safetensors", "state-01-0002-00000000.safetensors"):
        (folder / name).write_bytes(b"half")
    (folder / ".writing-room-best.json").touch()
    writer = StateWriter(folder, 2, last=Position(1, 1, 0))
    writer.save(arrays(3), facts(3))
    writer.flush()
    assert epochs(folder) == [1, 3]
    assert len(list(folder.iterdir())) == 5 and (folder / ".writing-room-best.json").exists()


def test_a_full_disk_is_told_by_every_call_from_then_on_and_nothing_more_is_written(folder, disk):
    writer = StateWriter(folder, 2)
    writer.save(arrays(1), facts(1))
    writer.flush()
    disk.fail(errno.ENOSPC)
    writer.save(arrays(2), facts(2))
    assert writer._idle.wait(10)
    disk.number = None
    for call in (
        writer.check,
        writer.flush,
        lambda: writer.save(arrays(3), facts(3)),
        lambda: writer.save_best(weights(3), 3, {}),
    ):
        with pytest.raises(DiskError, match="is full"):
            call()
    assert epochs(folder) == [1] and files(folder) == []


def test_behind_best_weights_that_could_not_be_written_no_state_is(folder, gate, monkeypatch):
    def full(*_):
        raise DiskError("full")

    monkeypatch.setattr(checkpoints, "save", full)
    writer = StateWriter(folder, 9)
    writer.save(arrays(0), facts(0))
    assert gate.reached.wait(10)
    writer.save_best(weights(1), 1, {})
    writer.save(arrays(1), facts(1))
    gate.opened.set()
    with pytest.raises(DiskError, match="full"):
        writer.flush()
    assert epochs(folder) == [0]


@pytest.mark.parametrize("begun", [True, False])
def test_interrupted_where_its_thread_begins_nothing_is_written_unseen(folder, monkeypatch, begun):
    writer, start, threads = StateWriter(folder, 9), threading.Thread.start, []

    def interrupted(thread):
        if begun:
            start(thread)
            threads.append(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.save_best(weights(1), 1, {})
    writer.flush()
    for thread in threads:
        thread.join(10)
    assert files(folder) == []
    writer.save_best(weights(2), 2, {})
    writer.flush()
    assert files(folder) == ["best-0002.weights.h5"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_whatever_ends_the_work_within_what_was_given_is_written_and_no_copy_stays(folder, gate, error):
    writer = StateWriter(folder, 2)
    with pytest.raises(error), writer:
        writer.save(arrays(1), facts(1))
        assert gate.reached.wait(10)
        threading.Timer(0.05, gate.opened.set).start()
        raise error
    assert epochs(folder) == [1] and writer._idle.is_set() and not writer._unused


def test_the_first_error_is_the_one_that_is_told(folder, monkeypatch):
    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(training_states, "save", fails)
    with pytest.raises(MemoryError), StateWriter(folder, 2) as writer:
        writer.save(arrays(1), facts(1))
    with pytest.raises(ZeroDivisionError), StateWriter(folder, 2) as writer:
        writer.save(arrays(1), facts(1))
        raise ZeroDivisionError


def test_who_is_interrupted_while_waiting_has_given_up(folder, gate, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), StateWriter(folder, 2) as writer:
        writer.save(arrays(1), facts(1))
        assert gate.reached.wait(10)
        writer.save(arrays(2), facts(2))
        monkeypatch.setattr(writer._idle, "wait", interrupted)
    thread = the_thread()
    gate.opened.set()
    thread.join(10)
    assert epochs(folder) == [1]
