"""oneDNN: the kernels with which TensorFlow computes fastest on x86 processors; `TF_ENABLE_ONEDNN_OPTS` switches them.

TensorFlow 2.21 switches them on by itself only on processors with AVX-512 VNNI or BF16, AVX-VNNI or AMX (`port.cc`,
`DefaultOneDnnPolicy`), though without these instructions too they train twice as fast as what it has else. So they are
switched on here, unless whoever calls has set the variable. On ARM that is left to TensorFlow: its wheels for macOS
are built without oneDNN, and those for Linux with other kernels (of the Arm Compute Library) that were not measured.

Other kernels sum in another order: the same config gives other last digits.
"""

from __future__ import annotations

import os
import platform
import sys

from cnnkit.core.errors import UsageError
from cnnkit.core.lazy import util_port

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
"""TensorFlow's, read once when it is imported."""


_VALUES = ("0", "1", "false", "true")
"""What TensorFlow takes for it, in capitals or not (`env_var.cc`); of anything else it logs an error and goes on."""


def chosen() -> str | None:
    """What the variable says, or will say once TensorFlow is imported; None where it is left to TensorFlow.

    Raises:
        UsageError: It says what TensorFlow would not understand.
    """
    usual = "1" if platform.machine().lower() in ("x86_64", "amd64") else None
    value = os.environ.get(VARIABLE) or usual  # an empty one decides nothing
    if value is not None and value.lower() not in _VALUES:
        raise UsageError(f"{VARIABLE}={value}: it takes 1 or true (oneDNN's kernels), 0 or false (none of them)")
    return value


def set_default() -> None:
    """Switches it on where nobody has decided; to be called before TensorFlow is imported.

    Raises:
        UsageError: As `chosen`.
    """
    if (value := chosen()) is not None:
        os.environ[VARIABLE] = value


def in_force() -> bool:
    """Whether TensorFlow computes with it, as TensorFlow itself says; imports it."""
    return bool(util_port.IsMklEnabled())


def as_recorded(on: bool) -> str | None:
    """Computes as a run did from here on, if that can still be chosen.

    Args:
        on: What the run has recorded.

    Returns:
        What to say where it is otherwise, as the variable was set or TensorFlow imported before; else None.
    """
    chosen = os.environ.get(VARIABLE) or None
    imported = "tensorflow" in sys.modules
    if not imported and chosen is None:
        os.environ[VARIABLE] = str(int(on))
    if in_force() == on:
        return None
    if chosen is not None and not imported:
        why = f"{VARIABLE}={chosen} is set"
    else:
        why = "that was chosen before in this process" if imported else "here TensorFlow has no choice"
    here, there = ("without", "with") if on else ("with", "without")
    return f"{here} oneDNN's kernels, as {why}; the run was trained {there} them, so last digits may differ"
