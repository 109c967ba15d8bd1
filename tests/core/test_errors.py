"""Errors: their exit codes, their text, their JSON."""

from __future__ import annotations

import pytest

from cnnkit.core import errors
from cnnkit.core.errors import (
    CnnkitError,
    ConfigError,
    DataError,
    Incomplete,
    Interrupted,
    Problem,
    TrainingError,
    UsageError,
)


@pytest.mark.parametrize(
    ("error", "exit_code", "kind"),
    [
        (CnnkitError, 1, "bug"),
        (UsageError, 2, "usage"),
        (ConfigError, 2, "config"),
        (DataError, 3, "data"),
        (TrainingError, 4, "training"),
        (Interrupted, 130, "interrupted"),
    ],
)
def test_every_error_has_its_exit_code_and_kind(error: type[CnnkitError], exit_code: int, kind: str) -> None:
    assert (error("it went wrong").exit_code, error.kind) == (exit_code, kind)


def test_a_stop_by_the_system_has_an_exit_code_of_its_own() -> None:
    assert Interrupted("stopped", exit_code=143).exit_code == 143
    assert Interrupted("stopped").exit_code == 130


def test_what_was_done_all_the_same_stands_beside_the_error() -> None:
    told = Incomplete({"accuracy": 0.5}, "there is no `baseline`: out of memory", worst=TrainingError("out of memory"))
    message = "there is no `baseline`: out of memory"
    assert told.exit_code == 4
    assert told.as_json() == {"accuracy": 0.5, "error": {"kind": "incomplete", "message": message, "places": []}}


def test_the_docstring_draws_every_error() -> None:
    for error in [CnnkitError, *CnnkitError.__subclasses__()]:
        assert error.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("is wrong"), "is wrong"),
        (Problem("is wrong", "a.yaml"), "a.yaml: is wrong"),
        (Problem("is wrong", "a.yaml", 3, 7), "a.yaml:3:7: is wrong"),
        (Problem("is wrong", "a.yaml", 3, 7, "train.epochs"), "a.yaml:3:7: train.epochs: is wrong"),
        (Problem("is wrong", "--set a=1", key="a"), "--set a=1: a: is wrong"),
        (Problem("is wrong", key="a.b"), "a.b: is wrong"),
    ],
)
def test_a_problem_tells_file_line_column_key_and_message(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_an_error_is_a_line_a_problem() -> None:
    assert str(ConfigError(Problem("one", "a.yaml", 1, 1), "two")) == "a.yaml:1:1: one\ntwo"


def test_the_json_of_an_error_has_every_place() -> None:
    error = ConfigError(Problem("one", "a.yaml", 1, 2, "seed"), Problem("two", "--set x=1", key="x"), "three")
    document = error.as_json()
    assert document.keys() == {"error"}
    assert document["error"]["kind"] == "config"
    assert document["error"]["message"] == str(error)
    keys = ("file", "line", "column", "key")
    assert [{key: place[key] for key in keys} for place in document["error"]["places"]] == [
        {"file": "a.yaml", "line": 1, "column": 2, "key": "seed"},
        {"file": "--set x=1", "line": None, "column": None, "key": "x"},
    ]


def test_an_error_that_is_nowhere_has_no_places() -> None:
    assert TrainingError("diverged").as_json()["error"]["places"] == []
