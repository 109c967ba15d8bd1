"""What this machine has for the work."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The kind of processor, and the widest vectors that it computes with where the system tells: `... (AVX-512)`."""
    told = _told()
    kind = told.get("model name") or platform.processor() or platform.machine() or "unknown"
    flags = told.get("flags", "").split()
    widest = next((words for flag, words in _VECTORS.items() if flag in flags), None)
    return f"{kind} ({widest})" if widest else kind


def computes_in_bfloat16() -> bool:
    """Whether the processor has instructions for it, as far as the system tells; without them it is slow."""
    told = _told()
    return bool(_BFLOAT16 & {*told.get("flags", "").split(), *told.get("Features", "").split()})


def _told() -> dict[str, str]:
    """What the system tells of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # Linux alone has it
        lines = []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""Linux's names of these instructions, on x86 and on ARM."""

_VECTORS = {"avx512_vnni": "AVX-512 VNNI", "avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX"}
"""Linux's names of instructions, the widest first, and what they are called."""
