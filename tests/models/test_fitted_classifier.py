"""A fitted classifier, and fine-tuning behind it: whole runs on a tiny SavedModel."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from cnnkit import Run, evaluate, read, train
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


@pytest.fixture
def experiment(tmp_path, images, hub_folder):
    (tmp_path / "fitted.yaml").write_text(TEXT.format(images=images, hub=hub_folder))
    return lambda *settings: read(tmp_path / "fitted.yaml", *settings)


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def weights(run):
    return [weight.numpy() for weight in Run.open(run).network().weights]


def test_nothing_set_fits_the_classifier_and_leaves_every_file_of_a_run(experiment, tmp_path):
    document = train(experiment(), tmp_path / "run")
    assert (document["epochs"], document["best_epoch"]) == (1, 1)
    [line] = lines(tmp_path / "run")
    expected = {"epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "C", "seconds"}
    assert line.keys() == expected | {"images_per_second", "stage"}
    assert line["epoch"] == 1 and line["step"] == 0 and line["learning_rate"] is None
    assert line["C"] == Run.open(tmp_path / "run").provenance()["classifier"]["C"]
    assert document["validation"]["loss"] == pytest.approx(line["val_loss"], rel=1e-4)
    assert document["validation"]["accuracy"] == pytest.approx(line["val_accuracy"])
    names = {file.name for file in (tmp_path / "run").iterdir()}
    assert names >= {"config.yaml", "provenance.json", "history.png", "split.csv", "log.txt", "checkpoints"}
    assert "fitted: 6 x 2 weights of the classifier (C " in (tmp_path / "run/log.txt").read_text()
    assert evaluate(tmp_path / "run") == document["test"]


def test_its_config_trained_again_is_the_same_to_the_last_bit(experiment, tmp_path):
    first = train(experiment(), tmp_path / "first")
    again = train(read(tmp_path / "first/config.yaml"), tmp_path / "again")
    assert all(map(np.array_equal, weights(tmp_path / "first"), weights(tmp_path / "again")))
    assert first["test"] == again["test"]
    kept = (tmp_path / "first/config.yaml").read_text().replace("first/backbone", "again/backbone")
    assert kept == (tmp_path / "again/config.yaml").read_text()


def test_images_kept_on_the_disk_or_nowhere_make_the_same_classifier(experiment, tmp_path):
    train(experiment(), tmp_path / "memory")
    train(experiment("data.cache={memory_gib: 0, disk_gib: 0}"), tmp_path / "nowhere")
    pairs = zip(weights(tmp_path / "memory"), weights(tmp_path / "nowhere"), strict=True)
    assert all(np.allclose(*pair, atol=1e-5) for pair in pairs)


def test_one_sigmoid_logit_answers_as_two_logits(experiment, tmp_path):
    two = train(experiment(), tmp_path / "two")
    one = train(experiment("train.loss={name: binary_cross_entropy}"), tmp_path / "one")
    assert Run.open(tmp_path / "one").network().output_shape == (None, 1)
    for split in ("validation", "test"):
        assert one[split]["loss"] == pytest.approx(two[split]["loss"], rel=1e-3)
        assert one[split]["accuracy"] == two[split]["accuracy"]


def test_class_weights_enter_the_loss(experiment, tmp_path, monkeypatch):
    fit, given = head.fit, {}

    def listening(features, labels, weights, groups, *others):
        given.update(labels=labels, weights=weights, groups=groups)
        return fit(features, labels, weights, groups, *others)

    monkeypatch.setattr(head, "fit", listening)
    train(experiment("data.balance={name: class_weight}"), tmp_path / "run")
    rows = Run.open(tmp_path / "run").split("train")
    assert sorted(given["groups"]) == sorted(row.digest for row in rows)
    for label, name in enumerate("ab"):
        count = sum(row.label == name for row in rows)
        assert given["weights"][given["labels"] == label] == pytest.approx(len(rows) / 2 / count)
