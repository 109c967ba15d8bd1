"""Measure whether feeding ten times the images takes more memory: the peak of one epoch, nothing kept.

Usage: python scripts/measure_feeding_memory.py SMALL LARGE
       python scripts/measure_feeding_memory.py --make FOLDER [--images 5000 50000]

SMALL and LARGE are folders of images, a subfolder a class, the second with about ten times as many. With --make they
are made first in FOLDER, which must not exist and stays: JPEGs of 64 pixels, five classes.

Each folder is fed in a process of its own, with a cache of its own that is empty: indexed, every image decoded once,
then one epoch of augmented batches of 32, with data.cache off. What is told is the most memory that the process had at
any time (ru_maxrss), TensorFlow included, and what its workers have at the end that is not the memory of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

CLASSES = 5
SIDE = 64


def make(folder: Path, count: int) -> Path:
    """A folder of JPEGs that all differ."""
    import numpy as np
    from PIL import Image

    chance = np.random.default_rng(count)
    for i in range(count):
        place = folder / f"class {i % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(chance.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(place / f"{i:06}.jpg", quality=90)
    return folder


def feed(folder: str) -> dict[str, int]:
    """Feeds one epoch; the number of images, and the peak of the memory in KiB after each part."""
    from cnnkit.core.lazy import tf
    from cnnkit.core.progress import Progress
    from cnnkit.data.augmentations.brightness import Brightness
    from cnnkit.data.augmentations.chain import Chain
    from cnnkit.data.augmentations.flip import Flip
    from cnnkit.data.augmentations.rotate import Rotate
    from cnnkit.data.balancing.base import training_of
    from cnnkit.data.feeding.batches import TrainBatches
    from cnnkit.data.feeding.loading import load
    from cnnkit.data.feeding.preprocessing import Preprocessing
    from cnnkit.data.section import Cache
    from cnnkit.data.sources.folder import Folder

    index = Folder(path=folder).open(Progress()).index(Progress())
    measured = {"indexed": _peak()}
    images = load(index, Preprocessing((SIDE, SIDE, 3), "crop"), Cache(memory_gib=0, disk_gib=0), Progress())
    measured["decoded"] = _peak()
    training = training_of(index, range(len(index)))
    chain = Chain((Flip(), Rotate(), Brightness()), seed=0)
    with images.with_workers(chain, 32, len(training), Progress()) as images:
        tf.constant(0)
        measured["tensorflow"] = _peak()
        batches = TrainBatches(images, training, chain, 32).dataset(1)
        measured["images"] = sum(len(batch) for batch, *_ in batches)
        measured["workers"] = sum(map(_own, _children()))
    return measured | {"peak": _peak() + measured["workers"]}


def _peak() -> int:
    # It begins with the peak of the process that started this one, which is far smaller: it has no TensorFlow.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak  # bytes there, KiB elsewhere


def _children() -> list[str]:
    """The processes that this one has started; none where there is no way to tell, which is where it starts none."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return children.read_text().split() if children.exists() else []


def _own(process: str) -> int:
    """Memory in KiB that a process shares with no other."""
    lines = [line.split() for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()]
    return sum(int(line[1]) for line in lines if line[0] in ("Private_Clean:", "Private_Dirty:"))


def measure(folder: str) -> dict[str, int]:
    """The same in a process of its own."""
    with tempfile.TemporaryDirectory() as cache:
        words = [sys.executable, __file__, "--feed", folder]
        done = subprocess.run(words, env=os.environ | {"CNNKIT_CACHE": cache}, stdout=subprocess.PIPE, check=True)
    measured: dict[str, int] = json.loads(done.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", metavar="FOLDER")
    parser.add_argument("--make", type=Path)
    parser.add_argument("--images", type=int, nargs=2, default=(5_000, 50_000))
    parser.add_argument("--feed", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.feed:
        print(json.dumps(feed(words.feed)))
        return
    folders = words.folders
    if words.make:
        words.make.mkdir()
        folders = [str(make(words.make / str(count), count)) for count in words.images]
    if len(folders) != 2:
        parser.error("two folders are compared, or --make FOLDER")
    peaks = []
    for folder in folders:
        measured = measure(folder)
        peaks.append(measured["peak"])
        parts = ", ".join(
            f"{measured[part] / 1024:.0f} {part}" for part in ("indexed", "decoded", "tensorflow", "workers")
        )
        print(f"{measured['images']:>7,} images: peak {measured['peak'] / 1024:,.0f} MiB ({parts})", flush=True)
    print(f"{folders[1]} takes {peaks[1] / peaks[0] - 1:+.1%}")


if __name__ == "__main__":
    main()
