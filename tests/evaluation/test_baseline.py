from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info

from cnnkit.core.errors import DataError, TrainingError
from cnnkit.core.progress import Progress
from cnnkit.evaluation import baseline, gate
from cnnkit.evaluation.baseline import Baseline


def grey(*levels, side=2):
    """An image of one grey for each level."""
    return np.broadcast_to(np.uint8(levels)[:, None, None, None], (len(levels), side, side, 1))


def always(*probabilities):
    return lambda batch: np.tile(np.float64([probabilities]), (len(batch), 1))


@pytest.fixture
def exam(shown, exam_of):
    """Dark ones are `a` and bright ones `b`, but 90 is `a` between two `b`; most are `b`; the network says `b`."""
    train = shown(grey(0, 10, 90, 80, 100, 200, 220, 255), [0, 0, 0, 1, 1, 1, 1, 1])
    asked = shown(grey(5, 91, 210, 250), [0, 0, 1, 1])
    return exam_of(asked, always(0.4, 0.6), train)


def test_each_method_is_judged_on_the_same_images(exam):
    found = Baseline().answered(exam)
    assert found["majority"]["accuracy"] == 0.5
    assert found["nearest_neighbour"]["accuracy"] == 1.0
    assert found["best"] == "nearest_neighbour"
    flat = np.float64([0, 10, 90, 80, 100, 200, 220, 255])[:, None].repeat(4, axis=1)
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(flat, [0, 0, 0, 1, 1, 1, 1, 1])
    asked = np.float64([5, 91, 210, 250])[:, None].repeat(4, axis=1)
    assert found["logistic_regression"]["accuracy"] == fitted.score(asked, [0, 0, 1, 1])
    assert (found["learnt_from"], found["images"]) == ([8, 8], [4, 4])
    assert set(gate.figures(found)) == set(Baseline().figures(["a", "b"]))


def test_what_the_network_adds_is_told_with_the_interval_of_the_pairs(exam):
    found = Baseline().answered(exam)
    assert found["network_adds"] == -0.5
    # Newcombe's of Wilson's: 0.15004 to 0.84996 for 2 of 4, 0.51011 to 1 for 4 of 4, which do not go together.
    below, above = 0.5 - 0.15004, np.hypot(0.84996 - 0.5, 1 - 0.51011)
    assert found["network_adds_interval"] == pytest.approx([-0.5 - below, -0.5 + above], abs=1e-4)
    assert found["p"] == 0.5  # both of two coins alike
    [line] = Baseline().lines(found)
    assert line == (
        "baseline: nearest neighbour on 2 x 2 pixels reaches 1.0000; the network is 0.5000 below that "
        f"(95 % interval of the difference {-0.5 - below:.4f} to {-0.5 + above:.4f}), which may be chance"
    )


def test_pixels_are_means_of_areas(shown):
    """4 x 2 pixels at 2 x 2: the mean of each pair."""
    image = np.uint8([[10, 20], [30, 50], [0, 100], [200, 255]])[None, ..., None]
    small = baseline._small(shown(image, [0]), [0], 2, Progress())
    assert small[0, :, :, 0].tolist() == [[20, 35], [100, 178]]


def test_of_many_images_it_learns_from_those_that_their_contents_choose(exam):
    found = Baseline(most=2).answered(exam)
    assert (found["learnt_from"], found["images"]) == ([2, 8], [2, 4])
    train = exam.of("train")
    turned = dataclasses.replace(train, numbers=list(reversed(train.numbers)))
    again = Baseline(most=2).answered(dataclasses.replace(exam, of=lambda split, most: turned))
    assert again == found
    [line] = Baseline().lines(found)
    assert line.endswith("learnt from 2 of the 8 training images; judged on 2 of 4 images")


def test_training_images_that_were_not_asked_for_count_too(exam):
    train = exam.of("train")
    few = dataclasses.replace(train, numbers=sorted(train.sample(2)), others=6)
    asked = []
    alone = dataclasses.replace(exam, of=lambda split, most: asked.append((split, most)) or few)
    assert Baseline(most=2).answered(alone) == Baseline(most=2).answered(exam)
    assert asked == [("train", 2)]


def test_images_that_it_learns_from_are_none_to_judge_it_by(shown, exam_of):
    """However they came among the others: two of the four that are asked about are training images."""
    train = shown(grey(0, 10, 200, 220), [0, 0, 1, 1])
    both = exam_of(shown(grey(10, 90, 200, 210), [1, 0, 0, 1]), always(0.4, 0.6), train)
    new = exam_of(shown(grey(90, 210), [0, 1]), always(0.4, 0.6), train)
    found, expected = Baseline().answered(both), Baseline().answered(new)
    assert found == expected | {"images": [2, 4], "known_from_training": 2}
    assert expected["known_from_training"] == 0
    [line] = Baseline().lines(found)
    assert line.endswith("; judged on 2 of 4 images, without the 2 that it learns from")


def test_where_all_images_are_those_that_it_learns_from_there_is_none(shown, exam_of):
    train = shown(grey(0, 10, 200, 220), [0, 0, 1, 1])
    found = Baseline().answered(exam_of(shown(grey(10, 220), [0, 1]), always(0.4, 0.6), train))
    assert list(Baseline().lines(found)) == ["no baseline: it would be judged on the images that it learns from"]


def test_of_one_class_there_is_no_regression_which_is_said(shown, exam_of):
    train = shown(grey(0, 10, 200, 220), [1, 1, 1, 1])
    found = Baseline().answered(exam_of(shown(grey(5, 210), [0, 1]), always(0.4, 0.6), train))
    assert next(Baseline().lines(found)).endswith("; not tried: logistic regression")


@pytest.mark.parametrize(
    ("train", "judged", "shape", "classes", "operations"),
    [
        (0, 0, (64, 64, 3), 4, 0),
        (224, 48, (64, 64, 3), 4, 48 * 224 * 768 + 100 * 4 * 224 * 768 * 4),
        (224, 48, (8, 8, 1), 2, 48 * 224 * 64 + 100 * 4 * 224 * 64 * 2),  # no pixels are made up
        (60_000, 10_000, (28, 28, 1), 10, 10_000 * 10_000 * 256 + 100 * 4 * 10_000 * 256 * 10),  # learns from 10,000
        # Of so many numbers and classes 100 steps would be too many.
        (10_000, 500, (64, 64, 3), 100, 500 * 10_000 * 768 + 65 * 4 * 10_000 * 768 * 100),
    ],
)
def test_what_it_may_cost_follows_from_counts(train, judged, shape, classes, operations):
    assert Baseline().operations(train, judged, shape, classes) == operations


def test_it_computes_in_one_thread(exam, monkeypatch):
    """Sums over several threads come in another order each time, and the others of the machine wait."""
    threads = []
    monkeypatch.setitem(
        baseline.METHODS,
        "majority",
        lambda x, y, asked: threads.extend(pool["num_threads"] for pool in threadpool_info()) or np.zeros(len(asked)),
    )
    before = threadpool_info()
    Baseline().answered(exam)
    assert set(threads) == {1}
    assert threadpool_info() == before


def test_training_images_that_are_gone_are_said(exam):
    def gone(split, most):
        raise DataError("3 of the 8 train images are gone", "data.source says where they are")

    found = Baseline().answered(dataclasses.replace(exam, of=gone))
    assert list(Baseline().lines(found)) == [
        "no baseline: the images of its training can't be read: 3 of the 8 train images are gone"
    ]


def test_of_the_training_split_there_is_none(exam):
    found = Baseline().answered(dataclasses.replace(exam, split="train"))
    assert list(Baseline().lines(found)) == ["no baseline: it would be judged on the images that it learns from"]


@pytest.mark.parametrize("step", ["_small", "_flat"])
def test_without_memory_for_it_it_fails_and_says_how_to_do_without(exam, monkeypatch, step):
    def full(*arguments):
        raise MemoryError

    monkeypatch.setattr(baseline, step, full)
    with pytest.raises(TrainingError, match=r"^out of memory\n--no-baseline evaluates without it$"):
        Baseline().answered(exam)
