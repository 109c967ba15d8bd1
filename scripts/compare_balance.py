"""Compare what helps two classes that have a tenth of the images of the others: balances, and focal loss.

Usage: python scripts/compare_balance.py FASHION_MNIST FOLDER [--images 1000] [--epochs 8] [--seeds 5] [--methods ...]

FASHION_MNIST holds the four idx files. Into FOLDER go the subset (PNG files and manifest.csv) and the runs; what has
run already is not run again, so an interrupted comparison goes on where it was.

The subset has so many images of each class, chosen by chance, and of `pullover` and `shirt` a tenth. These two are rare
because they are hard: a shirt is mistaken for a T-shirt or a coat, a pullover for a coat, and where in doubt a network
answers with the class that it has seen more of. An easy class, such as trousers, would be found with a tenth too. The
test split is the official one, whole, and the same for all; a tenth of the training images is validation, as rare as
they are.

The network and its settings are those of configs/fashion_mnist.yaml. Balancing changes how many images an epoch has, so
each method gets as many epochs as make about the same number of steps: else undersampling would be judged for having
trained for a fifth of the time.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import cnnkit
from cnnkit.core.errors import CnnkitError
from cnnkit.core.progress import Progress
from cnnkit.data.index import Index
from cnnkit.data.sources import recognised

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "fashion_mnist.yaml"
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
RARE = ("pullover", "shirt")
VALIDATION = 0.1

METHODS = {
    "none": "data.balance={name: none}",
    "class weights": "data.balance={name: class_weight}",
    "oversample": "data.balance={name: oversample}",
    "undersample": "data.balance={name: undersample}",
    "SMOTE": "data.balance={name: smote}",
    "Borderline-SMOTE": "data.balance={name: borderline_smote}",
    "focal loss": "train.loss={name: focal}",
}


def write_subset(index: Index, folder: Path, images: int) -> Path:
    """Writes the chosen training images and all test images as PNG files, and the manifest that names them."""
    manifest = folder / "manifest.csv"
    if manifest.exists():  # written last, so the images are there too
        return manifest
    rng = np.random.default_rng(0)
    training = np.asarray([split is None for split in index.splits])
    chosen = np.flatnonzero(~training).tolist()
    for label, name in enumerate(CLASSES):
        of_class = rng.permutation(np.flatnonzero(training & (index.labels == label)))
        chosen += of_class[: images // 10 if name in RARE else images].tolist()
    rows = []
    for i in sorted(chosen):
        path = folder / f"{index.names[i]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        index.open(i).save(path)
        split = "train" if training[i] else "test"
        rows.append((str(path.relative_to(folder)), CLASSES[index.labels[i]], split))
    with manifest.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    return manifest


def epochs_of(method: str, images: int, epochs: int) -> int:
    """As many epochs as show about as many images as `epochs` of the unbalanced ones."""
    common, rare = len(CLASSES) - len(RARE), len(RARE)
    unbalanced = common * images + rare * (images // 10)
    an_epoch = {
        "oversample": len(CLASSES) * images,
        "SMOTE": len(CLASSES) * images,
        "Borderline-SMOTE": len(CLASSES) * images,
        "undersample": len(CLASSES) * (images // 10),
    }
    return round(epochs * unbalanced / an_epoch.get(method, unbalanced))


def tested(method: str, seed: int, epochs: int, manifest: Path, runs: Path) -> dict[str, Any]:
    """What a training by a method is worth on the test split; trained now, or before."""
    run = runs / f"{method.lower().replace(' ', '_')}-{seed}"
    document = run / "evaluation" / "test.json"
    if not document.exists():
        start = time.perf_counter()
        experiment = cnnkit.read(
            CONFIG,
            f"data.source={{name: manifest, path: {json.dumps(str(manifest))}}}",
            f"data.split={{validation: {VALIDATION}}}",
            f"train.epochs={epochs}",
            f"seed={seed}",
            f"data.split.seed={seed}",
            METHODS[method],
        )
        cnnkit.train(experiment, run)
        print(f"{method}, seed {seed}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    found: dict[str, Any] = json.loads(document.read_text(encoding="utf-8"))
    return found


def cell(values: Sequence[float]) -> str:
    """Mean and range."""
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def row(method: str, epochs: int, documents: Sequence[dict[str, Any]]) -> list[str]:
    recalls = [{each["name"]: each["recall"] for each in document["classes"]} for document in documents]
    return [
        method,
        str(epochs),
        cell([document["macro_f1"] for document in documents]),
        cell([document["accuracy"] for document in documents]),
        *(cell([recall[name] for recall in recalls]) for name in RARE),
    ]


def show(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        print("  ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip())


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fashion_mnist", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000, help="training images of a common class; at least 100")
    parser.add_argument("--epochs", type=int, default=8, help="of what is not resampled")
    parser.add_argument("--seeds", type=int, default=5, help="so many trainings of each method")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    chosen = parser.parse_args(arguments)
    if not 100 <= chosen.images <= 6000 or min(chosen.epochs, chosen.seeds) < 1:
        parser.error("--images is 100 to 6000; --epochs and --seeds are at least 1")
    rows = [["method", "epochs", "macro F1", "accuracy", *(f"recall of {name}" for name in RARE)]]
    try:
        index = recognised(chosen.fashion_mnist).open(Progress()).index(Progress())
        folder = chosen.folder.resolve() / f"{chosen.images}-images"
        manifest = write_subset(index, folder, chosen.images)
        runs = folder / f"runs-{chosen.epochs}-epochs"
        for method in chosen.methods:
            epochs = epochs_of(method, chosen.images, chosen.epochs)
            documents = [tested(method, seed, epochs, manifest, runs) for seed in range(chosen.seeds)]
            rows.append(row(method, epochs, documents))
    except CnnkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
