from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cnnkit import Run, evaluate
from cnnkit.core.errors import TrainingError
from cnnkit.evaluation import calibrate, metrics
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.familiarity import Familiarity
from cnnkit.optimization.losses import BinaryCrossEntropy, CrossEntropy, Focal, MeanSquaredError


def drawn(images, classes, seed, too_sure=1.0):
    """Logits, and labels drawn from what these say; then all logits are larger by a factor."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(images, classes)) * 2
    shares = CrossEntropy().probabilities(logits)
    labels = np.array([random.choice(classes, p=share) for share in shares])
    return logits * too_sure, labels


@pytest.mark.parametrize("loss", [CrossEntropy(label_smoothing=0.1), Focal(), MeanSquaredError()])
@pytest.mark.parametrize("factor", [3.0, 0.5])
def test_the_temperature_is_how_much_too_large_the_logits_are(loss, factor):
    logits, labels = drawn(4000, 4, 0, factor)
    assert calibrate.fitted(loss, logits, labels).temperature == pytest.approx(factor, rel=0.08)


def test_one_logit_has_a_temperature_too():
    random = np.random.default_rng(1)
    logits = random.normal(size=(4000, 1)) * 2
    labels = (random.random(4000) < 1 / (1 + np.exp(-logits[:, 0]))).astype(int)
    found = calibrate.fitted(BinaryCrossEntropy(), logits * 4, labels)
    assert found.temperature == pytest.approx(4, rel=0.08)
    assert found.at is None


def test_answers_without_a_mistake_and_logits_of_no_use_are_told():
    labels = np.arange(30) % 3
    surer_than_shown = calibrate.fitted(CrossEntropy(), 5.0 * np.eye(3)[labels], labels)
    assert surer_than_shown == calibrate.Fitted(1.0, "lowest") and not surer_than_shown.tells
    wrong = 50.0 * np.eye(3)[(labels + 1) % 3]
    assert calibrate.fitted(CrossEntropy(), wrong, labels) == calibrate.Fitted(calibrate.HIGHEST, "highest")


@pytest.mark.parametrize("images", [30, 90, 269])
def test_without_a_mistake_a_network_becomes_as_sure_as_it_is_right_at_the_least_and_never_less_sure(images):
    """Of n of n the exact bound is 0.05^(1/n) (Clopper and Pearson 1934; the rule of three makes 1 - 3/n of it)."""
    labels = np.arange(images) % 3
    logits = 2.0 * np.eye(3)[labels]  # as of smoothed labels: probability 0.787
    found = calibrate.fitted(CrossEntropy(), logits, labels)
    assert found.at == "lowest" and found.tells and found.surely_right == pytest.approx(0.05 ** (1 / images))
    now = CrossEntropy().probabilities(logits / found.temperature).max(axis=1)
    assert np.mean(now) == pytest.approx(found.surely_right, abs=1e-6) and found.temperature < 1


def test_the_calibration_error_of_an_overfitted_network_falls_on_images_of_no_say_in_it():
    (logits, labels), (other_logits, other_labels) = drawn(500, 5, 2, 4.0), drawn(1000, 5, 3, 4.0)
    found = calibrate.fitted(CrossEntropy(), logits, labels)
    before, after = (
        metrics.computed(Answers(other_labels, CrossEntropy().probabilities(other_logits / temperature), list("abcde")))
        for temperature in (1.0, found.temperature)
    )
    assert before["calibration"]["ece"] > 0.15
    assert after["calibration"]["ece"] < before["calibration"]["ece"] / 3
    assert after["log_loss"] < before["log_loss"]
    assert after["accuracy"] == before["accuracy"]


FOUND = {
    "temperature": 2.5,
    "at_bound": None,
    "images": 1200,
    "unsure": 0.8,
    "right_above": 0.95,
    "before": {"log_loss": 0.9, "ece": 0.2},
    "after": {"log_loss": 0.5, "ece": 0.02},
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "temperature 2.5000; on the 1,200 validation images log loss 0.9000 became 0.5000"),
        (
            {},
            "unsure: answers below probability 0.8000; those above are right at least 95 % of the time (95 % conf",
        ),
        (
            {"at_bound": "lowest", "temperature": 1.0},
            "do not tell how sure the network should be, and the temperature stays 1",
        ),
        (
            {"at_bound": "lowest", "surely_right": 0.975},
            "as sure as it is right at the least, 97.5 % (95 % confidence)",
        ),
        ({"at_bound": "highest"}, "the largest that is tried"),
        (
            {"after": {"log_loss": 0.89, "ece": 0.21, "ece_by_chance": 0.19}},
            "nothing is surely gained by it, as that error did not fall, of which chance alone makes 0.1900 with so",
        ),
        ({"after": {"log_loss": 0.89, "ece": 0.2}}, "as that error did not fall; more validation images"),
        ({"unsure": None}, "unsure: no threshold was found"),
        ({"unsure": None}, "with more validation images (data.split.validation) there may be one"),
        ({"unsure": 0.0}, "unsure: no answer is called so"),
    ],
)
def test_what_is_said_of_a_calibration(change, words):
    assert words in "\n".join(calibrate.lines(FOUND | change))


def test_where_the_error_fell_nothing_is_said_against_it():
    assert "careful" not in "\n".join(calibrate.lines(FOUND))


@pytest.fixture
def too_sure(run_too_sure):
    return run_too_sure(["ant", "bee"], (8, 8, 3)).folder


def test_a_temperature_is_fitted_on_validation_kept_with_the_run_and_used_from_then_on(too_sure):
    before, of_validation = evaluate(too_sure, questions=()), evaluate(too_sure, "validation", questions=())
    found = evaluate(too_sure, questions=(), calibrate=True)
    told = found["calibrated"]
    assert told["temperature"] == found["temperature"] > 1 == before["temperature"]
    assert (told["images"], found["images"]) == (8, 8)
    assert told["before"]["log_loss"] == pytest.approx(of_validation["log_loss"])
    assert told["after"]["log_loss"] < told["before"]["log_loss"]
    assert found["log_loss"] < before["log_loss"]
    assert (found["accuracy"], found["loss"]) == (before["accuracy"], pytest.approx(before["loss"]))
    run = Run.open(too_sure)  # which knows by its hashes what was changed by others
    assert run.calibration.temperature == told["temperature"]
    kept = json.loads(run.files.result("validation").read_text())
    assert kept["log_loss"] == pytest.approx(told["after"]["log_loss"])
    again = evaluate(too_sure, questions=())
    assert again == {name: value for name, value in found.items() if name != "calibrated"}
    # Fitted anew it is the same: from the logits as they are, not from what the first temperature has made of them.
    assert evaluate(too_sure, questions=(), calibrate=True)["temperature"] == pytest.approx(told["temperature"])


def changed(file):
    file.write_bytes(file.read_bytes().replace(b"0", b"1"))


DAMAGE = {"changed": changed, "damaged": lambda file: file.write_bytes(b"{"), "lost": lambda file: file.unlink()}


@pytest.mark.parametrize(
    "damage", ["lost", *(pytest.param(name, marks=pytest.mark.slow) for name in ("changed", "damaged"))]
)
def test_a_calibration_makes_anew_what_was_changed_or_lost_of_one(too_sure, command, damage):
    evaluate(too_sure, questions=(), calibrate=True)
    run = Run.open(too_sure)
    before, temperature = Familiarity.read(run), run.calibration.temperature
    for file in run.files.fitted:
        content = file.read_bytes()
        DAMAGE[damage](file)
        with pytest.raises(TrainingError, match=rf"{file} is not as .*; .* make it anew: {run.files.to_calibrate}$"):
            Run.open(too_sure)
        file.write_bytes(content)
    for file in run.files.fitted:
        DAMAGE[damage](file)
    code, out, _ = command("evaluate", too_sure, "--calibrate", "--no-baseline")
    assert "unfamiliar: of images made to be strange are called so (and area under the ROC curve): noise " in out
    assert code == 0 and all(f"{file} is not as the run left it; it is made anew" in out for file in run.files.fitted)
    run = Run.open(too_sure)
    assert run.calibration.temperature == temperature
    np.testing.assert_array_equal(Familiarity.read(run).features, before.features)


@pytest.mark.parametrize("repairs", [False, True])
@pytest.mark.slow
def test_answers_that_were_changed_with_their_hash_are_not_what_a_run_is_calibrated_on(too_sure, command, repairs):
    """Where something else in the run was changed, not even what looks like the network's answers is believed."""
    told = evaluate(too_sure, "validation", questions=(), calibrate=True)["calibrated"]
    run = Run.open(too_sure)
    answers = Answers.read(run, "validation")
    changes = 1.001 * answers.logits if repairs else -answers.logits
    replace(answers, logits=np.float32(changes)).write(run, "validation")
    if repairs:
        changed(run.files.calibration)
    _, out, _ = command("evaluate", too_sure, "--calibrate", "--no-baseline")
    assert ("is not what the network answers; it is asked anew" in out) is not repairs
    run = Run.open(too_sure)
    assert run.calibration.temperature == told["temperature"]
    np.testing.assert_array_equal(Answers.read(run, "validation").logits, answers.logits)


def test_answers_that_can_not_be_held_against_the_network_are_believed_and_that_is_said(too_sure, command, tmp_path):
    evaluate(too_sure, "validation", questions=())
    for file in Run.open(too_sure).split("validation"):
        (tmp_path / "images" / file.image).unlink()
    code, out, _ = command("evaluate", too_sure, "--calibrate", "--no-baseline")
    assert code == 0 and "and they are believed: " in out and "calibrated: temperature" in out


@pytest.mark.slow
def test_what_is_made_anew_can_be_damaged_as_it_was_recorded(too_sure):
    run = Run.open(too_sure)
    run.files.calibration.write_text("{")
    run.files.familiarity.write_bytes(b"{")
    run.write_provenance(files=run.hashes())
    for question in (lambda: run.calibration, lambda: Familiarity.read(run)):
        with pytest.raises(TrainingError, match=r"is damaged: .*; .*make it anew: cnnkit evaluate \S+ --calibrate$"):
            question()
    evaluate(too_sure, questions=(), calibrate=True)
    assert Familiarity.read(Run.open(too_sure)) is not None


@pytest.mark.slow
def test_what_tells_unfamiliar_images_goes_where_it_was_changed_and_can_not_be_made_anew(too_sure, tmp_path):
    evaluate(too_sure, questions=(), calibrate=True)
    changed(Run(too_sure).files.familiarity)
    (tmp_path / "images/ant/0.png").unlink()  # a training image
    evaluate(too_sure, questions=(), calibrate=True)
    assert Familiarity.read(Run.open(too_sure)) is None


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.slow
def test_damaged_results_and_a_changed_calibration_are_mended_by_what_is_told(too_sure, command, split):
    evaluate(too_sure, "validation", questions=())
    evaluate(too_sure, questions=(), calibrate=True)
    files = Run.open(too_sure).files
    changed(files.calibration)
    files.result(split).write_text("{")
    files.answers(split).write_bytes(b"{")
    words, told = ["evaluate", str(too_sure), "--split", "train"], []
    while (ended := command(*words, "--no-baseline"))[0]:
        assert len(told) < 3 and ended[2] not in told
        told.append(ended[2])
        words = ended[2].rpartition("cnnkit ")[2].split()
    assert words[-1] == "--calibrate" and Run.open(too_sure).calibration.temperature > 1


@pytest.mark.parametrize("name", ["config", "split"])
def test_a_calibration_takes_no_run_of_which_something_else_was_changed(too_sure, name):
    evaluate(too_sure, questions=(), calibrate=True)
    run = Run.open(too_sure)
    before = run.files.calibration.read_bytes()
    with getattr(run.files, name).open("a") as file:
        file.write("\n")
    with pytest.raises(TrainingError, match=r"is not as the run left it.*or train a run of its own"):
        evaluate(too_sure, questions=(), calibrate=True)
    assert run.files.calibration.read_bytes() == before
