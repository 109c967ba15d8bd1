from __future__ import annotations

import measure_intervals
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 4, 10])
def test_intervals_hold_the_truth_as_often_as_they_say(classes):
    for name, share in measure_intervals.coverage(2000, 300, classes).items():
        assert 0.93 <= share <= 0.97, name


def test_some_intervals_hold_the_truth_about_as_often():
    """Of 100 right intervals fewer than 88 hold it once in a thousand times."""
    assert min(measure_intervals.coverage(100, 300, 3).values()) >= 0.88


@pytest.mark.parametrize(("sizes", "accuracy"), [([1, 20, 20], 0.8), ([1] * 12, 0.6)])
def test_intervals_of_means_over_classes_hold_the_truth_with_one_image_in_a_class(sizes, accuracy):
    share, true = measure_intervals.coverage_of_means(100, sizes, [accuracy] * len(sizes))["recall"]
    assert true == pytest.approx(accuracy) and share >= 0.88


@pytest.mark.parametrize(
    ("sizes", "accuracies"),
    [
        ([15, 1000], [0.95, 0.99]),
        ([30, 1000, 1000], [0.95, 0.99, 0.99]),
        ([20, 200, 200], [0.95, 0.97, 0.97]),
        ([50, 1000], [0.97, 0.99]),
    ],
)
def test_intervals_of_means_over_classes_hold_the_truth_with_a_small_class_that_often_has_no_mistake(sizes, accuracies):
    for name, (share, _) in measure_intervals.coverage_of_means(100, sizes, accuracies).items():
        assert share >= 0.88, name


@pytest.mark.slow
@pytest.mark.parametrize("accuracies", [[0.5, 0.5], [0.95, 0.99], [0.99, 0.99], [0.95, 0.5]])
@pytest.mark.parametrize("sizes", [[15, 200], [20, 1000], [30, 1000], [50, 200]])
def test_intervals_of_means_over_classes_hold_the_truth_whatever_the_sizes_beside_each_other(sizes, accuracies):
    for name, (share, _) in measure_intervals.coverage_of_means(300, sizes, accuracies).items():
        assert share >= 0.9, name


@pytest.mark.parametrize("accuracy", [0.5, 0.8, 0.95])
def test_intervals_of_the_f1_of_a_class_hold_it_however_few_images_it_has(accuracy):
    sizes = [1, 2, 3, 5, 10, 30, 249]
    for share, _ in measure_intervals.coverage_of_f1(300, sizes, [accuracy] * len(sizes)):
        assert share >= 0.9  # of 300 right ones fewer hold it once in a thousand times


@pytest.mark.slow
@pytest.mark.parametrize("smallest", [1, 2, 5, 10])
@pytest.mark.parametrize("accuracies", [[0.8, 0.8, 0.8], [0.98, 0.98, 0.98], [0.5, 0.95, 0.95]])
def test_intervals_of_means_over_classes_hold_the_truth_however_few_images_one_has(smallest, accuracies):
    for name, (share, _) in measure_intervals.coverage_of_means(300, [smallest, 30, 30], accuracies).items():
        assert share >= 0.9, name  # of 300 right ones fewer hold it once in a thousand times


@pytest.mark.slow
@pytest.mark.parametrize(("images", "spread", "too_sure"), [(45, 2, 1.0), (300, 2, 1.5), (300, 40, 0.1)])
def test_intervals_of_the_calibration_error_hold_it_whether_or_not_there_is_any(images, spread, too_sure):
    found = measure_intervals.coverage_of_ece(200, images, 4, spread, too_sure)
    assert found["held"] >= 0.89  # of 200 right ones fewer hold it once in a thousand times


def test_the_error_by_chance_is_that_of_a_calibrated_network():
    found = measure_intervals.coverage_of_ece(40, 300, 4)
    assert found["held"] >= 0.8
    assert found["ece"] == pytest.approx(found["ece_by_chance"], rel=0.12) and found["ece"] > 0.05


def test_intervals_of_areas_hold_the_truth_where_most_often_every_image_is_in_its_place():
    found = measure_intervals.coverage_of_areas(40, 60, 4, 0.004)
    assert 0.5 < found["perfect"] < 1
    assert min(found["roc_auc"], found["average_precision"]) >= 0.8


def test_intervals_of_areas_hold_the_truth_of_classes_with_few_images():
    for found in measure_intervals.coverage_of_uneven_areas(60, [1, 3, 10, 46], 2).values():
        assert min(*found["held"], found["mean"]) >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("apart", "wrong"), [(1, 0.0), (2, 0.0), (4, 0.1)])
def test_intervals_of_areas_under_roc_curves_hold_the_truth_with_one_image_of_a_class_as_with_many(apart, wrong):
    found = measure_intervals.coverage_of_uneven_areas(400, [1, 2, 3, 5, 10, 30, 249], apart, wrong)["roc_auc"]
    assert min(*found["held"], found["mean"]) >= 0.88


@pytest.mark.slow
def test_intervals_of_losses_hold_them_though_a_few_mistakes_make_most_of_them():
    """96 of 100 answers are right. Of 200 right intervals fewer hold it once in a thousand times."""
    assert min(measure_intervals.coverage_of_losses(200, 300, 4, 20, 1.0).values()) >= 0.89
