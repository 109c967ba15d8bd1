"""The trial and the training that it proposes fit into the time that was given."""

from __future__ import annotations

import pytest

from cnnkit.studies.budget import BUSY, CAUTION, MOST_EPOCHS, Budget, Pace, tried_epochs
from cnnkit.training.pace import CLOSING

PACE = Pace(starting=8.0, preparing=12.0, epoch=6.0, evaluating=2.0)


def test_a_budget_tells_what_is_used_and_left():
    now = [100.0]
    budget = Budget(60.0, 90.0, lambda: now[0])
    assert (budget.used, budget.left) == (10.0, 50.0)
    now[0] = 160.0
    assert budget.left == -10.0


@pytest.mark.parametrize("seconds", [0.0, 30.0, 60.0, 100.0, 333.0, 1e6])
@pytest.mark.parametrize("pace", [PACE, Pace(3.0, 0.1, 0.05, 0.01), Pace(10.0, 100.0, 90.0, 20.0)])
def test_as_many_epochs_as_are_over_in_time_and_no_more(seconds, pace):
    epochs = pace.epochs_in(seconds)
    assert epochs == 0 or pace.seconds(epochs) <= seconds
    assert epochs == MOST_EPOCHS or pace.seconds(epochs + 1) > seconds


@pytest.mark.parametrize("evaluating", [0.0, 2.0, 60.0])
def test_what_follows_the_last_epoch_leaves_room_for_fewer(evaluating):
    pace = Pace(8.0, 12.0, 6.0, evaluating)
    assert pace.seconds(0) == pytest.approx(8.0 + 12.0 + CAUTION * evaluating + BUSY * CLOSING)
    assert pace.epochs_in(120.0) == (120.0 - pace.seconds(0)) // (CAUTION * 6.0)


@pytest.mark.parametrize("left", [40.0, 100.0, 480.0, 5000.0])
def test_what_is_tried_leaves_time_for_at_least_as_much(left):
    tried = tried_epochs(PACE, left)
    assert 1 <= tried <= MOST_EPOCHS
    if tried > 1:
        assert PACE.epochs_in(left - CAUTION * PACE.epoch * tried) >= tried
