"""Runs beside each other: which may be, and what is said of them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from cnnkit import Run, read
from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.progress import Progress
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.paired import Paired
from cnnkit.inspection import comparison, same_images
from cnnkit.inspection.comparison import compare
from cnnkit.runs import checkpoints

IMAGES = 60
LAYERS = "{name: sequential, layers: [{name: flatten}]}"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    config = tmp_path_factory.mktemp("digits") / "config.yaml"
    config.write_text(f"data: {{source: {{name: digits}}, image_size: [8, 8], channels: 1}}\nmodel: {LAYERS}\n")
    return read(config).data.source.open(Progress()).index(Progress()), config


@pytest.fixture
def run_of(digits, tmp_path, monkeypatch):
    """Makes a run as training leaves it, but for the weights: it is wrong on the images of these numbers."""
    monkeypatch.setattr(checkpoints, "read", lambda folder, name: {"file": "best.h5", "sha256": "as saved"})
    monkeypatch.setattr(Run, "weights_digest", lambda run: "as saved")
    index, config = digits

    def make(name, wrong=(), images=range(IMAGES), settings=(), order=None, names=None):
        shown = index.take(images)
        if names:
            shown = replace(shown, names=[f"{names}{number}" for number in images])
        order = list(order or range(len(shown.classes)))
        experiment = read(config, *settings)
        experiment = experiment.completed(experiment.data.source.open(Progress()))
        run = Run.create(experiment, tmp_path / "runs" / name)
        run.write_split(shown, ["test"] * len(shown), [""] * len(shown))
        classes = [index.classes[i] for i in order]
        run.write_provenance(data={"classes": classes}, files=run.hashes())
        labels = np.array([order.index(label) for label in shown.labels])
        said = np.array([(label + (i in wrong)) % 10 for i, label in zip(images, labels, strict=True)])
        run.files.evaluation.mkdir()
        Answers.of(run, labels, 5 * np.eye(10, dtype=np.float32)[said], shown.names).write(run, "test")
        return run.folder

    return make


def test_runs_that_differ_by_chance_cannot_be_told_apart(run_of):
    document = compare([run_of("a", wrong=[1, 2, 3]), run_of("b", wrong=[3, 4], settings=["seed=1"])])
    assert document["settings"] == [{"key": "seed", "values": ["0", "1"]}]
    (pair,) = document["pairs"]
    assert (pair["first"], pair["only_first"], pair["only_second"], pair["better"]) == ("b", 2, 1, None)
    assert pair["told"].startswith("b and a cannot be told apart: 2 against 1 image of 60, p = 1.00;")
    assert document["runs"][0]["metrics"]["accuracy"] == 57 / 60
    assert document["runs"][0]["parameters"] == 650 and document["runs"][0]["macs"] == 640


def test_the_better_one_is_told_with_how_much_and_how_sure(run_of):
    (pair,) = compare([run_of("a", wrong=range(10)), run_of("b")])["pairs"]
    assert pair["better"] == "b" and pair["difference"] == pytest.approx(10 / 60)
    assert pair["p"] == pytest.approx(2 / 2**10) and pair["p_corrected"] is None  # all of ten coins alike
    assert "b is better than a by 16.7 points of accuracy" in pair["told"]
    assert "10 against 0 images of 60, p = 0.002; equally good ones come so far apart in 1 of 512" in pair["told"]


def test_of_three_runs_each_two_are_tested_with_holms_correction(run_of):
    document = compare([run_of("a", wrong=range(6)), run_of("b"), run_of("c", wrong=[59])])
    assert document["correction"] == "holm"
    pairs = {(pair["first"], pair["second"]): pair for pair in document["pairs"]}
    assert pairs["b", "a"]["p"] == pytest.approx(2 / 2**6)
    assert pairs["b", "a"]["p_corrected"] == pytest.approx(3 * 2 / 2**6) and pairs["b", "a"]["better"] is None
    told = pairs["b", "a"]["told"]
    assert "6 against 0 images of 60, p = 0.031 (p = 0.094 with Holm's correction for 3 tests)" in told
    # Corrected they are not told apart; the interval is that of two runs, which is said.
    assert pairs["b", "a"]["difference_interval"][0] > 0 and told.endswith(", of these two alone)")


def test_chance_is_told_by_the_p_of_the_test_itself_and_not_by_holms(run_of):
    document = compare([run_of("a", wrong=range(10)), run_of("b"), run_of("c", wrong=[59])])
    pair = next(pair for pair in document["pairs"] if (pair["first"], pair["second"]) == ("b", "a"))
    assert pair["p"] == pytest.approx(2 / 2**10) and pair["p_corrected"] == pytest.approx(3 * 2 / 2**10)
    assert "p = 0.002 (p = 0.0059 with Holm's" in pair["told"] and "come so far apart in 1 of 512 such" in pair["told"]


@pytest.mark.parametrize("only", [(8000, 100), (40_000, 0), (1_000_000, 3)])
def test_a_p_that_is_0_in_the_computers_numbers_is_told_as_smaller_than_one_that_is_not(only):
    paired = Paired(1000, *only, 900)
    assert paired.p == 0.0
    told = comparison._told("cnn", "linear", paired, paired.p, 1)
    assert "p < 1e-300; equally good ones come so far apart in less than 1 of 1,000,000 such tests" in told


def test_an_interval_that_leaves_0_out_where_the_test_finds_nothing_is_told_to_be_another_computation():
    told = comparison._told("cnn", "linear", Paired(40, 5, 0, 0), Paired(40, 5, 0, 0).p, 1)
    assert told.startswith("cnn and linear cannot be told apart: 5 against 0 images of 45, p = 0.062; ")
    assert told.endswith("(95 % interval 1.1 to 23.5, but p, which is computed in another way, decides)")


def test_a_run_that_is_calibrated_beside_one_that_is_not_is_named(run_of, command):
    one, other = run_of("a"), run_of("b")
    assert compare([one, other])["remarks"] == []
    Run.open(other).calibrate(temperature=2.0)
    [line] = compare([one, other])["remarks"]
    assert line.startswith("only b is calibrated. That changes no answer, but log loss")
    assert line.endswith(f"cnnkit evaluate {one} --calibrate")
    code, out, _ = command("compare", one, other)
    assert code == 0 and "only b is calibrated" in out
    Run.open(one).calibrate(temperature=1.5)
    assert compare([one, other])["remarks"] == []


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("interrupted", "the training of b was stopped after 0 of 7 epochs"),
        ("unfinished", "the training of b was stopped after 0 of 7 epochs"),
        ("training", "the training of b has not ended: 0 of 7 epochs so far"),
    ],
)
def test_a_run_whose_training_did_not_come_to_its_end_is_named(run_of, state, words):
    one, other = run_of("a"), run_of("b", settings=["train.epochs=7"])
    Run.open(one).write_provenance(state="finished")
    Run.open(other).write_provenance(state=state)
    [line] = compare([one, other])["remarks"]
    assert line.startswith(words)


def test_other_test_images_are_refused_with_how_many(run_of):
    one, other = run_of("a"), run_of("b", images=range(5, 65))
    with pytest.raises(DataError, match="other test images: 5 of the 60 of the first are not among the 60") as error:
        compare([one, other])
    assert "the same data.split, seed included" in str(error.value)
    with pytest.raises(DataError, match="all 60 of the first are among the 80 of the second, which has 20 more"):
        compare([one, run_of("c", images=range(80))])


def test_images_are_known_by_content_and_classes_by_name(run_of):
    backwards = run_of("b", wrong=[2], order=[*range(9, -1, -1)], images=range(IMAGES - 1, -1, -1), names="moved/")
    one, other = same_images.aligned([Run.open(run_of("a", wrong=[1, 2])), Run.open(backwards)], "test", Progress())
    assert list(one.labels) == list(other.labels) and other.accuracy == 59 / 60
    assert (one.predicted != other.predicted).nonzero()[0].tolist() == [1, 2]  # of 2 both say something else
    assert list(np.take_along_axis(other.probabilities, other.labels[:, None], 1)[:, 0] > 0.9).count(True) == 59


def test_what_metrics_that_are_gone_would_tell_is_not_told_as_nothing(run_of, command):
    one, other = run_of("a"), run_of("b")
    Run.open(one).record({"epoch": 1, "seconds": 2.5})
    for folder in (one, other):
        Run.open(folder).write_provenance(epochs=1)
    first, second = compare([one, other])["runs"]
    assert (first["epochs"], first["training_seconds"]) == (1, 2.5)
    assert (second["epochs"], second["training_seconds"]) == (None, None)
    _, out, _ = command("compare", one, other)
    assert [line.split()[-2:] for line in out.splitlines() if line.startswith(("epochs", "seconds"))] == [
        ["1", "-"],
        ["2.5", "-"],
    ]


def test_less_than_two_runs_are_refused(run_of):
    folder = run_of("a")
    for runs, why in (([folder], "one run alone"), ([folder, folder], "is named twice")):
        with pytest.raises(UsageError, match=why):
            compare(runs)


def test_the_table_is_written_as_csv_and_markdown(run_of, command, tmp_path):
    runs = [run_of("a"), run_of("b", settings=["seed=1"])]
    table, page = tmp_path / "table.csv", tmp_path / "page.md"
    code, out, _ = command("compare", *runs, "--csv", table, "--markdown", page)
    assert code == 0 and "cannot be told apart: they answer the same images rightly" in out
    rows = list(csv.DictReader(table.open()))
    assert [(row["run"], row["seed"], row["parameters"], row["epochs"]) for row in rows] == [
        ("a", "0", "650", "0"),
        ("b", "1", "650", "0"),
    ]
    for row in rows:  # plain numbers, the ends of intervals in columns of their own
        values = {name: float(value) for name, value in row.items() if name not in ("run", "training_seconds")}
        assert values["accuracy"] == values["accuracy.high"] == 1 > values["accuracy.low"] > 0.9
        assert values["macs"] == 640 and "macro_f1.low" in values
    assert {"macro F1", "ROC area", "PR area", "log loss", "Brier score"} < {
        line.split(" |")[0][2:] for line in page.read_text().splitlines()
    }
    assert page.read_text().startswith("|  | a | b |\n| --- | --- | --- |\n| seed | 0 | 1 |\n")
    both = tmp_path / "both.txt"
    code, _, err = command("compare", *runs, "--csv", both, "--markdown", both.parent / "." / both.name)
    assert (code, err) == (2, f"--csv and --markdown name the same file, {both}; give each one of its own\n")
    assert not both.exists()
    code, _, err = command("compare", *runs, "--csv", table)
    assert code == 2 and f"--csv {table} exists already; --force replaces it" in err
    code, _, err = command("compare", *runs, "--force")
    assert code == 2 and err.startswith("--force is for --csv or --markdown: leave it out")
    (runs[0] / "log.txt").touch()
    for option, name in (("--csv", "split.csv"), ("--markdown", "log.txt")):
        code, _, err = command("compare", *runs, option, runs[0] / name, "--force")
        assert code == 2 and "this belongs to the run a" in err
    code, out, _ = command("compare", *runs, "--json")
    assert code == 0 and json.loads(out)["images"] == IMAGES
