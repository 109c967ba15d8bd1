"""A competition from end to end: a table of ids and classes and a zip of images come in, a submission goes out."""

from __future__ import annotations

import csv
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

CONFIG = """
name: dogs
data:
  source: {name: manifest, path: train.csv, folder: train.zip, extension: .png, path_column: id, label_column: breed}
  image_size: [8, 8]
  channels: 3
  batch_size: 4
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 1, optimizer: {name: adam, learning_rate: 0.05}}
"""
COLOURS = {"beagle": (220, 60, 60), "collie": (60, 220, 60), "poodle": (60, 60, 220)}


def picture(breed, random):
    noise = random.integers(-40, 30, (10, 9, 3))
    return Image.fromarray((np.array(COLOURS[breed]) + noise).astype(np.uint8))


@pytest.fixture
def competition(tmp_path):
    """train.csv, train.zip, test.zip and, by the ids of the test images, their breeds."""
    random = np.random.default_rng(2)
    truth = {}
    for part, count in (("train", 45), ("test", 9)):
        breeds = {f"{random.integers(2**60):015x}": list(COLOURS)[i % 3] for i in range(count)}
        with zipfile.ZipFile(tmp_path / f"{part}.zip", "w") as archive:
            for name, breed in breeds.items():
                picture(breed, random).save(tmp_path / "one.png")
                # As Kaggle packs them: those of the training right in the zip here, those of the test in a folder.
                archive.write(tmp_path / "one.png", f"{name}.png" if part == "train" else f"test/{name}.png")
        if part == "train":
            with (tmp_path / "train.csv").open("w", newline="") as file:
                csv.writer(file).writerows([("id", "breed"), *breeds.items()])
        truth = breeds
    (tmp_path / "one.png").unlink()
    (tmp_path / "dogs.yaml").write_text(CONFIG)
    return tmp_path, truth


def test_from_a_table_and_zips_to_a_submission(competition, command, monkeypatch):
    folder, truth = competition
    monkeypatch.chdir(folder)
    code, out, err = command("train", "dogs.yaml", "--run", "run", "--json")
    assert code == 0, err
    assert json.loads(out)["epochs"] == 1

    ids = sorted(truth, reverse=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "breed"), *((name, "beagle") for name in ids)])
    code, _, err = command("predict", "run", "test.zip", "--sample", "labels.csv", "--output", "submission.csv")
    assert code == 0, err
    with (folder / "submission.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "breed"]
    assert [name for name, _ in rows] == ids
    assert dict(rows) == truth

    with (folder / "sample_submission.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "poodle", "collie", "beagle"), *((name, *[1 / 3] * 3) for name in ids)])
    code, out, err = command("predict", "run", "test.zip", "--sample", "sample_submission.csv")
    assert code == 0, err
    header, *rows = csv.reader(out.splitlines())
    assert header == ["id", "poodle", "collie", "beagle"]
    for name, *numbers in rows:
        probabilities = [float(number) for number in numbers]
        assert sum(probabilities) == pytest.approx(1, abs=1e-6)
        assert header[1 + np.argmax(probabilities)] == truth[name]
