"""A fitted classifier, and fine-tuning behind it: whole runs on a tiny SavedModel."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from cnnkit import Run, evaluate, read, train
from cnnkit.core.errors import TrainingError
from cnnkit.data.feeding import batches
from cnnkit.training import head

TEXT = """
data: {{source: {{name: folder, path: {images}}}, image_size: [32, 32], batch_size: 8}}
model: {{name: hub, handle: {hub}, pixel_range: [-1, 1]}}
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Pictures of two classes that differ a little in their brightness."""
    root = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for label, (name, count) in enumerate({"a": 30, "b": 20}.items()):
        (root / name).mkdir()
        for i in range(count):
            middle = random.integers(60, 140) + 40 * label
            pixels = np.clip(random.normal(middle, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def config(tmp_path_factory, images, hub_folder):
    """Nothing but source and network, and a size that the tiny network takes."""
    file = tmp_path_factory.mktemp("config") / "fitted.yaml"
    file.write_text(TEXT.format(images=images, hub=hub_folder))
    return file


@pytest.fixture(scope="module")
def fitted(config):
    """The run of this config, and what `train` says of it."""
    return config.parent / "run", train(read(config), config.parent / "run")


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def weights(run):
    return [weight.numpy() for weight in Run.open(run).network().weights]


def test_nothing_set_fits_the_classifier_and_leaves_every_file_of_a_run(fitted):
    run, document = fitted
    assert (document["epochs"], document["best_epoch"]) == (1, 1)
    [line] = lines(run)
    expected = {"epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "C", "seconds"}
    assert line.keys() == expected | {"images_per_second", "stage"}
    assert line["epoch"] == 1 and line["step"] == 0 and line["learning_rate"] is None
    assert line["C"] == Run.open(run).provenance()["classifier"]["C"]
    assert document["validation"]["loss"] == pytest.approx(line["val_loss"], rel=1e-4)
    assert document["validation"]["accuracy"] == pytest.approx(line["val_accuracy"])
    names = {file.name for file in run.iterdir()}
    assert names >= {"config.yaml", "provenance.json", "history.png", "split.csv", "log.txt", "checkpoints"}
    assert "fitted: 6 x 2 weights of the classifier (C " in (run / "log.txt").read_text()
    assert evaluate(run) == document["test"]


def test_its_config_trained_again_is_the_same_to_the_last_bit(fitted, tmp_path):
    run, document = fitted
    again = train(read(run / "config.yaml"), tmp_path / "again")
    assert all(map(np.array_equal, weights(run), weights(tmp_path / "again")))
    assert again["test"] == document["test"]
    kept = (run / "config.yaml").read_text().replace(str(run), str(tmp_path / "again"))
    assert kept == (tmp_path / "again/config.yaml").read_text()


def test_images_that_are_kept_nowhere_make_the_same_classifier(fitted, config, tmp_path):
    train(read(config, "data.cache={memory_gib: 0, disk_gib: 0}"), tmp_path / "nowhere")
    pairs = zip(weights(fitted[0]), weights(tmp_path / "nowhere"), strict=True)
    assert all(np.allclose(*pair, atol=1e-5) for pair in pairs)


def test_one_sigmoid_logit_answers_as_two_logits(fitted, config, tmp_path):
    one = train(read(config, "train.loss={name: binary_cross_entropy}"), tmp_path / "one")
    assert Run.open(tmp_path / "one").network().output_shape == (None, 1)
    for split in ("validation", "test"):
        assert one[split]["loss"] == pytest.approx(fitted[1][split]["loss"], rel=1e-3)
        assert one[split]["accuracy"] == fitted[1][split]["accuracy"]


def test_images_of_a_group_are_in_one_fold(config, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(head, "fit", lambda *arguments: given.extend(arguments[3]) or 1 / 0)
    pattern = r"data.source.group_pattern='.*/(\d)\d\.png|.*'"
    with pytest.raises(ZeroDivisionError):
        train(read(config, pattern), tmp_path / "run")
    rows = Run.open(tmp_path / "run").split("train")
    tens = {row.image.split("/")[1][:-5] for row in rows if len(row.image.split("/")[1]) == 6}
    alone = [row for row in rows if len(row.image.split("/")[1]) == 5]
    assert len(set(given)) == len(tens) + len(alone)


def test_class_weights_enter_the_loss(config, tmp_path, monkeypatch):
    fit, given = head.fit, {}

    def listening(features, labels, weights, groups, *others):
        given.update(labels=labels, weights=weights, groups=groups)
        return fit(features, labels, weights, groups, *others)

    monkeypatch.setattr(head, "fit", listening)
    train(read(config, "data.balance={name: class_weight}"), tmp_path / "run")
    rows = Run.open(tmp_path / "run").split("train")
    assert sorted(given["groups"]) == sorted(row.digest for row in rows)
    for label, name in enumerate("ab"):
        count = sum(row.label == name for row in rows)
        assert given["weights"][given["labels"] == label] == pytest.approx(len(rows) / 2 / count)


def test_a_backbone_that_answers_what_is_no_number_is_an_error_that_names_an_image(config, tmp_path, monkeypatch):
    features = batches.features

    def damaged(images, numbers, *others):
        computed = features(images, numbers, *others)
        computed.memory[numbers[3], 2] = np.nan
        return computed

    monkeypatch.setattr(batches, "features", damaged)
    with pytest.raises(TrainingError, match=r"NaN or infinity for 1 of \d+ training images, first [ab]/\d+.png"):
        train(read(config), tmp_path / "run")


# Fine-tuning behind it. A network of Keras layers, for the loss of the tiny SavedModel has a penalty in it.

TINY = """
data: {{source: {{name: folder, path: {images}}}, image_size: [16, 16], channels: 3, batch_size: 8}}
model:
  name: sequential
  layers: [{{name: conv, filters: 4}}, {{name: batch_norm}}, {{name: conv, filters: 4}}, {{name: batch_norm}},
           {{name: global_avg_pool}}]
"""


@pytest.fixture(scope="module")
def learnt(images, tmp_path_factory):
    """The config of a network whose normalisation has seen images, none of them in batches as those to come."""
    folder = tmp_path_factory.mktemp("learnt")
    (folder / "first.yaml").write_text(TINY.format(images=images))
    train(read(folder / "first.yaml", "train.epochs=1"), folder / "first")
    (folder / "second.yaml").write_text(TINY.format(images=images))
    return lambda *settings: read(folder / "second.yaml", f"model.weights={folder / 'first'}", *settings)


def fine_tuned(learnt, folder, *stages):
    """The lines of metrics and the document of a training whose classifier is fitted first."""
    plan = ", ".join(f"{{{stage}}}" for stage in ("freeze: backbone", *stages))
    document = train(learnt(f"train.stages=[{plan}]"), folder)
    return lines(folder), document


def test_what_is_worse_on_validation_is_taken_back_and_said(learnt, tmp_path):
    stages = ("epochs: 2, learning_rate: 10", "epochs: 1, learning_rate: 1e-30")
    (fitted, *worse, again), document = fine_tuned(learnt, tmp_path / "run", *stages)
    assert worse[-1]["val_accuracy"] < fitted["val_accuracy"]
    assert document["best_epoch"] == 1
    assert document["validation"]["accuracy"] == pytest.approx(fitted["val_accuracy"])
    # The third begins where the first ended, and in inference the network is the same on the images that train, too.
    assert again["val_loss"] == pytest.approx(fitted["val_loss"], rel=1e-4)
    assert again["loss"] == pytest.approx(fitted["loss"], rel=1e-3)
    log = (tmp_path / "run/log.txt").read_text()
    before, after = (f"{line['val_accuracy']:.4f}" for line in (fitted, worse[-1]))
    assert f"stage 2 ended worse than it began: val_accuracy {after} after {before}; epoch 1 is kept" in log
    assert "stage 3 ended worse" not in log


def test_normalised_by_batches_it_is_another_network_at_once(learnt, tmp_path):
    stage = "epochs: 1, learning_rate: 1e-30, batch_norm: batch"
    (fitted, unfrozen), _ = fine_tuned(learnt, tmp_path / "run", stage)
    assert unfrozen["loss"] > 1.05 * fitted["loss"]


def test_the_first_steps_of_the_default_stay_near_the_fitted_classifier(learnt, tmp_path):
    (fitted, *tuned), _ = fine_tuned(learnt, tmp_path / "run", "epochs: 2")
    assert [line["stage"] for line in tuned] == [2, 2]
    assert tuned[0]["loss"] < 1.1 * fitted["loss"]
    assert tuned[1]["loss"] < tuned[0]["loss"] + 0.01
