from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading

import pytest

from cnnkit.core import lazy, onednn

STRANGE = {"backend": "jax", "image_data_format": "channels_first", "floatx": "float64", "epsilon": 0.1}

LOOK = """
import json, sys
import cnnkit
from cnnkit import read, train
from cnnkit.core import onednn
from cnnkit.core.lazy import keras, np, tf
before = [name for name in ("numpy", "tensorflow", "keras") if name in sys.modules]
kernels = [onednn.as_recorded(False), onednn.in_force()]
model = keras.Sequential([keras.Input((8, 6, 3)), keras.layers.Conv2D(4, 3)])
config = keras.config
settings = [config.backend(), config.image_data_format(), config.floatx(), config.epsilon()]
limits = [config.max_epochs(), config.max_steps_per_epoch()] if hasattr(config, "max_epochs") else [None, None]
print(json.dumps([before, kernels, settings, limits, list(model.output_shape), model.weights[0].dtype]))
"""


@pytest.mark.slow
def test_settings_of_keras_in_the_environment_and_in_the_home_change_nothing(tmp_path):
    for folder in (tmp_path / ".keras", tmp_path / "keras_home"):
        folder.mkdir()
        (folder / "keras.json").write_text(json.dumps(STRANGE))
    environment = os.environ | {
        "HOME": str(tmp_path),
        "KERAS_HOME": str(tmp_path / "keras_home"),
        "KERAS_BACKEND": "jax",
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_MAX_STEPS_PER_EPOCH": "2",
        "CNNKIT_CACHE": str(tmp_path / "cache"),
    }
    environment.pop(onednn.VARIABLE, None)
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, env=environment, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    before, kernels, settings, limits, shape, dtype = json.loads(done.stdout)
    assert before == []  # importing cnnkit and its functions imports none of them
    assert kernels == [None, False]  # as a run has recorded that was trained without oneDNN
    assert settings == ["tensorflow", "channels_last", "float32", 1e-7]
    assert limits == [None, None]
    assert shape[1:] == [6, 4, 4]
    assert dtype == "float32"


def test_no_garbage_is_looked_for_before_a_library_is_used_or_the_command_is_over(monkeypatch):
    monkeypatch.delitem(sys.modules, "numpy")
    monkeypatch.setattr(gc, "freeze", lambda: None)  # what the tests leave is garbage
    with lazy.starting():
        assert not gc.isenabled()
        assert lazy.Lazy("json").loads("1") == 1
        assert gc.isenabled()
    with lazy.starting():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_time_without_looking_for_garbage_ends_once_when_threads_use_libraries(monkeypatch):
    monkeypatch.delitem(sys.modules, "numpy")
    enabled = []

    def frozen():
        other = threading.Thread(target=lambda: lazy.Lazy("json").loads("1"))
        other.start()
        other.join(0.1)
        enabled.append(gc.isenabled())

    monkeypatch.setattr(gc, "freeze", frozen)
    with lazy.starting():
        lazy.Lazy("json").loads("1")
    assert enabled == [False]
    assert gc.isenabled()


def test_garbage_is_looked_for_where_the_libraries_are_there_already():
    assert "numpy" in sys.modules
    with lazy.starting():
        assert gc.isenabled()


def test_who_looks_for_no_garbage_is_left_to_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "numpy")
    gc.disable()
    try:
        with lazy.starting():
            lazy.Lazy("json").loads("1")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_c_code_prints_at_import_is_shown_only_if_the_import_fails(capfd):
    with lazy._stderr_held_back():
        os.write(2, b"noise\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), lazy._stderr_held_back():
        os.write(2, b"reason\n")
        raise ImportError
    assert capfd.readouterr().err == "reason\n"


def test_what_c_code_prints_is_not_shown_when_someone_interrupts(capfd):
    with pytest.raises(KeyboardInterrupt), lazy._stderr_held_back():
        os.write(2, b"noise\n")
        raise KeyboardInterrupt
    assert capfd.readouterr().err == ""
