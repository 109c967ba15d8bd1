"""Verdict: from figures to what they mean, in sentences. Nothing is said where there is nothing to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cnnkit.core.text import by, enumerated
from cnnkit.evaluation.baseline import Baseline
from cnnkit.evaluation.intervals import CONFIDENCE
from cnnkit.evaluation.metrics import called, words

LARGEST, LARGEST_OF_TWO = 0.5, 0.6
"""From this share of the images on a class is the majority that always saying it is measured against."""

FEW = 30
"""Of fewer images it is no finding that always saying one class is no worse: of so few two mistakes are much."""


def remarks(result: Mapping[str, Any], validation: Mapping[str, Any] | None = None) -> Iterator[str]:
    """What should be known beside the figures of a split.

    Args:
        result: Of `evaluate`, of the test split or another one.
        validation: The same of the validation split, to compare it with; None if there is none, or it is the split.
    """
    yield from _majority(result)
    yield from _never_predicted(result)
    if validation and result["split"] == "test":
        yield from _disjoint(result, validation)


def shortcomings(result: Mapping[str, Any]) -> Iterator[str]:
    """What shows that a network is not as good as it could be, whatever its curves are like; beyond chance.

    Args:
        result: Of `evaluate`, with the baseline if there is one.
    """
    found, always = result.get(Baseline.name) or {}, result["majority_class"]
    best = found.get("best")
    if best not in (None, "majority") and found["network_adds_interval"][1] < 0 and found["p"] < 1 - CONFIDENCE:
        yield f"{words(best)} on {by(found['pixels'])} pixels is surely better, by {-found['network_adds']:.4f}"
    if result["accuracy_interval"][1] < always["accuracy"]:
        yield f"always saying `{always['name']}` is surely better, {always['accuracy']:.4f}"
    elif result["accuracy"] <= always["accuracy"] and result["images"] >= FEW:
        yield f"always saying `{always['name']}` is no worse, {always['accuracy']:.4f}"
    if names := [name for name in result["never_predicted"] if not perhaps_by_chance(result, name)]:
        yield f"never predicted: {_named(result, names)}"


def too_few_to_tell(result: Mapping[str, Any]) -> str:
    """That so few images can't tell whether the network is better than always saying one class; empty if they can."""
    always, (low, high) = result["majority_class"], result["accuracy_interval"]
    if not low <= always["accuracy"] <= high:
        return ""
    than = f"better than always saying `{always['name']}`"
    return f"whether the network is {than}, {always['accuracy']:.4f}, {result['images']:,} test images can't tell"


def perhaps_by_chance(result: Mapping[str, Any], name: str) -> bool:
    """Whether a class may go without an answer by chance: so few images has it.

    Who gives each class as often as it is there never gives one of n among N images with the probability
    (1 - n / N)^N, which is 5 % or less from three images on.
    """
    images = next(entry["images"] for entry in result["classes"] if entry["name"] == name)
    never: float = (1 - images / result["images"]) ** result["images"]
    return never > 1 - CONFIDENCE


def _majority(result: Mapping[str, Any]) -> Iterator[str]:
    largest, low = result["majority_class"], result["accuracy_interval"][0]
    share = largest["accuracy"]
    if share >= (LARGEST_OF_TWO if len(result["classes"]) == 2 else LARGEST):
        line = f"{called(result)}: always saying `{largest['name']}` would reach accuracy {share:.4f}"
        if result["accuracy"] <= share:
            line += "; the network is no better than that"
        elif low <= share:
            line += "; by so few images the network is not surely better than that"
        yield f"{line}; macro F1 counts every class the same"


def _never_predicted(result: Mapping[str, Any]) -> Iterator[str]:
    if names := result["never_predicted"]:
        yield f"{called(result)}: never predicted: {_named(result, names)}"


def _named(result: Mapping[str, Any], names: Sequence[str]) -> str:
    """Classes with their images, five at the most."""
    images, of = {entry["name"]: entry["images"] for entry in result["classes"]}, f"of {result['images']:,} images"
    told = [
        f"`{name}` ({images[name]:,} {of}{', perhaps by chance' if perhaps_by_chance(result, name) else ''})"
        for name in names[:5]
    ]
    return f"{', '.join(told)} and {len(names) - 5} more" if len(names) > 5 else enumerated(told, "and")


def _disjoint(test: Mapping[str, Any], validation: Mapping[str, Any]) -> Iterator[str]:
    (low, high), (other_low, other_high) = test["accuracy_interval"], validation["accuracy_interval"]
    if low > other_high or high < other_low:
        which = "worse" if high < other_low else "better"
        yield (
            f"test is {which} than validation by more than chance: {low:.4f} to {high:.4f} and {other_low:.4f} to "
            f"{other_high:.4f} do not overlap. Are these images of another kind, or do some have siblings in training?"
        )
