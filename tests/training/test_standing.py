"""What a state has to tell for a training to go on from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnkit.core.errors import TrainingError
from cnnkit.runs.training_states import State
from cnnkit.training.standing import refuse_unless_told

FACTS = {
    "stage": 1,
    "epoch": 3,
    "update": 0,
    "begin": 0,
    "stopped": False,
    "saved": 0,
    "before": None,
    "best": {"best": 0.5, "last": None, "best_epoch": 2},
    "best_checkpoint": None,
    "observers": {"StopEarly": {"best": 0.5, "waited": 1}},
}


def state(**changes):
    return State(Path("checkpoints/state.safetensors"), FACTS | changes, {})


def test_one_that_tells_all_is_taken():
    refuse_unless_told(state(of_a_later_version=1))


@pytest.mark.parametrize("name", FACTS)
def test_one_that_lacks_something_is_refused_by_its_name(name):
    lacking = State(Path("checkpoints/state.safetensors"), {k: v for k, v in FACTS.items() if k != name}, {})
    with pytest.raises(TrainingError, match=rf"state\.safetensors does not tell .*{name}"):
        refuse_unless_told(lacking)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stage", None),
        ("stage", 0),
        ("epoch", "3"),
        ("update", -1),
        ("begin", 1.5),
        ("stopped", 0),
        ("saved", True),
        ("before", "x"),
        ("best", {}),
        ("best_checkpoint", "best.json"),
        ("observers", []),
        ("observers", {"StopEarly": None}),
    ],
)
def test_one_that_tells_what_can_not_be_is_refused(name, value):
    with pytest.raises(TrainingError, match=name):
        refuse_unless_told(state(**{name: value}))
