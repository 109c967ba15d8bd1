"""`cnnkit preview`: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cnnkit import train
from cnnkit.config.file import read
from cnnkit.core.cache import cache_folder

Command = Callable[..., tuple[int, str, str]]

CONFIG = """\
data:
  source: {name: folder, path: photos}
  image_size: [8, 8]
augment:
  - {name: flip}
  - {name: rotate, degrees: 20}
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 1}
"""


@pytest.fixture
def photos(image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos in two classes, in the working folder beside a config for them."""
    root = image_folder({"cat": 12, "dog": 12}, name="photos")
    monkeypatch.chdir(root.parent)
    Path("mine.yaml").write_text(CONFIG)
    return root


def test_it_tells_where_the_sheet_is(photos: Path, command: Command) -> None:
    code, out, err = command("preview", "mine.yaml", "--output", "sheet.png", "--images", "4", "--variants", "2")
    assert (code, err) == (0, "")
    assert out.startswith("sheet.png: 4 training images, each as it is and in 2 further pictures\n")
    assert "cnnkit preview mine.yaml --audit RUN" in out
    one = command("preview", "mine.yaml", "--output", "one.png", "--images", "1", "--variants", "1")[1]
    assert one.startswith("one.png: 1 training image, each as it is and in 1 further picture\n")
    Path("one.png").unlink()
    assert sorted(path.name for path in Path().iterdir()) == ["mine.yaml", "photos", "sheet.png"]
    with Image.open("sheet.png") as sheet:
        assert (sheet.format, sheet.mode) == ("PNG", "RGB")


def test_a_sheet_that_nobody_named_is_in_the_cache(photos: Path, command: Command) -> None:
    code, out, _ = command("preview", "mine.yaml")
    assert code == 0
    file = Path(out.partition(": ")[0])
    assert file.is_file()
    assert file.is_relative_to(cache_folder())
    assert sorted(path.name for path in Path().iterdir()) == ["mine.yaml", "photos"]


def test_json_is_one_document_with_every_picture(photos: Path, command: Command) -> None:
    words = ["--output", "sheet.png", "--images", "2", "--variants", "3", "--set", "augment.1.degrees=0", "--json"]
    code, out, err = command("preview", "mine.yaml", *words)
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert (document["config"], document["sheet"]) == ("mine.yaml", "sheet.png")
    assert [row["class"] for row in document["images"]] == ["cat", "dog"]
    for row in document["images"]:
        assert (photos / row["image"]).is_file()
        assert [picture["title"] for picture in row["pictures"]] == ["as it is", "epoch 1", "epoch 2", "epoch 3"]
        for picture in row["pictures"]:
            assert picture["told"] in ([], ["flip left-right"])
            left, top, right, bottom = picture["box"]
            assert (right - left, bottom - top) == (128, 128)


def test_a_sheet_is_not_written_over_without_force(photos: Path, command: Command) -> None:
    Path("sheet.png").write_text("precious")
    code, out, err = command("preview", "mine.yaml", "--output", "sheet.png")
    assert (code, out) == (2, "")
    assert err == "--output sheet.png exists already; --force replaces it\n"
    assert Path("sheet.png").read_text() == "precious"
    assert command("preview", "mine.yaml", "--output", "sheet.png", "--force")[0] == 0
    assert Path("sheet.png").read_bytes()[1:4] == b"PNG"


def test_steps_of_preparation(photos: Path, command: Command) -> None:
    words = ["--prepare", "--images", "2", "--set", "data.prepare=[{name: grayscale}, {name: clahe}]"]
    code, out, _ = command("preview", "mine.yaml", *words)
    assert code == 0
    assert ": 2 training images, each as it is and in 3 further pictures" in out
    document = json.loads(command("preview", "mine.yaml", *words, "--json")[1])
    titles = [picture["title"] for picture in document["images"][0]["pictures"]]
    assert titles == ["as it is", "1. grayscale", "2. clahe", "in size: crop"]


def test_the_audit(photos: Path, command: Command) -> None:
    for number, file in enumerate(sorted(photos.glob("*/*.png"))):
        Image.new("RGB", (8, 8), (number + (200 if "dog" in file.parts else 0),) * 3).save(file)
    train(read("mine.yaml", "train={epochs: 5, optimizer: {name: adam, learning_rate: 0.1}}"), "run")
    words = ["--set", "augment=[{name: shift}, {name: flip}, {name: mixup}]", "--variants", "1"]
    code, out, err = command("preview", "mine.yaml", "--audit", "run", *words)
    assert "\\n" not in out  # each line is one, none is shown as an escape
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "run answers 4 of 4 validation images rightly. Of these, each augmentation by itself turns:"
    assert lines[3].startswith("shift fraction 0.1 ")
    assert lines[4].startswith("flip ")
    assert "shift fraction 0.1: too few images to tell; 0 to " in out
    assert "Left out: `mixup`, which mixes labels along with images." in lines
    document = json.loads(command("preview", "mine.yaml", "--audit", "run", *words, "--json")[1])
    assert (document["run"], document["split"], document["left_out"]) == ("run", "validation", ["mixup"])
    shift, flip = document["augmentations"]
    assert {"augmentation", "wrong", "wrong_interval", "clearly_wrong", "most_often", "verdict"} <= shift.keys()
    assert shift["at_a_third"]["augmentation"]["fraction"] == pytest.approx(0.1 / 3)
    assert flip["at_a_third"] is None


def test_damaged_images_are_wrong_data(photos: Path, command: Command) -> None:
    for file in photos.glob("*/*.png"):
        file.write_bytes(file.read_bytes()[:-40])
    code, out, err = command("preview", "mine.yaml")
    assert (code, out) == (3, "")
    assert "repair or remove it; `cnnkit data CONFIG` finds all such files" in err
    assert len(err.splitlines()) == 1


def test_a_wrong_config_is_told_with_its_line_and_column(photos: Path, command: Command) -> None:
    Path("mine.yaml").write_text(CONFIG.replace("degrees: 20", "degrees: 200"))
    told = "mine.yaml:6:29: augment.1.degrees: should be at most 180, not 200\n"
    assert command("preview", "mine.yaml") == (2, "", told)


@pytest.mark.parametrize("words", [["--set", "augment=[]"], ["--audit", "nowhere"]], ids=" ".join)
def test_a_wrong_call_is_told_in_a_line(photos: Path, command: Command, words: list[str]) -> None:
    code, out, err = command("preview", "mine.yaml", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_process_of_its_own_ends_well_and_says_no_more_than_it_has_to(photos: Path) -> None:
    words = [sys.executable, "-m", "cnnkit", "preview", "mine.yaml", "--images", "2"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
