"""What a run was trained with is what it is evaluated and asked with: the steps, and the files that they read."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from cnnkit import Run, evaluate, predict, read, train
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.preparation.base import Unprepared
from cnnkit.data.preparation.clahe import Clahe
from cnnkit.inspection import preview
from cnnkit.inspection.doctor import examine

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


def draw(folder):
    """A config of pictures with a mask each, which shows their middle."""
    random = np.random.default_rng(0)
    (folder / "masks").mkdir()
    for name in ("cat", "dog"):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(8):
            image = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            image.save(folder / "images" / name / f"{i}.png")
            mask = np.zeros((8, 8), np.uint8)
            mask[2:-2, 2:-2] = 255
            Image.fromarray(mask).save(folder / "masks" / f"{name}-{i}.png")
    (folder / "config.yaml").write_text(CONFIG)
    return folder


@pytest.fixture
def masked(tmp_path):
    return draw(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The same with a run, not to be changed; and what training said."""
    folder = draw(tmp_path_factory.mktemp("trained"))
    return folder, train(read(folder / "config.yaml"), folder / "run")


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of it, and the setting that says where its images are."""
    folder = tmp_path / "copied"
    shutil.copytree(trained[0], folder)
    return folder, f"data.source.path={folder / 'images'}"


def test_prediction_sees_a_picture_as_training_and_evaluation_do(trained):
    masked, document = trained
    run = masked / "run"
    assert evaluate(run)["accuracy"] == document["test"]["accuracy"]
    with (run / "evaluation" / "test_predictions.csv").open() as file:
        judged = {row["image"]: row for row in csv.DictReader(file)}
    asked = list(predict(run, [masked / "images" / name for name in judged]))
    for row, prediction in zip(judged.values(), asked, strict=True):
        for name, probability in prediction.probabilities.items():
            assert float(row[f"p_{name}"]) == pytest.approx(probability, abs=1e-5)


def test_another_mask_than_in_training_is_told(copied):
    masked, where = copied
    run = masked / "run"
    name = Run.open(run).split("test")[0].image
    folder, file = name.split("/")
    mask = masked / "masks" / f"{folder}-{file}"
    Image.fromarray(255 - np.asarray(Image.open(mask))).save(mask)
    with pytest.raises(DataError, match=rf"beside 1 of the \d+ test images .*, first beside {name}"):
        evaluate(run, settings=[where])
    assert evaluate(run, "validation", settings=[where])["images"] > 0


def test_a_picture_without_its_mask_is_told_and_the_others_are_predicted(copied):
    masked, _ = copied
    run = masked / "run"
    other = masked / "images" / "cat" / "new.png"
    Image.new("L", (9, 9)).save(other)
    errors = {p.image: p.error for p in predict(run, [other, masked / "images" / "dog"])}
    assert "new" in errors.pop(str(other))
    assert set(errors.values()) == {None}


@pytest.fixture
def beside(masked):
    """The same with the masks beside the images, in the folders of the classes."""
    for mask in (masked / "masks").iterdir():
        folder, stem = mask.stem.split("-")
        mask.rename(masked / "images" / folder / f"{stem}_mask.png")
    config = masked / "config.yaml"
    config.write_text(CONFIG.replace("../../masks/{folder}-{stem}.png", "{stem}_mask.png"))
    return masked


def examined(config):
    experiment = read(config)
    return examine.examine(experiment.data, Progress())


def test_masks_beside_the_images_are_no_images(beside):
    config, run = beside / "config.yaml", beside / "run"
    report = examined(config)
    assert report.images == 16
    assert {entry.name: entry.reason for entry in report.unused} == {
        f"{folder}/{i}_mask.png": "a mask that data.prepare reads" for folder in ("cat", "dog") for i in range(8)
    }
    assert preview.prepared(read(config), Progress(), beside / "sheet.png", 100).as_json()["images"]
    train(read(config), run)
    assert sum(len(Run.open(run).split(split)) for split in ("train", "validation", "test")) == 16
    assert evaluate(run)["images"] == len(Run.open(run).split("test"))


def test_the_mask_of_an_excluded_image_is_no_image_either(beside):
    (beside / "out.txt").write_text("cat/0.png\ndog/1_mask.png\n")
    data = read(beside / "config.yaml", f"data.exclude={beside / 'out.txt'}").data
    index = data.index(data.source.open(Progress()), Progress())
    assert len(index) == 15
    assert not [name for name in index.names if "mask" in name]


def test_a_missing_mask_is_found_before_training(masked):
    config = masked / "config.yaml"
    assert "missing_mask" not in {finding.kind for finding in examined(config).findings}
    (masked / "masks" / "cat-3.png").unlink()
    report = examined(config)
    (found,) = (finding for finding in report.findings if finding.kind == "missing_mask")
    assert (report.verdict, found.severity, found.files, found.leave_out) == ("error", "error", *2 * [("cat/3.png",)])
    assert found.message.startswith("1 picture without the mask that data.prepare reads: there is no ")
    assert found.message.endswith("cat-3.png")
    skipping = read(config, "data.source.on_bad=skip")
    (found,) = (f for f in examine.examine(skipping.data, Progress()).findings if f.kind == "missing_mask")
    assert found.severity == "warning"


def test_masks_that_did_not_move_along_are_named(copied):
    masked, _ = copied
    run, moved = masked / "run", masked / "elsewhere" / "pictures"
    moved.parent.mkdir()
    (masked / "images").rename(moved)
    names = [row.image for row in Run.open(run).split("test")]
    with pytest.raises(DataError) as raised:
        evaluate(run, settings=[f"data.source.path={moved}"])
    *each, all_together = str(raised.value).splitlines()
    for name, line in zip(sorted(names), each, strict=True):
        assert line.startswith(f"{name}: there is no ")
        assert name.replace("/", "-") in line
    assert all_together.startswith(f"{len(names)} such files of the {len(names)} test images are missing; put them")
    (masked / "masks").rename(masked / "elsewhere" / "masks")
    assert evaluate(run, settings=[f"data.source.path={moved}"])["images"] == len(names)


def test_an_image_that_can_not_be_shown_any_more_is_told_without_advice_that_does_not_help(trained, monkeypatch):
    run = trained[0] / "run"

    def fails(*_):
        raise Unprepared("it fails")

    monkeypatch.setattr(Clahe, "__call__", fails)
    with pytest.raises(DataError, match="2 of the 2 test images can't be shown to the network any more") as raised:
        evaluate(run, settings=["data.source.on_bad=skip", "data.cache.disk_gib=0.0"])
    assert "it fails" in str(raised.value)
    assert "on_bad" not in str(raised.value)
