from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm, skew
from scipy.stats import t as student
from sklearn import metrics as sklearn_metrics

from cnnkit.evaluation import metrics
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.intervals import Bootstrap, around_logit, interval, jeffreys, of_mean, wilson
from cnnkit.evaluation.ranking import Curve, areas

CLASSES = list("abcdefg")


def test_a_proportion_of_nothing_has_no_interval():
    assert wilson(0.5, 0) is None
    with pytest.raises(ValueError, match="of 0 images"):
        interval(0.5, 0)


def answers_of(images, classes, seed, ties=False):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, images)
    logits = random.normal(size=(images, classes)) + 1.5 * np.eye(classes)[labels]
    logits = np.round(logits) if ties else logits
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Answers(labels, probabilities, CLASSES[:classes])


@pytest.mark.parametrize(("classes", "ties"), [(2, False), (4, True), (7, False)])
def test_figures_are_those_of_scikit_learn(classes, ties):
    answers = answers_of(200, classes, classes, ties)
    labels, probabilities = answers.labels, answers.probabilities
    told, predicted, every = metrics.computed(answers), probabilities.argmax(1), np.arange(classes)
    assert told["balanced_accuracy"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(labels, predicted))
    for average in ("macro", "weighted"):
        found = sklearn_metrics.precision_recall_fscore_support(labels, predicted, average=average)[:3]
        assert [told[f"{average}_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(found)
    assert told["log_loss"] == pytest.approx(sklearn_metrics.log_loss(labels, probabilities, labels=every))
    one_hot = np.eye(classes)[labels]
    assert told["roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(one_hot, probabilities, average="macro"))
    areas = sklearn_metrics.average_precision_score(one_hot, probabilities, average="macro")
    assert told["average_precision"] == pytest.approx(areas)
    assert told["brier"] == pytest.approx(sum(np.sum((probabilities - one_hot) ** 2, 1)) / 200)
    assert told["top_k"] == (5 if classes > 5 else None)
    if classes > 5:
        wanted = sklearn_metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=every)
        assert told["top_k_accuracy"] == wanted
        assert told["top_k_accuracy_interval"][0] < wanted < told["top_k_accuracy_interval"][1]


@pytest.mark.parametrize(
    ("outputs", "cost"),
    [
        ([0.43, 0.28, 0.19, 0.88, 0.72, 0.01, 0.64, 0.86, 0.99, 0.63], 3.36),
        ([0.02, 0.03, 0.06, 0.97, 0.07, 0.02, 0.05, 0.06, 0.08, 0.04], 0.03),
    ],
)
def test_the_brier_score_is_the_sum_of_squares_over_the_classes(outputs, cost):
    """A worked example: ten outputs, of which the fourth should be 1 and the others 0."""
    answers = Answers(np.array([3]), np.array([outputs]), list("0123456789"))
    assert round(float(answers.squared_errors[0]), 2) == cost


def test_calibration_error_and_bins_by_hand():
    # Confidence 0.9 three times, right twice, in (13/15, 14/15]; 0.6 once, right, in (8/15, 9/15].
    answers = Answers(np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6]]), ["a", "b"])
    found = metrics.computed(answers)["calibration"]
    assert found["ece"] == pytest.approx((3 * abs(0.9 - 2 / 3) + 1 * abs(0.6 - 1)) / 4)
    held = [entry for entry in found["bins"] if entry["images"]]
    assert [(entry["images"], entry["accuracy"]) for entry in held] == [(1, 1.0), (3, pytest.approx(2 / 3))]
    assert len(found["bins"]) == 15
    assert found["bins"][0] == {
        "low": 0,
        "high": pytest.approx(1 / 15),
        "images": 0,
        "confidence": None,
        "accuracy": None,
    }


def test_the_calibration_error_of_a_bin_has_the_interval_of_its_accuracy():
    """All are answered with 0.9, and 60 of 100 rightly: it is 0.9 less the accuracy, whose test is the binomial one."""
    labels = np.r_[np.zeros(60, int), np.ones(40, int)]
    found = metrics.computed(Answers(labels, np.tile([0.9, 0.1], (100, 1)), ["a", "b"]))["calibration"]
    exact = binomtest(60, 100).proportion_ci(0.95, method="exact")
    assert found["ece_interval"] == pytest.approx([0.9 - exact.high, 0.9 - exact.low], abs=0.01)
    # The mean distance of a binomial share to its mean, by SciPy.
    distances = binom(100, 0.9).expect(lambda right: abs(right / 100 - 0.9))
    assert found["ece_by_chance"] == pytest.approx(distances, rel=0.05)


def test_a_calibration_error_that_chance_makes_may_be_none():
    """40 answers with 0.9, of which 35 are right: 0.025, and 36 would be none."""
    labels = np.r_[np.zeros(35, int), np.ones(5, int)]
    found = metrics.computed(Answers(labels, np.tile([0.9, 0.1], (40, 1)), ["a", "b"]))["calibration"]
    assert found["ece"] == pytest.approx(0.025)
    assert found["ece_interval"][0] == 0
    assert found["ece_by_chance"] > 0.025


def test_no_calibration_error_in_few_images_is_not_certainly_none():
    found = metrics.computed(Answers(np.zeros(30, int), np.tile([1.0, 0.0], (30, 1)), ["a", "b"]))["calibration"]
    exact = binomtest(30, 30).proportion_ci(0.95, method="exact")
    assert (found["ece"], found["ece_by_chance"]) == (0, 0)
    assert found["ece_interval"] == [0, pytest.approx(1 - exact.low, abs=0.01)]


@pytest.mark.parametrize("ties", [False, True])
def test_areas_and_what_an_image_adds_to_them_are_those_of_scikit_learn(ties):
    answers = answers_of(60, 2, 5, ties)
    one, scores = answers.labels == 1, answers.probabilities[:, 1]
    curve = Curve.of(one, scores)
    for area, (value, *of_cells) in (
        (sklearn_metrics.roc_auc_score, curve.roc()),
        (sklearn_metrics.average_precision_score, curve.precision_recall()),
    ):
        assert value == pytest.approx(area(one, scores), abs=1e-12)
        found, step = curve.by_weight(one, *of_cells), 1e-5
        for image in range(0, 60, 7):
            up, down = np.ones(60), np.ones(60)
            up[image], down[image] = 1 + step, 1 - step
            slope = (area(one, scores, sample_weight=up) - area(one, scores, sample_weight=down)) / (2 * step)
            assert found[image] == pytest.approx(slope, abs=1e-7)


def test_the_five_likeliest_of_equally_likely_ones_are_those_of_scikit_learn():
    random = np.random.default_rng(3)
    labels, probabilities = random.integers(0, 9, 300), random.integers(0, 3, (300, 9)) / 2
    told = metrics.computed(Answers(labels, probabilities, list("abcdefghi")))["top_k_accuracy"]
    assert told == sklearn_metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=np.arange(9))


def test_where_every_image_is_in_its_place_the_interval_is_of_all_that_one_could_have_taken_from_the_mean():
    """Ten classes of 27: one image that is taken for another class is the last of 27, and before 243 others."""
    labels = np.repeat(np.arange(10), 27)
    roc, precision = areas(labels, np.eye(10)[labels])
    taken = (1 / 27 + 1 / 243) / 10
    assert roc.mean_interval == pytest.approx([binomtest(243, 243).proportion_ci(0.95, method="wilson").low, 1])
    assert roc.count == round(1 / taken) == 243
    # With scikit-learn: the average precision of a class before which one other image is, of that whose last one it is.
    before = sklearn_metrics.average_precision_score([0] + [1] * 27, np.linspace(1, 0, 28))
    assert precision.count == round(10 / (1 - before + 1 / 27))
    assert roc.of_class_intervals[0][0] == pytest.approx(binomtest(27, 27).proportion_ci(0.95, method="wilson").low)


@pytest.mark.slow
def test_errors_are_those_of_images_that_are_drawn_anew():
    """The plain bootstrap, with scikit-learn, in 400 resamples: a standard error of a standard error of 4 %."""
    answers, random = answers_of(300, 4, 9), np.random.default_rng(1)
    labels, predicted = answers.labels, answers.predicted
    bootstrap, drawn = Bootstrap(answers.confusion()), [random.integers(0, 300, 300) for _ in range(400)]
    f1 = [sklearn_metrics.f1_score(labels[i], predicted[i], average="macro") for i in drawn]
    assert np.std(bootstrap.f1.mean(1)) == pytest.approx(np.std(f1), rel=0.15)
    balanced = [sklearn_metrics.balanced_accuracy_score(labels[i], predicted[i]) for i in drawn]
    assert np.std(bootstrap.recall.mean(1)) == pytest.approx(np.std(balanced), rel=0.15)
    drawn_areas = [areas(labels[i], answers.probabilities[i])[0].mean for i in drawn[:200]]
    assert np.sqrt(np.sum(answers.roc.by_weight**2)) == pytest.approx(np.std(drawn_areas), rel=0.2)


def test_the_same_answers_have_the_same_intervals_that_hold_their_figure():
    first, second = (metrics.computed(answers_of(80, 7, 3)) for _ in range(2))
    assert first == second
    for part in (first, first["calibration"], *first["classes"]):
        for name, ends in part.items():
            if name.endswith("_interval"):
                assert 0 <= ends[0] <= part[name.removesuffix("_interval")] <= ends[1], name
    assert all(f"{name}_interval" in first for name in ("accuracy", "macro_f1", "roc_auc", "log_loss", "brier"))


@pytest.mark.parametrize("of_class", [1, 3, 10])
def test_the_interval_of_an_area_holds_it_where_few_images_are_of_the_class(of_class):
    """Normal scores a standard deviation apart: the area is the normal distribution function at 1 / sqrt(2)."""
    random, true, held = np.random.default_rng(0), norm.cdf(2**-0.5), 0
    labels = np.r_[np.ones(of_class, int), np.zeros(100 - of_class, int)]
    for _ in range(100):
        scores = 1 / (1 + np.exp(-random.normal(labels)))
        low, high = areas(labels, np.stack([1 - scores, scores], 1))[0].of_class_intervals[1]
        held += low <= true <= high
    assert held >= 88  # of 100 right ones fewer hold it once in a thousand times


def test_one_image_of_a_class_leaves_its_area_and_the_mean_uncertain():
    """It beats 9 of 10 others; the variance of such an area is at most that of one answer (Birnbaum and Klose 1957)."""
    labels = np.r_[1, np.zeros(10, int)]
    scores = np.r_[0.85, np.arange(10) / 10]
    roc, _ = areas(labels, np.stack([1 - scores, scores], 1))
    assert roc.of_class[1] == pytest.approx(0.9)
    assert roc.of_class_intervals[1] == pytest.approx(list(interval(0.9, 1)))
    assert roc.mean_interval[0] <= roc.of_class_intervals[1][0]  # both classes have the same curve


def test_with_many_images_the_interval_of_an_area_is_that_of_delong():
    answers = answers_of(4000, 2, 1)
    one, scores = answers.labels == 1, answers.probabilities[:, 1]
    wins = (scores[one][:, None] > scores[~one]).astype(float)
    variance = np.var(wins.mean(1), ddof=1) / one.sum() + np.var(wins.mean(0), ddof=1) / (~one).sum()
    low, high = answers.roc.of_class_intervals[1]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.01)


def test_macro_recall_and_balanced_accuracy_are_one_number_with_one_interval():
    """Of the class of two images none is drawn in one of seven resamples."""
    labels = np.r_[np.zeros(20, int), np.ones(18, int), 2, 2]
    predicted = np.r_[np.zeros(16, int), np.ones(22, int), 2, 1]
    told = metrics.computed(Answers(labels, 0.9 * np.eye(3)[predicted] + 0.1 / 3, list("abc")))
    assert told["macro_recall"] == told["balanced_accuracy"]
    assert told["macro_recall_interval"] == told["balanced_accuracy_interval"]


def test_the_interval_of_few_is_jeffreys():
    # statsmodels 0.15.0: proportion_confint(count, nobs, method="jeffreys"), but for the ends at 0 and 1.
    low, high = jeffreys(np.array([0.0, 1.0, 3 / 7, 0.9]), np.array([1, 2, 7, 10]))
    assert low == pytest.approx([0.0, 0.3331782, 0.1388642, 0.6186852])
    assert high == pytest.approx([0.8532537, 1.0, 0.7654988, 0.9889883])


def test_f1_of_a_class_has_the_interval_of_the_share_that_it_follows_from():
    """Of the first class 8 images are right, 2 are taken for others, and 5 others for it: j is 8 / 15."""
    labels, predicted = np.repeat([0, 0, 1, 1], [8, 2, 5, 9]), np.repeat([0, 1, 0, 1], [8, 2, 5, 9])
    entry = metrics.computed(Answers(labels, 0.9 * np.eye(2)[predicted] + 0.05, list("ab")))["classes"][0]
    exact = binomtest(8, 15).proportion_ci(0.95, method="wilson")
    assert entry["f1"] == pytest.approx(2 * 8 / (2 * 8 + 2 + 5))
    assert entry["f1_interval"] == pytest.approx([2 * end / (1 + end) for end in (exact.low, exact.high)])


def test_many_classes_of_one_image_are_as_uncertain_as_so_many_images():
    """16 of 20 classes are answered rightly, each by its only image."""
    predicted = np.r_[np.arange(16), np.zeros(4, int)]
    confusion = np.zeros((20, 20), int)
    confusion[np.arange(20), predicted] = 1
    assert Bootstrap(confusion).macro_interval("recall") == pytest.approx([float(end) for end in jeffreys(0.8, 20)])


def test_one_image_of_a_class_leaves_the_mean_over_classes_as_uncertain_as_itself():
    """Of two classes one has a thousand images: nearly all that is uncertain is the other's only image."""
    low, high = Bootstrap(np.array([[1, 0], [0, 1000]])).macro_interval("recall")
    assert high == 1 and low == pytest.approx((1 + float(jeffreys(1.0, 1)[0])) / 2, abs=1e-3)


@pytest.mark.parametrize("figure", ["recall", "precision", "f1"])
@pytest.mark.parametrize("mistakes", [0, 1, 3])
def test_an_image_or_a_mistake_more_changes_the_interval_of_a_mean_over_classes_little(figure, mistakes):
    def width(size, mistakes):
        low, high = Bootstrap(np.array([[size - mistakes, mistakes], [10, 990]])).macro_interval(figure)
        return high - low

    widths = [width(size, mistakes) for size in range(6, 60)]
    assert all(0.8 * one < other <= 1.02 * one for one, other in pairwise(widths))
    more = [width(size, mistakes + 1) for size in range(6, 60)]
    assert all(0.9 * one < other < 1.9 * one for one, other in zip(widths, more, strict=True))


def test_nothing_is_certain_for_being_all_right_and_one_class_has_no_areas():
    told = metrics.computed(Answers(np.zeros(30, int), np.tile([0.9, 0.1], (30, 1)), ["a", "b"]))
    assert told["roc_auc"] is told["roc_auc_interval"] is told["average_precision"] is None
    assert told["classes"][1]["recall_interval"] is told["classes"][1]["f1_interval"] is None
    assert told["balanced_accuracy_interval"] == told["accuracy_interval"] == [pytest.approx(0.8865, abs=1e-4), 1.0]


def test_the_interval_of_a_mean_turns_halls_transformation_round():
    """At its ends T + g T^2 / 3 + g^2 T^3 / 27 + g / 6 is Student's t; T studentised, g the skewness of the mean."""
    values = np.random.default_rng(0).exponential(size=60)
    skewness, error = skew(values) / 60**0.5, np.std(values, ddof=1) / 60**0.5
    ends = of_mean(values)
    t = (values.mean() - np.array(ends)) / error
    transformed = t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6
    assert transformed == pytest.approx([student.ppf(0.975, 59), student.ppf(0.025, 59)], abs=1e-5)
    assert of_mean(np.r_[np.zeros(50), np.ones(50)]) == pytest.approx(student.interval(0.95, 99, 0.5, 0.5 / 99**0.5))
    assert of_mean(np.full(9, 0.1)) is None  # nothing tells how far others are from these


def test_of_few_even_losses_the_interval_is_students():
    low, high = student.interval(0.95, 2, 0.3, 0.1 / 3**0.5)
    assert of_mean(np.array([0.2, 0.3, 0.4])) == pytest.approx([max(0.0, low), high])
    assert of_mean(np.array([0.1, 0.3])) == [0.0, pytest.approx(0.2 + student.ppf(0.975, 1) * 0.1)]
    assert of_mean(np.array([0.1, 0.3]), 1.0) == [0.0, 1.0]


def test_the_interval_of_a_brier_score_stays_within_0_and_2():
    probabilities = np.array([[1.0, 0.0]] * 5 + [[0.0, 1.0]])
    told = metrics.computed(Answers(np.zeros(6, int), probabilities, ["a", "b"]))
    assert told["brier"] == pytest.approx(1 / 3)
    assert 0 <= told["brier_interval"][0] < 1 / 3 < told["brier_interval"][1] <= 2
    assert told["log_loss_interval"][1] <= -np.log(np.finfo(np.float64).eps)


@pytest.mark.parametrize("sure", [1.0, 1 - 1e-9, 0.99])
def test_losses_without_a_mistake_among_them_are_as_uncertain_as_the_share_of_mistakes(sure):
    """Of 45 that are all right another 7.9 % may be wrong, and then cost 2 (p1 - p2)."""
    told = metrics.computed(Answers(np.zeros(45, int), np.tile([sure, 1 - sure], (45, 1)), ["a", "b"]))
    wrong = 1 - binomtest(45, 45).proportion_ci(0.95, method="wilson").low
    assert told["brier_interval"][1] == pytest.approx(told["brier"] + wrong * 2 * (2 * sure - 1))
    cost = np.log(sure) - np.log(max(1 - sure, np.finfo(np.float64).eps))
    assert told["log_loss_interval"][1] == pytest.approx(told["log_loss"] + wrong * cost)


@pytest.mark.parametrize("sure", [1.0, 1 - 1e-9, 0.99])
def test_losses_without_a_right_answer_among_them_are_as_uncertain_as_the_share_of_mistakes(sure):
    """Of 45 that are all wrong another 7.9 % may be right, and then cost 2 (p1 - p2) less."""
    told = metrics.computed(Answers(np.ones(45, int), np.tile([sure, 1 - sure], (45, 1)), ["a", "b"]))
    right = binomtest(0, 45).proportion_ci(0.95, method="wilson").high
    low, high = told["brier_interval"]
    assert (low, high) == pytest.approx((told["brier"] - right * 2 * (2 * sure - 1), told["brier"]))
    saved = np.log(sure) - np.log(max(1 - sure, np.finfo(np.float64).eps))
    assert told["log_loss_interval"] == pytest.approx([told["log_loss"] - right * saved, told["log_loss"]])


def test_losses_that_are_alike_whichever_class_is_right_have_no_interval():
    told = metrics.computed(Answers(np.arange(40) % 4, np.full((40, 4), 0.25), list("abcd")))
    assert told["log_loss"] == pytest.approx(np.log(4)) and told["brier"] == pytest.approx(0.75)
    assert told["log_loss_interval"] is told["brier_interval"] is None


def test_intervals_stay_where_their_figure_can_be():
    assert 0 < around_logit(0.999, 0.01, 10)[0] < 0.999 < around_logit(0.999, 0.01, 10)[1] < 1
    assert of_mean(np.array([0.0, 0.0, 9.0]))[0] >= 0
    assert of_mean(np.array([1.0])) is None
