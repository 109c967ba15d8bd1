"""The learning curve: nested subsets, intervals, and what is said of more images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnkit.studies import curve

SIZES = [100, 200, 500, 1000]


@dataclass
class Images:
    index: Any


@dataclass
class Data:
    """As much of `TrainingData` as subsets are chosen by."""

    images: Images
    of: list[str]

    def groups(self):
        return self.of


def answers(accuracies, judged=2000, repeats=3, seed=0):
    """Of each size, whether each validation image is told right, by chance."""
    random = np.random.default_rng(seed)
    return [(random.random((repeats, judged)) < accuracy).astype(float) for accuracy in accuracies]


def test_a_power_law_is_found_again():
    fitted = curve.fit(SIZES, [0.9 - 2 * n**-0.5 for n in SIZES])
    assert fitted == pytest.approx((0.9, 2, 0.5), rel=1e-3)
    assert curve.at(fitted, 2000) == pytest.approx(0.9 - 2 * 2000**-0.5, abs=1e-5)


def test_the_continuation_of_a_power_law_lies_in_its_interval():
    truth = {n: 0.9 - 3 * n**-0.5 for n in [*SIZES, 2000]}
    found = curve.continued(SIZES, answers([truth[n] for n in SIZES]))
    assert found.images == 2000
    assert found.interval[0] < truth[2000] < found.interval[1]
    assert 0 <= found.gain[0] < found.gain[1]


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ([0.5, 0.6, 0.7, 0.78], ": more images would help."),
        ([0.85, 0.948, 0.95, 0.95], "would hardly help"),
        ([0.8, 0.75, 0.7, 0.65], "can't be told: the accuracy does not rise"),
    ],
)
def test_it_is_said_whether_more_images_would_help(accuracies, said):
    right = answers(accuracies, 10_000)
    points = tuple(curve.point(*each) for each in zip(SIZES, right, strict=True))
    assert said in curve.Curve("", 10_000, points, curve.continued(SIZES, right)).sentence()


def test_few_judges_can_not_tell():
    right = answers([0.60, 0.63, 0.65, 0.66], 60, repeats=2)
    points = tuple(curve.point(*each) for each in zip(SIZES, right, strict=True))
    assert "can't be told" in curve.Curve("", 60, points, curve.continued(SIZES, right)).sentence()


def test_the_interval_of_one_repeat_is_that_of_agresti_and_coull():
    right = np.array([[1.0] * 80 + [0.0] * 20])
    middle = 82 / 104
    half = 1.96 * (middle * (1 - middle) / 104) ** 0.5
    assert curve.point(50, right).interval == pytest.approx((middle - half, middle + half))


def test_the_interval_of_what_is_always_right_ends_at_1_and_begins_below():
    low, high = curve.point(50, np.ones((1, 50))).interval
    assert low < 1.0 == high


def test_subsets_are_nested_stratified_and_tear_no_group(index_of):
    labels = [0] * 60 + [1] * 30
    groups = [str(i // 3) for i in range(90)]
    index = index_of(np.zeros((90, 2, 2, 3), np.uint8), labels)
    nested = curve.Nested(Data(Images(index), groups), list(range(90)), 0)
    before: set[int] = set()
    for share in curve.SHARES:
        chosen = nested.of(share)
        counts = Counter(labels[i] for i in chosen)
        assert counts == {0: 60 * share, 1: 30 * share}
        assert all(count == 3 for count in Counter(groups[i] for i in chosen).values())
        assert before <= set(chosen)
        before = set(chosen)
    other = curve.Nested(Data(Images(index), groups), list(range(90)), 1)
    assert other.of(0.5) != nested.of(0.5)
    assert other.of(1.0) == nested.of(1.0)


CONFIG = """\
data:
  source: {name: folder, path: photos}
  image_size: [8, 8]
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 1}
"""


@pytest.fixture
def config(image_folder, monkeypatch) -> Path:
    root = image_folder({"cat": 40, "dog": 40}, name="photos")
    monkeypatch.chdir(root.parent)
    Path("mine.yaml").write_text(CONFIG)
    return Path("mine.yaml")


def test_the_command_shows_the_sizes_and_a_sentence(config, command, monkeypatch):
    def classify(train, seed):
        return np.arange(8) < len(train) / 10

    monkeypatch.setattr(curve, "_trained", lambda data, progress: classify)
    code, out, _ = command("data", config, "--curve")
    assert code == 0
    assert "trainings of the config's network" in out
    assert "95 % interval" in out
    assert "more images would" in out


def test_what_means_nothing_beside_a_curve_is_refused(config, command):
    code, _, err = command("data", config, "--curve", "--suspects", "folds")
    assert code == 2
    assert "--curve and --suspects are two questions" in err
