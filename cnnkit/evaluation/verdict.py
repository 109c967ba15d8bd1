"""Verdict: from figures to what they mean, in sentences. Nothing is said where there is nothing to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnnkit.core.text import enumerated
from cnnkit.evaluation.metrics import called

LARGEST, LARGEST_OF_TWO = 0.5, 0.6
"""From this share of the images on a class is the majority that always saying it is measured against."""


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
        images = {entry["name"]: entry["images"] for entry in result["classes"]}
        told = [f"`{name}` ({images[name]:,} of {result['images']:,} images)" for name in names[:5]]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        yield f"{called(result)}: never predicted: {', '.join(told) + more if more else enumerated(told, 'and')}"


def _disjoint(test: Mapping[str, Any], validation: Mapping[str, Any]) -> Iterator[str]:
    (low, high), (other_low, other_high) = test["accuracy_interval"], validation["accuracy_interval"]
    if low > other_high or high < other_low:
        which = "worse" if high < other_low else "better"
        yield (
            f"test is {which} than validation by more than chance: {low:.4f} to {high:.4f} and {other_low:.4f} to "
            f"{other_high:.4f} do not overlap. Are these images of another kind, or do some have siblings in training?"
        )
