"""How many threads a benchmark computes with: the option that all of them have, and what it sets for every side."""

from __future__ import annotations

import argparse
import os


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2)


def limits_of(threads: int) -> dict[str, str]:
    """What the environment of a process has to say for this, before TensorFlow or PyTorch is imported there."""
    return {"OMP_NUM_THREADS": str(threads), "TF_NUM_INTRAOP_THREADS": str(threads)}


def limit(threads: int) -> None:
    """Says it in this process, and has TensorFlow keep quiet."""
    os.environ |= limits_of(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
