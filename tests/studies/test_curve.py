"""The learning curve: nested subsets, intervals, and what is said of more images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from scipy.optimize import curve_fit

from cnnkit import learning_curve, read
from cnnkit.core.progress import Progress
from cnnkit.studies import curve, material

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


def sentence(right, known=None):
    points = tuple(map(curve.point, SIZES, right, curve.luck(right)))
    return curve.LearningCurve("", right[0].shape[1], points, curve.continued(SIZES, right), known).sentence()


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
        ([0.7, 0.7, 0.7, 0.7], "would hardly help"),
        ([0.8, 0.75, 0.7, 0.65], "can't be told: the accuracy falls"),
        ([0.37, 0.48, 0.68, 0.98], "above the curve through all sizes: whether more images would help can't be told"),
    ],
)
def test_it_is_said_whether_more_images_would_help(accuracies, said):
    assert said in sentence(answers(accuracies, 10_000))


@pytest.mark.parametrize(
    ("accuracies", "known", "epochs"),
    [
        ([0.5, 0.6, 0.7, 0.78], 0.91, False),  # 9 points are lost on what it was trained on, 13 more on others
        ([0.5, 0.6, 0.7, 0.78], 0.87, True),  # 13 and 9 more
        ([0.5, 0.6, 0.7, 0.78], None, False),  # a fitted classifier is at its optimum
        ([0.7, 0.7, 0.7, 0.7], 0.7, False),
    ],
)
def test_where_most_mistakes_are_made_on_its_own_images_too_more_epochs_come_first(accuracies, known, epochs):
    said = sentence(answers(accuracies, 10_000), known)
    assert ("so may more epochs" in said and "the network tells 0.870 right" in said) is epochs
    assert said.endswith((": more images would help.", "other settings may.")) is not epochs


def test_a_flat_curve_is_told_alike_whichever_end_chance_lifts():
    random = np.random.default_rng(0)
    said = [
        sentence(flat) for flat in (answers([0.7] * 4, 10_000, seed=int(seed)) for seed in random.integers(0, 99, 8))
    ]
    assert all("would hardly help" in each for each in said)


def test_a_fit_is_that_of_scipy():
    accuracies = [0.61, 0.66, 0.72, 0.74]
    shares = np.array(SIZES) / 1000
    (a, b, c), _ = curve_fit(lambda n, a, b, c: a - b * n**-c, shares, accuracies, (0.8, 0.1, 0.5))
    assert curve.fit(SIZES, accuracies) == pytest.approx((a, b * 1000**c, c), rel=0.05)
    assert curve.at(curve.fit(SIZES, accuracies), 2000) == pytest.approx(a - b * 2**-c, abs=1e-3)


def test_a_fit_goes_to_no_more_than_1_and_never_falls():
    a, b, _ = curve.fit(SIZES, [[0.7, 0.8, 0.93, 0.999], [0.9, 0.8, 0.7, 0.6]])
    assert a == pytest.approx([1.0, 0.75])
    assert b[0] > 0 == b[1]


def test_few_judges_can_not_tell():
    right = answers([0.60, 0.63, 0.65, 0.66], 60, repeats=2)
    assert sentence(right).endswith(" now: whether more images would help can't be told for sure.")


def test_the_interval_of_the_whole_set_knows_of_the_luck_of_a_training():
    """Covers the truth in some 95 % of cases, not in all, where trainings scatter by 0.02, and 1,000 images judge."""
    random, covered = np.random.default_rng(0), 0
    for _ in range(400):
        right = [
            (random.random((repeats, 1000)) < 0.8 + random.normal(0, 0.02, (repeats, 1))).astype(float)
            for repeats in (2, 2, 2, 1)
        ]
        low, high = curve.point(1000, right[-1], curve.luck(right)[-1]).interval
        covered += low < 0.8 < high
    assert 0.9 < covered / 400 < 0.98


def test_the_interval_where_trainings_do_not_scatter_is_that_of_agresti_and_coull():
    right = np.array([[1.0] * 80 + [0.0] * 20])
    middle = 82 / 104
    half = NormalDist().inv_cdf(0.975) * (middle * (1 - middle) / 104) ** 0.5
    assert curve.point(50, right, 0.0).interval == pytest.approx((middle - half, middle + half))


def test_the_interval_of_what_is_always_right_ends_at_1_and_begins_below():
    low, high = curve.point(50, np.ones((1, 50)), 0.0).interval
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


def test_the_command_shows_the_sizes_and_a_sentence(config_of, command, monkeypatch):
    def classify(train, seed):
        return np.arange(5000) < 5000 * (0.9 - len(train) ** -0.5), 1.0

    monkeypatch.setattr(curve, "_trained", lambda data, progress: classify)
    code, out, _ = command("data", config_of(40), "--curve")
    assert code == 0
    assert "trainings of the config's network" in out
    assert "95 % interval" in out
    assert f"56     {0.9 - 56**-0.5:.3f}" in out
    assert f"With twice the images (112) about {0.9 - 112**-0.5:.3f} (" in out
    assert out.endswith(": more images would help.\n")


def test_too_few_images_have_no_curve(config_of, command):
    code, _, err = command("data", config_of(10), "--curve")
    assert code == 3
    assert err == "12 images to train on and 4 to choose by: a curve needs at least 40 and 1\n"


def test_classifiers_on_frozen_features_are_judged_on_validation_images(config_of, monkeypatch):
    data = material.material(read(config_of(40)), Progress())
    labels, validation = data.images.index.labels, data.numbers("validation")
    noise = np.random.default_rng(0).normal(0, 0.1, (len(labels), 3))
    features = np.float32(np.eye(2, 3)[labels] + noise)
    features[validation[0], :2] = features[validation[0], 1::-1]  # it looks like the other class
    monkeypatch.setattr(material, "features_of_backbone", lambda *more: features)
    right, known = curve._fitted(data, Progress())(data.numbers("train")[::2], 0)
    assert known is None and right.tolist() == [False] + [True] * (len(validation) - 1)


def test_a_training_is_told_which_images_learn_choose_and_judge(config_of, monkeypatch):
    data = material.material(read(config_of(40)), Progress())
    asked, seeds = [], []

    def trained(data, learns, chooses, judged, progress):
        asked.append((learns, chooses, judged))
        seeds.append(data.experiment.seed)
        said = data.images.index.labels[judged]
        said[-len(learns) : -len(learns) + 3] ^= 1  # three of its own it tells wrong
        return np.eye(2)[said]

    monkeypatch.setattr(material, "probabilities_of_training", trained)
    train = data.numbers("train")
    right, known = curve._trained(data, Progress())(train, 3)
    ((learns, chooses, judged),) = asked
    assert right.all() and len(right) == len(data.numbers("validation")) and known == 1 - 3 / len(learns)
    assert sorted(learns + chooses) == train and len(chooses) == pytest.approx(len(train) / 10, abs=1)
    assert (judged, seeds) == ([*data.numbers("validation"), *learns], [3])


@pytest.mark.slow
def test_the_curve_of_the_configs_network_is_measured_and_nothing_is_left(bright_and_dark, monkeypatch):
    monkeypatch.setattr(curve, "TRAINED", 1)
    found = learning_curve(read(bright_and_dark, "train.epochs=6", "train.optimizer={name: adam, learning_rate: 0.05}"))
    assert [(point.images, point.repeats) for point in found.points] == [(4, 1), (8, 1), (22, 1), (44, 1)]
    assert found.points[-1].accuracy > 0.9 and found.known > 0.9
    assert not Path("runs").exists()


def test_what_means_nothing_beside_a_curve_is_refused(config_of, command):
    code, _, err = command("data", config_of(2), "--curve", "--suspects", "folds")
    assert code == 2
    assert "--curve and --suspects are two questions" in err


def test_the_time_of_the_rest_is_told_by_the_line_through_what_was_measured():
    """2 s whatever the size and 10 s for all images: 3, 4, 7 and 12 s; the very first starts the network, 9 s more."""
    for repeats in (curve.TRAINED, 3, curve.FITTED):
        took = {0.1: [12.0, *[3.0] * (repeats - 1)], 0.2: [4.0] * repeats}
        assert curve.seconds_left(took, [0.5, 0.5, 1.0]) == pytest.approx(7 + 7 + 12)
    # By chance a smaller one took longer: none to come is taken to be faster than one that was.
    assert curve.seconds_left({0.1: [3.0], 0.2: [2.0]}, [0.5, 1.0]) == pytest.approx(3 + 3)
