"""Measures how often the intervals of accuracy, means over classes, calibration error, areas and losses hold the truth.

    python scripts/measure_intervals.py --simulations 2000 --images 300 --classes 4
    python scripts/measure_intervals.py --figure ece --simulations 2000 --images 300 --classes 4 --too-sure 1.5
    python scripts/measure_intervals.py --figure areas --simulations 500 --images 270 --classes 10 --taken 0.005
    python scripts/measure_intervals.py --figure areas --simulations 1000 --sizes 1 2 3 5 10 30 249 --apart 2
    python scripts/measure_intervals.py --simulations 2000 --sizes 1 33 33 33 33 33 33 33 33 35 --accuracy 0.95
    python scripts/measure_intervals.py --simulations 2000 --sizes 2 30 30 --accuracy 0.5 0.95 0.95
    python scripts/measure_intervals.py --simulations 2000 --sizes 15 1000 --accuracy 0.95 0.99
    python scripts/measure_intervals.py --figure losses --simulations 2000 --images 300 --classes 4 --spread 40

Answers are drawn from a network of known accuracy, or that is too sure by a known factor, so the true figures are
known. Of intervals at 95 % as many as that should hold them.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.intervals import RESAMPLES, Bootstrap, of_f1, wilson
from cnnkit.evaluation.ranking import Areas, areas
from cnnkit.evaluation.reliability import reliability

MANY = 1_000_000
"""Answers from which the true calibration error is known, to a thousandth."""


def coverage(simulations: int, images: int, classes: int, accuracy: float = 0.8, seed: int = 1) -> dict[str, float]:
    """The share of intervals that hold the true accuracy and the true macro F1; mistakes are spread evenly."""
    shares = np.full((classes, classes), (1 - accuracy) / (classes - 1) / classes)
    np.fill_diagonal(shares, accuracy / classes)
    # All classes are alike, and as often predicted as they are there: precision, recall and F1 are the accuracy.
    random, held = np.random.default_rng(seed), {"accuracy": 0, "macro_f1": 0}
    for _ in range(simulations):
        confusion = random.multinomial(images, shares.ravel()).reshape(classes, classes)
        found = {
            "accuracy": wilson(np.trace(confusion) / images, images),
            "macro_f1": Bootstrap(confusion, RESAMPLES).macro_interval("f1"),
        }
        for name, ends in found.items():
            held[name] += ends is not None and ends[0] <= accuracy <= ends[1]
    return {name: count / simulations for name, count in held.items()}


def coverage_of_means(
    simulations: int, sizes: list[int], accuracies: list[float], seed: int = 1
) -> dict[str, tuple[float, float]]:
    """The share of intervals that hold the true means over classes of these sizes and recalls, and those means.

    Mistakes of a class are spread evenly over the others.
    """
    random = np.random.default_rng(seed)
    expected = _evenly(accuracies) * np.array(sizes)[:, None]
    precision = np.array(accuracies) * sizes / expected.sum(0)
    f1 = 2 * np.array(accuracies) * sizes / (expected.sum(0) + sizes)
    true = {"recall": float(np.mean(accuracies)), "precision": float(precision.mean()), "f1": float(f1.mean())}
    held = dict.fromkeys(true, 0)
    for _ in range(simulations):
        bootstrap = Bootstrap(_confusion(random, sizes, accuracies), RESAMPLES)
        for name, value in true.items():
            ends = bootstrap.macro_interval(name)
            held[name] += ends is not None and ends[0] <= value <= ends[1]
    return {name: (count / simulations, true[name]) for name, count in held.items()}


def coverage_of_f1(
    simulations: int, sizes: list[int], accuracies: list[float], seed: int = 1
) -> list[tuple[float, float]]:
    """Of each class the share of intervals that hold its true F1, and that; as of `coverage_of_means`."""
    random, expected = np.random.default_rng(seed), _evenly(accuracies) * np.array(sizes)[:, None]
    true = 2 * np.diag(expected) / (expected.sum(0) + sizes)
    held = np.zeros(len(sizes))
    for _ in range(simulations):
        ends = of_f1(_confusion(random, sizes, accuracies))
        held += [low <= value <= high for (low, high), value in zip(ends, true, strict=True)]
    return list(zip(held / simulations, true.tolist(), strict=True))


def _evenly(accuracies: list[float]) -> Any:
    """The shares of the answers to each class: its recall, and mistakes spread evenly over the others."""
    classes = len(accuracies)
    shares = np.repeat((1 - np.array(accuracies)) / (classes - 1), classes).reshape(classes, classes)
    np.fill_diagonal(shares, accuracies)
    return shares


def _confusion(random: np.random.Generator, sizes: list[int], accuracies: list[float]) -> Any:
    return np.stack([random.multinomial(size, row) for size, row in zip(sizes, _evenly(accuracies), strict=True)])


def drawn(random: np.random.Generator, images: int, classes: int, spread: float, too_sure: float) -> Answers:
    """Answers of a network whose logits are those that labels are drawn by, times a factor.

    Args:
        random: Chance.
        images: How many.
        classes: How many.
        spread: The standard deviation of the right logits: the larger, the more answers are right.
        too_sure: The factor; with 1 the network is calibrated.
    """
    logits = random.normal(size=(images, classes)) * spread
    right, told = (np.exp(of - of.max(1, keepdims=True)) for of in (logits, logits * too_sure))
    labels = (right.cumsum(1) > random.random((images, 1)) * right.sum(1, keepdims=True)).argmax(1)
    return Answers(labels, told / told.sum(1, keepdims=True), [str(i) for i in range(classes)])


def coverage_of_ece(
    simulations: int, images: int, classes: int, spread: float = 2.0, too_sure: float = 1.0, seed: int = 1
) -> dict[str, float]:
    """The share of intervals that hold the true calibration error, beside it and the means of what is measured."""
    random = np.random.default_rng(seed)
    # Of a calibrated network none is left, but for chance.
    true = 0.0 if too_sure == 1 else reliability(drawn(random, MANY, classes, spread, too_sure))["ece"]
    measured = [reliability(drawn(random, images, classes, spread, too_sure)) for _ in range(simulations)]
    held = [found["ece_interval"][0] <= true <= found["ece_interval"][1] for found in measured]
    means = {name: float(np.mean([found[name] for found in measured])) for name in ("ece", "ece_by_chance")}
    return {"held": float(np.mean(held)), "true": true, **means}


def coverage_of_areas(simulations: int, images: int, classes: int, taken: float, seed: int = 1) -> dict[str, float]:
    """The share of intervals that hold the true means of the areas, and how often no image is out of its place.

    Args:
        simulations: How often images are drawn.
        images: How many.
        classes: How many, alike in number.
        taken: The share of images that are surely taken for another class; all others are in their place.
        seed: Of chance.
    """
    random = np.random.default_rng(seed)

    def of(count: int) -> tuple[Areas, Areas]:
        labels = random.integers(0, classes, count)
        logits = random.normal(size=(count, classes)) + 20 * np.eye(classes)[labels]
        other = (labels + random.integers(1, classes, count)) % classes
        told = np.exp(logits - logits.max(1, keepdims=True))
        return areas(np.where(random.random(count) < taken, other, labels), told / told.sum(1, keepdims=True))

    true = [area.mean for area in of(MANY // 5)]
    held, perfect = np.zeros(2), 0
    for _ in range(simulations):
        found = of(images)
        perfect += found[0].mean == 1
        held += [
            ends is not None and value is not None and ends[0] <= value <= ends[1]
            for ends, value in zip((area.mean_interval for area in found), true, strict=True)
        ]
    return {
        "roc_auc": held[0] / simulations,
        "average_precision": held[1] / simulations,
        "perfect": perfect / simulations,
    }


def coverage_of_uneven_areas(
    simulations: int, sizes: list[int], apart: float, wrong: float = 0.0, seed: int = 1
) -> dict[str, Any]:
    """The share of intervals that hold the true areas of classes with few and many images, and of their means.

    Args:
        simulations: How often images are drawn.
        sizes: The images of each class.
        apart: By how many standard deviations the logit of the right class is above the others.
        wrong: The share of images whose logits tell nothing of their class.
        seed: Of chance.
    """
    random, classes, many = np.random.default_rng(seed), len(sizes), 10_000

    def told(labels: Any) -> Any:
        shown = np.where(random.random(len(labels)) < wrong, -1, labels)
        logits = random.normal(size=(len(labels), classes)) + apart * (shown[:, None] == np.arange(classes))
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    # The true areas are those of many images of each class, which weigh as many as it has.
    labels = np.repeat(np.arange(classes), many)
    probabilities, weights = told(labels), np.array(sizes)[labels] / many
    true: dict[str, list[float]] = {
        name: [float(area(labels == k, probabilities[:, k], sample_weight=weights)) for k in range(classes)]
        for name, area in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score))
    }
    labels, held = np.repeat(np.arange(classes), sizes), {name: np.zeros(classes + 1) for name in true}
    for _ in range(simulations):
        for found, (name, values) in zip(areas(labels, told(labels)), true.items(), strict=True):
            ends = np.array([*found.of_class_intervals, found.mean_interval])
            truth = np.array([*values, np.mean(values)])
            held[name] += (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    return {
        name: {"areas": values, "held": (held[name][:-1] / simulations).tolist(), "mean": held[name][-1] / simulations}
        for name, values in true.items()
    }


def coverage_of_losses(
    simulations: int, images: int, classes: int, spread: float, too_sure: float, seed: int = 1
) -> dict[str, float]:
    """The share of intervals that hold the true log loss and the true Brier score."""
    random = np.random.default_rng(seed)

    many = drawn(random, MANY, classes, spread, too_sure)
    true, held = [float(np.mean(values)) for values in (many.log_losses, many.squared_errors)], np.zeros(2)
    for _ in range(simulations):
        answers = drawn(random, images, classes, spread, too_sure)
        ends = answers.log_loss_interval, answers.brier_interval
        held += [pair is not None and pair[0] <= value <= pair[1] for pair, value in zip(ends, true, strict=True)]
    return dict(zip(("log_loss", "brier"), held / simulations, strict=True))


def main() -> None:
    """Measures and tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, value in (("simulations", 2000), ("images", 300), ("classes", 4)):
        parser.add_argument(f"--{option}", type=int, default=value)
    parser.add_argument(
        "--accuracy", type=float, nargs="+", default=[0.8], help="of all classes, or of each of --sizes"
    )
    parser.add_argument("--figure", choices=["accuracy", "ece", "areas", "losses"], default="accuracy")
    parser.add_argument("--spread", type=float, default=2.0, help="of the right logits")
    parser.add_argument("--too-sure", type=float, default=1.0, help="what the logits are multiplied by")
    parser.add_argument("--taken", type=float, default=0.005, help="the share of images that are taken for others")
    parser.add_argument(
        "--sizes", type=int, nargs="+", help="the images of each class, where they differ; of accuracy and areas"
    )
    parser.add_argument("--apart", type=float, default=2.0, help="how far the right logit is above the others")
    parser.add_argument("--wrong", type=float, default=0.0, help="the share of images whose logits tell nothing")
    chosen = parser.parse_args()
    simulations = f"{chosen.simulations:,}"
    if chosen.figure == "ece":
        found = coverage_of_ece(chosen.simulations, chosen.images, chosen.classes, chosen.spread, chosen.too_sure)
        print(f"ece: {found['held']:.1%} of {simulations} intervals hold {found['true']:.4f}")
        print(f"     measured {found['ece']:.4f} in the mean, {found['ece_by_chance']:.4f} by chance alone")
        return
    if chosen.figure == "losses":
        held = coverage_of_losses(chosen.simulations, chosen.images, chosen.classes, chosen.spread, chosen.too_sure)
        for name, share in held.items():
            print(f"{name}: {share:.1%} of {simulations} intervals hold it")
        return
    if chosen.figure == "areas" and chosen.sizes:
        uneven = coverage_of_uneven_areas(chosen.simulations, chosen.sizes, chosen.apart, chosen.wrong)
        for name, told in uneven.items():
            print(f"{name}: {told['mean']:.1%} of {simulations} intervals hold the true mean")
            for size, area, share in zip(chosen.sizes, told["areas"], told["held"], strict=True):
                print(f"  {share:6.1%} that of a class of {size}, {area:.3f}")
        return
    if chosen.figure == "areas":
        found = coverage_of_areas(chosen.simulations, chosen.images, chosen.classes, chosen.taken)
        for name in ("roc_auc", "average_precision"):
            print(f"{name}: {found[name]:.1%} of {simulations} intervals hold the true mean")
        print(f"no image is out of its place in {found['perfect']:.1%} of them")
        return
    if chosen.sizes:
        accuracies = chosen.accuracy * (len(chosen.sizes) if len(chosen.accuracy) == 1 else 1)
        if len(accuracies) != len(chosen.sizes):
            parser.error("--accuracy: one for all classes, or one for each of --sizes")
        for name, (part, true) in coverage_of_means(chosen.simulations, chosen.sizes, accuracies).items():
            print(f"macro {name}: {part:.1%} of {simulations} intervals hold {true:.4f}")
        told = coverage_of_f1(chosen.simulations, chosen.sizes, accuracies)
        for size, (part, true) in zip(chosen.sizes, told, strict=True):
            print(f"  f1 of a class of {size}: {part:.1%} of {simulations} intervals hold {true:.4f}")
        return
    for name, share in coverage(chosen.simulations, chosen.images, chosen.classes, chosen.accuracy[0]).items():
        print(f"{name}: {share:.1%} of {simulations} intervals hold {chosen.accuracy[0]}")


if __name__ == "__main__":
    main()
