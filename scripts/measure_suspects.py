"""How well wrong labels are found: flipped ones among Fashion-MNIST's, and pictures that lie in two classes.

    python scripts/measure_suspects.py flipped --data FOLDER_OF_IDX_FILES [--images 6000] [--epochs 4] [--run]
    python scripts/measure_suspects.py flowers --data FOLDER --weights MOBILENET_V1_025.h5

`flipped`: 3 % of the labels of a subset are changed to another class by chance; told is how many of the 3 % most
suspicious images are such. Without `--run` by networks that are trained in folds, with it by one that has been trained
on 70 % of the images with their wrong labels; where it has learnt these by heart, the other images alone are ranked.
`flowers`: told is where pictures that lie in two classes are ranked, beside where they would be by the networks alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from cnnkit.config import yaml12
from cnnkit.config.experiment import Experiment
from cnnkit.core.progress import Progress
from cnnkit.data.sources.idx import Idx
from cnnkit.evaluation import label_errors
from cnnkit.inspection.doctor import examine
from cnnkit.runs.run import Run
from cnnkit.studies import material, suspects
from cnnkit.training.train import train

NETWORK = """
name: sequential
layers:
  - {name: conv, filters: 32}
  - {name: max_pool}
  - {name: conv, filters: 64}
  - {name: max_pool}
  - {name: flatten}
  - {name: dense, units: 128}
  - {name: dropout, rate: 0.3}
"""


def flipped(data: Path, count: int, epochs: int, share: float, with_run: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    index = Idx.model_validate({"name": "idx", "path": str(data)}).open(Progress()).index(Progress())
    chosen = sorted(random.permutation(len(index))[:count].tolist())
    wrong = set(random.permutation(count)[: round(share * count)].tolist())
    with tempfile.TemporaryDirectory() as folder:
        photos, names = Path(folder) / "photos", set()
        for k, i in enumerate(chosen):
            label = int(index.labels[i])
            if k in wrong:
                label = (label + int(random.integers(1, len(index.classes)))) % len(index.classes)
            file = photos / str(label) / f"{k}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(index.decode(i, 1).pixels[:, :, 0]).save(file)
            if k in wrong:
                names.add(file.relative_to(photos).as_posix())
        document = {
            "name": "flipped",
            "data": {
                "source": {"name": "folder", "path": str(photos)},
                "channels": 1,
                "image_size": (28, 28),
                "batch_size": 64,
            },
            "model": yaml12.parse(NETWORK).values,
            "train": {"epochs": epochs, "optimizer": {"name": "adam", "learning_rate": 2e-3}},
        }
        experiment = Experiment.model_validate(document)
        run = None
        if with_run:
            train(experiment, Path(folder) / "run")
            run = Run.open(Path(folder) / "run")
        began = time.perf_counter()
        shown = material.material(experiment, Progress(), run.preprocessing if run else None)
        probabilities, by = suspects.judged(shown, run, Progress())
        took = time.perf_counter() - began
        labels = shown.images.index.labels
        right = probabilities.argmax(axis=1) == labels
        asked = np.flatnonzero(~suspects.learnt(run, shown, right)) if run else np.arange(count)
        labels, probabilities = labels[asked], probabilities[asked]
        is_flipped = np.asarray([shown.images.index.names[i] in names for i in asked.tolist()])
        order, many = label_errors.ranked(labels, probabilities)
        first, listed = is_flipped[order[: round(share * len(asked))]], int(is_flipped[order[:many]].sum())
        estimate = 1 - np.trace(label_errors.joint(labels, probabilities))
    print(
        f"{count:,} images, {epochs} epochs, seed {seed}, by {by}: {len(asked):,} are judged, {is_flipped.sum()} of "
        f"them flipped; right {right.mean():.3f}; {sum(first)} of the first {len(first)} are flipped "
        f"({np.mean(first):.3f}); {many} suspects, {listed} of them flipped; estimated share {estimate:.4f}; "
        f"{took:.0f} s"
    )


def flowers(data: Path, weights: Path) -> None:
    network = {"name": "keras_application", "application": "MobileNet", "alpha": 0.25, "weights": str(weights)}
    source = {"name": "folder", "path": str(data)}
    experiment = Experiment.model_validate({"name": "flowers", "data": {"source": source}, "model": network})
    began = time.perf_counter()
    shown = material.material(experiment, Progress())
    index = shown.images.index
    probabilities, by = suspects.judged(shown, None, Progress())
    found = list(suspects.suspected(index, probabilities, examine.examine(experiment.data, Progress())))
    took = time.perf_counter() - began
    rank = {each.file: place for place, each in enumerate(found, start=1)}
    order = {index.names[i]: place for place, i in enumerate(label_errors.ranked(index.labels, probabilities)[0], 1)}
    kinds = {kind: [each.file for each in found if each.kind == kind] for kind in ("copy", "near_copy", "unlike")}
    print(f"{len(index):,} images, by {by}, in {took:.0f} s: " + ", ".join(f"{len(v)} {k}" for k, v in kinds.items()))
    for kind in ("copy", "near_copy"):
        for name in kinds[kind]:
            print(f"  {kind} {name}: place {rank[name]}, by the networks alone {order[name]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("flipped", "flowers"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--share", type=float, default=0.03)
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    if told.what == "flipped":
        flipped(told.data, told.images, told.epochs, told.share, told.run, told.seed)
    elif told.weights:
        flowers(told.data, told.weights)
    else:
        parser.error("flowers needs --weights")


if __name__ == "__main__":
    main()
