"""What a run was trained with is what it is evaluated and asked with: the steps, and the files that they read."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from cnnkit import Run, evaluate, predict, read, train
from cnnkit.errors import DataError

CONFIG = """
name: masked
data:
  source: {name: folder, path: images}
  image_size: [16, 16]
  channels: 1
  prepare:
    - {name: mask, method: file, file: "../../masks/{folder}-{stem}.png"}
    - {name: crop_to_content}
    - {name: clahe}
  batch_size: 4
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 1}
"""


@pytest.fixture
def masked(tmp_path, image_folder):
    """A config of pictures with a mask each, which shows their middle."""
    root = image_folder({"cat": 8, "dog": 8})
    (tmp_path / "masks").mkdir()
    for file in root.rglob("*.png"):
        mask = np.zeros(Image.open(file).size[::-1], np.uint8)
        mask[2:-2, 2:-2] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{file.parent.name}-{file.name}")
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def test_prediction_sees_a_picture_as_training_and_evaluation_do(masked):
    run = masked / "run"
    document = train(read(masked / "config.yaml"), run)
    assert evaluate(run)["accuracy"] == document["test"]["accuracy"]
    with (run / "evaluation" / "test_predictions.csv").open() as file:
        judged = {row["image"]: row for row in csv.DictReader(file)}
    asked = list(predict(run, [masked / "images" / name for name in judged]))
    for row, prediction in zip(judged.values(), asked, strict=True):
        for name, probability in prediction.probabilities.items():
            assert float(row[f"p_{name}"]) == pytest.approx(probability, abs=1e-5)


def test_another_mask_than_in_training_is_told(masked):
    run = masked / "run"
    train(read(masked / "config.yaml"), run)
    name = Run.open(run).split("test")[0].image
    folder, file = name.split("/")
    mask = masked / "masks" / f"{folder}-{file}"
    Image.fromarray(255 - np.asarray(Image.open(mask))).save(mask)
    with pytest.raises(DataError, match=rf"beside 1 of the \d+ test images .*, first beside {name}"):
        evaluate(run)
    assert evaluate(run, "validation")["images"] > 0


def test_a_picture_without_its_mask_is_told_and_the_others_are_predicted(masked):
    run = masked / "run"
    train(read(masked / "config.yaml"), run)
    other = masked / "images" / "cat" / "new.png"
    Image.new("L", (9, 9)).save(other)
    told = {p.image: p.error for p in predict(run, [other, masked / "images" / "dog"])}
    assert "new" in told.pop(str(other))
    assert set(told.values()) == {None}
