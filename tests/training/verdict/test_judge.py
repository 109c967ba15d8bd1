from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnnkit.config.file import read
from cnnkit.evaluation.intervals import interval
from cnnkit.optimization.losses import BinaryCrossEntropy, CrossEntropy, Focal
from cnnkit.training.verdict import judge
from cnnkit.training.verdict.course import Guess, _simpler

E = np.arange(1, 31)
"""Thirty epochs."""

FALLING = 2.2 / E**0.8
"""A loss as training has it where all is well."""

SEEDS = range(40)


def kinds(course):
    return [remark.kind for remark in judge.remarks(course)]


def told(course):
    return "\n".join(remark.line() for remark in judge.remarks(course))


def noisy(values, share, seed):
    """With noise of a share of each value, never below a tenth of it."""
    values = np.asarray(values, np.float64)
    return np.maximum(values * (1 + np.random.default_rng(seed).normal(0, share, len(values))), 0.1 * values)


def valley(at, end, low=0.5, epochs=30):
    """A loss of validation that falls from 2 to `low` in epoch `at`, and rises to `end`."""
    down = low + (2 - low) * np.exp(-4 * np.arange(at) / at)
    return np.concatenate([down, np.linspace(down[-1], end, epochs - at + 1)[1:]])


def share_of(kind, courses):
    return np.mean([kind in kinds(course) for course in courses])


# Overfitting


@pytest.mark.parametrize(("at", "end"), [(8, 0.9), (15, 1.2), (4, 1.0)])
def test_overfitting_is_told_with_the_epoch_from_which_on_it_is_so(course, at, end):
    for seed in SEEDS:
        found = judge.remarks(course(FALLING / 3, noisy(valley(at, end), 0.03, seed)))
        assert [remark.kind for remark in found] == ["overfits"]
        epoch = int(found[0].message.split("from epoch ")[1].split(" ")[0])
        assert abs(epoch - at - 1) <= 3


def test_the_loss_of_training_that_is_told_to_fall_does_so_in_the_figures(course):
    loss = np.linspace(0.9, 0.5, 30)
    loss[7] = 0.3  # a lucky epoch at the valley
    [remark] = judge.remarks(course(loss, valley(8, 0.9), accuracy=np.full(30, 0.95), val_accuracy=np.full(30, 0.9)))
    before, after = remark.message.split("that of training falls from ")[1].split(";")[0].split(" to ")
    assert remark.kind == "overfits" and float(before) > float(after)


def test_figures_of_overfitting_are_those_of_the_epochs(course):
    said = told(course(FALLING / 3, valley(8, 0.9)))
    assert "overfits from epoch 9 on: the loss of validation rises from 0.5" in said


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3])
def test_noise_alone_is_not_called_overfitting(course, noise):
    flat = np.full(30, 0.6)
    assert share_of("overfits", [course(FALLING / 3, noisy(flat, noise, seed)) for seed in range(100)]) <= 0.01
    falls = 0.4 + FALLING / 2
    assert share_of("overfits", [course(FALLING / 3, noisy(falls, noise, seed)) for seed in range(100)]) <= 0.01


@pytest.mark.parametrize(
    "val_loss",
    [
        valley(8, 0.515),  # 3 % more
        np.full(30, 0.01) + np.linspace(0, 0.02, 30),  # three times as much of next to nothing
        np.concatenate([valley(20, 0.5, epochs=20), np.full(10, 0.5)]),
        np.concatenate([[9.0, 0.6, 7.0, 0.6], np.full(26, 0.55)]),  # as where batch normalisation begins
    ],
)
def test_what_hardly_rises_is_not_overfitting(course, val_loss):
    assert "overfits" not in kinds(course(FALLING / 3, val_loss))


def test_where_training_rises_too_it_is_not_overfitting(course):
    assert "overfits" not in kinds(course(valley(8, 0.9), valley(8, 1.0)))


def test_where_accuracy_rises_all_the_same_it_is_certainty_that_is_named(course):
    rising = np.linspace(0.5, 0.95, 30)
    remark = judge.remarks(course(FALLING / 3, valley(8, 0.9), val_accuracy=rising))[0]
    assert "gets too sure" in remark.message
    assert remark.settings == ("train.loss.label_smoothing=0.1",)
    assert "more images" not in remark.advice


def test_certainty_is_not_all_that_is_named_where_images_were_learnt_by_heart_too(course):
    made = course(FALLING / 3, valley(8, 0.9), accuracy=np.full(30, 0.99), val_accuracy=np.linspace(0.5, 0.7, 30))
    [remark] = judge.remarks(made)
    assert "gets too sure" in remark.message
    assert "in training and 0.6759 in validation: more images help most against that" in remark.advice
    assert "holds that down: --set train.loss.label_smoothing=0.1; and in the middle" in remark.advice
    assert remark.line().endswith("against that")


def test_the_epoch_of_the_least_loss_is_proposed_unless_it_is_kept(course):
    smoothed = {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}}
    made = course(FALLING / 3, valley(8, 0.9), val_accuracy=np.linspace(0.5, 0.95, 30), train=smoothed)
    assert told(made).endswith("keep the epoch of the least loss: --set train.checkpoint.monitor=val_loss")
    least = 1 + int(np.argmin([epoch["val_loss"] for epoch in made.epochs]))
    assert told(replace(made, kept=least)).endswith(
        f"gets too sure; epoch {least}, which is kept, has the least loss of validation"
    )


@pytest.mark.parametrize(
    ("smoothing", "before"),
    [(0.1, ""), (0.0, "label smoothing holds that down: --set train.loss.label_smoothing=0.1; ")],
)
def test_who_keeps_the_epoch_of_the_least_loss_is_told_that_accuracy_rose_behind_it(course, smoothing, before):
    asked = {"loss": {"name": "cross_entropy", "label_smoothing": smoothing}, "checkpoint": {"monitor": "val_loss"}}
    made = course(FALLING / 3, valley(8, 0.9), val_accuracy=np.linspace(0.5, 0.95, 30), train=asked)
    assert told(replace(made, kept=8)).endswith(
        f"gets too sure; {before}epoch 8, which is kept, has the least loss of validation; where right answers matter "
        "more than probabilities, keep the epoch of the best accuracy: --set train.checkpoint.monitor=val_accuracy"
    )


def test_a_smaller_network_is_proposed_and_a_pretrained_one_where_it_is_not(course):
    mixup = ({"name": "mixup", "alpha": 0.2},)
    made = course(FALLING / 3, FALLING / 3, np.full(30, 0.9), np.full(30, 0.6), augment=mixup)
    assert "more images help most; a pretrained or a smaller network may help too" in told(made)


def test_the_first_thing_that_helps_is_what_is_not_done_yet(course):
    curves = FALLING / 3, valley(8, 0.9)
    assert "augment=[{name: shift" in told(course(*curves))
    shift = {"name": "shift", "fraction": 0.1}
    assert "mixup" in told(course(*curves, augment=(shift,)))
    mixes = ({"name": "shift", "fraction": 0.1}, {"name": "mixup", "alpha": 0.2})
    assert "--set" not in told(course(*curves, augment=mixes))


# Too few epochs


@pytest.mark.parametrize("epochs", [2, 3, 5, 10, 20])
def test_a_training_that_still_gets_better_is_to_have_twice_the_epochs(course, epochs):
    falls = 2.2 / np.arange(1, epochs + 1) ** 0.6
    remark = judge.remarks(course(falls, falls))[0]
    assert (remark.kind, remark.settings) == ("still_improving", (f"train.epochs={2 * epochs}",))


def test_noise_does_not_hide_that_it_still_gets_better(course):
    falls = np.linspace(2.2, 0.5, 20)
    assert share_of("still_improving", [course(falls, noisy(falls, 0.01, seed)) for seed in range(100)]) >= 0.9


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("epochs", [8, 12, 30])
def test_what_has_come_to_rest_does_not_still_get_better(course, noise, epochs):
    rest = 0.7 + 1.4 * np.exp(-np.arange(epochs) * 8 / epochs)
    courses = [course(rest, noisy(rest, noise, seed)) for seed in range(100 if noise else 1)]
    assert share_of("still_improving", courses) <= 0.02


def test_where_all_training_images_are_known_more_epochs_bring_nothing(course):
    falls = np.linspace(1.2, 0.5, 20)
    assert "still_improving" not in kinds(course(falls / 100, falls, accuracy=np.full(20, 0.995)))


def test_a_training_that_was_stopped_early_is_not_to_have_more_epochs(course):
    falls = np.linspace(2.2, 0.5, 10)
    patient = {"early_stopping": {"patience": 4}}
    assert "still_improving" not in kinds(course(falls, falls, planned=30, train=patient))


# The learning rate


def test_a_loss_that_jumps_has_too_high_a_rate(course):
    loss = FALLING.copy()
    loss[[9, 20]] = 1.5, 1.9
    remark = judge.remarks(course(loss, loss + 0.05))[0]
    assert (remark.kind, remark.settings) == ("rate_too_high", ("train.optimizer.learning_rate=0.00033",))
    assert "in epoch 10 from 0.379 to 1.5 and in epoch 21 from 0.2 to 1.9" in remark.message


def test_the_setting_of_a_rate_that_is_scaled_is_what_is_to_be_set(course):
    scaled = {"gradient_accumulation": 400, "scale_learning_rate_with_batch": True}
    losses = [2.3, 190, 200], [190, 200, 160]
    [remark] = judge.remarks(course(*losses, [0.1, 0.2, 0.3], [0.1, 0.2, 0.3], train=scaled, rates=[0.05] * 3))
    assert (remark.kind, remark.settings) == ("rate_too_high", ("train.optimizer.learning_rate=2e-05",))
    assert "the learning rate, 0.05 (with images an update; 0.001 is set), is too high" in remark.message


def test_a_rate_that_is_far_too_high_is_all_that_is_said(course):
    sgd = {"optimizer": {"name": "sgd", "learning_rate": 1000.0}}
    losses = [6e4, 4e4, 2.7e4, 1e4, 5e3], [4.5e4, 3e4, 2e4, 9e3, 4e3]
    [remark] = judge.remarks(course(*losses, np.linspace(0.1, 0.3, 5), np.linspace(0.1, 0.3, 5), train=sgd))
    assert (remark.kind, remark.settings) == ("rate_too_high", ("train.optimizer.learning_rate=0.01",))
    assert "the learning rate, 1000, is too high" in remark.message


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_noise_of_the_loss_is_no_jump(course, noise):
    courses = [course(noisy(FALLING, noise, seed), FALLING + 0.05) for seed in range(100)]
    assert share_of("rate_too_high", courses) <= 0.01


def test_a_loss_that_rises_with_the_rate_does_not_jump(course):
    rates = np.tile(np.linspace(1e-3, 1e-5, 10), 3)  # as cosine with restarts has it
    loss = np.tile(np.linspace(1.5, 0.3, 10), 3)
    assert "rate_too_high" not in kinds(course(loss, loss, rates=rates))


def test_a_single_jump_that_is_made_good_is_none(course):
    loss = FALLING.copy()
    loss[9] = 1.5
    assert "rate_too_high" not in kinds(course(loss, FALLING + 0.05))


def test_validation_that_is_all_noise_to_the_end_makes_the_best_epoch_one_of_luck(course):
    shaky = [course(FALLING / 2, noisy(np.full(30, 0.6), 0.5, seed)) for seed in range(50)]
    assert share_of("shaky", shaky) >= 0.8
    calm = [course(FALLING / 2, noisy(np.full(30, 0.6), 0.1, seed)) for seed in range(100)]
    assert share_of("shaky", calm) <= 0.01


LOW = {"optimizer": {"name": "adam", "learning_rate": 1e-5}}


def test_a_straight_slow_line_has_too_low_a_rate(course):
    line = np.linspace(2.3, 1.9, 20)
    remark = judge.remarks(course(line, line, train=LOW))[0]
    assert (remark.kind, remark.settings) == ("rate_too_low", ("train.optimizer.learning_rate=0.0001",))


def test_a_slow_line_under_a_rate_that_falls_is_as_straight(course):
    rates = 1e-5 * np.cos(np.linspace(0, np.pi / 2, 20)) ** 2 + 1e-9
    line = 2.3 - 0.4 * np.cumsum(rates) / rates.sum()
    assert kinds(course(line, line, rates=rates, train=LOW)) == ["rate_too_low"]


def test_a_hard_task_with_a_usual_rate_is_not_called_slow(course):
    line = np.linspace(2.3, 1.9, 20)
    assert "rate_too_low" not in kinds(course(line, line))


def test_a_loss_that_falls_fast_at_first_has_no_low_rate(course):
    bent = 1.6 + 0.7 * np.exp(-np.arange(20) / 4)
    assert "rate_too_low" not in kinds(course(bent, bent, train=LOW))


# Nothing learnt


CHANCE = np.full(10, np.log(10))


def test_where_nothing_is_learnt_the_reasons_come_in_order(course):
    [remark] = judge.remarks(course(noisy(CHANCE, 0.001, 1), CHANCE + 0.01))
    assert remark.kind == "at_chance"
    assert remark.advice.startswith("probable reasons, in order: (1) labels that do not belong to the images")


@pytest.mark.parametrize(
    ("rate", "loss", "first", "setting"),
    [
        (1.0, CHANCE + np.r_[300, np.zeros(9)], "a learning rate that is too high, 1, with a loss of up to 302", 0.001),
        (1e-3, CHANCE + np.r_[9, np.zeros(9)], "a learning rate that is too high, 0.001", 0.0001),
        (
            1e-6,
            CHANCE - np.linspace(0, 0.01, 10),
            "a learning rate that is too low, 1e-06, with a loss that falls all",
            0.001,
        ),
    ],
)
def test_a_rate_that_is_far_off_is_the_first_reason(course, rate, loss, first, setting):
    [remark] = judge.remarks(
        course(loss, CHANCE, train={"optimizer": {"name": "adam", "learning_rate": rate}}, accuracy=np.full(10, 0.1))
    )
    assert f"in order: (1) {first}" in remark.advice
    assert remark.settings == (f"train.optimizer.learning_rate={setting:g}",)


def test_images_that_are_nearly_constant_are_the_first_reason(course):
    [remark] = judge.remarks(course(CHANCE, CHANCE, faint="the images are nearly the same everywhere"))
    assert "in order: (1) the images are nearly the same everywhere; (2) labels" in remark.advice


def test_what_does_not_hold_for_validation_has_labels_as_its_first_reason(course):
    accuracy = np.linspace(0.1, 0.95, 30)
    [remark] = judge.remarks(course(FALLING, 2.3 + E / 10, accuracy, np.full(30, 0.11)))
    assert remark.kind == "by_heart_alone"
    assert "accuracy 0.9207, does not hold for those of validation: 0.1100" in remark.message
    assert "in order: (1) labels that do not belong to the images" in remark.advice


def test_a_training_that_has_only_just_begun_is_the_first_reason_before_labels(course):
    def first_of(epochs):
        accuracy = np.linspace(0.1, 0.6, epochs)
        [remark] = judge.remarks(course(FALLING[:epochs], 2.3 + E[:epochs] / 10, accuracy, np.full(epochs, 0.11)))
        assert remark.kind == "by_heart_alone" and "labels that do not belong to the images" in remark.advice
        return remark.advice.partition("(1) ")[2].partition(";")[0], remark.settings

    words = "a training that is too short to tell, 128 updates in 4 epochs: --set train.epochs=16"
    assert first_of(4) == (words, ("train.epochs=16",))
    assert first_of(8)[0].startswith("labels that do not belong")


def test_labels_that_a_simple_method_learns_are_no_reason(course):
    accuracy, reaches = np.linspace(0.1, 0.95, 30), "logistic regression on small pixels reaches 0.7895"
    [remark] = judge.remarks(course(FALLING, 2.3 + E / 10, accuracy, np.full(30, 0.11), simpler=reaches))
    assert f"a network that does not suit, as {reaches}" in remark.advice and "labels that" not in remark.advice
    [remark] = judge.remarks(course(CHANCE, CHANCE, accuracy=np.full(10, 0.1), simpler=reaches))
    assert "labels that" not in remark.advice


def test_only_what_is_surely_better_than_one_class_counts_as_simpler():
    def told(low):
        shares = {"majority": {"accuracy": 0.1, "accuracy_interval": [0.07, 0.14]}}
        shares |= {"nearest_neighbour": {"accuracy": 0.5, "accuracy_interval": [low, 0.9]}}
        return _simpler({"baseline": {"best": "nearest_neighbour", **shares}})

    assert (told(0.2), told(0.13)) == ("nearest neighbour on small pixels reaches 0.5000 of the test images", "")
    assert _simpler({}) == _simpler({"baseline": {"impossible": "no images"}}) == ""


def test_an_epoch_that_may_be_better_than_a_guess_makes_few_images_the_first_reason(course):
    # Of 500 images with ten even classes a guess has 0.1 with a standard deviation of 0.0134: 2.7 of them are no proof.
    accuracy, validated = np.linspace(0.1, 0.95, 30), np.full(30, 0.11)
    validated[4] = 0.1 + 2.7 * np.sqrt(0.1 * 0.9 / 500)
    [remark] = judge.remarks(course(FALLING, 2.3 + E / 10, accuracy, validated))
    assert remark.kind == "by_heart_alone"
    assert "in order: (1) too few images of validation to tell, 500: the best epoch reaches 0.1362" in remark.advice


def test_where_most_epochs_are_a_little_better_than_a_guess_labels_are_the_last_reason(course):
    # Of 39 images with two even classes a guess has 0.5 with a standard deviation of 0.08: here 1.6 and 0.5 of them.
    def first_and_last(share):
        [remark] = judge.remarks(
            course(FALLING, 0.7 + E / 10, np.linspace(0.5, 0.95, 30), np.full(30, share), classes=2, images=(200, 39))
        )
        return [
            each.split(":")[0][4:30] for each in remark.advice.removeprefix("probable reasons, in order: ").split("; ")
        ]

    assert first_and_last(0.63) == [
        "too few images of validati",
        "images or labels of valida",
        "labels that do not belong ",
    ]
    assert first_and_last(0.54) == ["labels that do not belong ", "images or labels of valida"]


def test_of_shuffled_labels_few_images_that_are_a_guess_leave_the_labels_first(course):
    # 32 of 90 right with three even classes: a guess has as many or more once in three times (p = 0.36).
    curves = FALLING, 1.1 + E / 30, np.linspace(0.34, 0.58, 30), np.full(30, 16 / 45)
    [remark] = judge.remarks(course(*curves, classes=3, images=(210, 45), test=of_test(16 / 45, 45, 1 / 3)))
    assert "is not surely more than a guess on those of validation: 0.3556" in remark.message
    assert "in order: (1) labels that do not belong" in remark.advice
    assert "(2) too few images of validation to tell, 45" in remark.advice


def test_one_epoch_at_chance_says_nothing_yet(course):
    assert kinds(course(CHANCE[:1], CHANCE[:1])) == []


def test_a_little_more_than_chance_is_not_nothing(course):
    accuracy = np.linspace(0.1, 0.2, 10)
    assert "at_chance" not in kinds(course(CHANCE - 0.1, CHANCE - 0.1, accuracy, accuracy))


# Little learnt, or all well


def test_a_network_that_can_not_do_more_underfits(course):
    rest = 1.2 + np.exp(-np.arange(20))
    remark = judge.remarks(course(rest, rest + 0.02, np.full(20, 0.55), np.full(20, 0.54)))[0]
    assert (remark.kind, remark.settings) == ("underfits", ("model={name: resnet, depth: 20}",))
    shift = ({"name": "shift", "fraction": 0.3},)
    remark = judge.remarks(course(rest, rest + 0.02, np.full(20, 0.55), np.full(20, 0.54), augment=shift))[0]
    assert remark.settings == ("augment=[]",)
    absolute = {"loss": {"name": "mean_absolute_error"}}
    remark = judge.remarks(course(rest, rest + 0.02, np.full(20, 0.55), np.full(20, 0.54), train=absolute))[0]
    assert remark.settings == ("train.loss={name: cross_entropy}",)


LENET_ON_DIGITS = [2.248, 2.014, 1.740, 1.488, 1.310, 1.193, 1.123, 1.082, 1.062, 1.056]
"""By SGD at a tenth of the usual rate, and a cosine; at the usual one it comes to 0.15."""


@pytest.mark.parametrize(("rate", "setting"), [(1e-3, "train.optimizer.learning_rate=0.01"), (5e-3, "train.epochs=20")])
def test_what_a_falling_rate_has_brought_to_rest_is_not_the_fault_of_the_network(course, rate, setting):
    loss, accuracy = np.array(LENET_ON_DIGITS), np.linspace(0.6, 0.8, 10)
    rates = rate * (1 + np.cos(np.pi * np.arange(1, 11) / 10)) / 2
    sgd = {"optimizer": {"name": "sgd", "learning_rate": rate}}
    [remark] = judge.remarks(course(loss, loss, accuracy, accuracy, rates=rates, train=sgd))
    assert (remark.kind, remark.settings) == ("underfits", (setting,))
    assert "before a larger network" in remark.advice


def test_what_has_had_a_few_updates_is_not_the_fault_of_the_network(course):
    made = course(np.full(6, 1.2), np.full(6, 1.2), np.full(6, 0.55), np.full(6, 0.54))
    for updates, epoch in enumerate(made.epochs, start=1):
        epoch["step"] = updates
    [remark] = judge.remarks(made)
    assert (remark.kind, remark.settings) == ("underfits", ("train.epochs=12",))
    assert "6 updates only" in remark.advice


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05])
def test_where_all_is_well_that_is_said_and_nothing_else(course, noise):
    well = 0.05 + 2.2 * np.exp(-E / 3)
    courses = [course(noisy(well, noise, seed), noisy(well + 0.03, noise, seed + 1)) for seed in SEEDS]
    assert share_of("sound", courses) >= 0.95


# What is set, and what a guess reaches


def test_every_setting_that_is_proposed_is_right_for_the_config(course, tmp_path):
    shift, steps = {"name": "shift", "fraction": 0.1}, []
    line = np.linspace(2.3, 1.9, 20)
    for made in (
        course(FALLING / 3, valley(8, 0.9)),
        course(FALLING / 3, valley(8, 0.9), augment=(shift,)),
        course(FALLING / 3, valley(8, 0.9), val_accuracy=np.linspace(0.5, 0.9, 30)),
        course(line, line),
        course(line, line, train=LOW),
        course(CHANCE, CHANCE),
        course(FALLING / 2, noisy(np.full(30, 0.6), 0.5, 1), train={"schedule": {"name": "constant"}}),
    ):
        steps += [setting for remark in judge.remarks(made) for setting in remark.settings]
    (tmp_path / "x.yaml").write_text("data: {source: {name: digits}}\nmodel: {name: lenet}\n")
    assert len(steps) == 8
    for setting in steps:
        read(tmp_path / "x.yaml", setting)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_guess_has_the_entropy_of_the_labels_as_its_loss(smoothing):
    shares = np.array([0.5, 0.3, 0.2])
    smoothed = (1 - smoothing) * shares + smoothing / 3
    guess = Guess.of(CrossEntropy(label_smoothing=smoothing), [50, 30, 20], [50, 30, 20])
    assert guess.loss == pytest.approx(-np.sum(smoothed * np.log(smoothed)), rel=1e-5)
    assert (guess.accuracy, guess.images) == (0.5, 100)


def test_a_guess_of_two_classes_with_one_logit_and_of_focal_loss():
    assert Guess.of(BinaryCrossEntropy(), [9, 1], [9, 1]).loss == pytest.approx(-0.9 * np.log(0.9) - 0.1 * np.log(0.1))
    assert Guess.of(Focal(gamma=2), [5, 5], [5, 5]).loss == pytest.approx(0.25 * np.log(2), rel=1e-5)


# Learnt by heart, though nothing rises


def of_validation(accuracy, images):
    return {"accuracy": accuracy, "accuracy_interval": interval(accuracy, images)}


LEVEL = np.full(30, 0.6)


@pytest.mark.parametrize(
    ("training", "images", "said"),
    [(0.999, 200, "by_heart"), (0.93, 200, "sound"), (0.93, 10, "sound"), (0.96, 10, "perhaps_by_heart")],
)
def test_training_far_above_validation_is_named_where_it_is_more_than_chance(course, training, images, said):
    accuracies = np.full(30, training), np.full(30, 0.85)
    assert kinds(course(FALLING / 3, LEVEL, *accuracies, images=(1000, images))) == [said]


def test_of_few_validation_images_no_gap_is_told_as_certain(course):
    accuracies = np.full(30, 1.0), np.full(30, 0.5)
    assert kinds(course(FALLING / 3, LEVEL, *accuracies, images=(1000, 29))) == ["perhaps_by_heart"]
    assert kinds(course(FALLING / 3, LEVEL, *accuracies, images=(1000, 30))) == ["by_heart"]


def test_without_a_gap_in_truth_images_are_seldom_called_learnt_by_heart(course):
    """Both looks together err once in forty times: of 600 more than 26 are wrong once in a thousand times."""
    random, found = np.random.default_rng(0), []
    for _ in range(600):
        trained, validated, kept = random.binomial(210, 0.85) / 210, *(random.binomial(45, 0.85, 2) / 45)
        curves = np.full(30, trained), np.full(30, validated)
        made = course(FALLING / 3, LEVEL, *curves, images=(210, 45), validation=of_validation(kept, 45))
        found.append(judge.fitting._learnt_by_heart(made) is not None)
    assert sum(found) <= 26


def test_few_images_that_train_may_be_the_easy_ones_by_chance(course):
    accuracies = np.full(30, 0.9), np.full(30, 0.75)
    assert kinds(course(FALLING / 3, LEVEL, *accuracies, images=(1000, 150))) == ["by_heart"]
    assert kinds(course(FALLING / 3, LEVEL, *accuracies, images=(30, 150))) == ["perhaps_by_heart"]


def test_what_validation_can_not_tell_is_said_with_how_many_images_it_has(course):
    said = told(course(FALLING / 3, LEVEL, np.full(30, 0.96), np.full(30, 0.85), images=(100, 10)))
    assert "in the middle of the last 8 epochs accuracy is 0.9600 in training and 0.8500 in validation" in said
    assert "which 10 validation images can't tell" in said
    assert "cnnkit train CONFIG --folds 5" in said


@pytest.mark.parametrize("kept", [2, 29])
def test_a_lucky_epoch_that_is_kept_does_not_hide_what_the_last_ones_have_learnt_by_heart(course, kept):
    validated = np.full(30, 0.7)
    validated[kept - 1] = 0.9
    made = course(FALLING / 3, LEVEL, np.linspace(0.7, 0.99, 30), validated, validation=of_validation(0.9, 500))
    assert made.kept == kept
    [remark] = judge.remarks(made)
    assert remark.kind == "by_heart"
    assert "in training and 0.7000 in validation" in remark.message


def test_an_epoch_that_is_kept_has_learnt_by_heart_though_the_last_ones_do_not_show_it(course):
    validated = np.full(30, 0.95)
    made = course(FALLING / 3, LEVEL, np.full(30, 0.99), validated, validation=of_validation(0.8, 500))
    [remark] = judge.remarks(made)
    assert remark.kind == "by_heart"
    assert remark.message.startswith("in epoch 1, which is kept, accuracy is 0.9900 in training and 0.8000 in")


@pytest.mark.parametrize("rise", [0.2, 0.5])
@pytest.mark.parametrize("beyond", [0.0, 0.1, 0.3])
def test_a_loss_that_rises_fast_and_stays_up_overfits_too_even_if_it_goes_beyond_at_first(course, rise, beyond):
    down = 0.6 + 1.4 * np.exp(-np.arange(4.0))
    settles = 0.6 + rise + beyond * np.exp(-np.arange(24) / 6)
    curve = np.concatenate([down, [0.6, 0.6 + rise / 2], settles])
    accuracies = np.linspace(0.8, 0.99, 30), np.full(30, 0.95)
    found = [kinds(course(FALLING / 3, noisy(curve, 0.02, seed), *accuracies)) for seed in range(8)]
    assert found == [["overfits"]] * 8


def test_a_loss_that_rises_and_comes_down_again_does_not_overfit(course):
    bump = 0.6 + 0.5 * np.exp(-(((E - 14) / 3.0) ** 2))
    down = np.concatenate([[2.0, 1.2, 0.8], bump[3:]])
    accuracies = np.linspace(0.8, 0.99, 30), np.full(30, 0.95)
    assert kinds(course(FALLING / 3, down, *accuracies)) == ["sound"]


REAL = json.loads((Path(__file__).parent / "curves.json").read_text())
"""Curves of trainings: of 140 brain scans and of 320 flowers with the config that `init` writes, three seeds each; of
the drawn shapes of the README, and of the digits and Fashion-MNIST with the recipes in configs/."""


@pytest.mark.parametrize("name", REAL)
def test_curves_of_trainings_are_judged_by_what_they_are(course, name):
    found = REAL[name]
    names = "loss", "val_loss", "accuracy", "val_accuracy"
    made = course(*(np.array(found[each]) for each in names), classes=found["classes"], images=found["images"])
    assert kinds(made) == [found["verdict"]]


def test_a_fitted_classifier_has_no_curves_and_may_have_learnt_by_heart(course):
    fitted = course([0.1], [0.7], accuracy=[0.999], validation=of_validation(0.8, 500))
    fitted.epochs[0]["step"] = 0
    assert kinds(fitted) == ["by_heart"]
    fitted = course([0.1], [0.15], accuracy=[0.95], validation=of_validation(0.94, 500))
    fitted.epochs[0]["step"] = 0
    assert kinds(fitted) == []


@pytest.mark.parametrize(("first", "named"), [(1e-9, True), (0.01, False)])
def test_gradients_that_vanish_are_the_first_reason(course, first, named):
    made = course(noisy(CHANCE, 0.001, 1), CHANCE + 0.01)
    for epoch in made.epochs:
        epoch["gradient_norms"] = {"dense1": first, "dense2": 0.1, "classifier": 0.4}
    [remark] = judge.remarks(made)
    assert ("(1) gradients that vanish on their way back, 0.4 in classifier, 1e-09 in dense1" in remark.advice) == named


def test_what_a_fitted_classifier_had_learnt_before_is_not_called_nothing(course):
    made = course(
        np.r_[0.6, CHANCE * 5], np.r_[1.2, CHANCE * 5], np.r_[0.98, np.full(10, 0.1)], np.r_[0.6, np.full(10, 0.1)]
    )
    made.epochs[0]["step"] = 0
    assert kinds(made)[0] == "rate_too_high"


# What other figures say against a sound course


def of_test(accuracy=0.9, images=500, majority=0.1, never=(), adds=None, p=0.0001):
    found = {"images": images, "accuracy": accuracy, "accuracy_interval": interval(accuracy, images)}
    found["majority_class"] = {"name": "a", "accuracy": majority}
    found["classes"] = [{"name": name, "images": count} for name, count in never]
    found["never_predicted"] = [name for name, _ in never]
    if adds is not None:
        best = {"accuracy": accuracy - adds}
        ends = [adds - 0.05, adds + 0.05]
        found["baseline"] = {"best": "logistic_regression", "pixels": [16, 16], "logistic_regression": best}
        found["baseline"] |= {"network_adds": adds, "network_adds_interval": ends, "p": p}
    return found


WELL = 0.05 + 2.2 * np.exp(-E / 3)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (of_test(0.6, adds=-0.1444), "logistic regression on 16 x 16 pixels is surely better, by 0.1444"),
        (of_test(0.1, 20, 0.6), "always saying `a` is surely better, 0.6000"),  # the interval ends at 0.30
        (of_test(0.6, majority=0.6), "always saying `a` is no worse, 0.6000"),
        (of_test(0.8, never=[("b", 9)], images=90), "never predicted: `b` (9 of 90 images)"),
    ],
)
def test_where_the_test_images_tell_otherwise_a_sound_course_is_not_all_that_is_said(course, test, words):
    [remark] = judge.remarks(course(WELL, WELL, test=test))
    assert remark.kind == "falls_short" and remark.advice
    assert f"falls short on the {test['images']} test images: {words}" in remark.message
    assert "nothing speaks for other settings" not in remark.line()


@pytest.mark.parametrize(
    "test", [of_test(), of_test(adds=0.1), of_test(adds=-0.04), of_test(never=[("b", 1)], images=10)]
)
def test_what_may_be_chance_on_the_test_images_says_nothing_against_a_sound_course(course, test):
    assert kinds(course(WELL, WELL, test=test)) == ["sound"]


def test_of_few_test_images_it_is_said_that_they_can_not_tell_whether_the_majority_is_beaten(course):
    [remark] = judge.remarks(course(WELL, WELL, test=of_test(0.5, 4, 0.5)))
    assert remark.kind == "sound"
    assert remark.message.endswith("better than always saying `a`, 0.5000, 4 test images can't tell")


def test_who_knows_little_of_the_training_images_yet_is_told_of_more_epochs(course):
    flat = np.full(30, 0.7)
    [remark] = judge.remarks(course(flat, flat, flat, flat - 0.07, test=of_test(0.6, adds=-0.2)))
    assert (remark.kind, remark.settings) == ("falls_short", ("train.epochs=60",))


def test_what_the_falling_rate_has_brought_to_rest_is_sound_but_not_all_that_can_be_learnt(course):
    loss, accuracy = np.array(LENET_ON_DIGITS), np.linspace(0.6, 0.8, 10)
    rates = 1e-3 * (1 + np.cos(np.pi * np.arange(1, 11) / 10)) / 2
    [remark] = judge.remarks(course(loss, loss, accuracy, accuracy - 0.08, rates=rates))
    assert (remark.kind, remark.settings) == ("sound", ("train.epochs=20",))
    assert "nothing speaks" not in remark.message and "accuracy is 0.7778 in training" in remark.message
    assert remark.advice.startswith("it is the falling learning rate that brought it to rest")


def test_of_images_that_are_mixed_the_accuracy_of_validation_is_what_is_told(course):
    loss, accuracy = np.array(LENET_ON_DIGITS), np.linspace(0.6, 0.8, 10)
    rates, mixup = 1e-3 * (1 + np.cos(np.pi * np.arange(1, 11) / 10)) / 2, ({"name": "mixup", "alpha": 0.2},)
    [remark] = judge.remarks(course(loss, loss, accuracy - 0.3, accuracy, rates=rates, augment=mixup))
    assert remark.kind == "sound" and remark.message.endswith("; accuracy is 0.7778 in validation")


# Few images


@pytest.mark.parametrize("images", [12, 199, 200, 1000])
def test_a_loss_far_above_that_of_a_guess_is_a_rate_that_is_too_high_of_any_number_of_images(course, images):
    loss = np.full(30, 0.3)
    loss[:3] = 0.7, 2.8, 1.0  # three times and more what it was, but only once
    assert "rate_too_high" in kinds(course(loss, LEVEL, classes=2, images=(images, 400)))


def test_instead_of_a_rate_far_above_the_usual_one_that_is_tried(course):
    high = {"optimizer": {"name": "adam", "learning_rate": 0.3}}
    losses = np.array([2.6, 4.27, 2, 1.5, 1.2, 1.1, 1.05, 1.0]), np.full(8, 24.0)
    accuracies = np.linspace(0.35, 0.53, 8), np.linspace(0.34, 0.6, 8)
    [remark] = judge.remarks(course(*losses, *accuracies, classes=3, images=(210, 45), train=high))
    assert (remark.kind, remark.settings) == ("rate_too_high", ("train.optimizer.learning_rate=0.001",))
    assert "from 2.6 to 4.27, where a guess has 1.1: the learning rate, 0.3, is too high" in remark.message


@pytest.mark.parametrize(("images", "said"), [(12, True), (1000, False)])
def test_a_rate_far_above_the_usual_one_is_named_where_few_images_can_not_show_what_it_does(course, images, said):
    high = {"optimizer": {"name": "adam", "learning_rate": 1e-2}}
    [remark] = judge.remarks(course(WELL, WELL, train=high, images=(images, 400)))
    assert remark.kind == "sound" and "accuracy" not in remark.message  # nearly all are known
    assert remark.settings == (("train.optimizer.learning_rate=0.001",) if said else ())


def test_a_rate_far_above_the_usual_one_is_the_first_reason_for_what_does_not_hold(course):
    high = {"optimizer": {"name": "adam", "learning_rate": 0.1}}
    [remark] = judge.remarks(course(FALLING, 2.3 + E / 10, np.linspace(0.1, 0.95, 30), np.full(30, 0.11), train=high))
    assert remark.kind == "by_heart_alone"
    assert "in order: (1) a learning rate that is too high, 0.1: --set" in remark.advice


@pytest.mark.parametrize("rate", [1e-3, 1e-4])
def test_the_noise_of_a_dozen_images_is_no_jump(course, rate):
    """The mean over 12 images of losses that deviate by as much as their mean, independent in each epoch."""
    means = [0.3 * np.random.default_rng(seed).exponential(size=(30, 12)).mean(axis=1) for seed in range(100)]
    optimizer = {"optimizer": {"name": "adam", "learning_rate": rate}}
    few = [course(mean, LEVEL, classes=2, images=(12, 4), train=optimizer) for mean in means]
    assert share_of("rate_too_high", few) <= 0.05


def test_a_jump_far_beyond_the_noise_of_few_images_is_one(course):
    loss = np.full(30, 0.3)
    loss[[9, 20]] = 1.2, 1.3
    assert "rate_too_high" in kinds(course(loss, LEVEL, classes=2, images=(12, 400)))
    loss[[9, 20]] = 0.6, 0.7
    assert "rate_too_high" not in kinds(course(loss, LEVEL, classes=2, images=(12, 400)))
    assert "rate_too_high" in kinds(course(loss, LEVEL, classes=2, images=(1000, 400)))


def by_heart_and(course, share, images, **more):
    """Two even classes of which 0.97 of 176 training images are known, and this share of those of validation."""
    return course(FALLING, 0.7 + E / 30, np.linspace(0.6, 0.97, 30), np.full(30, share), classes=2, **more | images)


def test_what_is_better_than_a_guess_by_more_than_chance_is_not_said_not_to_hold(course):
    # Of 39 images a guess gets 25 or more once in 19 times or rarer from 26 on (p = 0.0266), and 25 with p = 0.0541.
    def kind(right, **more):
        return kinds(by_heart_and(course, right / 39, {"images": (176, 39)}, **more))[0]

    assert (kind(26), kind(25)) == ("overfits", "by_heart_alone")
    assert kind(25, test=of_test(25 / 39, 39, 0.5)) == "overfits"


def test_of_a_handful_of_training_images_their_number_is_a_reason_before_the_labels(course):
    def first(images):
        made = course(FALLING / 3, 0.7 + E / 30, np.full(30, 0.95), np.full(30, 0.5), classes=2, images=(images, 200))
        return judge.remarks(made)[0].advice.partition("(1) ")[2]

    assert not first(40).startswith("labels that do not belong")
    assert first(100).startswith("labels that do not belong")


def test_of_few_images_it_is_said_that_they_can_not_tell_and_of_many_that_it_does_not_hold(course):
    [few] = judge.remarks(by_heart_and(course, 24 / 39, {"images": (176, 39)}))
    assert "is not surely more than a guess on those of validation: 0.6154" in few.message
    assert "(1) too few images of validation to tell, 39" in few.advice
    [many] = judge.remarks(by_heart_and(course, 0.53, {"images": (1760, 1000)}))
    assert "does not hold for those of validation: 0.5300" in many.message
    assert "(1) labels that do not belong" in many.advice
