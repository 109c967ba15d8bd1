from __future__ import annotations

import numpy as np
import pytest

from cnnkit.evaluation import metrics, verdict
from cnnkit.evaluation.answers import Answers


def result(labels, predicted, split="test"):
    """What `evaluate` finds, of classes a, b, c ..."""
    count = max(*labels, *predicted) + 1
    answers = Answers(np.asarray(labels), np.eye(count)[predicted], [chr(97 + i) for i in range(count)])
    return {"split": split, "images": len(labels)} | metrics.computed(answers)


def told(*words, **options):
    return "\n".join(verdict.remarks(*words, **options))


NINE_TENTHS = [0] * 90 + [1] * 10


def test_who_always_says_the_largest_class_is_told_what_it_reaches_and_what_is_never_said():
    found = result(NINE_TENTHS, [0] * 100)
    assert found["majority_class"] == {"name": "a", "accuracy": 0.9}
    assert found["never_predicted"] == ["b"]
    said = told(found)
    assert "test: always saying `a` would reach accuracy 0.9000; the network is no better than that" in said
    assert "never predicted: `b` (10 of 100 images)" in said


def test_a_network_that_is_better_than_the_majority_has_it_beside_its_result():
    said = told(result(NINE_TENTHS, NINE_TENTHS))
    assert "always saying `a` would reach accuracy 0.9000; macro F1" in said
    assert "never" not in said


def test_a_little_better_is_not_surely_better():
    assert "not surely better than that" in told(result(NINE_TENTHS, [0] * 98 + [1] * 2))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1] * 50, False),
        ([0] * 59 + [1] * 41, False),
        ([0] * 60 + [1] * 40, True),
        ([0] * 50 + [1] * 25 + [2] * 25, True),
        ([0] * 40 + [1] * 30 + [2] * 30, False),
    ],
)
def test_it_is_said_where_one_class_has_most(labels, said):
    assert bool(told(result(labels, labels))) == said


def test_of_many_classes_that_are_never_predicted_five_are_named():
    said = told(result(list(range(10)) * 5, [0] * 50))
    assert said.count("(5 of 50 images)") == 5
    assert said.endswith("and 4 more")


def test_a_class_of_so_few_images_that_chance_leaves_it_out_is_told_as_that():
    # (9/10)^10 = 0.35, (97/100)^100 = 0.048
    assert told(result([0] * 9 + [1], [0] * 10)).count("`b` (1 of 10 images, perhaps by chance)") == 1
    assert told(result([0] * 97 + [1] * 3, [0] * 100)).count("`b` (3 of 100 images)") == 1


def test_a_class_without_images_needs_not_be_predicted():
    assert result([0, 1, 0, 1], [0, 1, 2, 1])["never_predicted"] == []


def right(count, of, split):
    """So many of some images answered rightly, of two classes with as many images."""
    labels = [i % 2 for i in range(of)]
    return result(labels, [label if i < count else 1 - label for i, label in enumerate(labels)], split)


@pytest.mark.parametrize(("of_test", "word"), [(140, "worse"), (170, None), (200, "better")])
def test_test_and_validation_that_differ_by_more_than_chance_are_named(of_test, word):
    said = told(right(of_test, 200, "test"), right(172, 200, "validation"))
    assert (f"test is {word} than validation by more than chance" in said) == (word is not None)
    assert "chance" not in told(right(172, 200, "validation"), right(of_test, 200, "test"))
