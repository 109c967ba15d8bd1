"""One side of the benchmark of predictions: images a second from files to rows, in this process.

Usage: python scripts/benchmark_predict.py SIDE RUN FOLDER [--passes 5] [--threads 2]

`cnnkit` is what `cnnkit predict RUN FOLDER` does, to the rows of a CSV with all their columns; `bare` is the loop that
one writes by hand: Pillow opens a batch of the files, the same network answers it, softmax. It keeps the probabilities,
leaves out what Pillow can't open, and has no checksums, no reasons, no distance to what is familiar and no rows.

The folder is gone through PASSES times in one go. The first batch, with which the network is made ready, is left out,
and so is a last one that is not whole, for which the loop would make it ready once more.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import threads

SIDES = ("cnnkit", "bare")


def rows_of_cnnkit(run: Any, files: Sequence[Path]) -> Iterator[Any]:
    """A line for each file."""
    from cnnkit.core.progress import Progress
    from cnnkit.evaluation.new_images import find_images
    from cnnkit.evaluation.predict import csv_lines, predict_images

    lines = csv_lines(predict_images(run, find_images(files, Progress()).images, Progress()), run.classes)
    next(lines)  # the header
    yield from lines


def rows_of_bare(run: Any, files: Sequence[Path]) -> Iterator[Any]:
    """The probabilities for each file that can be opened."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    network = run.network()
    height, width, channels = run.shape
    pixels = []
    for file in files:
        try:
            image = Image.open(file).convert("L" if channels == 1 else "RGB")
        except (UnidentifiedImageError, OSError):
            continue
        pixels.append(np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)))
        if len(pixels) == run.experiment.data.batch_size:
            given = np.stack(pixels).astype(np.float32).reshape(-1, height, width, channels)
            powers = np.exp(network.predict_on_batch(given))
            yield from (powers / powers.sum(axis=1, keepdims=True)).tolist()
            pixels = []


def measure(side: str, folder: Path, images: Path, passes: int) -> float:
    from cnnkit.runs.run import Run

    run = Run.open(folder)
    size = run.experiment.data.batch_size
    files = sorted(path for path in images.iterdir() if path.is_file())
    rows = {"cnnkit": rows_of_cnnkit, "bare": rows_of_bare}[side](run, files * passes)
    for _ in range(size):
        next(rows)
    begin = time.perf_counter()
    count = sum(1 for _ in rows)
    return count / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--passes", type=int, default=5)
    threads.add_option(parser)
    chosen = parser.parse_args()
    threads.limit(chosen.threads)
    print(measure(chosen.side, chosen.run, chosen.folder, chosen.passes))


if __name__ == "__main__":
    main()
