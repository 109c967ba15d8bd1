"""Runs as a table: one setting at a time from a base."""

from __future__ import annotations

import csv
import json

import pytest
from markdown_it import MarkdownIt

from cnnkit import Run, read
from cnnkit.core.errors import UsageError
from cnnkit.inspection import same_images
from cnnkit.inspection.sensitivity import sensitivity

VARIED = ("data.prepare", "train.epochs", "data.batch_size", "train.optimizer.learning_rate")
RESNET, VGG = "model={name: resnet, depth: 50}", "model={name: vgg, depth: 11}"
CHANGES = (
    "data.prepare=[{name: equalize}]",
    "train.epochs=2",
    "data.batch_size=16",
    "train.optimizer.learning_rate=0.5",
)


class Answered:
    """What stands for the answers of a run: only how many are right is asked for."""

    def __init__(self, accuracy):
        self.accuracy = accuracy


@pytest.fixture
def run_of(tmp_path, monkeypatch):
    """Makes a run that has this accuracy."""
    accuracies = {}
    monkeypatch.setattr(same_images, "answers", lambda run, split, progress: Answered(accuracies[run.folder]))
    config = tmp_path / "config.yaml"
    config.write_text(
        "data: {source: {name: digits}, image_size: [32, 32], channels: 1, batch_size: 8}\nmodel: {name: lenet}\n"
        "train: {epochs: 1, optimizer: {name: sgd, learning_rate: 0.1}}\n"
    )

    def make(name, accuracy, *settings, images=("a", "b")):
        run = Run.create(read(config, *settings), tmp_path / name)
        rows = "".join(f"{image},test,0,{image}\n" for image in images)
        run.files.split.write_text(f"image,split,label,digest\n{rows}")
        run.write_provenance(data={"classes": ["0", "1"]}, files=run.hashes())
        accuracies[run.folder] = accuracy
        return run.folder

    return make


def cells(document):
    return {
        (row["model"], column["setting"], column["value"]): cell and cell["mean"]
        for row in document["rows"]
        for column, cell in zip(document["columns"], row["cells"], strict=True)
    }


def test_one_factor_at_a_time_of_two_networks_is_a_table(run_of, command):
    runs = []
    for m, model in enumerate((RESNET, VGG)):
        runs.append(run_of(f"{m}", 0.5 + m / 10, model))
        runs += [run_of(f"{m}-{c}", 0.51 + m / 10 + c / 100, model, change) for c, change in enumerate(CHANGES)]
    document = sensitivity(runs, VARIED)
    assert document["left_out"] == document["remarks"] == []
    table = cells(document)
    assert len(table) == 2 * 8 and None not in table.values()
    resnet, vgg = (row["model"] for row in document["rows"])
    assert (resnet, vgg) == ("resnet, depth 50", "vgg, depth 11")
    for key, value in (("data.prepare", "none"), ("train.epochs", "1"), ("data.batch_size", "8")):
        assert table[resnet, key, value] == 0.5  # the base stands under each setting
    assert table[vgg, "data.prepare", "equalize"] == pytest.approx(0.61)
    assert table[vgg, "train.optimizer.learning_rate", "0.5"] == pytest.approx(0.64)
    options = [word for key in VARIED for word in ("--vary", key)]
    code, out, _ = command("compare", *runs, *options)
    assert code == 0 and "vgg, depth 11" in out and "0.6400" in out
    code, out, _ = command("compare", *runs, *options, "--json")
    assert code == 0 and json.loads(out)["rows"] == document["rows"]


def test_seeds_are_merged_to_mean_and_range(run_of):
    document = sensitivity(
        [run_of("a", 0.5), run_of("b", 0.7, "seed=1"), run_of("c", 0.8, "train.epochs=2")], ["train.epochs"]
    )
    ((base, longer),) = (row["cells"] for row in document["rows"])
    assert base == {"mean": pytest.approx(0.6), "lowest": 0.5, "highest": 0.7, "runs": 2} and longer["runs"] == 1
    assert [column["base"] for column in document["columns"]] == [True, False]


def test_of_networks_alone_there_is_one_column(run_of, command):
    runs = [run_of("a", 0.5, RESNET), run_of("b", 0.6, VGG), run_of("c", 0.7, VGG, "seed=1")]
    document = sensitivity(runs, ["model"])
    assert document["columns"] == [{"setting": None, "value": None, "base": True}]
    assert [row["cells"][0]["mean"] for row in document["rows"]] == [0.5, pytest.approx(0.65)]
    code, out, _ = command("compare", *runs, "--vary", "model")
    assert code == 0 and "vgg, depth 11     0.6500 (0.6000 to 0.7000, 2 runs)" in out and "the base" not in out
    assert sensitivity(runs[1:], ["model"])["remarks"] == ["`model`: all of the runs have the same value"]


def test_the_table_is_written_as_plain_numbers_and_as_a_page_that_shows_what_the_terminal_does(
    run_of, command, tmp_path
):
    runs = [run_of("a_*b*", 0.5), run_of("b", 0.7, "seed=1"), run_of("c", 0.8, "train.epochs=2")]
    runs.append(run_of("1. [d](e) <i>_f_|g\\h ~~i~~ &amp; `j`", 0.5, "augment=[{name: flip}]"))
    table, page = tmp_path / "table.csv", tmp_path / "page.md"
    code, out, _ = command("compare", *runs, "--vary", "train.epochs", "--csv", table, "--markdown", page)
    assert code == 0
    first, second = csv.DictReader(table.open())
    assert (first["value"], first["base"], first["runs"], first["lowest"]) == ("1", "yes", "2", "0.5")
    assert float(first["accuracy"]) == pytest.approx(0.6)
    assert list(second.values()) == [first["model"], "train.epochs", "2", "no", "0.8", "0.8", "0.8", "1"]
    parts = [token.children or [] for token in MarkdownIt().enable("table").parse(page.read_text())]
    assert {each.type for part in parts for each in part} == {"text"}  # no word is emphasised or a link
    shown = ["".join(each.content for each in part) for part in parts if part]
    assert shown[:3] == ["model", "epochs 1 *", "epochs 2"]
    told = out.split("\n\n")[2].splitlines()
    assert shown[-len(told) + 2 :] == told[:-2]


def test_runs_that_have_no_place_are_left_out_by_name(run_of):
    runs = [
        run_of("a", 0.5),
        run_of("b", 0.5, "train.epochs=2"),
        run_of("c", 0.5, "data.batch_size=4"),
        run_of("other", 0.5, "augment=[{name: flip}]"),
        run_of("both", 0.5, "train.epochs=2", "data.batch_size=4"),
    ]
    document = sensitivity(runs, ["train.epochs", "data.batch_size"])
    told = {entry["run"]: entry["why"] for entry in document["left_out"]}
    assert list(told) == ["other", "both"]
    assert "`augment" in told["other"] and "which is not varied" in told["other"]
    assert told["both"].startswith("differs from the base in `train.epochs`, `data.batch_size` at once")


def test_cells_without_a_run_and_other_images_are_said(run_of):
    runs = [
        run_of("a", 0.5),
        run_of("b", 0.5, VGG),
        run_of("c", 0.6, "train.epochs=2", images=("a", "z")),
    ]
    remarks = sensitivity(runs, ["train.epochs"])["remarks"]
    assert remarks == [
        "the test images of `c` are not those of `a`: luck of the images too",
        "1 of the cells (-) has no run",
    ]


def test_a_setting_that_no_run_has_is_refused_with_the_nearest(run_of):
    with pytest.raises(UsageError, match=r"--vary train.epoch: none of the runs has .* did you mean `train.epochs`"):
        sensitivity([run_of("a", 0.5), run_of("b", 0.5)], ["train.epoch"])
