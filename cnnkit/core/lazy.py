"""The heavy libraries, imported when first used: `from cnnkit.core.lazy import cv2, keras, np, tf`.

TensorFlow takes seconds to import, and a mistyped key must not wait for it. Each name below stands for its
module; the first attribute that is asked of it imports the module.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import IO, Any


class Lazy:
    """A module that is imported on first use."""

    def __init__(self, module: str):
        self._module = module
        self._loaded: ModuleType | None = None

    def __getattr__(self, attribute: str) -> Any:
        # Asked some ten times an image, so the way through the import system is gone only once.
        if self._loaded is None:
            self._loaded = _load(self._module)
        return getattr(self._loaded, attribute)


class _Start:
    """The time in which no garbage is looked for; it ends once, whichever thread comes to that first."""

    def __init__(self) -> None:
        self._under_way = False
        self._ending = threading.RLock()  # the end may set free what uses a library when it goes

    def begin(self) -> None:
        gc.disable()
        self._under_way = True

    def end(self) -> None:
        with self._ending:
            if self._under_way:
                self._under_way = False
                gc.freeze()  # what is there by now need not be looked through ever after
                gc.enable()


_start = _Start()


@contextmanager
def starting() -> Iterator[None]:
    """A command starts: no garbage is looked for before the first library below is imported, or the command is over.

    What a command makes until then, classes above all, stays. To look through it again and again took a seventh of the
    time of `cnnkit check`.
    """
    if gc.isenabled() and "numpy" not in sys.modules:
        _start.begin()
    try:
        yield
    finally:
        _start.end()


def _load(module: str) -> ModuleType:
    _start.end()
    if module == "keras":  # TensorFlow may have imported it already, with the settings of whoever it found
        return _load_keras()
    if module in sys.modules or module in ("numpy", "h5py", "simplejpeg"):
        return importlib.import_module(module)
    if module == "cv2":
        return _load_opencv()
    tensorflow = _load_tensorflow()
    return tensorflow if module == "tensorflow" else importlib.import_module(module)


def _load_tensorflow() -> ModuleType:
    from cnnkit.core import onednn  # here, as it uses what this module offers
    from cnnkit.core.cache import cache_folder

    onednn.set_default()
    # TensorFlow imports Keras when it needs it. Another backend in someone's environment or keras.json would change
    # what a config means, so they are not looked at.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("KERAS_HOME", str(cache_folder() / "keras"))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_held_back():
        tensorflow = importlib.import_module("tensorflow")
    for gpu in tensorflow.config.list_physical_devices("GPU"):
        tensorflow.config.experimental.set_memory_growth(gpu, True)
    return tensorflow


def _load_opencv() -> ModuleType:
    opencv = importlib.import_module("cv2")
    # Many images are worked on at once, each by one thread: threads within an image would only be in their way.
    opencv.setNumThreads(1)
    return opencv


def _load_keras() -> ModuleType:
    _load("tensorflow")
    with _stderr_held_back():
        keras = importlib.import_module("keras")
    # Another image layout or float type in someone's keras.json would change what a config means too.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    # KERAS_MAX_EPOCHS and KERAS_MAX_STEPS_PER_EPOCH would cut a training short without a word.
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)
    return keras


@contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Holds back what C++ code prints at import; printed after all if the import fails.

    TensorFlow's log level does not silence the oneDNN lines (they come before it is read).
    """
    sys.stderr.flush()
    with _unnamed_file() as held:
        keep = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            sys.stderr.flush()
            held.seek(0)
            os.write(keep, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(keep, 2)
            os.close(keep)


def _unnamed_file() -> IO[bytes]:
    """A file in memory where there is such a thing: a folder for temporary files may be full, or not there."""
    return os.fdopen(os.memfd_create("stderr"), "w+b") if sys.platform == "linux" else tempfile.TemporaryFile()


keras: Any = Lazy("keras")
tf: Any = Lazy("tensorflow")
np: Any = Lazy("numpy")
cv2: Any = Lazy("cv2")
h5py: Any = Lazy("h5py")
safetensors: Any = Lazy("safetensors")
saving_lib: Any = Lazy("keras.src.saving.saving_lib")  # has no public name
simplejpeg: Any = Lazy("simplejpeg")
convert_to_constants: Any = Lazy("tensorflow.python.framework.convert_to_constants")  # has no public name
util_port: Any = Lazy("tensorflow.python.util._pywrap_util_port")  # nor has this
