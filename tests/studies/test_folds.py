"""`train --folds`: each fold a run as any other, and all of them judged together."""

from __future__ import annotations

import csv
import json
import re
import shutil
import statistics
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from cnnkit.config.file import read
from cnnkit.core.errors import ConfigError, DataError, Interrupted, TrainingError, UsageError
from cnnkit.core.progress import Progress
from cnnkit.evaluation.answers import Answers
from cnnkit.runs.run import Run
from cnnkit.studies import fold_results, folds
from cnnkit.training import train as training

CONFIG = """
name: tiny
data: {source: {name: digits}, image_size: [8, 8], limit: 6, batch_size: 16, split: {validation: 0.2, test: 0.3}}
model: {name: sequential, layers: [{name: conv, filters: 2}, {name: flatten}, {name: dropout, rate: 0.3}]}
train: {epochs: 1, optimizer: {name: sgd, learning_rate: 0.05}}
"""
COUNT = 2


class Interrupting(Progress):
    """Somebody presses Ctrl-C when the second fold begins."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)

    def task(self, what, total):
        if what.startswith("fold 2 of 2"):
            raise KeyboardInterrupt
        return super().task(what, total)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Folds that were interrupted in the second one, and what was said; then gone on with."""
    folder = tmp_path_factory.mktemp("folds")
    (folder / "config.yaml").write_text(CONFIG)
    experiment = read(folder / "config.yaml")
    progress = Interrupting()
    with pytest.raises(Interrupted) as interrupted:
        folds.train(experiment, COUNT, folder / "run", progress)
    first = (folder / "run" / "fold-1" / "provenance.json").read_bytes()
    there = sorted(path.name for path in (folder / "run").iterdir())
    document = folds.resume(folder / "run")
    return SimpleNamespace(
        folder=folder / "run", config=folder / "config.yaml", document=document, interrupted=interrupted.value,
        there=there, first=first, said=progress.said,
    )  # fmt: skip


def test_after_ctrl_c_it_says_what_is_done_and_resuming_trains_the_missing_ones_alone(study):
    assert study.there == ["config.yaml", "fold-1", "folds.csv", "folds.json"]
    assert study.interrupted.exit_code == 130
    assert str(study.interrupted) == (
        f"Interrupted in fold 2 of 2, fold 1 done; go on with: cnnkit train --resume {study.folder}"
    )
    assert (study.folder / "fold-1" / "provenance.json").read_bytes() == study.first
    assert study.document["state"] == "finished"
    assert [entry["state"] for entry in study.document["runs"]] == ["finished", "finished"]


def test_a_share_for_test_is_left_out_which_is_said(study):
    assert study.said[0] == "data.split.test: 0.3 is left out, as each of the 2 folds is the test split in its turn"
    assert read(study.folder / "config.yaml").data.split.test is None
    assert read(study.folder / "fold-1" / "config.yaml").data.split.validation == 0.2


def test_each_image_is_judged_once_by_a_run_that_did_not_see_it(study):
    names = []
    for fold in range(1, COUNT + 1):
        run = Run.open(study.folder / f"fold-{fold}")
        assert (run.experiment.data.split.folds, run.experiment.data.split.fold) == (COUNT, fold)
        tested = [row.image for row in run.split("test")]
        assert not {row.image for split in ("train", "validation") for row in run.split(split)} & set(tested)
        names += tested
    assert len(names) == len(set(names)) == 60
    with (study.folder / "folds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["image"] for row in rows} == set(names)


def test_the_summary_is_that_of_all_answers(study):
    answers = [Answers.read(Run.open(study.folder / f"fold-{fold}"), "test") for fold in range(1, COUNT + 1)]
    labels, predicted = (np.concatenate([getattr(each, name) for each in answers]) for name in ("labels", "predicted"))
    pooled, document = study.document["pooled"], study.document
    assert pooled["images"] == 60
    assert pooled["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert pooled["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0))
    each = [accuracy_score(one.labels, one.predicted) for one in answers]
    assert [entry["accuracy"] for entry in document["runs"]] == pytest.approx(each)
    ends = [(entry["macro_f1"], *entry["macro_f1_interval"]) for entry in document["runs"]]
    assert all(low <= macro_f1 <= high for macro_f1, low, high in ends)
    assert document["accuracy"]["mean"] == pytest.approx(np.mean(each))
    assert document["accuracy"]["standard_deviation"] == pytest.approx(np.std(each, ddof=1))
    kept = json.loads((study.folder / "folds.json").read_text())
    assert kept["pooled"] == pooled
    with (study.folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    assert sum(row["label"] == row["predicted"] for row in rows) == round(pooled["accuracy"] * 60)
    assert {row["fold"] for row in rows} == {"1", "2"}
    told = "\n".join(fold_results.lines(document))
    assert "Bengio and Grandvalet 2004" in told


def test_a_fold_has_the_bits_of_its_own_config_trained_alone(study, tmp_path):
    """The second one, which another network was trained before in the same process."""
    training.train(read(study.folder / "fold-2" / "config.yaml"), tmp_path / "alone")
    alone, fold = Run.open(tmp_path / "alone"), Run.open(study.folder / "fold-2")
    assert alone.weights_digest() == fold.weights_digest()
    assert [row.image for row in alone.split("test")] == [row.image for row in fold.split("test")]


def test_finished_folds_are_left_as_they_are(study):
    before = {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()}
    assert folds.resume(study.folder)["pooled"] == study.document["pooled"]
    assert {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()} == before


def test_a_folder_of_folds_is_no_run_and_says_where_they_are(study, command):
    code, _, told = command("evaluate", study.folder)
    assert code == 2
    assert f"each of its folds is one, such as {study.folder / 'fold-1'}" in told


@pytest.mark.slow
def test_a_folder_of_folds_has_a_page_with_pictures_behind_the_answers_of_all(study, command, tmp_path):
    code, out, err = command("report", study.folder, "--output", tmp_path / "page.html")
    assert (code, out, err) == (0, f"{tmp_path / 'page.html'}: open it with a browser\n", "")
    page = (tmp_path / "page.html").read_text()
    pooled = study.document["pooled"]
    assert f"<h1>{100 * pooled['accuracy']:.1f}\u00a0% of {pooled['images']} images are answered rightly" in page
    cells = json.loads(re.search(r'id="cells">(.*?)</script>', page)[1])
    counts = np.asarray(pooled["confusion"])
    assert {tuple(map(int, key.split(","))) for key in cells} == set(zip(*np.nonzero(counts), strict=True))
    told = {
        row["image"]: (row["label"], row["predicted"])
        for row in csv.DictReader((study.folder / "predictions.csv").open())
    }
    classes = [entry["name"] for entry in pooled["classes"]]
    for key, pictures in cells.items():
        i, j = map(int, key.split(","))
        assert 1 <= len(pictures) <= counts[i, j]
        assert {told[name] for _, name, _ in pictures} == {(classes[i], classes[j])}
    code, _, err = command(
        "report", study.folder / "fold-1", study.folder / "fold-2", "--output", tmp_path / "both.html"
    )
    both = (tmp_path / "both.html").read_text()
    assert code == 0 and f"is told by: cnnkit report {study.folder}</p>" in both
    assert "train both on the same images" not in both


def test_the_page_of_a_fold_is_called_after_all_of_them_and_leads_to_their_page(study):
    page = (study.folder / "fold-2" / "report.html").read_text()
    assert "<title>run/fold-2: " in page
    assert f"it is judged on fold 2 of 2; all of them together: cnnkit report {study.folder}</li>" in page


def test_a_page_of_folds_of_which_one_is_missing_is_refused_with_how_to_go_on(study, command, tmp_path):
    shutil.copytree(study.folder, tmp_path / "run", ignore=shutil.ignore_patterns("fold-2"))
    code, out, err = command("report", tmp_path / "run")
    assert (code, out) == (2, "")
    assert err == (
        f"{tmp_path / 'run'} has 2 folds, not yet trained: 2; go on with: cnnkit train --resume {tmp_path / 'run'}\n"
    )
    assert not (tmp_path / "run/report.html").exists()
    Run(tmp_path / "run/fold-1").write_provenance(state="interrupted")
    assert "has 2 folds, not yet trained: 2, not to the end: 1; go on" in command("report", tmp_path / "run")[2]


def test_of_folds_whose_evaluations_are_lost_it_is_told_how_to_make_them(study, command, tmp_path):
    folder = shutil.copytree(study.folder, tmp_path / "run")
    for fold in (1, 2):
        shutil.rmtree(folder / f"fold-{fold}" / "evaluation")
    for words in (["report"], ["train", "--resume"]):
        code, _, err = command(*words, folder)
        assert code == 4 and "without" not in err and "go on with" not in err
        assert all(f"make one: cnnkit evaluate {folder / f'fold-{fold}'} --split test" in err for fold in (1, 2))


def test_where_only_some_folds_are_calibrated_the_figures_of_all_come_with_a_remark(study, tmp_path):
    folder = shutil.copytree(study.folder, tmp_path / "run")
    runs = {fold: folder / f"fold-{fold}" for fold in (1, 2)}
    assert fold_results.judged(folder, runs, Progress())[0]["remarks"] == [fold_results.INDEPENDENT]
    Run.open(runs[1]).calibrate(temperature=1.0)
    document, _ = fold_results.judged(folder, runs, Progress())
    assert document["pooled"] == study.document["pooled"]
    [remark] = document["remarks"][1:]
    assert remark.startswith("only fold 1 is calibrated")
    assert remark.endswith(f": cnnkit evaluate {runs[2]} --calibrate, and then: cnnkit report {folder}")


def test_the_command_shows_a_finished_study_again(study, command):
    code, out, _ = command("train", "--resume", study.folder)
    assert code == 0
    assert "all 2 folds are done" in out
    assert out.endswith(f"The folds: {study.folder}; on a page, with pictures: cnnkit report {study.folder}\n")
    assert "accuracy of 2 folds: mean" in out
    code, out, _ = command("train", "--resume", study.folder, "--json")
    assert json.loads(out)["pooled"] == study.document["pooled"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--folds", "3", "--preflight"], "--preflight looks at one training; leave out --folds"),
        (["--folds", "3", "--resume", "there"], "goes on with as many folds as the folder has; leave out --folds"),
        (["--folds", "1"], "--folds 1: at least 2 are needed, as one is judged on and the others train"),
        (["--folds", "0"], "--folds 0: at least 2 are needed, as one is judged on and the others train"),
        (["--folds", "0", "--preflight"], "--preflight looks at one training; leave out --folds"),
        (["--folds", "1001"], "--folds 1001: at most 1,000, as each is a training; 5 or 10 are usual"),
        (["--folds", "3", "--set", "data.split.test=0.2"], "data.split.test: each fold is the test split in its turn"),
        (["--folds", "3", "--set", "data.split={folds: 3, fold: 1}"], "leave folds and fold out"),
        (["--folds", "9"], "data.limit: should be at least 9, an image a class for each fold"),
    ],
)
def test_what_does_not_go_together_is_told(study, command, tmp_path, words, message):
    where = [] if {"--preflight", "--resume"} & {*words} else ["--run", tmp_path / "run"]
    code, _, told = command("train", study.config, *where, *words)
    assert code == 2
    assert message in told
    assert not (tmp_path / "run").exists()


def test_folds_are_not_trained_over_others_but_gone_on_with(study, command):
    code, _, told = command("train", study.config, "--folds", "2", "--run", study.folder)
    assert code == 2
    assert f"or go on with it: cnnkit train --resume {study.folder}" in told


def test_a_source_with_a_split_of_its_own_has_no_folds(image_folder, command, tmp_path):
    image_folder({"train/a": 6, "train/b": 6, "test/a": 2, "test/b": 2})
    (tmp_path / "mine.yaml").write_text(
        "data: {source: {name: folder, path: images}}\nmodel: {name: sequential, layers: [{name: flatten}]}\n"
    )
    code, _, told = command("train", tmp_path / "mine.yaml", "--folds", "3", "--run", tmp_path / "run")
    assert code == 2
    assert told.startswith("--folds 3: the source has a test split of its own, and folds divide all images anew")


def test_when_all_are_trained_ctrl_c_tells_how_to_see_what_they_say_together(study, monkeypatch):
    def interrupted(*all_of_them):
        raise KeyboardInterrupt

    monkeypatch.setattr(folds, "summary", interrupted)
    with pytest.raises(Interrupted, match=f"go on with: cnnkit train --resume {study.folder}"):
        folds.resume(study.folder)


def copy_of(study, tmp_path: Path) -> Path:
    """The same without its second fold."""
    folder = tmp_path / "copy"
    shutil.copytree(study.folder, folder, ignore=shutil.ignore_patterns("fold-2"))
    return folder


def test_folds_do_not_go_on_with_other_images_or_another_training(study, tmp_path):
    folder = copy_of(study, tmp_path)
    with pytest.raises(ConfigError, match=r"optimizer\.learning_rate"):
        folds.resume(folder, ["train.optimizer.learning_rate=0.1"])
    with pytest.raises(UsageError, match="can't become longer"):
        folds.resume(folder, ["train.epochs=9"])
    with (folder / "config.yaml").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(TrainingError, match=r"config\.yaml is not as the training left it"):
        folds.resume(folder)


def put(experiment, section, **settings):
    changed = getattr(experiment, section).model_copy(update=settings)
    return experiment.model_copy(update={section: changed})


def another_fold(run: Run) -> None:
    shutil.rmtree(run.folder)
    shutil.copytree(run.folder.with_name("fold-1"), run.folder)


def other_settings(run: Run) -> None:
    run.change(put(run.experiment, "data", batch_size=7))


def longer(run: Run) -> None:
    run.change(put(run.experiment, "train", epochs=9))


def other_images(run: Run) -> None:
    text = run.files.split.read_text()
    name = run.split("test")[0].image
    run._record.replace(run.files.split, text.replace(f"{name},test,", f"{name},train,"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (another_fold, "data.split.fold: the run has `1`, the config `2`"),
        (other_settings, "data.batch_size: the run has `7`, the config `16`"),
        (longer, "train.epochs: the run has `9`, the config `1`"),
        (other_images, "its test images are not those that {folder}/folds.csv has for this fold"),
    ],
)
@pytest.mark.parametrize("words", [["report"], ["train", "--resume"]], ids=" ".join)
def test_what_is_not_the_run_of_a_fold_is_not_counted_as_that(study, command, tmp_path, change, told, words):
    folder = shutil.copytree(study.folder, tmp_path / "run")
    change(Run.open(folder / "fold-2"))
    code, out, err = command(*words, folder)
    assert (code, out) == (4, "")
    first, hint = err.splitlines()
    assert first == f"{folder / 'fold-2'} is not fold 2 of {folder}: {told.format(folder=folder)}"
    assert hint.endswith(f"and train that fold anew: cnnkit train --resume {folder}")


@pytest.mark.parametrize("count", [3, 1, 0, -1, 10**9, True, "2", None])
def test_another_number_of_folds_than_were_divided_is_refused(study, command, tmp_path, count):
    folder = shutil.copytree(study.folder, tmp_path / "run")
    record = json.loads((folder / "folds.json").read_text())
    (folder / "folds.json").write_text(json.dumps(record | {"folds": count}))
    code, _, err = command("report", folder)
    told = (
        "data.split.folds: the run has `2`, the config `3`" if count == 3 else "does not tell how many folds there are"
    )
    assert code == 4 and told in err


def test_where_images_lie_and_how_long_may_be_trained_makes_no_other_fold(study, tmp_path):
    folder = shutil.copytree(study.folder, tmp_path / "run")
    run = Run.open(folder / "fold-1")
    run.change(put(run.experiment, "train", time_limit=5.0))
    assert folds.opened(folder).count == COUNT


def test_a_fold_that_has_begun_is_resumed_and_one_that_has_not_is_trained(study, tmp_path, monkeypatch):
    folder, called = tmp_path / "three", []
    no_report = {"step": "report.html is not written", "kind": "data"}
    for name in ("train", "resume"):

        def work(first, *more, name=name):
            called.append((name, first, *more))
            return {"failed": [no_report]}

        monkeypatch.setattr(training, name, work)
    monkeypatch.setattr(folds, "summary", lambda *all_of_them: {"run": "", "remarks": []})
    monkeypatch.setattr(folds.Study, "state", lambda self, fold: {1: "finished", 2: "interrupted"}.get(fold))
    (folder / "fold-2").mkdir(parents=True)
    (folder / "folds.json").write_text("{}")
    document = folds._trained(folds.Study(folder, 3), read(study.config), ("train.time_limit=5",), Progress())
    assert [(name, first) for name, first, *_ in called][:1] == [("resume", folder / "fold-2")]
    assert called[0][3] == ("train.time_limit=5",)
    name, experiment, where, _ = called[1]
    assert (name, experiment.data.split.fold, where) == ("train", 3, folder / "fold-3")
    assert document["state"] == "unfinished"
    assert "the time of folds 2 and 3 was up" in document["remarks"][-1]
    assert document["failed"] == [no_report, no_report]


def test_who_interrupts_what_comes_behind_a_fold_does_not_want_the_next_one(study, tmp_path, monkeypatch):
    folder = copy_of(study, tmp_path)
    called = []

    def work(*all_of_them):
        called.append(all_of_them)
        return {"failed": [{"step": "report.html is not written", "kind": "interrupted"}]}

    monkeypatch.setattr(training, "train", work)
    with pytest.raises(Interrupted) as interrupted:
        folds.resume(folder)
    assert len(called) == 1
    assert str(interrupted.value).endswith(f"go on with: cnnkit train --resume {folder}")


def test_a_failing_fold_tells_its_error_and_what_is_done(study, tmp_path, monkeypatch):
    folder = copy_of(study, tmp_path)

    def failing(*all_of_them):
        raise TrainingError("out of memory")

    monkeypatch.setattr(training, "train", failing)
    with pytest.raises(TrainingError) as failed:
        folds.resume(folder)
    assert str(failed.value) == (
        f"out of memory\nThis was fold 2 of 2, fold 1 done; go on with: cnnkit train --resume {folder}"
    )


def test_a_class_that_is_too_small_is_told_before_anything_is_made(image_folder, tmp_path):
    images = image_folder({"many": 20, "few": 4})
    (tmp_path / "mine.yaml").write_text(
        f"data: {{source: {{name: folder, path: {images}}}}}\nmodel: {{name: resnet, depth: 20}}\n"
    )
    with pytest.raises(DataError, match="class `few` has 4 different images, and each of 5 folds has to hold"):
        folds.train(read(tmp_path / "mine.yaml"), 5, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_spread_is_the_standard_deviation_of_a_sample():
    assert fold_results.spread([0.8, 0.9, 0.85])["standard_deviation"] == pytest.approx(
        statistics.stdev([0.8, 0.9, 0.85])
    )
