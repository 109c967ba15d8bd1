"""Measures a training of one network by one side: `watched`, as `cnnkit train` does it, or `bare`.

Usage: python scripts/benchmark_watching.py SIDE NETWORK [--steps 100] [--epochs 3] [--threads 2]

Prints the training images a CPU second of all epochs but the first, validation with them. `watched` saves states and
best epochs, writes TensorBoard's files and watches gradients, waiting and signals, all at its defaults but for the
states: one, in the middle of the epochs that are counted, which is more than the default of one in five minutes as long
as they take less than that. `bare` makes the same steps and has none of this. Images are random, in memory; nothing is
augmented. NETWORK is one of scripts/benchmark_networks.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import threads
from benchmark_networks import NETWORKS

BARE, WATCHED = "bare", "watched"
TRAINING = 0.7
"""Share of the images that trains; the others validate and test."""


class Enough(Exception):
    """The last epoch is measured."""


def measure(side: str, name: str, steps: int, epochs: int) -> float:
    import numpy as np

    from cnnkit import read, train
    from cnnkit.core.progress import Progress
    from cnnkit.training.engine import Engine
    from cnnkit.training.tracking.tracking import Tracking

    size, batch, classes, model = NETWORKS[name]
    count = math.ceil(steps * batch / TRAINING)
    ends: list[float] = []

    class Clock(Progress):
        def epoch(self, line: str) -> None:
            ends.append(time.process_time())
            if len(ends) == epochs:
                raise Enough

    nothing: dict[Any, dict[str, Any]] = {
        Engine: {"_observers": lambda self: [], "_save": lambda self, epoch, metrics: None},
        Tracking: {"of": classmethod(lambda cls, run, *given: cls(run, Progress(), []))},
    }
    with tempfile.TemporaryDirectory() as folder:
        file, images = Path(folder) / "config.yaml", Path(folder) / "images.npz"
        chance = np.random.default_rng(0)
        pixels = chance.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        np.savez(images, x=pixels, y=np.arange(count) % min(classes, 10))
        config = {
            "data": {"source": {"name": "arrays", "path": str(images)}, "batch_size": batch},
            "model": model,
            # The next would come behind the end.
            "train": {"epochs": epochs, "checkpoint": {"every_steps": max(steps * (epochs + 1) // 2, 1)}},
        }
        file.write_text(json.dumps(config))  # which is YAML too
        with contextlib.ExitStack() as stack:
            for kind, without in nothing.items() if side == BARE else ():
                stack.enter_context(mock.patch.multiple(kind, **without))
            stack.enter_context(contextlib.suppress(Enough))
            train(read(file), Path(folder) / "run", Clock())
    return (epochs - 1) * TRAINING * count / (ends[-1] - ends[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=(BARE, WATCHED))
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--steps", type=int, default=100, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=3, help="the first of them is not counted")
    threads.add_option(parser)
    chosen = parser.parse_args()
    threads.limit(chosen.threads)
    print(measure(chosen.side, chosen.network, chosen.steps, chosen.epochs))


if __name__ == "__main__":
    main()
