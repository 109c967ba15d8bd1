"""Training in stages, as a whole: what stays as it is, what moves, and what is computed once."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnnkit import Run, evaluate, read, train
from cnnkit.core.errors import UsageError
from cnnkit.core.lazy import keras
from cnnkit.inspection.summary import summarize

pytestmark = pytest.mark.usefixtures("without_report")

CONFIG = """
data:
  source: {name: digits}
  image_size: [8, 8]
  limit: 8
  batch_size: 16
model:
  name: sequential
  layers:
    - {name: conv, filters: 4}
    - {name: batch_norm}
    - {name: residual, layers: [{name: conv, filters: 4}, {name: batch_norm}]}
    - {name: max_pool}
    - {name: flatten}
train:
  optimizer: {name: sgd, learning_rate: 0.05, weight_decay: 1e-3}
  checkpoint: {monitor: loss}
  stages:
    - {freeze: batch_norm1, epochs: 1}
"""
RESNET = "model={name: resnet, depth: 16, version: 2}"


@pytest.fixture
def config(config):
    return config(CONFIG)


def changed(config, folder, *settings, progress=None):
    """Of each weight of the network by its path, whether training in a new run has changed it."""
    experiment = read(config, *settings)
    document = train(experiment, folder, progress)
    keras.utils.set_random_seed(experiment.seed)
    before = experiment.model.build((8, 8, 1), 10)
    after = Run.open(document["run"]).network()
    return {
        old.path: not np.array_equal(old.numpy(), new.numpy())
        for old, new in zip(before.weights, after.weights, strict=True)
    }


# Features are computed once where they are the same in every epoch.
@pytest.mark.parametrize(
    ("settings", "frozen", "once"),
    [
        (["train.stages.0.freeze=backbone"], ("conv1", "batch_norm1", "residual1"), True),
        (["train.stages.0.freeze=backbone", "augment=[{name: flip}]"], ("conv1", "batch_norm1", "residual1"), False),
        pytest.param(["augment=[{name: flip}]"], ("conv1", "batch_norm1"), False, marks=pytest.mark.slow),
        (["train.stages.0.freeze=residual1_conv1"], ("conv1", "batch_norm1", "residual1_conv1"), False),
        pytest.param([RESNET, "train.stages.0.freeze=stage1"], ("stem", "stage1"), False, marks=pytest.mark.slow),
    ],
    ids=["backbone", "backbone, augmented", "a group, augmented", "up to a layer", "a stage of a ResNet"],
)
def test_what_is_frozen_does_not_change_by_a_bit_and_all_else_does(config, tmp_path, tasks, settings, frozen, once):
    moved = changed(config, tmp_path / "run", *settings, progress=tasks)
    assert {path for path, differs in moved.items() if differs} == {
        path for path in moved if not path.startswith(frozen)
    }
    assert ("computing features" in tasks.names) == once


def test_a_stage_without_freezing_moves_every_weight_and_moving_statistic(config, tmp_path):
    # The first stage learns nothing, so that the best epoch is one of the second.
    stages = "train.stages=[{freeze: backbone, epochs: 1, learning_rate: 1e-30}, {epochs: 4}]"
    moved = changed(config, tmp_path / "run", stages, "train.checkpoint.monitor=accuracy")
    best = json.loads((tmp_path / "run/checkpoints/best.json").read_text())
    assert best["epoch"] > 1
    assert all(moved.values())


def test_epochs_are_counted_through_all_stages_and_each_has_its_rate(config, tmp_path):
    plan = "[{freeze: backbone, epochs: 2}, {unfreeze_from: residual1, epochs: 1, learning_rate: 0.5}]"
    settings = (f"train.stages={plan}", "train.schedule={name: constant}", "train.checkpoint.monitor=val_loss")
    document = train(read(config, *settings), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert document["epochs"] == 3
    assert [(line["epoch"], line["stage"]) for line in lines] == [(1, 1), (2, 1), (3, 2)]
    assert [line["learning_rate"] for line in lines] == pytest.approx([0.05, 0.05, 0.5])
    assert [line["step"] for line in lines] == [4, 8, 12]
    log = (tmp_path / "run/log.txt").read_text()
    assert "stage 1/2: 2 epochs, learning rate 0.05, trains classifier (650 of" in log
    assert "stage 2/2: 1 epoch, learning rate 0.5, trains residual1, classifier" in log


def test_early_stopping_ends_a_stage_and_the_next_one_begins_anew(config, tmp_path):
    settings = (
        "train.stages=[{freeze: backbone, epochs: 9}, {freeze: batch_norm1, epochs: 2}]",
        "train.optimizer.learning_rate=1e-30",
        "train.checkpoint.monitor=val_loss",
        "train.early_stopping={monitor: val_loss, patience: 1}",
    )
    train(read(config, *settings), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["stage"]) for line in lines] == [(1, 1), (2, 1), (3, 2), (4, 2)]


@pytest.mark.slow
def test_features_kept_or_computed_again_make_the_same_run(config, tmp_path, tasks):
    settings = ("train.stages=[{freeze: backbone, epochs: 3}]",)
    train(read(config, *settings), tmp_path / "kept")
    # The features of 80 images are four times as many bytes.
    train(read(config, *settings, f"data.cache.memory_gib={64 * 80 / 2**30}"), tmp_path / "again", tasks)
    assert "computing features" not in tasks.names
    first, again = (
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("kept", "again")
    )
    for a, b in zip(first, again, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
        assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-4)


def test_a_layer_that_the_network_lacks_ends_it_before_anything_is_written(config, tmp_path):
    with pytest.raises(UsageError, match="residual1_conv9"):
        train(read(config, "train.stages.0.freeze=residual1_conv9"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_l2_pulls_the_kernels_and_is_no_part_of_what_is_evaluated(config, tmp_path):
    settings = ("train.stages=null", "train.epochs=1")
    plain = train(read(config, *settings), tmp_path / "plain")
    pulled = train(read(config, *settings, "model.l2=0.1"), tmp_path / "pulled")
    losses = [json.loads((tmp_path / run / "metrics.jsonl").read_text())["loss"] for run in ("plain", "pulled")]
    assert losses[1] > losses[0] + 1  # a tenth of the squares of 820 weights, which are about 30
    for document, run in ((plain, "plain"), (pulled, "pulled")):
        line = json.loads((tmp_path / run / "metrics.jsonl").read_text())
        assert document["validation"]["loss"] == pytest.approx(line["val_loss"], rel=1e-4)


@pytest.mark.slow
def test_auxiliary_classifiers_train_and_then_are_gone(config, tmp_path):
    settings = ("model={name: inception, version: 1, stem: small}", "train.stages=[{epochs: 1}]", "data.limit=4")
    experiment = read(config, *settings)
    auxiliary = [weight for _, weight in experiment.model.network((8, 8, 1), 10).auxiliary]
    assert auxiliary == [0.3, 0.3]
    document = train(experiment, tmp_path / "run")
    line = json.loads((tmp_path / "run/metrics.jsonl").read_text())
    # Three classifiers that know nothing yet: log(10) = 2.3 each, two of them counted three tenths.
    assert line["loss"] > 1.4 * line["val_loss"]
    network = Run.open(tmp_path / "run").network()
    assert not any("auxiliary" in layer.name for layer in network.layers)
    assert evaluate(tmp_path / "run") == document["test"]
    assert summarize(experiment, (8, 8, 1), 10).parameters["total"] == network.count_params()
