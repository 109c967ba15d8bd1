"""Provenance: the command, the code and the machine that a run comes from."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import datetime
from importlib import metadata
from typing import Any

from cnnkit.core import onednn
from cnnkit.core.lazy import keras, tf
from cnnkit.core.machine import cores, processor
from cnnkit.core.text import counted
from cnnkit.core.version import __version__


def circumstances() -> dict[str, Any]:
    """Command, code and machine that a run is made with."""
    packages = ("tensorflow", "keras", "numpy", "pillow", "opencv-python-headless", "scikit-learn")
    return {
        "command": shlex.join(["cnnkit", *sys.argv[1:]]),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "git": _git(),
        "versions": {
            "python": platform.python_version(),
            "cnnkit": __version__,
            **{name: metadata.version(name) for name in packages},
        },
        "platform": platform.platform(),
        "processor": processor(),
        "device": device(),
        "onednn": onednn.in_force(),
    }


def device() -> str:
    """What the network runs on: the GPUs that are used, by name, or the CPU with its number of threads."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
        return ", ".join(names)
    threads = tf.config.threading.get_intra_op_parallelism_threads() or cores()
    return f"CPU, {counted(threads, 'thread')}"


def _git() -> dict[str, Any] | None:
    """Commit and state of the working folder's repository; None outside of one."""

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = ask("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(ask("status", "--porcelain"))} if commit else None


def parameters(model: Any) -> dict[str, int]:
    """How many numbers a model holds."""
    trainable = sum(int(keras.ops.size(weight)) for weight in model.trainable_weights)
    other = sum(int(keras.ops.size(weight)) for weight in model.non_trainable_weights)
    return {"total": trainable + other, "trainable": trainable, "non_trainable": other}
