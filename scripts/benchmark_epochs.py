"""Measures whole epochs on Fashion-MNIST by one side: `cnnkit`, `keras` (stock, by hand) or `torch` (by hand).

Usage: python scripts/benchmark_epochs.py SIDE NETWORK FOLDER [--epochs 4] [--limit 2000] [--threads 2]

Prints the training images a second, the median of the epochs after the first. An epoch counts from the end of the one
before it, so validation counts, and with cnnkit saving checkpoints and writing records do too. NETWORK is `small` (that
of configs/fashion_mnist.yaml) or `lenet`; batches of 64, Adam, a cosine, nothing augmented. All sides train on nine
tenths of LIMIT images a class, validate on the rest, and measure loss and accuracy on both.

Keras has the images in memory as float32 and batches prefetched by tf.data; PyTorch has them likewise, in its default
layout, and takes each batch with one index, which is faster than its DataLoader. It may run under another Python.
"""

from __future__ import annotations

import argparse
import gzip
import math
import os
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import threads

BATCH, RATE = 64, 2e-3
SMALL, LENET = "small", "lenet"
CONFIG = Path(__file__).parent.parent / "configs" / "fashion_mnist.yaml"


def training_images(limit: int) -> int:
    """Of `limit` images in each of ten classes nine tenths train."""
    return 9 * limit


def measure_cnnkit(network: str, data: str, epochs: int, limit: int) -> list[float]:
    """When each epoch ended, by the product itself."""
    from cnnkit import read, train
    from cnnkit.core.progress import Progress

    ends: list[float] = []

    class Clock(Progress):
        def epoch(self, line: str) -> None:
            ends.append(time.perf_counter())

    settings = [f"data.source.path={data}", f"train.epochs={epochs}", f"data.limit={limit}"]
    settings += ["model={name: lenet}"] if network == LENET else []
    with tempfile.TemporaryDirectory() as folder:
        train(read(CONFIG, *settings), Path(folder) / "run", Clock())
    return ends


def keras_network(network: str) -> Any:
    """A network of stock Keras layers, as one writes it from Keras's guides."""
    import keras

    layers = keras.layers
    small = [
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(96, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(10),
    ]
    lenet = [
        layers.Conv2D(6, 5, padding="same", activation="tanh"),
        layers.AveragePooling2D(2),
        layers.Conv2D(16, 5, activation="tanh"),
        layers.AveragePooling2D(2),
        layers.Flatten(),
        layers.Dense(120, activation="tanh"),
        layers.Dense(84, activation="tanh"),
        layers.Dense(10),
    ]
    return keras.Sequential([keras.Input((28, 28, 1)), *(small if network == SMALL else lenet)])


def measure_keras(network: str, data: str, epochs: int, limit: int) -> list[float]:
    import keras
    import numpy as np
    import tensorflow as tf

    pixels, labels = fashion_mnist(data)
    images, answers = (pixels[..., None] / 255).astype("float32"), keras.utils.to_categorical(labels, 10)
    model, count = keras_network(network), training_images(limit)
    schedule = keras.optimizers.schedules.CosineDecay(RATE, -(-count // BATCH) * epochs)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=loss, metrics=["accuracy"])

    def batches(x: np.ndarray, y: np.ndarray) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices((x, y))

    training = batches(images[:count], answers[:count]).shuffle(count).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    held = slice(count, 10 * limit)
    validation = batches(images[held], answers[held]).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    model.fit(training, validation_data=validation, epochs=epochs, callbacks=[clock], verbose=0)
    return ends


def torch_network(network: str) -> Any:
    """The same of PyTorch's modules."""
    from torch import nn

    def conv(inside: int, outside: int) -> list[Any]:
        return [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU()]

    small = [*conv(1, 32), *conv(32, 32), nn.MaxPool2d(2), *conv(32, 64), *conv(64, 64), nn.MaxPool2d(2)]
    small += [*conv(64, 96), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(864, 128), nn.ReLU(), nn.Dropout(0.3)]
    lenet = [nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)]
    lenet += [nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh()]
    return nn.Sequential(*small, nn.Linear(128, 10)) if network == SMALL else nn.Sequential(*lenet, nn.Linear(84, 10))


def measure_torch(network: str, data: str, epochs: int, limit: int) -> list[float]:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    pixels, labels = fashion_mnist(data)
    images = torch.from_numpy((pixels[:, None] / 255).astype("float32"))
    answers = torch.from_numpy(labels.astype("int64"))
    model, count, loss_of = torch_network(network), training_images(limit), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    steps = -(-count // BATCH) * epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / steps)) / 2)
    ends: list[float] = []

    def measured(x: Any, y: Any, sums: Any) -> Any:
        logits = model(x)
        loss = loss_of(logits, y)
        sums += torch.stack([loss.detach() * len(y), (logits.argmax(1) == y).sum()])
        return loss

    for _ in range(epochs):
        model.train()
        training, validation = torch.zeros(2), torch.zeros(2)
        for chosen in torch.randperm(count).split(BATCH):
            loss = measured(images[chosen], answers[chosen], training)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.inference_mode():
            for chosen in torch.arange(count, 10 * limit).split(BATCH):
                measured(images[chosen], answers[chosen], validation)
        [value.item() for value in (*training, *validation)]
        ends.append(time.perf_counter())
    return ends


def fashion_mnist(data: str) -> tuple[Any, Any]:
    """Pixels uint8 (n, 28, 28) and labels (n,) of the training images."""
    import numpy as np

    def idx(name: str, offset: int) -> np.ndarray:
        with gzip.open(Path(data) / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=offset)

    return idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28), idx("train-labels-idx1-ubyte.gz", 8)


MEASURES = {"cnnkit": measure_cnnkit, "keras": measure_keras, "torch": measure_torch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=MEASURES)
    parser.add_argument("network", choices=(SMALL, LENET))
    parser.add_argument("data", help="folder of the four files of Fashion-MNIST")
    parser.add_argument("--epochs", type=int, default=4, help="the first of them is not counted")
    parser.add_argument("--limit", type=int, default=2000, help="images a class, 6000 for all")
    threads.add_option(parser)
    chosen = parser.parse_args()
    threads.limit(chosen.threads)
    ends = MEASURES[chosen.side](chosen.network, chosen.data, chosen.epochs, chosen.limit)
    print(training_images(chosen.limit) / statistics.median(after - before for before, after in pairwise(ends)))


if __name__ == "__main__":
    main()
