"""Measure how long a training waits while its state is saved, and how long the writing takes beside it.

Usage: python scripts/measure_saving.py [FOLDER] [--parameters 25600000] [--copies 2] [--saves 9]

The arrays are those of a network with so many parameters in layers of a million, as many times as --copies says: 2 is
the weights and the momentum of SGD, 3 those and an average of the weights, or Adam. As it stands: ResNet-50 with SGD.
FOLDER is on the disk that is to be measured; by default that of temporary files.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path


def measure(folder: Path, parameters: int, copies: int, saves: int) -> tuple[int, list[float], list[float], float]:
    """Saves a state some times, each after the one before is on the disk.

    Returns:
        Bytes of a state; seconds that each save took of the thread that trains; seconds until it was on the disk; CPU
        seconds of the process for all of them.
    """
    from cnnkit.core.lazy import np, tf
    from cnnkit.runs.state_writer import StateWriter
    from cnnkit.training.saving import values

    layers = [min(10**6, parameters - begin) for begin in range(0, parameters, 10**6)] * copies
    random = np.random.default_rng(0)
    numbers = (random.normal(size=size).astype(np.float32) for size in layers)
    variables = {f"layer {number}": tf.Variable(array) for number, array in enumerate(numbers)}
    writer, waits, writes = StateWriter(folder, keep=2), [], []
    cpu = time.process_time()
    for number in range(saves):
        for variable in variables.values():
            variable.assign_add(tf.ones_like(variable))  # as training does
        began = time.perf_counter()
        writer.save(values(variables), {"stage": 1, "epoch": 0, "update": number})
        waits.append(time.perf_counter() - began)
        writer.flush()
        writes.append(time.perf_counter() - began)
    cpu = time.process_time() - cpu
    return 4 * sum(layers), waits, writes, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="on the disk that is to be measured")
    parser.add_argument("--parameters", type=int, default=25_600_000, help="of the network")
    parser.add_argument("--copies", type=int, default=2, help="arrays for each weight")
    parser.add_argument("--saves", type=int, default=9, help="how often it is saved")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        size, waits, writes, cpu = measure(Path(folder), options.parameters, options.copies, options.saves)
    print(f"a state of {size / 1e6:,.0f} MB")
    print(f"training waits {1000 * waits[0]:,.0f} ms for the first, {1000 * statistics.median(waits[1:]):,.0f} ms then")
    print(f"it is on the disk after {statistics.median(writes):.2f} s, {cpu / options.saves:.2f} CPU seconds each")


if __name__ == "__main__":
    main()
