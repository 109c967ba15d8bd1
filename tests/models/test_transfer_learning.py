"""From learnt features to a classifier for other images: whole runs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from cnnkit import Run, evaluate, read, train
from cnnkit.core.errors import UsageError
from cnnkit.core.lazy import tf

HUB = """
data:
  source: {name: folder, path: images}
  image_size: [32, 32]
  batch_size: 8
model: {name: hub, handle: saved_model, pixel_range: [-1, 1]}
train:
  checkpoint: {monitor: val_loss}
  stages:
    - {freeze: backbone, epochs: 1, learning_rate: 100}  # so that the other stage is better
    - {epochs: 2, learning_rate: 1e-2, batch_norm: batch}
  optimizer: {name: adam}
"""

DIGITS = """
data: {source: {name: digits}, image_size: [8, 8], limit: 8, batch_size: 16}
model: {name: sequential, layers: [{name: conv, filters: 3}, {name: batch_norm}, {name: flatten}]}
train: {epochs: 1}
"""

OTHERS = """
data: {source: {name: folder, path: images}, image_size: [8, 8], channels: 1, batch_size: 4}
model: {name: sequential, layers: [{name: conv, filters: 3}, {name: batch_norm}, {name: flatten}], weights: runs/digits}
train: {optimizer: {name: adam}, stages: [{freeze: backbone, epochs: 1}]}
"""


def write(folder, text, name="config.yaml"):
    (folder / name).write_text(text)
    return folder / name


@pytest.fixture
def images(image_folder):
    return image_folder({"a": 12, "b": 12})


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run that others begin with."""
    folder = tmp_path_factory.mktemp("digits")
    train(read(write(folder, DIGITS)), folder / "runs/digits")
    return folder / "runs/digits"


def others(tmp_path, digits, text=OTHERS):
    """The config of a run on other images that begins with this one."""
    return write(tmp_path, text.replace("runs/digits", str(digits)))


def learnt(network):
    return {weight.path: weight.numpy() for weight in network.weights if not weight.path.startswith("logits")}


def differing(saved, layer):
    """Of each variable of a SavedModel, whether the layer has other numbers now."""
    weights = {weight.name: weight.numpy() for weight in layer.weights}
    variables = {v.name.split(":")[0].replace("/", "_"): v.numpy() for v in tf.saved_model.load(str(saved)).variables}
    assert weights.keys() == variables.keys()
    return {name: not np.array_equal(weights[name], start) for name, start in variables.items()}


def test_fine_tuning_moves_the_whole_backbone_and_the_run_needs_no_original(tmp_path, images, hub_folder):
    saved = tmp_path / "saved_model"
    shutil.copytree(hub_folder, saved)
    document = train(read(write(tmp_path, HUB)), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert document["best_epoch"] > 1  # what is looked at is of the second stage
    before = run.network()
    moved = differing(saved, before.get_layer("backbone"))
    assert len(moved) == 7 and all(moved.values()), moved
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    logits = before(pixels).numpy()
    saved.rename(tmp_path / "gone")
    assert np.abs(Run.open(tmp_path / "run").network()(pixels).numpy() - logits).max() == 0.0
    assert evaluate(tmp_path / "run") == document["test"]
    again = train(read(tmp_path / "run" / "config.yaml"), tmp_path / "again")  # from the run's own copy
    assert again["validation"] == document["validation"]


@pytest.mark.parametrize(
    "augment", [pytest.param("[]", marks=pytest.mark.slow), "[{name: flip}]"], ids=["features kept", "computed anew"]
)
def test_the_first_stage_alone_leaves_the_backbone_as_it_was(tmp_path, images, hub_folder, augment):
    shutil.copytree(hub_folder, tmp_path / "saved_model")
    settings = (f"augment={augment}", "train.stages=null", "train.epochs=2")
    train(read(write(tmp_path, HUB), *settings), tmp_path / "run")
    after = Run.open(tmp_path / "run").network().get_layer("backbone")
    assert not any(differing(tmp_path / "saved_model", after).values())


def test_features_of_one_run_serve_another_with_other_classes(tmp_path, images, digits):
    train(read(others(tmp_path, digits)), tmp_path / "runs/others")
    first, second = (learnt(Run.open(run).network()) for run in (digits, tmp_path / "runs/others"))
    assert first.keys() == second.keys() and all(np.array_equal(first[path], second[path]) for path in first)
    log = (tmp_path / "runs/others/log.txt").read_text()
    assert "weights: 2 layers, 42 numbers from" in log  # 3 x 3 x 3 + 3, and 4 x 3
    assert "the classifier starts anew: 10 classes there, 2 here" in log


def test_a_run_goes_on_from_another_with_its_classifier(tmp_path, digits):
    settings = (f"model.weights={digits}", "train.epochs=null")
    settings = (*settings, "train.stages=[{epochs: 1, learning_rate: 1e-30, batch_norm: batch}]")
    document = train(read(write(tmp_path, DIGITS), *settings), tmp_path / "second")
    line = json.loads((tmp_path / "second/metrics.jsonl").read_text())
    before = json.loads((digits / "metrics.jsonl").read_text())
    # Nothing but the moving statistics can change at that rate.
    assert line["loss"] < before["loss"]
    assert document["epochs"] == 1


def test_weights_of_another_network_end_it_before_anything_is_written(tmp_path, images, digits):
    with pytest.raises(UsageError, match="of another network"):
        train(read(others(tmp_path, digits, OTHERS.replace("filters: 3", "filters: 4"))), tmp_path / "runs/others")
    assert not (tmp_path / "runs/others").exists()


def test_weights_that_were_learnt_in_another_way_are_refused(tmp_path):
    network = "{name: lenet"
    data = "data: {source: {name: digits}, image_size: [32, 32], channels: 3, limit: 4}\n"
    train(read(write(tmp_path, f"{data}model: {network}}}\ntrain: {{epochs: 1}}\n")), tmp_path / "first")
    for setting, there, here in (("scaling", "symmetric", "imagenet"), ("activation", "tanh", "elu")):
        other = write(tmp_path, f"{data}model: {network}, {setting}: {here}, weights: first}}\n")
        with pytest.raises(UsageError, match=f"has learnt with model.{setting}: {there}, here it is {here}"):
            train(read(other), tmp_path / "second")
