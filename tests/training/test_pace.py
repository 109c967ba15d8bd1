"""What a training records of its speed."""

from __future__ import annotations

import pytest

from cnnkit.core.progress import Progress
from cnnkit.training import pace
from cnnkit.training.pace import Stopwatch


class Clock:
    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


class Heard(Progress):
    def __init__(self):
        self.told = []

    def say(self, line):
        self.told.append(line)

    epoch = say


def test_a_task_is_timed_without_its_first_part(clock):
    watch = Stopwatch(Progress())
    with watch.task("computing features", 100) as advance:
        clock.now = 3.0  # the first batch is made
        advance(20)
        clock.now = 5.0
        advance(40)
        clock.now = 7.0
        advance(40)
    timed = watch.tasks["computing features"]
    assert (timed.seconds, timed.steady_seconds, timed.speed) == (7.0, 4.0, 20.0)


def test_a_task_that_was_too_short_has_no_speed(clock):
    watch = Stopwatch(Progress())
    with watch.task("x", 2) as advance:
        advance(1)
        clock.now = 0.1
        advance(1)
    assert watch.tasks["x"].speed == 0.0


def test_the_watcher_hears_what_it_would_have_heard():
    heard = Heard()
    watch = Stopwatch(heard)
    watch.say("a line")
    watch.epoch("an epoch")
    assert heard.told == ["a line", "an epoch"]
    with pytest.raises(KeyError), watch.task("x", 1):
        raise KeyError
    assert "x" in watch.tasks
