"""What was found of a run's splits, when the run is calibrated behind it, trained on, or its files are damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnnkit import Run, evaluate
from cnnkit.core.errors import TrainingError
from cnnkit.evaluation import answers as answers_of_runs
from cnnkit.evaluation import calibrate, results
from cnnkit.evaluation.abstain import Abstain
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.baseline import Baseline
from cnnkit.evaluation.exam import IMPOSSIBLE
from cnnkit.evaluation.other_images import OtherImages
from cnnkit.evaluation.questions import QUESTIONS
from cnnkit.evaluation.two_classes import Costs, TwoClasses
from cnnkit.runs import checkpoints


@pytest.fixture
def run(run_too_sure):
    return run_too_sure(["cat", "dog"], (4, 4, 1))


def of_file(run, split):
    return results.read(run, split)


@pytest.fixture
def shifted(monkeypatch):
    """Puts answers to images that are made up into a run, as an evaluation leaves them, with what questions found."""
    monkeypatch.setattr(answers_of_runs, "_refuse_others", lambda *those: None)
    return _shifted


def _shifted(run, split, questions):
    chance = np.random.default_rng(len(split))
    labels = chance.integers(0, 2, 400)
    logits = np.float32(chance.normal(size=(400, 2)) * 5 + 8 * np.eye(2)[labels])
    others = [line for line in run.files.split.read_text().splitlines() if f",{split}," not in line]
    rows = [f"{i}.png,{split},{('cat', 'dog')[label]},0," for i, label in enumerate(labels.tolist())]
    run.files.split.write_text("\n".join([*others, *rows, ""]))
    run.write_provenance(files=run.hashes())
    answers = Answers.of(run, labels, logits, [f"{i}.png" for i in range(400)])
    results.keep(run, split, results.figures(run, split, answers) | questions(answers), answers)
    return answers


def test_a_calibration_brings_every_split_up_to_date_from_its_answers(run, monkeypatch):
    evaluate(run, "train", questions=[Abstain(0.5)])
    evaluate(run, "validation", questions=[TwoClasses("cat", sensitivity=0.5)])
    before = {split: of_file(run, split) for split in ("train", "validation")}
    monkeypatch.setattr(Run, "folds", property(lambda run: run.folder.parent))
    document = evaluate(run, "test", questions=[], calibrate=True)
    assert document["calibrated"]["folds"] == str(run.folder.parent)
    kept = of_file(run, "test")["calibrated"]  # which tells nothing that is true of this moment only, nor where it is
    assert kept == {name: told for name, told in document["calibrated"].items() if name in kept}
    assert document["calibrated"].keys() - kept.keys() == {"as_before", "folds", "report", "renewed"}
    temperature = document["temperature"]
    assert temperature > 1 and document["calibrated"]["temperature"] == temperature
    calibrated = Run.open(run.folder)
    for split in ("train", "validation"):
        now = of_file(run, split)
        assert now["temperature"] == temperature and now["log_loss"] != before[split]["log_loss"]
        for same in ("accuracy", "loss", "images", "confusion"):
            assert now[same] == before[split][same]
        assert results.recorded(calibrated, split) == now
        assert now == evaluate(run.folder, split, questions=[_asked(split)])  # as if it were asked now
    assert document["calibrated"]["renewed"] == {"train": {"left_out": []}, "validation": {"left_out": []}}
    said = "\n".join(calibrate.consequences(document["calibrated"]))
    assert "brought up to date: the figures of the validation and train images" in said


def _asked(split):
    return Abstain(0.5) if split == "train" else TwoClasses("cat", sensitivity=0.5)


def test_what_is_asked_of_probabilities_is_asked_again_and_what_needs_the_network_is_left_out(run, shifted):
    validation = shifted(run, "validation", lambda answers: {})
    asked = [Abstain(0.9), TwoClasses("dog", Costs(1, 5))]

    def found(answers, these=validation):
        return {question.name: question._found(answers, these, False) for question in asked}

    others = {"baseline": {"best": "majority"}, "by": {"column": "sex"}, "corruptions": {"images": 3}}
    shifted(run, "test", lambda answers: found(answers) | others | {"tta": {"views": 8}, "calibrated": {}, "new": 1})
    before = of_file(run, "test")
    calibrated = run.calibrate(temperature=3.0)
    warm = Answers.read(calibrated, "validation")
    renewed = results.renewed(calibrated, results.documents(calibrated), warm)
    assert renewed.left_out == {"test": ["tta", "new"], "validation": []}
    assert of_file(run, "test") == before  # nothing is written yet
    renewed.keep(calibrated)
    now = of_file(run, "test")
    assert {name: now[name] for name in others} == others and "calibrated" not in now and "tta" not in now
    expected = json.loads(json.dumps(found(Answers.read(calibrated, "test"), warm)))
    assert {name: now[name] for name in expected} == expected
    assert now["abstain"]["threshold"] < before["abstain"]["threshold"]
    before = {"folds": "a", "report": "a/report.html"}
    said = list(calibrate.consequences(FOUND | {"renewed": {"test": {"left_out": ["tta", "new"]}}} | before))
    assert said[-3:] == [
        "  without `tta`, `new` of test, for which the network has to be asked again",
        "the summary of the folds is from before; cnnkit train --resume a writes it again",
        "a/report.html is from before; cnnkit report a writes it again",
    ]


def test_what_the_same_temperature_found_stays_and_is_not_called_left_out(run, shifted):
    calibrated = run.calibrate(temperature=3.0)
    others = {"tta": {"views": 8}, "corruptions": {"images": 3}}
    shifted(calibrated, "test", lambda answers: others)
    warm = shifted(calibrated, "validation", lambda answers: {})
    renewed = results.renewed(calibrated, results.documents(calibrated, but="validation"), warm)
    assert renewed.left_out == {"test": []}
    renewed.keep(calibrated)
    now = of_file(calibrated, "test")
    assert {name: now[name] for name in others} == others


def test_a_calibration_keeps_what_was_found_of_the_split_that_is_evaluated_too(run):
    """As of the other splits: what needs no network is brought up to date, and what needs it is left out, and said."""
    asked = [Abstain(0.5), TwoClasses("cat", sensitivity=0.5), Baseline()]
    before = evaluate(run, "test", questions=asked)
    results.write(run, "test", before | {"tta": {"views": 2}})
    told = evaluate(run, "test", questions=[TwoClasses("cat")], calibrate=True)["calibrated"]
    now, expected = of_file(run, "test"), evaluate(run.folder, "test", questions=asked)
    assert "tta" not in now and {name: now[name] for name in expected} == json.loads(json.dumps(expected))
    assert told["renewed"]["test"] == {"left_out": ["tta"]}
    again = evaluate(run.folder, "test", questions=[], calibrate=True)["calibrated"]
    assert again["renewed"] == {} and again["as_before"] and not told["as_before"]
    [said] = calibrate.consequences(again | {"report": "a/report.html"})
    assert said == "the run had this calibration already; the results of its splits stay as they are"


def test_a_calibration_goes_without_training_images_and_says_what_that_leaves_out(run, tmp_path, said):
    (tmp_path / "images/cat/0.png").unlink()  # a training image
    assert evaluate(run, "test", questions=[], calibrate=True, progress=said)["temperature"] > 1
    assert run.files.calibration.exists() and not run.files.familiarity.exists()
    [line] = said.lines
    assert "1 of the 8 train images is gone" in line and f"cnnkit evaluate {run.folder} --calibrate" in line


def test_a_calibration_needs_no_images_where_the_answers_are_kept(run, tmp_path):
    evaluate(run, "validation", questions=[])
    others = (tmp_path / "images").rename(tmp_path / "moved")
    found = evaluate(run, others=OtherImages(others), questions=[], calibrate=True)
    assert found["temperature"] > 1 and run.files.calibration.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--abstain", "0.9", "--fail-under", "abstain.acuracy=0.9"],
        ["--fail-under", "baseline.adds=0"],
        ["--fail-under", "two_classes.sensitivty=0.9"],
        ["--corruptions", "--fail-under", "corruptions.accuracy=0.9"],
        ["--calibrate", "--fail-over", "calibrated.after.loss=1"],
    ],
)
def test_a_figure_that_a_question_has_not_is_refused_before_an_image_is_read(run, tmp_path, command, words):
    (tmp_path / "images").rename(tmp_path / "moved")
    code, out, err = command("evaluate", run.folder, *words)
    assert (code, out) == (2, "") and "there is no such figure" in err


FOUND = {
    "temperature": 2.0,
    "at_bound": None,
    "images": 9,
    "unsure": None,
    "right_above": 0.95,
    "before": {"log_loss": 1.0, "ece": 0.1},
    "after": {"log_loss": 0.5, "ece": 0.1},
}


def test_every_question_is_known_by_its_name():
    from cnnkit.evaluation.exam import Question

    assert {cls for cls in Question.__subclasses__() if cls.__module__.startswith("cnnkit")} == set(QUESTIONS.values())


def test_figures_of_another_calibration_or_without_answers_do_not_count(run, shifted):
    shifted(run, "test", lambda answers: {})
    shifted(run, "validation", lambda answers: {})
    assert results.recorded(run, "test")["temperature"] == 1.0
    calibrated = run.calibrate(temperature=3.0)
    assert results.recorded(calibrated, "test") is None  # as a crash between the two leaves it
    run.files.answers("test").unlink()
    validation = Answers.read(calibrated, "validation")
    renewed = results.renewed(calibrated, results.documents(calibrated), validation)
    assert (renewed.left_out, renewed.outdated) == ({"validation": []}, ["test"])
    renewed.keep(calibrated)
    assert not run.files.result("test").exists() and not run.files.predictions("test").exists()


DAMAGED = r"validation\.json is damaged: .*; evaluate these images again: cnnkit evaluate .*run --split validation"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"accuracy": 1', b"\xff\xfe"])
def test_a_damaged_result_is_told_with_what_to_do(run, content):
    run.files.evaluation.mkdir()
    run.files.result("validation").write_bytes(content)
    with pytest.raises(TrainingError, match=DAMAGED):
        results.recorded(run, "validation")


def test_a_damaged_result_is_told_before_the_work_and_what_is_told_to_do_mends_it(run, command):
    run.files.evaluation.mkdir()
    run.files.result("validation").write_text("{")
    for words in ([], ["--calibrate"], ["--split", "train", "--calibrate"]):
        code, out, err = command("evaluate", run.folder, *words)
        assert code == 4 and "validation.json is damaged" in err and out == ""
    assert not run.files.calibration.exists()
    code, _, _ = command("evaluate", run.folder, "--split", "validation", "--no-baseline")
    assert code == 0 and of_file(run, "validation")["images"] == 8


@pytest.mark.parametrize(
    "change", [{"accuracy": "x"}, {"classes": []}, {"baseline": {}}, {"confusion": None}, {"sha256": None}]
)
def test_a_result_that_was_changed_is_damaged(run, shifted, change):
    shifted(run, "validation", lambda answers: {"baseline": {"best": "majority"}})
    file = run.files.result("validation")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(TrainingError, match=DAMAGED):
        results.recorded(run, "validation")


def test_what_version_0_1_0_has_found_is_no_damage_and_no_result(run):
    run.files.evaluation.mkdir()
    run.files.result("test").write_text('{"accuracy": 1.0}')
    assert results.read(run, "test") == {"accuracy": 1.0} and results.recorded(run, "test") is None


def test_a_baseline_of_some_training_images_tells_of_how_many(run):
    found = evaluate(run, "test", questions=[Baseline(most=3)])["baseline"]
    assert (found["learnt_from"], found["images"]) == ([3, 8], [3, 8])


# What was asked before


def test_what_was_asked_before_stays_until_it_is_asked_anew(run, command):
    chosen = TwoClasses("cat", Costs(1, 5))
    before = evaluate(run, "test", questions=[Abstain(0.5), chosen])
    assert "baseline" not in before
    code, out, _ = command("evaluate", run.folder, "--json")
    now = json.loads(out)
    assert code == 0 and "abstain" not in now and "chosen" not in now["two_classes"]  # what was asked now, alone
    kept = of_file(run, "test")
    assert kept["baseline"] == now["baseline"] and kept["abstain"] == before["abstain"]
    assert kept["two_classes"]["positive"] == "dog" and "chosen" not in kept["two_classes"]  # another positive class
    evaluate(run, "test", questions=[chosen])
    evaluate(run, "test", questions=[TwoClasses("cat"), Abstain(0.6)])
    kept = of_file(run, "test")
    assert kept["two_classes"] == before["two_classes"] and kept["abstain"]["wanted"] == 0.6


def test_a_baseline_stays_where_a_new_one_is_impossible(run, monkeypatch):
    before = evaluate(run)["baseline"]
    monkeypatch.setattr(Baseline, "answered", lambda *_: {IMPOSSIBLE: "the images are gone"})
    assert evaluate(run)["baseline"] == {IMPOSSIBLE: "the images are gone"}
    assert of_file(run, "test")["baseline"] == before


def test_what_was_asked_of_other_weights_or_another_calibration_goes(run):
    evaluate(run, "test", questions=[Abstain(0.5)])
    Run.open(run.folder).calibrate(temperature=3.0)
    evaluate(run.folder, "test", questions=[TwoClasses("cat")])
    assert "abstain" not in of_file(run, "test") and "two_classes" in of_file(run, "test")
    model = run.experiment.model.build((4, 4, 1), 2)
    checkpoints.save(checkpoints.Weights.of(model), run.files.checkpoints, checkpoints.BEST, 2, {})
    assert results.recorded(run.folder, "test") is None
    evaluate(run.folder, "test", questions=[])
    assert "two_classes" not in of_file(run, "test")


@pytest.mark.parametrize(
    "words", [["--by", "sex"], ["--abstain", "0.9", "--fail-under", "abstain.acuracy=0.9"], ["--fail-under", "f=1"]]
)
def test_a_command_that_is_refused_has_written_nothing(run, command, words):
    evaluate(run, "validation", questions=[])
    run.log("trained")

    def files():
        return {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()}

    before = files()
    code, out, _ = command("evaluate", run.folder, "--calibrate", *words)
    assert (code, out) == (2, "") and files() == before


def test_damaged_answers_of_another_split_stop_a_calibration_before_it_writes(run, command):
    evaluate(run, "validation", questions=[])
    evaluate(run, "train", questions=[])
    run.files.answers("train").write_bytes(b"")
    code, _, err = command("evaluate", run.folder, "--calibrate")
    assert code == 4 and f"cnnkit evaluate {run.folder} --split train" in err
    assert not run.files.calibration.exists() and not run.files.result("test").exists()
    assert command("evaluate", run.folder, "--split", "train", "--calibrate")[0] == 0  # what was said to do helps


def test_damaged_answers_to_validation_are_told_with_what_mends_them(run, command):
    evaluate(run, "validation", questions=[])
    run.files.answers("validation").write_bytes(b"")
    for words in (["--calibrate"], ["--abstain", "0.9"]):
        code, _, err = command("evaluate", run.folder, *words)
        assert code == 4 and f"cnnkit evaluate {run.folder} --split validation" in err
    assert command("evaluate", run.folder, "--split", "validation")[0] == 0
    assert command("evaluate", run.folder, "--calibrate", "--abstain", "0.9")[0] == 0
