"""How well pictures unlike any that a network has seen are told from those of its kind.

    python scripts/measure_unfamiliar.py RUN NAME=FOLDER [NAME=FOLDER ...]

The test images of a run are what it knows; what it does not are the pictures of each folder, and 300 of noise. Told is,
for the distance in feature space and for the probability of the likeliest class, the area under the ROC curve (1 where
all unknown pictures are farther, or less sure, than all known ones; 0.5 by chance), how many pictures are called
unfamiliar, and how sure the network is of them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from cnnkit.core.errors import UsageError
from cnnkit.core.progress import Progress
from cnnkit.evaluation.familiarity import Familiarity
from cnnkit.evaluation.predict import predict
from cnnkit.runs.images import index_of
from cnnkit.runs.run import Run

NOISE = 300


@dataclass(frozen=True)
class Told:
    """What a run says of some pictures: how unfamiliar they are, and the probability of the likeliest class."""

    unfamiliar: Any
    probability: Any

    @classmethod
    def of(cls, run: Run, paths: Any) -> Told:
        rows = [row for row in predict(run, paths) if row.error is None]
        if any(row.unfamiliar is None for row in rows):
            known = Familiarity.read(run)
            why = known.line() if known else f"the run does not tell it; {run.files.to_calibrate} adds it"
            raise UsageError(why)
        return cls(np.array([row.unfamiliar for row in rows]), np.array([row.probability for row in rows]))


def noise(folder: Path, size: int, count: int = NOISE, seed: int = 0) -> list[Path]:
    """Writes pictures whose pixels are drawn by chance."""
    random = np.random.default_rng(seed)
    files = [folder / f"{number:03d}.png" for number in range(count)]
    for file in files:
        Image.fromarray(random.integers(0, 256, (size, size, 3), np.uint8)).save(file)
    return files


def row(name: str, known: Told, other: Told) -> str:
    """A row of the table."""
    truth = np.r_[np.zeros(len(known.unfamiliar)), np.ones(len(other.unfamiliar))]
    by_distance = roc_auc_score(truth, np.r_[known.unfamiliar, other.unfamiliar])
    by_probability = roc_auc_score(truth, -np.r_[known.probability, other.probability])
    called = f"{np.sum(other.unfamiliar > 1)} of {len(other.unfamiliar)}"
    return f"| {name} | {by_distance:.4f} | {by_probability:.4f} | {called} | {np.median(other.probability):.3f} |"


def table(run: Run, others: dict[str, Path]) -> Iterator[str]:
    """The table, line by line."""
    index = index_of(run, "test", Progress())
    assert index.path is not None
    known = Told.of(run, [index.path(number) for number in range(len(index))])
    yield "| pictures | area by distance | area by probability | called unfamiliar | median probability |"
    yield "|---|---|---|---|---|"
    wrongly = int(np.sum(known.unfamiliar > 1))
    yield f"| test images | | | {wrongly} of {len(known.unfamiliar)} | {np.median(known.probability):.3f} |"
    for name, folder in others.items():
        yield row(name, known, Told.of(run, folder))
    with tempfile.TemporaryDirectory() as made:
        yield row("noise", known, Told.of(run, noise(Path(made), max(run.shape[:2]))))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("others", nargs="*", metavar="NAME=FOLDER")
    given = parser.parse_args()
    others = {name: Path(folder) for name, _, folder in (text.partition("=") for text in given.others)}
    for line in table(Run.open(given.run), others):
        print(line, flush=True)


if __name__ == "__main__":
    main()
