"""What holds for every command: folders named relative to the working folder, and an output that nobody reads."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cnnkit import Run, evaluate, read
from cnnkit.commands.app import COMMANDS
from cnnkit.commands.main import main
from cnnkit.core.progress import Progress
from cnnkit.runs import checkpoints
from tests.conftest import random_picture

Command = Callable[..., tuple[int, str, str]]

CONFIG = """\
data: {source: {name: folder, path: images}, image_size: [8, 8], channels: 3, batch_size: 4}
augment: [{name: flip}]
model: {name: sequential, layers: [{name: flatten}]}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `images/{cat,dog}`, `mine.yaml` and a `run` of it, with weights drawn by chance, evaluated."""
    folder = tmp_path_factory.mktemp("made")
    for number in range(24):
        file = folder / "images" / ("cat", "dog")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        random_picture(number).save(file)
    (folder / "mine.yaml").write_text(CONFIG)
    experiment = read(folder / "mine.yaml")
    collection = experiment.data.source.open(Progress())
    index = collection.index(Progress())
    run = Run.create(experiment.completed(collection), folder / "run")
    run.write_split(index, ["train", "validation", "test"] * 8, [""] * len(index))
    run.write_provenance(data={"classes": list(index.classes)}, files=run.hashes())
    weights = checkpoints.Weights.of(experiment.model.build((8, 8, 3), 2))
    checkpoints.save(weights, run.files.checkpoints, checkpoints.BEST, 1, {})
    evaluate(run, questions=())
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, to work in."""
    shutil.copytree(made, tmp_path / "made")
    monkeypatch.chdir(tmp_path / "made")
    return tmp_path / "made"


OF_IMAGES = {
    "predict": "predict {run} {images} --json",
    "evaluate": "evaluate {run} --images {images} --no-baseline --json",
    "data": "data {images} --json",
    "init": "init {images} --output {run}/../new.yaml --json",
}
"""Commands that are given the folder of images."""

OF_FILES = {
    "predict": "predict {run} {images}/cat/0.png --json",
    "evaluate": "evaluate {run} --manifest {images}/all.csv --no-baseline --json",
}
"""Commands that are given a file."""

NOT_OF_IMAGES = {"check", "summary", "preview", "lr", "train", "compare", "report", "cache", "list", "schema"}
"""Commands that are given a config or runs."""


def test_it_is_known_which_commands_are_given_images() -> None:
    assert {each.name for each in COMMANDS} == OF_IMAGES.keys() | NOT_OF_IMAGES


@pytest.mark.parametrize(
    ("inside", "word"),
    [
        ("", "."),
        ("cat", ".."),
        pytest.param("", "./", marks=pytest.mark.slow),
        pytest.param("", "cat/..", marks=pytest.mark.slow),
        pytest.param("cat", "../../link", marks=pytest.mark.slow),
    ],
)
def test_a_folder_may_be_named_from_wherever_one_is(
    here: Path, command: Command, monkeypatch: pytest.MonkeyPatch, inside: str, word: str
) -> None:
    (here / "link").symlink_to("images")
    monkeypatch.chdir(here / "images" / inside)
    for name, line in OF_IMAGES.items():
        code, out, err = command(*(part.format(run=here / "run", images=word) for part in line.split()))
        assert code == 0, (name, err)
        document = json.loads(out)
        told = len(document["predictions"]) if name == "predict" else document["images"]
        assert str(told).partition(" ")[0] == "24", name


@pytest.mark.parametrize(("inside", "word"), [("", "."), ("cat", "..")])
def test_a_file_may_be_named_from_wherever_one_is(
    here: Path, command: Command, monkeypatch: pytest.MonkeyPatch, inside: str, word: str
) -> None:
    (here / "images" / "all.csv").write_text("image,label\ncat/0.png,cat\ndog/1.png,dog\n")
    monkeypatch.chdir(here / "images" / inside)
    for name, line in OF_FILES.items():
        code, _, err = command(*(part.format(run=here / "run", images=word) for part in line.split()))
        assert code == 0, (name, err)


def test_an_empty_word_is_not_the_working_folder(here: Path, command: Command) -> None:
    for words in (
        ["predict", "run", ""],
        ["evaluate", "run", "--images", ""],
        ["data", ""],
        ["init", ""],
        ["data", "--suspects="],
    ):
        code, out, err = command(*words)
        assert (code, out) == (2, "")
        assert "stands an empty word" in err


PRINTS = {
    "init": "init images",
    "check": "check mine.yaml",
    "summary": "summary mine.yaml",
    "data": "data images",
    "preview": "preview mine.yaml --images 1 --variants 1",
    "lr": "lr mine.yaml",
    "train": "train mine.yaml --set train.epochs=1",
    "evaluate": "evaluate run --no-baseline",
    "compare": "compare run other",
    "predict": "predict run images",
    "report": "report run",
    "cache": "cache",
    "list": "list",
    "schema": "schema",
}
"""Every command, so that it prints something."""

FAST = {"predict", "check", "cache"}
"""Those that are tried by the fast tests too."""

PIPED = [*PRINTS.values(), "predict run images --format jsonl", "predict run images --json", "compare run other --json"]


def test_it_is_known_what_every_command_prints() -> None:
    assert {each.name for each in COMMANDS} == PRINTS.keys()


@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=() if line.split()[0] in FAST else pytest.mark.slow) for line in PIPED]
)
@pytest.mark.parametrize(("number", "said"), [(141, ""), (4, "standard output can't be written: No space left")])
def test_a_reader_that_has_gone_ends_every_command_with_141_and_a_full_disk_with_4(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, number: int, said: str
) -> None:
    if "other" in line:
        shutil.copytree("run", "other")
    monkeypatch.setattr(sys, "argv", ["cnnkit", *line.split()])
    if number == 141:
        read_end, write_end = os.pipe()
        os.close(read_end)
    else:
        write_end = os.open("/dev/full", os.O_WRONLY)
    with os.fdopen(write_end, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as ended:
            main(own_process=False)
    err = capsys.readouterr().err
    assert ended.value.code == number, err
    assert "--json" in line or said in err  # with it an error is told on standard output, which is full
    assert "bug" not in err
