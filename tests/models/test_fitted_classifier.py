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
    assert names >= {"config.yaml", "provenance.json", "report.html", "split.csv", "log.txt", "checkpoints"}
    assert "fitted to 6 features, at the optimum of its loss; penalty C " in (run / "log.txt").read_text()
    assert evaluate(run) == document["test"]


def test_its_config_trained_again_is_the_same_to_the_last_bit(fitted, tmp_path):
    run, document = fitted
    again = train(read(run / "config.yaml"), tmp_path / "again")
    assert all(map(np.array_equal, weights(run), weights(tmp_path / "again")))
    assert again["test"] == document["test"]
    kept = (run / "config.yaml").read_text().replace(str(run), str(tmp_path / "again"))
    assert kept == (tmp_path / "again/config.yaml").read_text()


def test_one_sigmoid_logit_answers_as_two_logits(fitted, config, tmp_path):
    one = train(read(config, "train.loss={name: binary_cross_entropy}"), tmp_path / "one")
    assert Run.open(tmp_path / "one").network().output_shape == (None, 1)
    for split in ("validation", "test"):
        assert one[split]["loss"] == pytest.approx(fitted[1][split]["loss"], rel=1e-3)
        assert one[split]["accuracy"] == fitted[1][split]["accuracy"]


@pytest.fixture
def given(config, tmp_path, monkeypatch):
    """What a classifier is to be fitted to with some settings: features, labels, weights, groups; and the run."""

    class Enough(Exception):
        pass

    def ask(*settings):
        found = []

        def fit(*arguments):
            found.extend(arguments[:4])
            raise Enough

        monkeypatch.setattr(head, "fit", fit)
        with pytest.raises(Enough):
            train(read(config, *settings), tmp_path / "run")
        return *found, Run.open(tmp_path / "run").split("train")

    return ask


def test_images_that_are_kept_nowhere_are_fitted_to_too(given):
    features, labels, *_, rows = given("data.cache={memory_gib: 0, disk_gib: 0}")
    assert features.shape == (len(rows), 6) and len(labels) == len(rows)


def test_images_of_a_group_are_in_one_fold(given):
    *_, groups, rows = given(r"data.source.group_pattern='.*/(\d)\d\.png|.*'")
    numbers = [row.image.split("/")[1].removesuffix(".png") for row in rows]
    tens = {number[0] for number in numbers if len(number) == 2}
    assert len(set(groups)) == len(tens) + sum(len(number) == 1 for number in numbers)


def test_class_weights_enter_the_loss(given):
    _, labels, weights, groups, rows = given("data.balance={name: class_weight}")
    assert sorted(groups) == sorted(row.digest for row in rows)
    for label, name in enumerate("ab"):
        count = sum(row.label == name for row in rows)
        assert weights[labels == label] == pytest.approx(len(rows) / 2 / count)


def test_a_backbone_that_answers_what_is_no_number_is_an_error_that_names_an_image(config, tmp_path, monkeypatch):
    features = batches.features

    def damaged(images, numbers, *others):
        computed = features(images, numbers, *others)
        computed.memory[numbers[3], 2] = np.nan
        return computed

    monkeypatch.setattr(batches, "features", damaged)
    with pytest.raises(TrainingError, match=r"NaN or infinity for 1 of \d+ images, first [ab]/\d+.png"):
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


@pytest.mark.slow
def test_fine_tuning_begins_at_the_fitted_classifier_and_what_is_worse_is_taken_back(learnt, tmp_path):
    still = "epochs: 1, learning_rate: 1e-30"
    stages = ("freeze: backbone", "epochs: 2", "epochs: 1, learning_rate: 10", still, f"{still}, batch_norm: batch")
    document = train(learnt(f"train.stages=[{', '.join(f'{{{stage}}}' for stage in stages)}]"), tmp_path / "run")
    fitted, first, second, worse, again, by_batches = lines(tmp_path / "run")
    # The default begins slowly.
    assert first["stage"] == second["stage"] == 2
    assert first["loss"] < 1.1 * fitted["loss"] and second["loss"] < first["loss"] + 0.01
    # A giant step harms, and is taken back: what follows begins with the best epoch, and in inference it is the same.
    best = max((fitted, first, second), key=lambda line: line["val_accuracy"])
    assert worse["val_accuracy"] < second["val_accuracy"]
    assert document["best_epoch"] == best["epoch"]
    assert document["validation"]["accuracy"] == pytest.approx(best["val_accuracy"])
    assert again["val_loss"] == pytest.approx(best["val_loss"], rel=1e-4)
    assert again["loss"] < fitted["loss"] + 0.01
    log = (tmp_path / "run/log.txt").read_text()
    before, after = (f"{line['val_accuracy']:.4f}" for line in (second, worse))
    kept = f"epoch {best['epoch']} is kept, the next one begins with it"
    assert f"stage 3 ended worse than it began: val_accuracy {after} after {before}; {kept}" in log
    assert "stage 4 ended worse" not in log
    # Normalised by batches it is another network at once.
    assert by_batches["loss"] > 1.05 * again["loss"]
