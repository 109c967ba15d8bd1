from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cnnkit import Run, evaluate, read, train
from cnnkit.core import machine, onednn
from cnnkit.core.errors import DataError, TrainingError, UsageError
from cnnkit.core.lazy import keras, tf
from cnnkit.core.progress import Progress
from cnnkit.optimization.schedules import Cosine
from cnnkit.runs.epochs import TIMES
from cnnkit.training.steps import Steps

PLAIN = """
name: plain
data:
  source: {name: digits}
  image_size: [8, 8]
  limit: 10
  batch_size: 16
model:
  name: sequential
  layers: [{name: conv, filters: 8}, {name: max_pool}, {name: flatten}, {name: dense, units: 16}]
train: {epochs: 3}
"""

CHANCE = """
name: chance
seed: 5
data:
  source: {name: digits}
  image_size: [8, 8]
  limit: 10
  batch_size: 16
augment: [{name: flip}, {name: shift, fraction: 0.2}]
model:
  name: sequential
  layers: [{name: conv, filters: 8}, {name: dropout, rate: 0.3}, {name: flatten}, {name: dense, units: 16}]
train: {epochs: 2, optimizer: {name: sgd, learning_rate: 0.05, nesterov: true, weight_decay: 1e-4}}
"""

RESNET = """
name: resnet
data:
  source: {name: digits}
  image_size: [16, 16]
  limit: 6
  batch_size: 16
model: {name: resnet, depth: 20}
train: {epochs: 2}
"""

PICTURES = """
data:
  source: {name: folder, path: pictures}
  image_size: [8, 8]
  batch_size: 4
  split: {validation: 0.2, test: 0.3}
model: {name: sequential, layers: [{name: conv, filters: 2}, {name: flatten}]}
train: {epochs: 2, loss: {name: binary_cross_entropy}}
"""

ALL_OF_THEM = """
import json, sys
from pathlib import Path
from cnnkit import read, train
runs, *configs = map(Path, sys.argv[1:])
print(json.dumps([train(read(config), runs / config.stem) for config in configs]))
"""

METRICS = ["epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
METRICS += ["seconds", "images_per_second", "gradient_norms", "waiting", "stage"]


def weights(run):
    [file] = (Path(run) / "checkpoints").glob("*.h5")
    return file.read_bytes()


def metrics(run, without=TIMES):
    lines = (Path(run) / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in without} for line in lines]


def below(folder):
    """Every file below a folder, with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def draw_pictures(folder):
    """Two classes, dark and light, whose names and folders sort differently as text and as paths."""
    random = np.random.default_rng(3)
    for name, grey in (("cat", 60), ("cat-like", 180)):
        for i in range(20):
            file = folder / name / ("a" if i % 3 == 0 else "") / f"{i:02d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(grey - 50, grey + 50, (12, 9, 3), np.uint8)).save(file)


class Heard(Progress):
    """Keeps what it is told of epochs and steps."""

    def __init__(self):
        self.epochs, self.steps = [], []

    def epoch(self, line):
        self.epochs.append(line)

    def step(self, step):
        self.steps.append(step)


@pytest.fixture(scope="module")
def heard():
    """What the training of `plain` tells."""
    return Heard()


@pytest.fixture(scope="module")
def runs(tmp_path_factory, heard):
    """A folder with the runs `plain` and `chance`, trained here, and the documents that came back."""
    folder = tmp_path_factory.mktemp("runs")
    documents = []
    for name, text, progress in (("plain", PLAIN, heard), ("chance", CHANCE, Progress())):
        (folder / f"{name}.yaml").write_text(text)
        documents.append(train(read(folder / f"{name}.yaml"), folder / name, progress))
    return folder, documents


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """The same configs trained in two fresh processes, in opposite order; the documents that came back."""
    folder = tmp_path_factory.mktemp("twice")
    configs = [folder / f"{name}.yaml" for name in ("plain", "chance", "resnet")]
    for path, text in zip(configs, (PLAIN, CHANCE, RESNET), strict=True):
        path.write_text(text)
    working = [
        subprocess.Popen([sys.executable, "-c", ALL_OF_THEM, folder / runs, *order], stdout=subprocess.PIPE, cwd=folder)
        for runs, order in (("first", configs), ("second", configs[::-1]))
    ]
    documents = [json.loads(process.communicate(timeout=300)[0]) for process in working]
    return folder, documents


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A run on a folder of images, by the command in a fresh process: its folder, and what was printed."""
    folder = tmp_path_factory.mktemp("pictures")
    draw_pictures(folder / "configs" / "pictures")
    (folder / "configs" / "two.yaml").write_text(PICTURES)
    words = ["train", "configs/two.yaml", "--run", "runs/first", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "cnnkit", *words], capture_output=True, text=True, cwd=folder, timeout=300
    )
    return folder, done


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "chance", "resnet"])
def test_the_same_config_and_seed_make_the_same_run_in_every_process(twice, runs, name):
    folder, (documents, _) = twice
    first, second = folder / "first" / name, folder / "second" / name
    assert weights(first) == weights(second)
    assert metrics(first) == metrics(second)
    assert list(metrics(first, without=())[0]) == METRICS
    for file in ("split.csv", "evaluation/test.json", "evaluation/test_predictions.csv", "config.yaml"):
        assert (first / file).read_bytes() == (second / file).read_bytes()
    if name == "resnet":
        [document] = [document for document in documents if Path(document["run"]).name == name]
        assert evaluate(folder / document["run"]) == document["test"]
    else:
        assert weights(first) == weights(runs[0] / name)


def test_another_seed_makes_another_network_and_judges_it_on_the_same_images(runs, config, tmp_path):
    train(read(config(PLAIN), "seed=1"), tmp_path / "other")
    first = runs[0] / "plain"
    assert weights(tmp_path / "other") != weights(first)
    assert (tmp_path / "other" / "split.csv").read_bytes() == (first / "split.csv").read_bytes()


def test_the_config_of_a_run_repeats_it(runs, tmp_path):
    first = runs[0] / "plain"
    train(read(first / "config.yaml"), tmp_path / "again")
    assert weights(tmp_path / "again") == weights(first)
    assert metrics(tmp_path / "again") == metrics(first)
    assert (tmp_path / "again" / "config.yaml").read_bytes() == (first / "config.yaml").read_bytes()


def test_what_is_on_disk_is_worth_what_training_said(runs):
    for document in runs[1]:
        assert evaluate(document["run"]) == document["test"]
        assert evaluate(document["run"], "validation", questions=()) == document["validation"]


def test_the_best_epoch_is_kept(runs):
    for document in runs[1]:
        epochs = metrics(document["run"])
        best = max(epochs, key=lambda epoch: epoch["val_accuracy"])  # of equal ones the first
        assert document["epochs"] == len(epochs)
        assert document["best_epoch"] == best["epoch"]
        assert document["validation"]["accuracy"] == pytest.approx(best["val_accuracy"])
        assert document["validation"]["loss"] == pytest.approx(best["val_loss"], rel=1e-4)


def test_the_test_result_is_of_the_checkpoint_on_disk_not_of_the_last_epoch(config, tmp_path, monkeypatch):
    from cnnkit.runs import checkpoints

    load = checkpoints.load

    def worthless(model, *where):
        facts = load(model, *where)
        model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
        return facts

    monkeypatch.setattr(checkpoints, "load", worthless)
    document = train(read(config(PLAIN), "train.epochs=1"), tmp_path / "run")
    assert document["test"]["loss"] == pytest.approx(math.log(10), abs=1e-6)


def test_a_run_leaves_what_the_readme_says(runs):
    run = runs[0] / "plain"
    names = {name for name in below(run) if not name.endswith((".h5", ".safetensors"))}
    assert {re.sub(r"tfevents\.\d+", "tfevents.TIME", name) for name in names} == {
        *(f"tensorboard/{part}events.out.tfevents.TIME.cnnkit" for part in ("", "train/", "validation/")),
        "config.yaml",
        "provenance.json",
        "metrics.jsonl",
        "split.csv",
        "log.txt",
        "report.html",
        "checkpoints/best.json",
        "checkpoints/state-01-0003-00000000.json",
        "evaluation/validation.json",
        "evaluation/validation_predictions.csv",
        "evaluation/test.json",
        "evaluation/test_predictions.csv",
    }


def test_tensorboard_shows_the_figures_of_every_epoch(runs):
    run = Run.open(runs[0] / "plain")
    epochs = run.history()
    for part, side in (("train", ""), ("validation", "val_")):
        read = EventAccumulator(str(run.files.tensorboard / part)).Reload()
        for name in ("loss", "accuracy"):
            points = [(event.step, event.value) for event in read.Scalars(f"epoch/{name}")]
            assert points == [(epoch["epoch"], pytest.approx(epoch[f"{side}{name}"])) for epoch in epochs]
    whole = EventAccumulator(str(run.files.tensorboard)).Reload().Tags()
    assert whole["images"] == ["first_batch"] and "config" in whole["tensors"]
    size = sum(path.stat().st_size for path in run.files.tensorboard.rglob("*") if path.is_file())
    assert size < 100_000


def test_provenance_tells_how_a_run_was_made(runs):
    run = Run.open(runs[0] / "plain")
    facts = run.provenance()
    assert {"command", "git", "versions", "device", "data", "parameters", "state"} <= facts.keys()
    assert facts["state"] == "finished"
    assert facts["data"]["classes"] == [str(digit) for digit in range(10)]
    assert facts["data"]["images"] == {"train": 60, "validation": 20, "test": 20}
    assert facts["parameters"]["total"] == (9 * 8 + 8) + (4 * 4 * 8 * 16 + 16) + (16 * 10 + 10)
    assert facts["versions"]["keras"] == keras.__version__
    assert facts["processor"] == machine.processor()
    assert facts["onednn"] is onednn.in_force()


def test_a_run_that_was_trained_on_other_kernels_is_evaluated_on_those_of_this_process_and_says_so(runs, tmp_path):
    shutil.copytree(runs[0] / "plain", tmp_path / "run")
    other = not onednn.in_force()
    Run.open(tmp_path / "run").write_provenance(onednn=other)
    lines = []
    progress = Progress()
    progress.say = lines.append
    evaluate(tmp_path / "run", progress=progress)
    assert [line for line in lines if "oneDNN" in line] == [
        f"{tmp_path / 'run'} computes {'without' if other else 'with'} oneDNN's kernels, as that was chosen before in "
        f"this process; the run was trained {'with' if other else 'without'} them, so last digits may differ"
    ]


def test_split_csv_has_every_image_once(runs):
    with (runs[0] / "plain" / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["image"] for row in rows}) == len(rows) == 100
    for label in map(str, range(10)):
        splits = [row["split"] for row in rows if row["label"] == label]
        assert {name: splits.count(name) for name in set(splits)} == {"train": 6, "validation": 2, "test": 2}


def test_steps_are_counted_with_the_remainder(runs):
    epochs = metrics(runs[0] / "plain")
    assert [(epoch["epoch"], epoch["step"]) for epoch in epochs] == [(1, 4), (2, 8), (3, 12)]  # 60 images by 16


def test_the_command_prints_one_document_and_tells_people_on_stderr(pictures):
    folder, done = pictures
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    expected = {"run", "state", "epochs", "best_epoch", "validation", "test", "remarks", "report", "failed"}
    assert document.keys() == expected
    assert (folder / document["run"]).resolve() == (folder / "runs" / "first").resolve()
    wanted = {"split", "images", "loss", "accuracy", "accuracy_interval", "macro_f1", "classes"}
    for split in ("validation", "test"):
        assert wanted <= document[split].keys()
        kept = json.loads((folder / "runs/first/evaluation" / f"{split}.json").read_text())
        assert kept.pop("sha256") and kept == document[split]
    opening, *epochs = done.stderr.splitlines()
    assert "40 images in 2 classes (20 train, 8 validation, 12 test)" in opening
    assert [line.split("  ")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]


def test_a_run_remembers_absolute_paths(pictures):
    folder, _ = pictures
    assert read(folder / "runs/first/config.yaml").data.source.path == str(folder / "configs" / "pictures")


def test_a_folder_of_two_classes_with_one_logit(pictures):
    folder, done = pictures
    run = Run.open(folder / "runs" / "first")
    model = run.network()
    assert run.classes == ["cat", "cat-like"]
    assert model.output_shape == (None, 1)
    with (run.folder / "evaluation" / "test_predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row["p_cat"]) + float(row["p_cat-like"]) == pytest.approx(1, abs=2e-6)
        assert row["label"] == row["image"].split("/")[0]
        assert row["predicted"] == ("cat-like" if float(row["p_cat-like"]) > 0.5 else "cat")
    right = sum(row["label"] == row["predicted"] for row in rows) / len(rows)
    assert right == json.loads(done.stdout)["test"]["accuracy"]


def test_evaluating_a_folder_again_gives_the_same_to_the_last_digit(pictures):
    folder, done = pictures
    before = (folder / "runs/first/evaluation/test_predictions.csv").read_text()
    assert evaluate(folder / "runs" / "first") == json.loads(done.stdout)["test"]
    assert (folder / "runs/first/evaluation/test_predictions.csv").read_text() == before


def test_images_that_moved_are_found_with_set(pictures, command, tmp_path):
    folder, done = pictures
    (folder / "configs" / "pictures").rename(tmp_path / "moved")
    try:
        run = folder / "runs" / "first"
        code, out, _ = command("evaluate", run, "--json")
        assert code == 3
        assert json.loads(out)["error"]["kind"] == "data"
        code, out, _ = command("evaluate", run, "--json", "--set", f"data.source.path={tmp_path / 'moved'}")
        told = json.loads(out)  # of two classes, with what only the command asks
        assert (code, told) == (0, told | json.loads(done.stdout)["test"])
    finally:
        (tmp_path / "moved").rename(folder / "configs" / "pictures")


def changed(file):
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(file)


def in_the_other_class(file):
    top = file.parents[1] if file.parent.name == "a" else file.parent
    there = top.parent / {"cat": "cat-like", "cat-like": "cat"}[top.name] / f"x{file.name}"
    file.rename(there)


@pytest.mark.parametrize(
    ("harm", "expected"),
    [(Path.unlink, "1 of the 12 test images is gone"), (changed, "changed"), (in_the_other_class, "")],
)
def test_images_that_are_not_those_of_the_run_are_refused(pictures, tmp_path, harm, expected):
    folder, _ = pictures
    draw_pictures(tmp_path / "pictures")
    setting = f"data.source.path={tmp_path / 'pictures'}"
    run = Run.open(folder / "runs" / "first")
    name = run.split("test")[-1].image
    evaluate(run, settings=[setting])
    harm(tmp_path / "pictures" / name)
    with pytest.raises(DataError) as raised:
        evaluate(run, settings=[setting])
    assert raised.value.exit_code == 3
    assert name in str(raised.value) and expected in str(raised.value)


@pytest.mark.parametrize(
    "setting",
    ["data.image_size=[16, 16]", "data.channels=1", "model.layers=[{name: flatten}]", "train.loss.label_smoothing=0.5"],
)
def test_evaluate_refuses_settings_that_would_make_it_another_run(pictures, command, setting):
    code, _, err = command("evaluate", pictures[0] / "runs" / "first", "--set", setting)
    assert code == 2, err
    assert setting.split("=")[0] in err


def test_a_split_that_does_not_exist_is_a_usage_error(pictures):
    with pytest.raises(UsageError, match="validation"):
        evaluate(pictures[0] / "runs" / "first", "valdation")


def test_a_summary_of_a_run_needs_no_images(pictures, command):
    code, out, _ = command("summary", pictures[0] / "runs" / "first", "--json")
    document = json.loads(out)
    assert (code, document["classes"]) == (0, 2)
    assert document["parameters"]["total"] == (3 * 3 * 3 * 2 + 2) + (8 * 8 * 2 + 1)


def test_training_stops_early(config, tmp_path):
    stop = "train.early_stopping={monitor: val_loss, patience: 2, min_delta: 100.0}"
    document = train(read(config(PLAIN), "train.epochs=9", stop), tmp_path / "run")
    assert document["epochs"] == 3  # the first is the best there is, two more are waited for
    assert "Stopped after epoch 3" in (tmp_path / "run" / "log.txt").read_text()


def test_divergence_is_told_at_its_update_with_advice(config, command, tmp_path):
    optimizer = "train.optimizer={name: sgd, learning_rate: 1e12}"
    code, out, err = command("train", config(PLAIN), "--run", tmp_path / "run", "--set", optimizer)
    assert code == 4
    assert "diverged" in err and "train.optimizer.learning_rate" in err
    assert "epoch 1, update " in err
    assert "Traceback" not in err + out
    assert Run.open(tmp_path / "run").provenance()["state"] == "failed"


def test_divergence_after_good_epochs_keeps_the_best(config, tmp_path, monkeypatch):
    experiment = read(config(PLAIN), "train.optimizer={name: sgd}", "train.checkpoint.monitor=loss")
    # 4 steps an epoch: the third epoch takes giant steps.
    giant = keras.optimizers.schedules.PiecewiseConstantDecay([7], [0.01, 1e12])
    monkeypatch.setattr(Cosine, "__call__", lambda *_: giant)
    with pytest.raises(TrainingError, match="keeps epoch 2, the best of"):
        train(experiment, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.provenance()["best_epoch"] == 2
    assert 0 <= evaluate(run)["accuracy"] <= 1


def test_running_out_of_memory_is_told_with_advice(config, tmp_path, monkeypatch):
    def exhausted(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(Steps, "train", exhausted)
    with pytest.raises(TrainingError, match=r"data\.batch_size"):
        train(read(config(PLAIN)), tmp_path / "run")
    assert Run.open(tmp_path / "run").provenance()["state"] == "failed"


def test_an_existing_folder_is_refused_and_not_touched(config, command, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    code, _, err = command("train", config(PLAIN), "--run", tmp_path / "run")
    assert code == 2
    assert "never overwrites" in err
    assert below(tmp_path / "run") == {"thesis.txt": b"years of work"}


def test_a_bad_image_is_named_and_leaves_no_run(config, command, tmp_path):
    draw_pictures(tmp_path / "pictures")
    bad = tmp_path / "pictures" / "cat" / "01.png"
    bad.write_bytes(bad.read_bytes()[:100])
    code, _, err = command("train", config(PICTURES), "--run", tmp_path / "runs" / "first")
    assert code == 3
    assert "cat/01.png" in err and "on_bad" in err
    assert not (tmp_path / "runs").exists()


def test_bad_images_can_be_left_out_and_are_listed(config, tmp_path):
    draw_pictures(tmp_path / "pictures")
    (tmp_path / "pictures" / "cat" / "01.png").write_bytes(b"not an image")
    (tmp_path / "pictures" / "cat" / "notes.txt").write_text("mine")
    document = train(read(config(PICTURES), "data.source.on_bad=skip"), tmp_path / "run")
    with (tmp_path / "run" / "unused.csv").open(newline="") as file:
        assert {row["file"] for row in csv.DictReader(file)} == {"cat/01.png", "cat/notes.txt"}
    assert Run.open(tmp_path / "run").provenance()["data"]["unused"] == 2
    assert evaluate(tmp_path / "run", settings=["data.source.on_bad=skip"]) == document["test"]


def test_an_error_that_the_doctor_finds_is_told_and_leaves_no_run(config, command, tmp_path):
    draw_pictures(tmp_path / "pictures" / "train")
    for name in ("cat", "cat-like"):
        (tmp_path / "pictures" / "test" / name).mkdir(parents=True)
        for i in range(1, 5):
            (tmp_path / "pictures" / "train" / name / f"{3 * i + 1:02d}.png").rename(
                tmp_path / "pictures" / "test" / name / f"{i}.png"
            )
    shutil.copy(tmp_path / "pictures" / "train" / "cat" / "02.png", tmp_path / "pictures" / "test" / "cat" / "too.png")
    settings = [word for key in ("split={}", "split.validation=0.2") for word in ("--set", f"data.{key}")]
    code, _, err = command("train", config(PICTURES), "--run", tmp_path / "runs" / "first", *settings)
    assert code == 3
    assert "1 picture lies in more than one split" in err
    assert "cnnkit data" in err
    assert not (tmp_path / "runs").exists()


def test_what_the_doctor_warns_of_is_told_and_recorded(config, command, tmp_path):
    draw_pictures(tmp_path / "pictures")
    picture = tmp_path / "pictures" / "cat" / "01.png"
    with Image.open(picture) as opened:
        opened.save(picture.with_suffix(".jpg"), format="PNG")
    picture.unlink()
    settings = ["--set", "train.epochs=1", "--set", "data.batch_size=5000"]
    code, out, _ = command("train", config(PICTURES), "--run", tmp_path / "run", *settings)
    assert code == 0
    assert "careful: data.batch_size: 5,000 is more than the 20 training images" in out
    assert "careful: 1 picture in another format than the ending of the name says" in out
    recorded = {finding["kind"]: finding for finding in Run.open(tmp_path / "run").provenance()["data"]["findings"]}
    assert (recorded["wrong_extension"]["severity"], recorded["wrong_extension"]["images"]) == ("warning", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such names")
def test_a_file_name_that_is_not_utf8_works_like_any_other(config, tmp_path):
    draw_pictures(tmp_path / "pictures")
    file = tmp_path / "pictures" / "cat" / "01.png"
    os.rename(file, os.fsencode(file.parent) + b"/caf\xe9.png")  # noqa: PTH104
    document = train(read(config(PICTURES)), tmp_path / "run")
    assert evaluate(tmp_path / "run") == document["test"]


def test_two_runs_in_the_same_second_get_folders_of_their_own(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = read(config(PLAIN), "train.epochs=1")
    first, second = (Run.create(experiment, None) for _ in range(2))
    assert first.folder != second.folder
    assert first.folder.parent == second.folder.parent == Path("runs")
    assert first.folder.name.startswith("plain-")


def test_progress_is_told_of_every_epoch(runs, heard):
    assert [line.split()[1] for line in heard.epochs] == ["1/3", "2/3", "3/3"]
    assert heard.steps
    for step in heard.steps:
        assert 1 <= step.epoch <= step.epochs == 3
        assert 0 <= step.step <= step.steps == 4
        assert step.step == 0 or step.images_per_second > 0
        assert step.seconds_left >= 0
