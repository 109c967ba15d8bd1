from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from cnnkit import Run
from cnnkit.config.experiment import Experiment
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.section import Data
from cnnkit.data.sources import Folder, Manifest
from cnnkit.data.sources.archive import Archive

NAMES = [f"patient{i}_{k}" for i in range(12) for k in range(3)]


@pytest.fixture
def root(image_folder):
    return image_folder({"ill": [f"{name}.png" for name in NAMES], "well": [f"{name}.png" for name in NAMES]})


def table(root):
    path = root / "images.csv"
    rows = [(f"{of}/{name}.png", of, name.split("_")[0]) for of in ("ill", "well") for name in NAMES]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "who"), *rows, ("ill/alone.png", "ill", " ")])
    (root / "ill" / "alone.png").write_bytes((root / "ill" / f"{NAMES[0]}.png").read_bytes() + b"\0")
    return str(path)


SOURCES = {
    "folder": lambda root: Folder(path=str(root), group_pattern=".*/(.+)_.*"),
    "archive": lambda root: Archive(
        path=packed(root), holds={"name": "folder", "path": ".", "group_pattern": ".*/(.+)_.*"}
    ),
    "table, by a column": lambda root: Manifest(path=table(root), group_column="who"),
    "table, by names": lambda root: Manifest(path=table(root), group_pattern="[a-z]+/(patient[0-9]+)_.*|.*"),
}


def packed(root):
    return shutil.make_archive(str(root), "zip", root)


@pytest.mark.parametrize("kind", SOURCES)
def test_groups_that_a_source_tells_of_stay_together(root, kind):
    data = Data(source=SOURCES[kind](root))
    index = data.index(data.source.open(Progress()), Progress())
    where: dict[str, set[str]] = {}
    for name, group, split in zip(index.names, index.groups, data.splits(index), strict=True):
        expected = name.split("/")[1].split("_")[0]
        assert group == (None if "alone" in name else expected)
        where.setdefault(group, set()).add(split)
    assert all(len(splits) == 1 for group, splits in where.items() if group)
    assert set().union(*where.values()) == {"train", "validation", "test"}


def test_a_run_tells_the_group_of_each_image(root, tmp_path):
    data = Data(source=SOURCES["folder"](root))
    index = data.index(data.source.open(Progress()), Progress())
    experiment = Experiment.model_validate({"name": "x", "data": data, "model": {"name": "lenet"}})
    run = Run.create(experiment, tmp_path / "run")
    run.write_split(index, data.splits(index), [""] * len(index))
    assert {row.group for split in ("train", "validation", "test") for row in run.split(split)} == set(index.groups)
    assert all(row.group in row.image for row in run.split("test"))


@pytest.mark.parametrize("pattern", [r"(patient\d+)_\d\.png", r".*/(patient1)_.*", r"(x)"])
def test_a_pattern_that_does_not_match_every_image_is_an_error(root, pattern):
    source = Folder(path=str(root), group_pattern=pattern)
    with pytest.raises(DataError, match=r"does not match .* of 72 images, first ill/patient"):
        source.open(Progress()).index(Progress())


def test_a_table_has_one_word_for_what_belongs_together(root):
    with pytest.raises(ValueError, match="both tell what belongs together"):
        Manifest(path=table(root), group_column="who", group_pattern="(.*)")


def test_a_column_of_groups_that_is_not_there_is_named(root):
    with pytest.raises(DataError, match=r"has no column `whom`.*did you mean `who`"):
        Manifest(path=table(root), group_column="whom").open(Progress())


def test_rows_of_one_image_that_tell_of_two_groups_are_an_error(root):
    path = table(root)
    with Path(path).open("a") as file:
        file.write("ill/alone.png,ill,somebody\n")
    with pytest.raises(DataError, match="has the group `somebody` here and `None`"):
        Manifest(path=path, group_column="who").open(Progress())
