from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from cnnkit import Run, evaluate, read
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.results import prediction_table
from cnnkit.runs import images


def test_a_prediction_is_told_with_every_probability():
    probabilities = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]])
    header, rows = prediction_table(Answers(np.array([2, 0]), probabilities, ["ant", "bee", "cat"], ["a.png", "b.png"]))
    assert header == ("image", "label", "predicted", "probability", "p_ant", "p_bee", "p_cat")
    assert rows == [
        ["a.png", "cat", "bee", "0.700000", "0.100000", "0.700000", "0.200000"],
        ["b.png", "ant", "ant", "0.500000", "0.500000", "0.250000", "0.250000"],
    ]


@pytest.mark.parametrize(
    "now, told",
    [
        ("acb", "they are in another order, `c` where `b` was"),
        ("ab", "c is gone"),
        ("abcde", "d, e are new"),
        ("axc", "b is gone and x is new"),
    ],
)
def test_what_has_become_of_the_classes_is_told(now, told):
    assert images._other_classes(now, "abc") == told


# Images that are not where they were


@pytest.fixture
def run_of(tmp_path):
    """Makes a run on some source as training leaves it, but for the weights; every image is in test."""

    def make(**source):
        config = tmp_path / "mine.yaml"
        config.write_text(f"data: {{source: {json.dumps(source)}}}\nmodel: {{name: lenet}}\n")
        experiment = read(config, files=False)
        index = experiment.data.source.open(Progress()).index(Progress())
        run = Run.create(experiment, tmp_path / "run")
        run.write_split(index, ["test"] * len(index), [""] * len(index))
        run.write_provenance(data={"classes": list(index.classes)}, files=run.hashes())
        return run

    return make


@pytest.fixture
def kaggle(image_folder, tmp_path):
    """competition/{train.csv, train.zip}, of which the zip holds a folder train."""
    root = image_folder({"train": 4}, name="competition")
    with zipfile.ZipFile(root / "train.zip", "w") as packed:
        for file in sorted((root / "train").iterdir()):
            packed.write(file, f"train/{file.name}")
    (root / "train.csv").write_text("path,label\n0.png,a\n1.png,a\n2.png,b\n3.png,b\n")
    return root


def why_not_evaluated(run, *settings):
    with pytest.raises(DataError) as error:
        evaluate(run, settings=settings)
    return str(error.value)


BOTH = "tell where they are now with --set data.source.path=... (and --set data.source.folder=...)"


def test_a_manifest_that_moved_is_told_with_its_settings(run_of, kaggle, tmp_path):
    run = run_of(name="manifest", path=str(kaggle / "train.csv"), folder=str(kaggle / "train.zip/train"))
    new = tmp_path / "new"
    kaggle.rename(new)
    told = why_not_evaluated(run)
    assert told == f"data.source.path: {kaggle}/train.csv: there is no such file; if the images have moved, {BOTH}"
    told = why_not_evaluated(run, f"data.source.path={new}/train.csv")
    archive = kaggle / "train.zip"
    assert told.startswith(f"data.source.folder: {archive}/train: there is no archive {archive}; if the images have")
    assert told.endswith(BOTH)


def test_rows_whose_images_are_gone_are_told_with_what_to_set(run_of, kaggle):
    run = run_of(name="manifest", path=str(kaggle / "train.csv"), folder=str(kaggle / "train"))
    (kaggle / "train" / "2.png").unlink()
    told = why_not_evaluated(run)
    assert told.startswith(f"{kaggle}/train.csv:4: {kaggle}/train/2.png: there is no such file")
    assert told.endswith(BOTH)


def test_images_that_are_gone_are_told_with_what_to_set(run_of, image_folder):
    images = image_folder({"a": 2, "b": 2})
    run = run_of(name="folder", path=str(images))
    (images / "b" / "1.png").unlink()
    told = why_not_evaluated(run)
    assert told.startswith("1 of the 4 test images is gone since the run was trained, first b/1.png; if the images")
    assert told.endswith("tell where they are now with --set data.source.path=...")
