"""A training ends where that is asked for, but not with what has diverged."""

from __future__ import annotations

import math

import pytest

from cnnkit.core.signals import Noted
from cnnkit.training.stopping import Asked, Clock, Stop


def test_a_signal_in_an_epoch_that_diverges_does_not_make_it_one_to_go_on_from():
    signals = Noted()
    stop = Stop(signals, Clock())
    stop.epoch_ends(None, {"epoch": 1, "val_loss": 0.5})
    signals.note(lambda: None)
    stop.epoch_ends(None, {"epoch": 2, "val_loss": math.nan})
    with pytest.raises(Asked):
        stop.epoch_ends(None, {"epoch": 2, "val_loss": 0.5, "gradient_norms": {}, "learning_rate": None})
