"""Whole trainings of which something is wrong: the right words on the screen, in the record, and in the document."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit import Run, read, train
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress

RNG = np.random.default_rng(7)
CLASSES, EACH = 4, 60
LABELS = np.repeat(np.arange(CLASSES), EACH)
GREY = RNG.integers(0, 256, (len(LABELS), 8, 8)).astype(np.float32)
GREY += 90 * (np.arange(8) // 2 == LABELS[:, None, None])  # a bright column where the class has it
GREY = np.clip(GREY, 0, 255)

SMALL = """
model: {name: sequential, layers: [{name: conv, filters: 8}, {name: flatten}, {name: dense, units: 32}]}
"""


class Heard(Progress):
    """Remembers the lines that are worth keeping."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def arrays(folder: Path, images: np.ndarray, labels: np.ndarray, train_section: str) -> Path:
    np.savez(folder / "data.npz", x=images, y=labels)
    data = f"data: {{source: {{name: arrays, path: {folder / 'data.npz'}}}, batch_size: 16}}"
    (folder / "config.yaml").write_text(f"{data}{SMALL}train: {train_section}\n")
    return folder / "config.yaml"


def trained(config: Path) -> tuple[list[str], dict, Run]:
    """Lines on the screen before the end, the document, and the run."""
    heard = Heard()
    document = train(read(config), config.parent / "run", heard)
    return heard.lines, document, Run.open(config.parent / "run")


def judged(document: dict, run: Run) -> dict:
    """The one remark on the curves, which the document, the record and the log have alike."""
    [remark] = run.provenance()["verdict"]
    [line] = [line for line in document["remarks"] if line.startswith("training: ")]
    assert remark["message"] in line and remark["advice"] in line
    assert line in run.files.log.read_text()
    return remark


def without(folder: Path, *kinds: str, each: int = 6) -> Path:
    """Pictures in folders of splits and classes, those that train of some kinds left out by a list."""
    left_out = []
    for split in ("train", "val", "test"):
        for number, kind in enumerate(("cat", "dog", "emu")):
            (folder / "images" / split / kind).mkdir(parents=True)
            for i in range(each * (3 if split == "train" else 1)):
                pixels = RNG.integers(60 * number, 60 * number + 80, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / "images" / split / kind / f"{i}.png")
                left_out += [f"{split}/{kind}/{i}.png"] * (split == "train" and kind in kinds)
    (folder / "exclude.txt").write_text("".join(f"{name}\n" for name in left_out))
    source = f"source: {{name: folder, path: {folder / 'images'}}}, exclude: {folder / 'exclude.txt'}"
    (folder / "config.yaml").write_text(
        f"data: {{{source}, image_size: [8, 8], batch_size: 8}}{SMALL}train: {{epochs: 2}}\n"
    )
    return folder / "config.yaml"


@pytest.mark.slow
def test_labels_that_are_shuffled_are_the_first_reason_for_what_does_not_hold(tmp_path):
    shuffled = RNG.permutation(LABELS)
    config = arrays(tmp_path, GREY, shuffled, "{epochs: 25, optimizer: {name: adam, learning_rate: 5e-3}}")
    _, document, run = trained(config)
    remark = judged(document, run)
    assert remark["kind"] == "by_heart_alone"
    assert "probable reasons, in order: (1) labels that do not belong to the images" in remark["advice"]


@pytest.mark.slow
def test_labels_that_are_shuffled_are_named_too_where_nothing_is_learnt(tmp_path):
    shuffled = RNG.permutation(LABELS)
    _, document, run = trained(
        arrays(tmp_path, GREY, shuffled, "{epochs: 3, optimizer: {name: adam, learning_rate: 2e-4}}")
    )
    remark = judged(document, run)
    assert remark["kind"] == "at_chance"
    assert "in order: (1) labels that do not belong to the images" in remark["advice"]


@pytest.mark.parametrize(
    "images", [GREY / np.float32(255) ** 2, pytest.param(np.uint8(GREY > 127), marks=pytest.mark.slow)]
)
def test_images_that_are_scaled_twice_are_named_before_the_training_and_after_it(tmp_path, images):
    before, document, run = trained(arrays(tmp_path, images, LABELS, "{epochs: 3}"))
    said = [line for line in before if "divided by 255 twice" in line]
    assert len(said) == 1
    assert said[0].startswith("  careful: the images are nearly the same everywhere (mean 0")
    assert [finding["kind"] for finding in run.provenance()["data"]["findings"]] == ["faint"]
    remark = judged(document, run)
    assert remark["kind"] == "at_chance"
    assert "in order: (1) the images are nearly the same everywhere" in remark["advice"]


@pytest.mark.slow
def test_images_in_zero_to_one_are_as_good_as_others(tmp_path):
    before, _, run = trained(arrays(tmp_path, GREY / np.float32(255), LABELS, "{epochs: 1}"))
    assert not [line for line in before if "careful" in line]
    assert run.provenance()["data"]["findings"] == []


def test_labels_that_are_all_one_class_end_it_before_it_begins(tmp_path):
    config = arrays(tmp_path, GREY, np.zeros_like(LABELS), "{epochs: 1}")
    with pytest.raises(DataError, match="has one label only, `0`; at least two classes are needed"):
        trained(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kinds", [("emu",), ("dog", "emu")])
def test_a_class_that_is_absent_from_training_ends_it_before_it_begins(tmp_path, kinds):
    with pytest.raises(DataError) as caught:
        trained(without(tmp_path, *kinds))
    assert [problem.message for problem in caught.value.problems] == [
        f"class `{kind}` has no training images, only such of validation and test; move some to train, or leave the "
        "class out"
        for kind in kinds
    ]
    assert not (tmp_path / "run").exists()


def test_the_command_says_what_the_curves_tell_and_its_document_has_it(tmp_path, command):
    config = arrays(tmp_path, GREY, LABELS, "{epochs: 6, optimizer: {name: adam, learning_rate: 5e-3}}")
    code, out, _ = command("train", config, "--run", tmp_path / "run", "--json")
    assert code == 0
    [line] = [line for line in json.loads(out)["remarks"] if line.startswith("training: ")]
    assert line in Run.open(tmp_path / "run").files.log.read_text()
    code, out, _ = command("train", "--resume", tmp_path / "run")
    assert code == 0 and line in out.splitlines()
