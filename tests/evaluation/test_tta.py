"""Test-time augmentation against the same worked in NumPy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from sklearn.metrics import log_loss

from cnnkit.core.errors import UsageError
from cnnkit.data.augmentations.brightness import Brightness
from cnnkit.data.augmentations.flip import Flip
from cnnkit.data.augmentations.mix_up import MixUp
from cnnkit.data.augmentations.shift import Shift
from cnnkit.evaluation import gate
from cnnkit.evaluation.paired import mean_interval
from cnnkit.evaluation.tta import TestTimeAugmentation
from cnnkit.report.headline import SENTENCES

MIRRORED = Flip(probability=1.0)


def network(batch):
    """Of the second class as far as the left half is bright."""
    left = np.asarray(batch)[:, :, :4].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - left, left], axis=1)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (7, 8, 8, 1), dtype=np.uint8)


@pytest.fixture
def labels():
    return [0, 1, 1, 0, 1, 0, 0]


@pytest.mark.parametrize("views", [1, 4])
def test_the_views_and_the_image_itself_count_the_same(shown, exam_of, pixels, labels, views):
    exam = exam_of(shown(pixels, labels), network, augment=[MIRRORED])
    found = TestTimeAugmentation(views).answered(exam)
    plain = network(pixels)
    mean = (plain + views * network(pixels[:, :, ::-1])) / (views + 1)
    right, right_plain = mean.argmax(1) == labels, plain.argmax(1) == labels
    assert found["accuracy"] == np.mean(right) and found["plain"]["accuracy"] == np.mean(right_plain)
    assert found["adds"] == pytest.approx(np.mean(right) - np.mean(right_plain))
    assert found["log_loss"] == pytest.approx(log_loss(labels, mean))
    assert found["plain"]["log_loss"] == pytest.approx(log_loss(labels, plain))
    assert found["log_loss_reduction"] == pytest.approx(log_loss(labels, plain) - log_loss(labels, mean))
    assert found["times_the_computing"] == views + 1
    assert found["seconds_per_image"] > found["plain"]["seconds_per_image"] > 0


def test_an_image_has_the_same_views_whatever_it_is_among(shown, exam_of, pixels, labels):
    seen = {}

    def noting(batch):
        for image in np.asarray(batch):
            seen.setdefault(len(seen), image.tobytes())
        return network(batch)

    def views_of(order):
        seen.clear()
        exam = exam_of(shown(pixels[order], np.asarray(labels)[order]), noting, augment=[Shift(fraction=0.3)])
        seen.clear()
        TestTimeAugmentation(2).answered(exam)
        return set(seen.values())

    every = views_of(np.arange(7))
    assert views_of(np.arange(7)[::-1]) == every and views_of([2, 5]) < every
    assert len(every) > 7  # two views of an image differ


def test_what_blends_images_is_left_out_and_that_is_said(shown, exam_of, pixels, labels):
    question = TestTimeAugmentation(3)
    both = question.answered(exam_of(shown(pixels, labels), network, augment=[MixUp(), MIRRORED]))
    alone = question.answered(exam_of(shown(pixels, labels), network, augment=[MIRRORED]))
    assert both["left_out"] == ["mixup"] and both["augmentations"] == ["flip probability 1"]
    assert (both["accuracy"], both["log_loss"]) == (alone["accuracy"], alone["log_loss"])
    assert list(question.lines(both))[-1] == "  without mixup, which blends images with each other"
    assert list(SENTENCES["tta"](both)) == list(question.lines(both))


def told(adds, interval, saved=0.02, saved_interval=(0.01, 0.03)):
    found = {
        "views": 8,
        "augmentations": ["shift", "rotate degrees 10"],
        "left_out": [],
        "accuracy": 0.9 + adds,
        "plain": {"accuracy": 0.9, "log_loss": 0.3, "seconds_per_image": 0.0001},
        "adds": adds,
        "adds_interval": list(interval),
        "log_loss": 0.3 - saved,
        "log_loss_reduction": saved,
        "log_loss_reduction_interval": saved_interval,
        "times_the_computing": 9,
        "seconds_per_image": 0.00125,
    }
    return list(TestTimeAugmentation(8).lines(found))


def test_what_may_be_nothing_is_said_to_be_so():
    first, second, third = told(0.004, (-0.001, 0.009))
    assert first == (
        "tta: 8 augmented views (shift; rotate degrees 10) averaged with the plain one: accuracy 0.9040 in place of "
        "0.9000; adds 0.0040 (95 % interval -0.0010 to 0.0090), which may be chance"
    )
    assert second == "  log loss 0.2800 in place of 0.3000: 0.0200 less (95 % interval 0.0100 to 0.0300)"
    assert third == "  cost: 9 times the computing of the plain one; here 1.25 ms an image in place of 0.1 ms"
    assert told(0.004, (0.001, 0.007))[0].endswith("adds 0.0040 (95 % interval 0.0010 to 0.0070)")


def test_what_it_takes_away_is_said():
    first, second, _ = told(-0.02, (-0.03, -0.01), saved=-0.05, saved_interval=(-0.06, -0.04))
    assert first.endswith("takes 0.0200 away (95 % interval of the difference -0.0300 to -0.0100)")
    assert second == "  log loss 0.3500 in place of 0.3000: 0.0500 more (95 % interval 0.0400 to 0.0600)"
    assert told(0.0, (-0.1, 0.1), saved_interval=None)[1].endswith("0.0200 less")  # one image tells no interval


@pytest.mark.parametrize("views", [0, -1])
def test_no_view_is_refused(views):
    with pytest.raises(UsageError, match=f"--tta {views}: should be 1 view or more, such as 8"):
        TestTimeAugmentation(views)


@pytest.mark.parametrize(("augment", "why"), [((), "has no augmentation"), ((MixUp(),), "has none but what blends")])
def test_a_run_that_names_no_view_is_refused_with_what_to_do(augment, why):
    run = SimpleNamespace(
        folder="runs/first",
        files=SimpleNamespace(config=Path("runs/first/config.yaml")),
        experiment=SimpleNamespace(augment=augment),
    )
    with pytest.raises(UsageError, match=f"the training of runs/first {why}") as error:
        TestTimeAugmentation(8).refuse(run)
    assert str(error.value).endswith("cnnkit train runs/first/config.yaml --set 'augment=[{name: shift}]'")
    run.experiment.augment = (*augment, Brightness())
    TestTimeAugmentation(8).refuse(run)


def test_the_interval_of_a_mean_difference_is_that_of_the_t_test():
    differences = np.random.default_rng(1).normal(0.1, 1, 12)
    expected = ttest_1samp(differences, 0).confidence_interval(0.95)
    assert mean_interval(differences) == pytest.approx([expected.low, expected.high])
    assert mean_interval([0.3]) is None
    assert mean_interval([0.5, 0.5]) is None  # nothing tells how far others are from these


def test_a_gate_may_ask_for_what_it_adds(shown, exam_of, pixels, labels):
    exam = exam_of(shown(pixels, labels), network, augment=[MIRRORED])
    figures = gate.figures({"tta": TestTimeAugmentation(1).answered(exam)})
    assert {"tta.accuracy.low", "tta.adds", "tta.adds.low", "tta.log_loss_reduction.low"} <= figures.keys()
    assert figures.keys() == {f"tta.{name}" for name in TestTimeAugmentation(1).figures(["a", "b"])}
    gate.Gate.parsed("tta.seconds_per_image=1", over=True).refuse_unknown(list(figures))
