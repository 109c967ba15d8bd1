"""Measures how fast one side feeds a network: `cnnkit`, `keras`, `keras_crop` (Keras by hand) or `torch`.

Usage: python scripts/benchmark_pipeline.py SIDE WORK FOLDER [--threads 2]

Prints images a second. WORK is one of

colours   128 px: random resized crop, flip, brightness, contrast, saturation; decoded anew in every epoch
warps     224 px: flip, rotation, zoom; decoded anew in every epoch
cached    64 px: flip alone; the second epoch of cnnkit, which has kept the decoded images, against the first of Keras

FOLDER has a folder of images for each class. All sides deliver float batches of 32 with labels, all images of the
folder an epoch, on the same `--threads` cores. But for the epochs that `cached` names, an epoch is timed after one that
was not. Keras's layers work on batches in `map` with AUTOTUNE and prefetch. It has no random resized crop: `keras`
takes the nearest that it has, a zoom into the picture by other factors across and down, `keras_crop` a plain crop of
128 from 146 pixels, which brings nothing to size. PyTorch takes DataLoader with 2 workers and torchvision's transforms
on Pillow's images; it keeps nothing, so it has no part in `cached`.

Not timed: starting, listing the files, and that cnnkit decodes every image once before its first epoch, to find those
that are bad. How long that took stands in the first line.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import Any

import threads

SIZES = {"colours": 128, "warps": 224, "cached": 64}
BATCH = 32


def an_epoch(batches: Iterable[Any], size: Callable[[Any], int]) -> float:
    """Images a second of going through all batches."""
    start = time.perf_counter()
    images = sum(size(batch) for batch in batches)
    return images / (time.perf_counter() - start)


def measure_cnnkit(work: str, folder: str) -> float:
    """As a run feeds its network."""
    from pydantic import TypeAdapter

    from cnnkit.core.progress import Progress
    from cnnkit.data.augmentations import AnyAugmentation
    from cnnkit.data.augmentations.chain import Chain
    from cnnkit.data.balancing.base import training_of
    from cnnkit.data.feeding.batches import TrainBatches, steps
    from cnnkit.data.feeding.loading import load
    from cnnkit.data.feeding.preprocessing import Preprocessing
    from cnnkit.data.section import Cache
    from cnnkit.data.sources.folder import Folder

    named: dict[str, list[dict[str, Any]]] = {
        "colours": [
            {"name": "random_resized_crop"},
            {"name": "flip"},
            {"name": "brightness"},
            {"name": "contrast"},
            {"name": "saturation"},
        ],
        "warps": [{"name": "flip"}, {"name": "rotate"}, {"name": "zoom"}],
        "cached": [{"name": "flip"}],
    }
    adapter: TypeAdapter[Any] = TypeAdapter(tuple[AnyAugmentation, ...])
    chain = Chain(adapter.validate_python(tuple(named[work])), seed=0)
    index = Folder(path=folder).open(Progress()).index(Progress())
    cache = Cache() if work == "cached" else Cache(memory_gib=0.0, disk_gib=0.0)
    start = time.perf_counter()
    images = load(index, Preprocessing((SIZES[work], SIZES[work], 3), "crop"), cache, Progress())
    print(f"looked at {len(index)} images in {time.perf_counter() - start:.1f} s")
    training = training_of(index, range(len(index)))
    # One after the other, as a training has them.
    with images.with_workers(chain, BATCH, len(training), Progress()) as images:
        batches = iter(TrainBatches(images, training, chain, BATCH).dataset(2))
        count = steps(len(training), BATCH)
        return [an_epoch(islice(batches, count), lambda batch: int(batch[0].shape[0])) for _ in range(2)][-1]


def measure_keras(work: str, folder: str, crop: bool = False) -> float:
    """As Keras's guides write it."""
    import keras
    import tensorflow as tf

    size = SIZES[work]
    layers = {
        "colours": [
            # Sides of 28 to 100 %, so that the area is 8 to 100 %, as that of random resized crops.
            keras.layers.RandomCrop(size, size) if crop else keras.layers.RandomZoom((-0.72, 0), (-0.72, 0)),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomBrightness(0.2),
            keras.layers.RandomContrast(0.2),
            keras.layers.RandomSaturation(0.2),
        ],
        "warps": [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(15 / 360),
            keras.layers.RandomZoom(0.2),
        ],
        "cached": [keras.layers.RandomFlip("horizontal")],
    }[work]

    def augmented(images: Any, labels: Any) -> tuple[Any, Any]:
        for layer in layers:
            images = layer(images, training=True)
        return images, labels

    decoded = 146 if crop else size
    dataset = keras.utils.image_dataset_from_directory(
        folder, label_mode="categorical", batch_size=BATCH, image_size=(decoded, decoded), seed=0, verbose=False
    )
    batches = dataset.map(augmented, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    figures = [an_epoch(batches, lambda batch: int(batch[0].shape[0])) for _ in range(1 if work == "cached" else 2)]
    return figures[-1]


def measure_torch(work: str, folder: str) -> float:
    """As torchvision's examples write it."""
    from torch.utils.data import DataLoader
    from torchvision import datasets
    from torchvision import transforms as change

    size = SIZES[work]
    changes = {
        "colours": [
            change.RandomResizedCrop(size),
            change.RandomHorizontalFlip(),
            change.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
        ],
        "warps": [
            change.Resize((size, size)),
            change.RandomHorizontalFlip(),
            change.RandomAffine(15, scale=(0.8, 1.2)),
        ],
        "cached": [change.Resize((size, size)), change.RandomHorizontalFlip()],
    }[work]
    images = datasets.ImageFolder(folder, change.Compose([*changes, change.ToTensor()]))
    loader = DataLoader(images, BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    return [an_epoch(loader, lambda batch: int(batch[0].shape[0])) for _ in range(2)][-1]


MEASURES: dict[str, Callable[[str, str], float]] = {
    "cnnkit": measure_cnnkit,
    "keras": measure_keras,
    "keras_crop": partial(measure_keras, crop=True),
    "torch": measure_torch,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=MEASURES)
    parser.add_argument("work", choices=SIZES)
    parser.add_argument("folder")
    threads.add_option(parser)
    chosen = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: chosen.threads])
    threads.limit(chosen.threads)
    print(MEASURES[chosen.side](chosen.work, chosen.folder))


if __name__ == "__main__":
    main()
