"""Measures how often the intervals of accuracy and macro F1 hold the true value, on drawn answers.

    python scripts/measure_intervals.py --simulations 2000 --images 300 --classes 4

Answers are drawn from a network of known accuracy, so the true figures are known. Of intervals at 95 % as many as that
should hold them.
"""

from __future__ import annotations

import argparse

import numpy as np

from cnnkit.evaluation.intervals import RESAMPLES, Bootstrap, wilson


def coverage(simulations: int, images: int, classes: int, accuracy: float = 0.8, seed: int = 1) -> dict[str, float]:
    """The share of intervals that hold the true accuracy and the true macro F1; mistakes are spread evenly."""
    shares = np.full((classes, classes), (1 - accuracy) / (classes - 1) / classes)
    np.fill_diagonal(shares, accuracy / classes)
    # All classes are alike, and as often predicted as they are there: precision, recall and F1 are the accuracy.
    random, held = np.random.default_rng(seed), {"accuracy": 0, "macro_f1": 0}
    for _ in range(simulations):
        confusion = random.multinomial(images, shares.ravel()).reshape(classes, classes)
        right, totals = np.diag(confusion), confusion.sum(0) + confusion.sum(1)
        bootstrap = Bootstrap(confusion, RESAMPLES)
        found = {
            "accuracy": wilson(right.sum() / images, images),
            "macro_f1": bootstrap.interval(
                float(np.mean(2 * right / np.maximum(totals, 1))), bootstrap.f1.mean(1), images
            ),
        }
        for name, ends in found.items():
            held[name] += ends is not None and ends[0] <= accuracy <= ends[1]
    return {name: count / simulations for name, count in held.items()}


def main() -> None:
    """Measures and tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, value in (("simulations", 2000), ("images", 300), ("classes", 4)):
        parser.add_argument(f"--{option}", type=int, default=value)
    parser.add_argument("--accuracy", type=float, default=0.8)
    chosen = parser.parse_args()
    for name, share in coverage(chosen.simulations, chosen.images, chosen.classes, chosen.accuracy).items():
        print(f"{name}: {share:.1%} of {chosen.simulations:,} intervals hold {chosen.accuracy}")


if __name__ == "__main__":
    main()
