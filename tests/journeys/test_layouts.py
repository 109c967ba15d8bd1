"""Folders as people have them, from `init` with no other flag to a run: each file is used, or named with a reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cnnkit.config.file import read
from tests.conftest import random_picture

ANIMALS = ("cat", "dog")


class Folder:
    """A folder that is being filled; no two of its pictures are the same."""

    def __init__(self, root: Path):
        self.root = root
        self.made = 0

    def pictures(self, form: str, count: int) -> None:
        """That many pictures, with their numbers in their paths."""
        for i in range(count):
            file = self.root / form.format(i)
            file.parent.mkdir(parents=True, exist_ok=True)
            random_picture(self.made).save(file)
            self.made += 1

    def files(self, *paths: str, text: str = "x") -> None:
        """Files that are no pictures."""
        for path in paths:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)

    def by_class(self, form: str, count: int) -> None:
        """Pictures of each class; `{}` in the form is the class."""
        for animal in ANIMALS:
            self.pictures(form.format(animal, "{}"), count)


def roboflow(folder: Folder) -> None:
    for split, count in {"train": 5, "valid": 2, "test": 2}.items():
        folder.by_class(f"{split}/{{}}/{{}}.png", count)
    folder.files("README.dataset.txt", "README.roboflow.txt")


def capitals(folder: Folder) -> None:
    folder.by_class("Training/{}/{}.png", 6)
    folder.by_class("Testing/{}/{}.png", 3)


def sets_in_sets(folder: Folder) -> None:
    folder.by_class("archive/training_set/training_set/{}s/{}.png", 6)
    folder.by_class("archive/test_set/test_set/{}s/{}.png", 3)
    folder.files("archive/training_set/training_set/cats/_DS_Store", "archive/.DS_Store")


def unlabelled_test(folder: Folder) -> None:
    folder.by_class("train/{}/{}.png", 8)
    folder.pictures("test/{}.png", 4)
    folder.files("test/list.txt")


def repository(folder: Folder) -> None:
    folder.by_class("pets-main/dataset/{}/{}.png", 8)
    folder.files("pets-main/README.md", "pets-main/src/train.py", "pets-main/.git/config")
    folder.pictures("pets-main/logo{}.png", 1)


def beside_the_classes(folder: Folder) -> None:
    folder.by_class("{}/{}.png", 8)
    folder.files("csv/a.csv", "annotations/a.xml", "cat/notes.txt", "Thumbs.db")
    folder.pictures("Examples/{}.png", 3)
    folder.pictures("masks/{}.png", 3)
    folder.pictures("cat/.ipynb_checkpoints/{}.png", 2)


def copied_chest_xray(folder: Folder) -> None:
    for top in ("", "chest_xray/", "__MACOSX/"):
        for split, count in {"train": 5, "val": 2, "test": 2}.items():
            folder.by_class(f"{top}{split}/{{}}/{'._' if top[:1] == '_' else ''}{{}}.png", count)


def kaggle_names(folder: Folder) -> None:
    folder.by_class("train/{}.{}.png", 8)
    folder.pictures("test1/{}.png", 4)
    folder.files("notes.md")


def pets(folder: Folder) -> None:
    folder.by_class("images/Great_{}_{}.png", 8)
    folder.pictures("annotations/trimaps/{}.png", 3)
    folder.files("annotations/list.md", "annotations/xmls/0.xml", "images/Great_cat_1.mat")


def intel(folder: Folder) -> None:
    folder.by_class("seg_train/seg_train/{}/{}.png", 6)
    folder.by_class("seg_test/seg_test/{}/{}.png", 3)
    folder.pictures("seg_pred/seg_pred/{}.png", 5)


def a_class_called_train(folder: Folder) -> None:
    for name in ("train/steam", "car", "plane"):
        folder.pictures(f"{name}/{{}}.png", 8)


def table(folder: Folder, name: str, header: str, line: str, count: int = 16) -> None:
    """A table with a row a picture: `{i}` is its number, `{a}` that of its class."""
    folder.files(
        name, text="".join(f"{row}\n" for row in [header, *(line.format(i=i, a=i % 2) for i in range(count))] if row)
    )


def flat_with_a_table(folder: Folder) -> None:
    folder.pictures("train/{}.png", 16)
    folder.pictures("test/{}.png", 4)
    table(folder, "train.csv", "ImageId,LabelName", "{i}.png,w_{a}")
    table(folder, "sample_submission.csv", "ImageId,LabelName", "{i}.png,w_0", 4)


def ham(folder: Folder) -> None:
    folder.pictures("HAM_part_1/ISIC_0{}.png", 8)
    folder.pictures("HAM_part_2/ISIC_1{}.png", 8)
    rows = "".join(f"HAM_{i},ISIC_{i // 8}{i % 8},d{i % 2},4{i}.0,x\n" for i in range(16))
    folder.files("HAM_metadata.csv", text=f"lesion_id,image_id,dx,age,site\n{rows}")


def a_column_a_class(folder: Folder) -> None:
    folder.pictures("images/Train_{}.png", 16)
    folder.pictures("images/Test_{}.png", 4)
    rows = "".join(f"Train_{i},{i % 2}.0,{1 - i % 2}.0\n" for i in range(16))
    folder.files("train.csv", text=f"image_id,rust,scab\n{rows}")
    folder.files("test.csv", text="image_id\nTest_0\n")


def elpv(folder: Folder) -> None:
    folder.pictures("images/cell{}.png", 16)
    table(folder, "labels.csv", "", "images/cell{i}.png  {a}.0  mono")
    folder.pictures("doc/images/overview{}.png", 1)
    folder.files("README.md", "utils/elpv_reader.py")


def lists_of_another_machine(folder: Folder) -> None:
    folder.pictures("all/{}.png", 20)
    table(folder, "train.txt", "", "/content/drive/MyDrive/flowers/all/{i}.png {a}")
    folder.files(
        "val.txt", text="".join(f"/content/drive/MyDrive/flowers/all/{i}.png {i % 2}\n" for i in range(16, 20))
    )
    folder.files("classes.txt", text="rose\ntulip\n")


LAYOUTS: tuple[Callable[[Folder], None], ...] = (
    roboflow,
    capitals,
    sets_in_sets,
    unlabelled_test,
    repository,
    beside_the_classes,
    copied_chest_xray,
    kaggle_names,
    pets,
    intel,
    a_class_called_train,
    flat_with_a_table,
    ham,
    a_column_a_class,
    elpv,
    lists_of_another_machine,
)


def told(text: str) -> int:
    """How many files are said to be not used."""
    return sum(int(count.replace(",", "")) for count in re.findall(r"([\d,]+) files? not used: \w", text))


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.__name__)
def images(request, tmp_path, monkeypatch):
    folder = Folder(tmp_path / "images")
    request.param(folder)
    monkeypatch.chdir(tmp_path)
    return folder.root


def test_init_writes_a_config_that_passes_check_and_each_file_is_used_or_named_with_a_reason(command, images):
    files = sum(path.is_file() for path in images.rglob("*"))
    documents = []
    for words in (("init", "images"), ("check", "images.yaml"), ("data", "images")):
        code, out, err = command(*words, "--json")
        assert code == 0, out + err
        documents.append(json.loads(out))
    started, checked, report = documents
    tables = [path for path in read("images.yaml").data.source.paths() if Path(path).is_file()]
    used = report["images"] + len(tables)
    assert used + told("\n".join(started["notes"])) == files
    assert used + told("\n".join(checked["unused"])) == files
    assert used + sum(entry["files"] for entry in report["unused"]) == files
    assert all(entry["reason"] for entry in report["unused"])


@pytest.mark.slow
def test_what_init_writes_trains_as_it_is(command, images):
    assert command("init", "images")[0] == 0
    code, out, err = command("train", "images.yaml", "--run", "run", "--set", "train.epochs=1")
    assert code == 0, err
    assert "accuracy" in out
    files = sum(path.is_file() for path in images.rglob("*"))
    facts = json.loads(Path("run/provenance.json").read_text())["data"]
    tables = [path for path in read("images.yaml").data.source.paths() if Path(path).is_file()]
    assert sum(facts["images"].values()) + len(tables) + facts["unused"] == files


def test_every_command_says_the_same_of_a_class_without_an_image(command, image_folder, tmp_path, monkeypatch):
    image_folder({"cat": 4, "dog": 4, "empty": 0})
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("data: {source: {name: folder, path: images}}\nmodel: {name: lenet}\n")
    for words in (("init", "images"), ("check", "c.yaml"), ("train", "c.yaml", "--run", "run")):
        code, _, err = command(*words)
        assert (code, "class `empty` has no image; add images of it, or remove the class" in err) == (3, True), words
    code, out, _ = command("data", "c.yaml", "--json")
    findings = {finding["kind"]: finding for finding in json.loads(out)["findings"]}
    assert (code, findings["empty_class"]["message"]) == (3, "class `empty` has no image")
