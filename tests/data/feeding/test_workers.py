"""Processes that work beside this one: they do what they are asked, tell what goes wrong, and never stay behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from cnnkit.core.errors import DataError, Problem, TrainingError
from cnnkit.core.locks import Turn
from cnnkit.core.progress import Progress
from cnnkit.data.feeding import workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are workers on Linux alone")

WRONG = Problem("a file has changed", file="a/b.jpg", line=3, column=4, key="data.source", in_data=True)


def work(job):
    """The numbers of a job as bytes, or what its first number asks for."""
    if job[0] == -1:
        raise DataError(WRONG, Problem("and more"))
    if job[0] == -2:
        raise ZeroDivisionError("of all things")
    if job[0] == -3:
        os.kill(os.getpid(), signal.SIGKILL)
    if job[0] == -4:
        raise MemoryError
    if job[0] == -5:
        time.sleep(600)
    return np.uint8(job % 256).reshape(1, -1)


@pytest.fixture
def asked(monkeypatch):
    """Two workers, forked from here: what this suite has of TensorFlow they do not touch."""
    monkeypatch.setattr(workers, "cores", lambda: 2)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with workers.working(work, 1000, Progress()) as made:
        yield made


def test_a_job_comes_back_done(asked):
    assert asked(range(500)).tolist() == [i % 256 for i in range(500)]


def test_what_came_back_stays_when_the_next_job_is_done(asked):
    first = [asked([i]) for i in range(10)]
    assert [result.tolist() for result in first] == [[i] for i in range(10)]


def test_a_job_may_be_longer_than_a_pipe_holds(asked):
    with ThreadPoolExecutor(1) as pool:
        job = np.zeros(1000, np.int64)
        assert pool.submit(asked, job).result(timeout=300).shape == (1000,)
    long = np.concatenate([[-1], np.zeros(100_000, np.int64)])
    with pytest.raises(DataError, match="a file has changed"):
        asked(long)


def test_any_number_of_threads_may_ask_at_once(asked):
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: asked([i, i + 1]).tolist(), range(200)))
    assert results == [[i, i + 1] for i in range(200)]


def test_an_error_in_the_data_is_told_with_its_place(asked):
    with pytest.raises(DataError) as raised:
        asked([-1])
    assert raised.value.problems == (WRONG, Problem("and more"))
    assert asked([5]).tolist() == [5]


def test_a_bug_is_told_with_its_trace(asked):
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*ZeroDivisionError: of all things"):
        asked([-2])
    assert asked([5]).tolist() == [5]


def test_want_of_memory_is_told_as_such(asked):
    with pytest.raises(MemoryError):
        asked([-4])
    assert asked([5]).tolist() == [5]


def test_an_answer_that_nobody_waited_for_is_never_taken_for_another_one(asked, monkeypatch):
    """As when Ctrl-C comes between a question and its answer."""

    def interrupted(connection):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Connection, "recv_bytes", interrupted)
        asked([7])
    results = []
    for i in range(4):
        try:
            results.append(asked([i]).tolist() == [i])
        except TrainingError:
            results.append(None)
    assert results in ([None, True, None, True], [True, None, True, None])


def test_nothing_is_pickled_on_its_way(asked, monkeypatch):
    """The workers are forked before this, so it holds of what this process sends and reads."""

    def pickled(*given):
        raise AssertionError

    monkeypatch.setattr(Connection, "send", pickled)
    monkeypatch.setattr(Connection, "recv", pickled)
    assert asked([5]).tolist() == [5]
    with pytest.raises(DataError):
        asked([-1])


def test_the_end_does_not_wait_for_what_is_being_done(asked):
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(asked, [-5]) for _ in range(3)]
        time.sleep(0.2)
        asked.close()
    # What is being done takes ten minutes: waited for, it would have come back.
    errors = sorted(type(job.exception()).__name__ for job in waiting)
    assert errors == ["RuntimeError", "TrainingError", "TrainingError"]


@pytest.mark.parametrize(("module", "failing"), [(os, "fork"), (socket, "socketpair")])
def test_where_processes_can_not_be_had_there_are_none_and_nothing_is_left_open(monkeypatch, module, failing):
    monkeypatch.setattr(workers, "cores", lambda: 3)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    real, calls = getattr(module, failing), []

    def sometimes():
        calls.append(failing)
        if len(calls) == 3:
            raise BlockingIOError
        return real()

    said: list[str] = []

    class Listener(Progress):
        def say(self, line):
            said.append(line)

    before = sorted(Path("/proc/self/fd").iterdir())
    monkeypatch.setattr(module, failing, sometimes)
    with workers.working(work, 10, Listener()) as made:
        assert made is None
    assert len(calls) == 3
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert [line.startswith("careful: no processes could be had to prepare images (") for line in said] == [True]


def test_pictures_in_turn_are_so_between_processes_too(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    turn = Turn()
    turn.share()

    def in_turn(job):
        with turn, turn:
            (tmp_path / f"{os.getpid()}").touch()
            alone = len(list(tmp_path.iterdir())) == 1
            time.sleep(0.01)
            (tmp_path / f"{os.getpid()}").unlink()
        return np.array([alone], np.uint8)

    made = workers.Workers(in_turn, 1, 2)
    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(lambda i: made([i])[0], range(20)))
    made.close()


def test_a_result_that_is_too_large_is_a_bug(asked):
    with pytest.raises(RuntimeError, match="could not broadcast"):
        asked(range(1001))


def test_a_worker_that_was_ended_from_outside_is_told_every_time(asked):
    for _ in range(2):
        with pytest.raises(TrainingError, match="has been ended from outside"):
            asked([-3])
    with pytest.raises(TrainingError):
        asked([1])


def test_who_asks_after_the_end_is_told(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    made = workers.Workers(work, 10, 1)
    made.close()
    made.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="sent home"):
            made([1])


def test_each_of_several_groups_ends_when_it_is_told_to(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    first, second = workers.Workers(work, 10, 2), workers.Workers(work, 10, 2)
    first.close()
    assert second([1]).tolist() == [1]
    second.close()


@pytest.mark.parametrize("why", ["one core", "another platform", "TensorFlow is there"])
def test_there_are_none_where_they_do_not_pay_or_a_fork_is_not_safe(monkeypatch, why):
    monkeypatch.setattr(workers, "cores", lambda: 1 if why == "one core" else 2)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    if why == "TensorFlow is there":
        monkeypatch.setitem(sys.modules, "tensorflow", None)
    if why == "another platform":
        monkeypatch.setattr(sys, "platform", "darwin")
    with workers.working(work, 10, Progress()) as made:
        assert made is None


PARENT = """
import os, sys, time
from cnnkit.data.feeding import workers
from cnnkit.core.progress import Progress
workers.cores = lambda: 3
with workers.working(lambda job: job, 10, Progress()) as made:
    print(open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read(), flush=True)
    if sys.argv[1] == "ends": raise SystemExit
    time.sleep(600)
"""


def alive(process: int) -> bool:
    """Whether it runs; one that has ended and was not yet asked how does not."""
    try:
        return "State:\tZ" not in (Path("/proc") / str(process) / "status").read_text()
    except OSError:
        return False


def as_from_a_terminal() -> None:
    """A suite that runs in the background ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("end", ["ends", "is terminated", "is killed", "gets Ctrl-C"])
def test_none_stays_behind_however_its_parent_ends(end):
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, end],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=as_from_a_terminal,
    )
    children = [int(word) for word in process.stdout.readline().split()]
    assert len(children) == 3
    if end == "is terminated":
        process.terminate()
    elif end == "is killed":
        process.kill()
    elif end == "gets Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)  # all of them, as from a terminal
    process.communicate(timeout=300)
    deadline = time.monotonic() + 300
    while any(map(alive, children)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
