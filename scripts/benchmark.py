"""Benchmarks: cnnkit against what one would write by hand, on this machine.

Usage: python scripts/benchmark.py overhead --data FOLDER [--rounds 5] [--epochs 4] [--limit 2000] [--threads 2]

overhead   `cnnkit train` on Fashion-MNIST (the four idx files in FOLDER) without augmentation, against the same
           network of stock layers, the same data in memory prefetched by tf.data and the same batch size in
           hand-written Keras `fit`. Both validate after each epoch; both are timed from the end of an epoch to the
           end of the next, so that saving checkpoints and writing records counts against cnnkit. Both train on
           nine tenths of LIMIT images a class (6000: all of them) and validate on the rest.

Each measurement runs in a process of its own, the two in turn; the figures are medians of epochs 2 and later.
Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

CONFIG = Path(__file__).parent.parent / "configs" / "fashion_mnist.yaml"
SIDES = ("cnnkit", "keras")


def measure_cnnkit(data: str, epochs: int, limit: int) -> list[float]:
    """Seconds of each epoch after the first, by the product itself."""
    from cnnkit import read, train
    from cnnkit.progress import Progress

    ends: list[float] = []

    class Clock(Progress):
        def epoch(self, line: str) -> None:
            ends.append(time.perf_counter())

    settings = (f"data.source.path={data}", f"train.epochs={epochs}", "augment=[]", f"data.limit={limit}")
    with tempfile.TemporaryDirectory() as folder:
        train(read(CONFIG, *settings), Path(folder) / "run", Clock())
    return [after - before for before, after in pairwise(ends)]


def measure_keras(data: str, epochs: int, limit: int) -> list[float]:
    """Seconds of each epoch after the first, by a script as one writes it from Keras's guides."""
    import gzip

    import keras
    import numpy as np
    import tensorflow as tf

    def idx(name: str, offset: int) -> np.ndarray:
        with gzip.open(Path(data) / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=offset)

    images = (idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1) / 255).astype("float32")
    labels = keras.utils.to_categorical(idx("train-labels-idx1-ubyte.gz", 8), 10)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Conv2D(96, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10),
        ]
    )
    count = training_images(limit)
    steps = -(-count // 64)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps * epochs)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=loss, metrics=["accuracy"])

    def batches(x: np.ndarray, y: np.ndarray) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices((x, y))

    training = batches(images[:count], labels[:count]).shuffle(count).batch(64).prefetch(tf.data.AUTOTUNE)
    validation = batches(images[count : 10 * limit], labels[count : 10 * limit]).batch(64).prefetch(tf.data.AUTOTUNE)
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    model.fit(training, validation_data=validation, epochs=epochs, callbacks=[clock], verbose=0)
    return [after - before for before, after in pairwise(ends)]


def training_images(limit: int) -> int:
    """Of `limit` images in each of ten classes nine tenths train."""
    return 9 * limit


def in_own_process(side: str, data: str, epochs: int, limit: int, threads: int) -> float:
    """Training images a second, the median epoch of one process."""
    command = [sys.executable, __file__, side, "--data", data, "--epochs", str(epochs), "--limit", str(limit)]
    limits = {"OMP_NUM_THREADS": str(threads), "TF_NUM_INTRAOP_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, env=os.environ | limits, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True
    )
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return training_images(limit) / statistics.median(seconds)


def overhead(data: str, rounds: int, epochs: int, limit: int, threads: int) -> None:
    """Runs both in turn and prints the medians and their ratio."""
    figures: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(1, rounds + 1):
        for side in SIDES if number % 2 else reversed(SIDES):
            figures[side].append(in_own_process(side, data, epochs, limit, threads))
            print(f"round {number}  {side:7} {figures[side][-1]:9,.0f} images/s", flush=True)
    medians = {side: statistics.median(figures[side]) for side in SIDES}
    ratios = [ours / theirs for ours, theirs in zip(figures["cnnkit"], figures["keras"], strict=True)]
    print(
        f"median   cnnkit {medians['cnnkit']:,.0f}, keras {medians['keras']:,.0f} images/s; "
        f"ratio {medians['cnnkit'] / medians['keras']:.3f}, by round {min(ratios):.3f} to {max(ratios):.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("overhead", *SIDES))
    parser.add_argument("--data", required=True, help="folder of the four Fashion-MNIST files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="the first of them is not counted")
    parser.add_argument("--limit", type=int, default=2000, help="images a class, 6000 for all")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    if chosen.what == "overhead":
        overhead(chosen.data, chosen.rounds, chosen.epochs, chosen.limit, chosen.threads)
    else:
        measure = measure_cnnkit if chosen.what == "cnnkit" else measure_keras
        print(json.dumps(measure(chosen.data, chosen.epochs, chosen.limit)))


if __name__ == "__main__":
    main()
