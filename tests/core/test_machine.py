"""What this machine has for the work."""

from __future__ import annotations

import os

import pytest

from cnnkit.core.machine import cores


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="which cores a process may use is asked of Linux alone"
)
def test_only_cores_that_this_process_may_use_are_counted(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 4, 6} if process == 0 else {0})
    assert cores() == 3


@pytest.mark.parametrize(("counted", "expected"), [(5, 5), (None, 1)])
def test_where_that_can_not_be_asked_all_that_there_are_count(monkeypatch, counted, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert cores() == expected
