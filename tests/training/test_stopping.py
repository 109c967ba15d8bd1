"""A training ends where that is asked for, but not with what has diverged."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from cnnkit.core.signals import Noted
from cnnkit.training.stopping import Asked, Clock, Stop


def at(epoch, stopped=False):
    """A stage of three epochs, so many of which are over."""
    return SimpleNamespace(epoch=epoch, end=3, stopped=stopped)


def test_a_signal_in_an_epoch_that_diverges_does_not_make_it_one_to_go_on_from():
    signals = Noted()
    stop = Stop(signals, Clock())
    stop.epoch_ends(at(1), {"epoch": 1, "val_loss": 0.5})
    signals.note(lambda: None)
    stop.epoch_ends(at(2), {"epoch": 2, "val_loss": math.nan})
    with pytest.raises(Asked):
        stop.epoch_ends(at(2), {"epoch": 2, "val_loss": 0.5, "gradient_norms": {}, "learning_rate": None})


@pytest.mark.parametrize(
    ("epoch", "stopped", "last", "unfinished"),
    [(2, False, True, True), (3, False, True, False), (2, True, True, False), (3, False, False, True)],
)
def test_time_that_is_up_behind_the_last_epoch_of_all_leaves_nothing_undone(epoch, stopped, last, unfinished):
    stop = Stop(Noted(), Clock(minutes=0.0), last)
    if unfinished:
        with pytest.raises(Asked):
            stop.epoch_ends(at(epoch, stopped), {"val_loss": 0.5})
    else:
        stop.epoch_ends(at(epoch, stopped), {"val_loss": 0.5})


def test_a_signal_is_heard_behind_the_last_epoch_too():
    signals = Noted()
    signals.note(lambda: None)
    with pytest.raises(Asked):
        Stop(signals, Clock()).epoch_ends(at(3), {"val_loss": 0.5})
