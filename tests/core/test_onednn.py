"""Which kernels TensorFlow computes with: by default, by the variable of the caller, or as a run has recorded."""

from __future__ import annotations

import os
import platform
import sys

import pytest

from cnnkit.core import onednn
from cnnkit.core.errors import UsageError
from cnnkit.core.onednn import VARIABLE


@pytest.fixture
def before_import(monkeypatch):
    """As in a process that has not imported TensorFlow; what comes in force is what the variable says."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(onednn, "in_force", lambda: os.environ[VARIABLE] == "1")


@pytest.mark.parametrize(
    ("machine", "expected"), [("x86_64", "1"), ("AMD64", "1"), ("aarch64", None), ("arm64", None), ("", None)]
)
def test_it_is_switched_on_where_its_kernels_were_measured(monkeypatch, before_import, machine, expected):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    onednn.set_default()
    assert os.environ.get(VARIABLE) == expected


@pytest.mark.parametrize("chosen", ["0", "1", "FALSE", "true"])
def test_what_the_caller_has_set_stays(monkeypatch, before_import, chosen):
    monkeypatch.setenv(VARIABLE, chosen)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    onednn.set_default()
    assert os.environ[VARIABLE] == chosen


def test_an_empty_variable_decides_nothing(monkeypatch, before_import):
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    onednn.set_default()
    assert os.environ[VARIABLE] == "1"


@pytest.mark.parametrize("value", ["garbage", "yes", "2", "on", " 1"])
def test_what_tensorflow_would_not_understand_is_refused(monkeypatch, before_import, value):
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(UsageError, match=f"{VARIABLE}={value}: it takes 1 or true .*, 0 or false"):
        onednn.set_default()


@pytest.mark.parametrize("on", [True, False])
def test_what_a_run_has_recorded_is_chosen_before_the_import(before_import, on):
    assert onednn.as_recorded(on) is None
    assert os.environ[VARIABLE] == str(int(on))


@pytest.mark.parametrize(("on", "words"), [(True, "without oneDNN's kernels"), (False, "with oneDNN's kernels")])
def test_the_variable_of_the_caller_counts_more_than_the_record_and_that_is_said(monkeypatch, before_import, on, words):
    monkeypatch.setenv(VARIABLE, str(int(not on)))
    line = onednn.as_recorded(on)
    assert line.startswith(f"{words}, as {VARIABLE}={int(not on)} is set; the run was trained with")
    assert os.environ[VARIABLE] == str(int(not on))


def test_after_the_import_it_can_no_more_be_chosen_and_that_is_said(monkeypatch, before_import):
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    monkeypatch.setattr(onednn, "in_force", lambda: True)
    assert onednn.as_recorded(True) is None
    assert "as that was chosen before in this process" in onednn.as_recorded(False)
    assert VARIABLE not in os.environ


def test_where_tensorflow_has_no_choice_that_is_said(monkeypatch, before_import):
    monkeypatch.setattr(onednn, "in_force", lambda: False)
    assert "as here TensorFlow has no choice" in onednn.as_recorded(True)
