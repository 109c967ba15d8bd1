"""What an engine leaves on the disk however it ends, with a stage that is none and a disk that takes its time."""

from __future__ import annotations

import signal
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from cnnkit.core.signals import Terminated, interrupts
from cnnkit.models import freezing
from cnnkit.runs import checkpoints
from cnnkit.runs.checkpoints import Weights
from cnnkit.runs.state_writer import StateWriter
from cnnkit.training.engine import Engine
from cnnkit.training.stopping import Asked, Clock

WEIGHTS = Weights([("dense", {"name": "dense"})], {("dense", "0"): np.zeros((3, 2), np.float32)})


def terminate():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)


@pytest.fixture
def slow(monkeypatch):
    """The best weights take a while to be written; what has happened by then is done first."""
    save, meanwhile = checkpoints.save, []

    def slowly(*given):
        time.sleep(0.1)
        for happens in meanwhile:
            happens()
        return save(*given)

    monkeypatch.setattr(checkpoints, "save", slowly)
    return meanwhile


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine whose only stage has a best epoch, and then does what it is told; it saves no states."""
    monkeypatch.setattr(freezing, "apply", lambda *_: None)
    made = Engine.__new__(Engine)
    made._writer = StateWriter(tmp_path, 2)
    made.experiment = SimpleNamespace(
        train=SimpleNamespace(checkpoint=SimpleNamespace(saves=False)), model=SimpleNamespace()
    )
    made.plan, made.network, made.run, made._clock, made._resumed = [None, None], None, None, Clock(), None
    monkeypatch.setattr(made, "_observers", list, raising=False)

    def ends(how):
        def fit():
            made._writer.save_best(WEIGHTS, 1, {})
            how()

        monkeypatch.setattr(made, "_stage_fit", lambda *_: (SimpleNamespace(fit=fit), None), raising=False)
        monkeypatch.setattr(made, "_fit", lambda: made._fit_stage(2, None, None), raising=False)
        return made

    return ends


def stopped():
    terminate()
    raise Asked


def test_stopped_by_a_signal_the_best_weights_are_on_the_disk_where_no_state_is_saved(engine, slow, tmp_path):
    with pytest.raises(Terminated), interrupts(signal.SIGTERM):
        engine(stopped).fit()
    assert checkpoints.verified(tmp_path, "best")[1]["epoch"] == 1


def test_a_second_signal_waits_for_nothing(engine, slow, tmp_path):
    looked = threading.Event()
    slow += [terminate, lambda: looked.wait(10)]
    with pytest.raises(Terminated), interrupts(signal.SIGTERM):
        engine(stopped).fit()
    assert not (tmp_path / "best.json").exists()
    [thread] = [each for each in threading.enumerate() if each.name == "states"]
    looked.set()
    thread.join(10)


def test_an_error_waits_for_the_best_weights_and_is_the_one_that_is_told(engine, slow, tmp_path):
    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine(fails).fit()
    assert checkpoints.verified(tmp_path, "best")[1]["epoch"] == 1


def test_before_a_stage_nobody_writes_any_more(engine, slow, tmp_path, monkeypatch):
    """A search for a learning rate removes the folder, and takes the time."""
    made = engine(None)
    monkeypatch.setattr(made, "_fit_classifier", lambda *_: made._writer.save_best(WEIGHTS, 1, {}), raising=False)
    assert made.before(2)
    assert checkpoints.verified(tmp_path, "best")[1]["epoch"] == 1 and not made._writer._unused
