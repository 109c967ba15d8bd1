"""Trainings with a planted fault, whole: each ends, or goes on, with the words that help; and what looks before."""

from __future__ import annotations

import json
import re
import time

import numpy as np
import pytest

from cnnkit import Run, read, train
from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import tf
from cnnkit.core.progress import Progress
from cnnkit.data.feeding.batches import TrainBatches
from cnnkit.models import freezing
from cnnkit.models.base import Architecture
from cnnkit.training import stage_fit, waiting
from cnnkit.training.data import TrainingData
from cnnkit.training.gradients import WatchGradients
from cnnkit.training.observers import Observer
from cnnkit.training.preflight import _rate_to_find, preflight
from cnnkit.training.start_checks import StartChecks
from cnnkit.training.steps import Steps
from cnnkit.training.waiting import WatchWaiting

pytestmark = pytest.mark.usefixtures("without_report")

PLAIN = """
name: plain
data: {source: {name: digits}, image_size: [8, 8], limit: 10, batch_size: 16}
model: {name: sequential, layers: [{name: flatten}, {name: dense, units: 16}]}
train: {epochs: 2, optimizer: {name: adam, learning_rate: 3e-3}}
"""

SIGMOIDS = ", ".join(["{name: dense, units: 24, activation: sigmoid}"] * 50)


class Ended(BaseException):
    """Ends a training as a kill does: nobody records it."""


class Lines(Progress):
    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)


def careful(config, folder, *settings):
    """What a training says to be careful about while it goes on; and its run."""
    lines = Lines()
    train(read(config, *settings), folder, lines)
    return [line for line in lines.said if line.startswith("  careful:")], Run.open(folder)


def spoil(monkeypatch, numbers, value=np.nan):
    """Images with these numbers come to the network as NaN, whatever they are in their files."""
    made = TrainBatches.batch

    def batch(self, pixels, epoch, places):
        images, labels, weights = made(self, pixels, epoch, places)
        bad = tf.reduce_any(tf.gather(self.numbers, places)[:, None] == tf.constant(numbers, tf.int64), axis=1)
        return tf.where(bad[:, None, None, None], tf.cast(value, tf.float32), images), labels, weights

    monkeypatch.setattr(TrainBatches, "batch", batch)


@pytest.mark.slow
def test_a_healthy_training_is_told_nothing_and_its_metrics_have_gradients_and_waiting(config, tmp_path):
    lines, run = careful(config(PLAIN), tmp_path / "run")
    assert lines == []
    for epoch in run.history():
        assert list(epoch["gradient_norms"]) == ["dense1", "classifier"]
        assert all(norm > 0 for norm in epoch["gradient_norms"].values())
        assert 0 <= epoch["waiting"] <= 1


@pytest.mark.parametrize("name", [pytest.param("adam", marks=pytest.mark.slow), "sgd"])
def test_a_learning_rate_of_1000(config, command, tmp_path, name):
    """With Adam the loss grows beyond reason and stays a number, with SGD it comes to an end."""
    optimizer = f"train.optimizer={{name: {name}, learning_rate: 1000.0}}"
    code, out, err = command("train", config(PLAIN), "--run", tmp_path / "run", "--set", optimizer)
    usual = {"adam": "0.001", "sgd": "0.1"}[name]
    assert f"train.optimizer.learning_rate={usual} (now 1000)" in out + err
    assert "diverge" in out + err and "train.schedule.warmup_epochs=1" in out + err
    assert code == (4 if "training diverged" in err else 0)
    assert "--resume" not in err


def test_one_picture_of_nan_in_the_input(config, command, tmp_path, monkeypatch):
    path = config(PLAIN)
    data = TrainingData.of(read(path), Progress())
    number, names = int(data.training.numbers[7]), data.images.index.names
    spoil(monkeypatch, [number])
    code, _, err = command("train", path, "--run", tmp_path / "run")
    assert code == 4
    lines = err.splitlines()
    assert "in epoch 1, update" in lines[0]
    assert "it began in the input" in lines[1] and "1 image" in lines[1]
    assert lines[2].strip() == f"it happened to {names[number]}"
    assert "data.exclude" in err and f"leave out {names[number]}" in err
    recorded = Run.open(tmp_path / "run").provenance()
    assert recorded["state"] == "failed"
    assert recorded["divergence"]["images"][0] == names[number] and recorded["divergence"]["suspects"] == [
        names[number]
    ]
    assert len(recorded["divergence"]["images"]) <= 16
    assert "it began in the input" in (tmp_path / "run" / "log.txt").read_text()


def test_with_gradients_of_several_batches_it_is_the_batch_that_it_came_from(config, tmp_path, monkeypatch):
    experiment = read(config(PLAIN), "train.gradient_accumulation=3")
    spoil(monkeypatch, list(range(0, 1797, 2)), np.inf)
    with pytest.raises(TrainingError, match="update 1 of 2") as raised:
        train(experiment, tmp_path / "run")
    facts = Run.open(tmp_path / "run").provenance()["divergence"]
    assert facts["direction"] == "input" and 0 < len(facts["suspects"]) < len(facts["images"]) <= 16
    assert "no weights yet" in str(raised.value)


@pytest.mark.slow
def test_a_validation_that_is_no_number_is_told_with_its_images(config, tmp_path, monkeypatch):
    made, when = stage_fit.feeding.eval_batches, []

    def eval_batches(images, numbers, size):
        when.append(1)
        spoilt = made(images, numbers, size).map(lambda x, y: (tf.concat([x[:1] * np.nan, x[1:]], 0), y))
        return spoilt if len(when) > 1 else made(images, numbers, size)

    monkeypatch.setattr(stage_fit.feeding, "eval_batches", eval_batches)
    # A rectifier that is computed together with the layer before it makes 0 of NaN.
    layers = "model.layers=[{name: flatten}, {name: dense, units: 16, activation: tanh}]"
    with pytest.raises(TrainingError, match="val_loss is nan after epoch 2, whose training was finite") as raised:
        train(read(config(PLAIN), "train.epochs=3", layers), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    facts = run.provenance()["divergence"]
    validation = [row.image for row in run.split("validation")]
    assert facts["suspects"][0] in validation and set(facts["images"]) <= set(validation)
    assert "keeps epoch 1" in str(raised.value)
    assert run.history()[1]["val_loss"] is None


@pytest.mark.slow
def test_an_input_that_sleeps_50_ms_a_batch(config, tmp_path, monkeypatch):
    made = TrainBatches.mixed

    def slow(self, *parts):
        time.sleep(0.05)
        return made(self, *parts)

    monkeypatch.setattr(TrainBatches, "mixed", slow)
    settings = ("augment=[{name: mixup}]", "data.limit=60", "train.epochs=2")
    lines, run = careful(config(PLAIN), tmp_path / "run", *settings)
    [line] = [line for line in lines if "waits" in line]
    assert "waits for its images" in line and "`augment` without `mixup`" in line
    share = re.search(r"(\d+)\s%", line)
    assert share and int(share[1]) > 50
    assert run.history()[1]["waiting"] > 0.5


def test_a_frozen_network_with_nothing_to_train(config, command, tmp_path, monkeypatch):
    """A config can freeze all but the classifier, which `check` tells; that nothing at all learns is an error."""
    frozen = PLAIN.replace("epochs: 2", "stages: [{epochs: 2, freeze: backbone}]")
    code, out, _ = command("check", config(frozen))
    assert code == 0 and "the network has learnt nothing yet, and all but the classifier stays" in out
    plain = freezing.apply

    def apply(architecture, network, stage):
        staged = plain(architecture, network, stage)
        network.model.trainable = False
        return staged

    monkeypatch.setattr(freezing, "apply", apply)
    with pytest.raises(TrainingError, match=r"nothing to train: all layers are frozen.*train\.stages"):
        train(read(config(PLAIN)), tmp_path / "run")


def test_a_network_that_is_sure_and_wrong_before_it_has_learnt(config, tmp_path, monkeypatch):
    plain = Architecture.network

    def sure(self, *given):
        network = plain(self, *given)
        kernel = network.classifier.get_layer("logits").kernel
        kernel.assign(3000 * kernel.value)
        return network

    monkeypatch.setattr(Architecture, "network", sure)
    lines, _ = careful(config(PLAIN), tmp_path / "run", "train.epochs=1")
    [line] = lines  # and nothing of gradients, or of a rate, that hang on it
    assert "the loss begins at" in line and "weights that start too large" in line


@pytest.mark.slow
def test_fifty_sigmoid_layers(config, tmp_path):
    settings = "data.limit=30", "train.epochs=1", f"model.layers=[{{name: flatten}}, {SIGMOIDS}]"
    lines, run = careful(config(PLAIN), tmp_path / "run", *settings)
    [line] = lines
    assert "gradients vanish on their way back" in line and "`dense1`" in line
    assert "`relu` in place of `sigmoid`" in line and "batch_norm" in line
    norms = list(run.history()[0]["gradient_norms"].values())
    assert norms[0] < 1e-6 * norms[-1]


@pytest.mark.slow
def test_who_watches_changes_no_bit(config, tmp_path, monkeypatch):
    settings = "augment=[{name: rotate, degrees: 10}, {name: mixup}]", "data.limit=20"
    train(read(config(PLAIN), *settings), tmp_path / "watched")
    # All is looked at as if it was needed: what is said at once costs time, and is to change nothing either.
    monkeypatch.setattr(waiting, "FELT", 0.0)
    monkeypatch.setattr(waiting, "MUCH", 0.0)
    lines, _ = careful(config(PLAIN), tmp_path / "told", *settings)
    assert any("waits for its images" in line for line in lines)
    for observer in (StartChecks, WatchGradients, WatchWaiting):
        for moment in ("stage_begins", "updates_done", "trained", "measured", "epoch_ends"):
            monkeypatch.setattr(observer, moment, getattr(Observer, moment))
    train(read(config(PLAIN), *settings), tmp_path / "alone")
    files = [next((tmp_path / name / "checkpoints").glob("best*.h5")) for name in ("watched", "told", "alone")]
    assert len({file.read_bytes() for file in files}) == 1


def test_a_preflight_of_a_healthy_training_leaves_nothing(config, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = config(PLAIN)
    code, out, _ = command("train", path, "--preflight", "--json")
    found = json.loads(out)["preflight"]
    assert (code, found["verdict"]) == (0, "good"), found
    names = [check["name"] for check in found["checks"]]
    assert names == ["data", "memory", "loss at the start", "gradients", "time", "one batch"]
    figures = {name: value for check in found["checks"] for name, value in check["figures"].items()}
    assert figures["guessing"] == pytest.approx(np.log(10), rel=1e-5)
    assert figures["updates"] <= 120 and figures["accuracy"] == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.yaml"]


def test_a_preflight_makes_the_updates_of_the_training(config, tmp_path, monkeypatch):
    settings = (
        "train.clip={name: global_norm, at: 0.5}",
        "train.ema={}",
        "train.sam={}",
        "train.gradient_accumulation=2",
    )
    experiment, made = read(config(PLAIN), *settings), []

    def built(self, learner, optimizer, loss, *rest):
        made.append(rest)
        raise Ended  # what they compute is tested elsewhere

    monkeypatch.setattr(Steps, "__init__", built)
    for begin, given in ((preflight, ()), (train, (tmp_path / "run",))):
        with pytest.raises(Ended):
            begin(experiment, *given)
    of_preflight, of_training = made
    assert of_preflight == of_training
    assert of_training[1:5] == (2, experiment.train.clip, experiment.train.ema, experiment.train.sam)


@pytest.mark.slow
def test_a_preflight_tells_a_rate_that_does_not_learn_one_batch(config, command, tmp_path):
    code, out, _ = command("train", config(PLAIN), "--preflight", "--set", "train.optimizer.learning_rate=1e-6")
    assert code == 4
    assert "16 images are not learnt by heart: adam at 1e-06" in out
    assert "adam at 0.003 does it, so it is the optimizer or the learning rate" in out
    assert "Mend what failed, then: cnnkit train" in out


def test_a_preflight_tells_which_rate_it_tries_where_the_training_finds_one(config):
    settings = "train.optimizer={name: adam, learning_rate: auto}", "train.scale_learning_rate_with_batch=true"
    asked = read(config(PLAIN), *settings, "data.batch_size=16")
    [told] = _rate_to_find(asked, asked.with_usual_rate())
    assert told.figures == {"learning_rate": 0.016} and told.message.endswith("here 0.016 is tried")
    assert [*_rate_to_find(asked.with_usual_rate(), asked.with_usual_rate())] == []


def test_a_preflight_has_no_run(command, config, tmp_path):
    code, _, err = command("train", config(PLAIN), "--preflight", "--run", tmp_path / "run")
    assert code == 2 and "leaves no run; leave out --run" in err
    assert not (tmp_path / "run").exists()
