"""`cnnkit init`: what it prints, writes and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from cnnkit.config import file as config_file
from cnnkit.core.cache import cache_folder


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_config_is_written_that_check_finds_right(command, image_folder):
    image_folder({"cat": 9, "dog": 9}, name="pets")
    code, out, err = command("init", "pets")
    assert (code, err) == (0, "")
    # By hand: 15 % of 9 are 1 in each of two classes, for validation and for test.
    assert out.startswith("18 colour images of 2 classes, 9 each; 14 train, 2 validate, 2 test.\n")
    assert out.splitlines()[-1] == "Next: cnnkit train pets.yaml"
    assert command("check", "pets.yaml")[0] == 0
    written = Path("pets.yaml").read_text()
    assert "# Command:  cnnkit train pets.yaml\n" in written
    assert "source: {name: folder, path: pets}" in written
    assert max(map(len, written.splitlines())) <= 120


def test_json_is_one_document(command, image_folder):
    image_folder({"cat": 9, "dog": 9}, name="pets")
    code, out, _ = command("init", "pets", "--output", "a b.yaml", "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["path"], document["next"]) == ("a b.yaml", "cnnkit train 'a b.yaml'")
    assert document["config"]["data"]["source"] == {"name": "folder", "path": "pets"}
    assert document["config"]["train"]["epochs"] == config_file.read("a b.yaml").train.epochs
    assert document["seconds"] > 0


def test_a_file_that_is_there_is_only_written_over_with_force(command, image_folder):
    image_folder({"cat": 9, "dog": 9}, name="pets")
    Path("pets.yaml").write_text("mine")
    code, out, err = command("init", "pets")
    assert (code, out) == (2, "")
    assert err == "--output pets.yaml exists already; --force replaces it\n"
    assert Path("pets.yaml").read_text() == "mine"
    assert command("init", "pets", "--force")[0] == 0
    assert config_file.read("pets.yaml").name == "pets"


@pytest.mark.parametrize(
    ("output", "told"),
    [("no/x.yaml", "there is no folder no"), ("pets", "that is no file"), ("pets.png", "a config is YAML")],
)
def test_an_output_that_can_not_be_is_refused_before_the_images_are_looked_at(command, image_folder, output, told):
    image_folder({"cat": 1}, name="pets")
    code, _, err = command("init", "pets", "--output", output, "--force")
    assert (code, told in err) == (2, True)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (None, "there is no such file or folder"),
        ({}, "it holds none"),
        ({"cat": 9}, "only one, `cat`"),
        ({"cat": 9, "dog": 2}, "class `dog` has 2 different images to divide"),
        ({"cat": 9, "dog": 0}, "class `dog` has no image; add images of it, or remove the class"),
    ],
)
def test_images_that_can_not_be_trained_on_end_with_3_and_a_line(command, image_folder, tmp_path, tree, told):
    if tree is not None:
        (tmp_path / "pets").mkdir()
        image_folder(tree, name="pets")
    code, out, err = command("init", "pets")
    assert (code, out) == (3, "")
    assert told in err
    assert len(err.splitlines()) == 1
    assert not err.startswith("path: ")
    assert not Path("pets.yaml").exists()


def test_a_file_that_no_source_reads_ends_with_3(command):
    Path("notes.txt").write_text("words")
    code, _, err = command("init", "notes.txt")
    assert code == 3
    assert "notes.txt is neither" in err


def test_damaged_files_are_told_of_and_looked_at_next(command, image_folder):
    root = image_folder({"cat": 9, "dog": 9}, name="pets")
    (root / "cat" / "empty.png").write_bytes(b"")
    code, out, _ = command("init", "pets")
    assert code == 0
    assert "1 file can't be read as images, for example `cat/empty.png` (the file is empty)" in out
    assert "on_bad: skip" in out
    assert out.splitlines()[-1] == "Next: cnnkit data pets"


def test_masks_beside_the_pictures_are_told_of_and_looked_at_next(command, image_folder):
    root = image_folder({"ill": 9, "well": 9}, name="scans")
    for file in sorted(root.rglob("*.png")):
        pixels = np.zeros((40, 40), np.uint8)
        pixels[5:20, 8:30] = 255 - int(file.stem[-1])
        Image.fromarray(pixels).save(file.with_name(f"{file.stem}_mask.png"))
    code, out, err = command("init", "scans")
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if "mask" in line]
    assert line.startswith("18 pictures seem to be the mask of another one")
    assert "_mask.png beside ill/" in line
    assert '{name: mask, method: file, file: "{stem}_mask.png"}' in line
    assert out.splitlines()[-1] == "Next: cnnkit data scans"
    assert '"{stem}_mask.png"' in Path("scans.yaml").read_text()


def test_names_like_those_of_groups_are_told_of_with_the_pattern_in_one_piece(command, image_folder):
    tree = {of: [f"p{i} {k}.png" for i in range(first, 12, 2) for k in range(4)] for first, of in enumerate("ab")}
    image_folder(tree, name="scans")
    code, out, _ = command("init", "scans")
    assert code == 0
    (line,) = [line for line in out.splitlines() if "look like those of 12 groups, such as p0 and p1" in line]
    pattern = line.partition("group_pattern: ")[2].removesuffix(".")
    assert pattern == "'(?:.*/)?([^/ ]+) [^/]*'"
    assert pattern in Path("scans.yaml").read_text()
    assert out.splitlines()[-1] == "Next: cnnkit data scans"


def test_each_line_is_a_sentence_and_what_comes_after_training_stands_last(command, image_folder):
    names = [f"{of}.{i}.png" for of in ("cat", "dog") for i in range(9)]
    image_folder({"train": names, "test": ["0.png", "1.png"]}, name="pets")
    code, out, _ = command("init", "pets")
    assert code == 0
    *lines, later, following = out.splitlines()
    assert following == "Next: cnnkit train pets.yaml"
    assert later.startswith("After training: `cnnkit predict RUN ")
    assert all(line.endswith(".") and not line[0].islower() for line in [*lines, later] if "pets.yaml" not in line)
    written = Path("pets.yaml").read_text()
    assert "# After training: `cnnkit predict RUN" in written
    assert "(?:.*/)?(cat|dog)[ ._-]*" in written


def test_images_none_of_which_can_be_decoded_end_with_3(command, image_folder):
    root = image_folder({"cat": 9, "dog": 9}, name="pets")
    for number, file in enumerate(sorted(root.rglob("*.png"))):
        file.write_bytes(file.read_bytes()[:50] + bytes([number]))
    code, _, err = command("init", "pets")
    assert code == 3
    assert "none of 18 images that were looked at can be decoded" in err


def test_the_files_of_mnist_are_recognised(command, write_idx, tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "mnist").mkdir()
    for prefix, count in (("train", 40), ("t10k", 10)):
        write_idx(tmp_path / f"mnist/{prefix}-images-idx3-ubyte", random.integers(0, 256, (count, 28, 28)))
        write_idx(tmp_path / f"mnist/{prefix}-labels-idx1-ubyte", np.arange(count) % 2)
    assert command("init", "mnist")[0] == 0
    experiment = config_file.read("mnist.yaml")
    assert experiment.data.source.name == "idx"
    assert (experiment.data.image_size, experiment.data.channels) == ((28, 28), 1)
    assert [augmentation.name for augmentation in experiment.augment] == ["shift"]


def test_what_it_writes_trains_at_once_and_the_next_estimate_is_by_its_speed(command, image_folder):
    image_folder({"cat": 6, "dog": 6}, name="pets")
    assert command("init", "pets")[0] == 0
    assert "better after a training" in Path("pets.yaml").read_text()
    code, out, _ = command("train", "pets.yaml", "--set", "train.epochs=2", "--run", "run", "--json")
    assert code == 0
    assert json.loads(out)["epochs"] == 2
    assert command("init", "pets", "--force")[0] == 0
    assert "by the speed of earlier trainings here" in Path("pets.yaml").read_text()


def test_the_working_folder_itself_can_be_looked_at(command, image_folder, monkeypatch):
    monkeypatch.chdir(image_folder({"cat": 9, "dog": 9}, name="pets"))
    assert command("init", ".")[0] == 0
    assert command("check", "pets.yaml")[0] == 0
    assert "path: ." in Path("pets.yaml").read_text()


def test_tensorflow_is_never_imported_not_for_a_pretrained_network_either(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(9):
            random = np.random.default_rng([i, len(name), ord(name[0])])
            pixels = random.integers(0, 256, (90, 90, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{i}.png")
    (cache_folder() / "backbones").mkdir()
    h5py.File(cache_folder() / "backbones" / "mobilenet_2_5_224_tf_no_top.h5", "w").close()
    code = (
        "import sys; sys.argv = ['cnnkit', 'init', 'pets']\n"
        "from cnnkit.commands.main import main\n"
        "try: main()\n"
        "except SystemExit as left: assert not left.code, left.code\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300, env=os.environ
    )
    assert "MobileNet 0.25 as it is" in done.stdout
    assert "Next: cnnkit train pets.yaml" in done.stdout
    assert set(done.stdout.splitlines()[-1].split()) & {"tensorflow", "keras", "sklearn", "matplotlib"} == set()
