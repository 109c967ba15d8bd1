"""What the report says of runs: from their answers and images, of one and of several."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.progress import Progress
from cnnkit.evaluation import calibrate, metrics, results
from cnnkit.evaluation.abstain import Abstain
from cnnkit.evaluation.answers import Answers
from cnnkit.report import charts, report
from cnnkit.report.bidi import isolated
from cnnkit.report.joint import _ties, joint_of
from cnnkit.report.page import page_of
from cnnkit.runs.run import Run


def test_a_page_shows_what_its_run_answers(run_of):
    said, sure = [1, 1, 0, 0], [8, 2, 0.1, 9]  # of ten cats two are dogs, the first one surely so
    run, of = run_of(said=said, sure=sure)
    page = page_of(run, of, [])
    assert page.title.startswith("90.0\u00a0% of 20 test images are answered rightly (95\u00a0% interval ")
    assert [(picture.name, picture.told) for picture in page.mistakes] == [
        ("cat/4.png", "is cat (0.0\u00a0%)\ntaken for dog (100.0\u00a0%)"),
        ("cat/5.png", "is cat (11.9\u00a0%)\ntaken for dog (88.1\u00a0%)"),
    ]
    assert page.unsure[0].name == "cat/6.png" and page.unsure[0].told == "right: cat (52.5\u00a0%)"
    # That of dogs is 0.99 in the mean where they are dogs, and only the first answer reaches that.
    assert [picture.name for picture in page.suspects] == ["cat/4.png"] and page.suspected.count == 1
    assert page.suspects[0].told == "labelled cat (0.0\u00a0%)\nlooks like dog (100.0\u00a0%)"
    assert [picture.name for picture in page.cells["0,1"]] == ["cat/4.png", "cat/5.png"]
    told = "\n".join(page.told)
    assert "confused most: 2 images of cat are taken for dog, 20.0\u00a0% of that class" in told
    assert "1 label of the validation and test images may be wrong" in told
    assert f"cnnkit data {run.files.config} --suspects {run.folder}" in told and page.search.command in told
    assert next((tile.name, tile.value) for tile in page.tiles) == ("accuracy", "90.0\u00a0%")
    assert len(page.samples) == 2 and page.notes == []
    assert page.images.foot == ["all", "2", "2", "20"] and [row[0] for row in page.images.rows] == ["cat", "dog"]


def test_figures_are_called_on_the_page_as_in_the_terminal(run_of):
    run, of = run_of(said=[1, 1])
    page, lines = page_of(run, of, []), metrics.figure_lines(results.read(run, "test"))
    shown = {row[0]: row[1] for row in [*page.figures.rows, *page.calibrated.rows]}
    assert len(lines) > 5
    for said, value, _ in lines:
        assert getattr(shown[said.strip()], "value", shown[said.strip()]) == f"{value:.4f}"


def test_a_bin_of_few_answers_is_drawn_smaller_and_with_a_longer_interval():
    chart = charts.reliability([(0.4, 0.5, 2), (0.9, 0.9, 200)])
    (_, few, _), (_, many, _) = chart.table.rows
    # Wilson's of 1 of 2 and of 180 of 200, by its formula: the former is 0.5 +- 0.4055
    assert (few.interval, many.interval) == ("0.0945 to 0.9055", "0.8506 to 0.9343")


def test_a_page_begins_with_that_its_training_was_stopped(run_of):
    run, of = run_of(said=[1])
    run.write_provenance(state="interrupted")
    assert re.match(
        r"the training was stopped after \d+ .* goes on with: cnnkit train --resume", page_of(run, of, []).told[0]
    )
    run.write_provenance(state="finished")
    assert not any("stopped" in line for line in page_of(run, of, []).told)


def test_what_was_asked_is_told_once_in_sentences_and_without_what_is_true_of_one_moment_only(run_of):
    run, of = run_of(said=[1, 0, 1])
    answers, validation = Answers.read(run, "test"), Answers.read(run, "validation")
    _, fit = calibrate.calibrated(run, validation)
    result = results.read(run, "test") | {
        "calibrated": fit | {"folds": "/where/folds", "report": "/where/report.html", "renewed": {}},
        "abstain": Abstain.renewed({"wanted": 0.5}, answers, validation, False),
        "corruptions": {
            "images": 10, "of": 20, "clean_accuracy": 0.75, "mean_accuracy": 0.5,
            "mean_accuracy_interval": [0.25, 0.625],
            "accuracy": {"blur": [0.7, 0.6, 0.5, 0.4, 0.3]}, "strengths": {"blur": [1, 2, 3, 4, 5]},
        },
        "by": {"column": "site", "values": [{"name": "A", "images": 20}]},
    }  # fmt: skip
    results.write(run, "test", result)
    page = page_of(run, of, [])
    assert [table.title for table in page.more] == ["Accuracy on corrupted images, by strength", "By", "By: values"]
    assert page.more[0].rows == [["blur", "0.7000", "0.6000", "0.5000", "0.4000", "0.3000"]]
    told = "\n".join(page.told)
    assert told.count("calibrated: ") == told.count("abstain: ") == told.count("corrupted: ") == 1
    assert "0.7500 as they are (10 of 20 images); worst under blur: 0.5000" in told
    assert "/where" not in report.html(page)


def test_where_images_are_gone_the_page_goes_without_pictures_and_says_so(run_of):
    run, _ = run_of(said=[1])

    def gone(split):
        raise DataError("the folder is gone")

    page = page_of(run, gone, [])
    assert page.mistakes == page.suspects == page.samples == [] and page.cells == {}
    assert page.suspected.count == 1 and page.classes and page.curves
    assert page.notes == ["Pictures of test and train images are missing: the folder is gone"]


FOLD_2 = ("data.split={folds: 3, fold: 2}",)


@pytest.mark.parametrize(
    ("settings", "name", "record", "told"),
    [
        (FOLD_2, "fold-2", '{"folds": 3}', 1),
        (FOLD_2, "fold-2", '{"folds": 5}', 0),  # those of another study
        (FOLD_2, "fold-3", '{"folds": 3}', 0),
        (FOLD_2, "run", '{"folds": 3}', 0),
        ((), "fold-2", '{"folds": 3}', 0),
        (FOLD_2, "fold-2", "{", 0),  # damaged, of which the run itself knows nothing
    ],
)
def test_a_run_that_was_put_among_folds_is_none_of_them(run_of, settings, name, record, told):
    run, of = run_of(settings=settings)
    run = Run(run.folder.rename(run.folder.with_name(name)))
    (run.folder.parent / "folds.json").write_text(record)
    page = page_of(run, of, [])
    assert page.name == (f"runs/{name}" if told else name)
    assert len([line for line in page.told if line.startswith("it is judged on fold 2 of 3")]) == told
    assert not any("None" in line for line in page.told)


def test_a_run_that_was_interrupted_has_its_curves(run_of):
    run, of = run_of()
    for file in run.files.evaluation.iterdir():
        file.unlink()
    run.write_provenance(state="interrupted")
    page = page_of(run, of, [])
    assert page.title == "This run (interrupted) has not been evaluated yet"
    assert [chart.title for chart in page.curves] == ["Loss", "Accuracy"]
    assert page.split is None and page.told[1:] == [
        f"what it is worth is told here after: cnnkit evaluate {run.folder}, and then cnnkit report {run.folder}"
    ]
    assert report.html(page).startswith("<!doctype html>")


def test_a_network_that_is_too_sure_is_told_with_what_helps(run_of, monkeypatch):
    run, of = run_of(each=50, said=[1] * 25)
    for told, end in ((True, "--calibrate"), (False, "(data.split.validation) would tell")):
        monkeypatch.setattr(calibrate, "tells", lambda run, told=told: told)
        [line] = [line for line in page_of(run, of, []).told if line.startswith("its probabilities")]
        assert "it is surer than it should be; " in line and line.endswith(end) and ("--calibrate" in line) == told


def test_of_what_may_be_chance_in_calibration_nothing_is_said(run_of):
    run, of = run_of(each=4, said=[1])  # one of eight is wrong
    assert [line for line in page_of(run, of, []).told if line.startswith("its probabilities")] == []


def test_several_runs_stand_beside_each_other_on_one_page(run_of, tmp_path):
    (one, _), (other, _) = run_of("one", said=[1] * 8), run_of("other", settings=["seed=1"], epochs=3)
    one.files.report.write_text("its page")
    page = joint_of([one, other], tmp_path / "joint.html", Progress())
    assert page.title == "2 runs on the same 20 test images: other is right more often, 100.0\u00a0%"
    assert len(page.told) == 1 and page.told[0].startswith("other is better than one by 40.0 points of accuracy")
    assert page.settings.rows == [["seed", "0", "1"]]
    accuracy = next(row for row in page.figures.rows if row[0] == "accuracy")
    assert [cell.value for cell in accuracy[1:]] == ["0.6000", "1.0000"]
    assert page.cost.rows[0][0] == "parameters" and page.cost.rows[2] == ["epochs", "2", "3"]
    assert [chart.table.head for chart in page.curves] == [("epoch", "one", "other")] * 3
    assert page.curves[0].title == "Loss in training"  # of no epoch is a val_loss known
    assert page.curves[0].table.rows[2] == ["3", "-", "0.3333"]
    assert [run.link for run in page.runs] == ["./runs/one/report.html", ""]
    assert [row[0] for row in page.classes.rows] == ["cat", "dog"]
    other.files.metrics.unlink()
    cost = joint_of([one, other], tmp_path / "joint.html", Progress()).cost.rows
    assert cost[2] == ["epochs", "2", "-"] and cost[3] == ["seconds of training", "0.0", "-"]
    again, _ = run_of("again", said=[1] * 8)
    title = joint_of([one, again], tmp_path / "joint.html", Progress()).title
    assert title == "2 runs on the same 20 test images: one and again are right equally often, 60.0\u00a0%"
    report.of_runs([one.folder, other.folder], tmp_path / "joint.html", Progress())
    assert "other is better than one" in (tmp_path / "joint.html").read_text()


def test_of_runs_that_cannot_be_told_apart_none_is_called_best(run_of, tmp_path):
    runs = [run_of(name, said=[1] * wrong)[0] for name, wrong in (("none", 0), ("one", 1), ("many", 9))]
    title = joint_of(runs, tmp_path / "joint.html", Progress()).title
    assert title == (
        "3 runs on the same 20 test images: none is right most often, 100.0\u00a0%, which may be chance: it cannot be "
        "told apart from one"
    )


def test_of_several_that_are_best_each_is_told_from_which_it_cannot_be_told_apart(run_of, tmp_path):
    """20 images; McNemar's test needs 6 that only one of two runs answers rightly, and with Holm's correction more."""
    right, wrong = [0] * 10 + [1] * 10, [0] * 9 + [1] * 11
    runs = [run_of(name, said=said)[0] for name, said in (("one", right), ("two", right), ("weak", wrong))]
    title = joint_of(runs, tmp_path / "joint.html", Progress()).title
    assert title == (
        "3 runs on the same 20 test images: one and two are right most often, 100.0\u00a0%, which may be chance: they "
        "cannot be told apart from weak"
    )
    pairs = [
        {"first": "one", "second": "weak", "better": None}, {"first": "two", "second": "weak", "better": "two"},
        {"first": "one", "second": "two", "better": None},
    ]  # fmt: skip
    assert _ties(["one", "two"], pairs) == ", which may be chance: one cannot be told apart from weak"


@pytest.mark.parametrize(("examined", "told"), [(True, "Nothing that is wrong or odd."), (False, "at a glance")])
def test_nothing_is_said_to_be_right_with_the_images_that_nobody_looked_for(run_of, examined, told):
    run, of = run_of()
    run.write_provenance(data=run.provenance()["data"] | {"examined": examined})
    page = page_of(run, of, [])
    assert told in report.html(page) and bool(page.examination) is not examined


def test_a_page_is_called_after_the_folder_of_its_run_as_seeds_have_one_config(run_of):
    assert page_of(*run_of("garden-1"), []).name == "garden-1"


def test_runs_of_other_images_stand_beside_each_other_without_a_comparison(run_of, tmp_path):
    (one, _), (other, _) = run_of("one"), run_of("other", classes=("cat", "cow"))
    page = joint_of([one, other], tmp_path / "joint.html", Progress())
    assert page.told == [] and page.classes is None and page.title.startswith("2 runs that are not compared: ")
    [note] = page.notes
    assert note.startswith("They are not compared image by image: ") and "other classes" in note
    with pytest.raises(UsageError, match="is named twice"):
        joint_of([one, one], tmp_path / "joint.html", Progress())


@pytest.mark.parametrize("name", ["cat", "ankle boot", "<b>", "5 %"])
def test_names_from_left_to_right_stay_as_they_are(name):
    assert isolated(name) == name


@pytest.mark.parametrize("name", ["חתול", "قطة", "cat\u202egnp.exe", "\u2069\u2069"])
def test_names_that_steer_text_are_isolated_from_what_stands_beside_them(name):
    assert re.fullmatch("\u2068[^\u2069]*\u2069", isolated(name))


def test_of_many_classes_the_pairs_have_pictures(run_of):
    classes = [f"class {k}" for k in range(40)]
    run, of = run_of(classes=classes, each=2, said=[5, 5, 1, 7])
    page = page_of(run, of, [])
    assert page.matrix is None
    assert [(pair.key, pair.count) for pair in page.pairs] == [("0,5", 2), ("1,7", 1)]
    assert {key: len(pictures) for key, pictures in page.cells.items()} == {"0,5": 2, "1,7": 1}
    assert '<table id="pairs">' in report.html(page) and np.shape(page.classes.rows)[0] == 40
