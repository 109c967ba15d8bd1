from __future__ import annotations

import ast
import errno
import json
import math
import os
import shutil
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cnnkit
from cnnkit import Run, evaluate, predict, read
from cnnkit.config import file as config_file
from cnnkit.core import atomic
from cnnkit.core.errors import DataError, DiskError, TrainingError, UsageError
from cnnkit.core.progress import Progress
from cnnkit.data.files import tables
from cnnkit.inspection import same_images
from cnnkit.inspection.comparison import compare
from cnnkit.runs import checkpoints, images, own_config
from cnnkit.runs.files import Files

CONFIG = """
name: tiny
data: {source: {name: digits}, image_size: [8, 8], channels: 1}
model: {name: sequential, layers: [{name: flatten}]}
"""


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return read(tmp_path / "tiny.yaml")


@pytest.fixture
def run(experiment, tmp_path):
    created = Run.create(experiment, tmp_path / "run")
    created.write_provenance(data={"classes": ["one", "two"]}, files=created.hashes())
    return created


def test_a_run_holds_its_complete_config(run, experiment):
    assert Run.open(run.folder).experiment == experiment
    text = (run.folder / "config.yaml").read_text()
    assert "monitor: val_accuracy" in text  # defaults are written out


def test_parents_of_the_folder_are_made(experiment, tmp_path):
    assert Run.create(experiment, tmp_path / "a" / "b" / "c").folder.is_dir()


def test_a_folder_has_one_run(run, experiment):
    before = (run.folder / "config.yaml").read_bytes()
    with pytest.raises(
        UsageError, match=r"never overwrites .* or go on with it: cnnkit train --resume .*/run$"
    ) as raised:
        Run.create(experiment, run.folder)
    assert raised.value.exit_code == 2
    assert (run.folder / "config.yaml").read_bytes() == before


def test_a_run_appears_with_its_config_and_two_that_begin_at_once_do_not_share_it(experiment, tmp_path, monkeypatch):
    folder, text, there = tmp_path / "run", own_config.text_of, []

    def slow(*given):
        there.append(folder.exists())
        if len(there) == 1:  # another is faster
            Run.create(experiment.model_copy(update={"name": "faster"}), folder)
        return text(*given)

    monkeypatch.setattr(own_config, "text_of", slow)
    with pytest.raises(UsageError, match="exists already, and a run never overwrites another"):
        Run.create(experiment, folder)
    assert there == [False, False]
    assert Run.begun(folder).experiment.name == "faster" and list(tmp_path.glob(".writing*")) == []


def test_what_a_process_that_was_killed_has_left_of_a_run_goes_after_a_day(experiment, tmp_path):
    old, new, other = (tmp_path / name for name in (".writing-0123456789ab-a", ".writing-ba9876543210-b", ".writing-c"))
    for folder in (old, new, other):
        (folder / "backbone").mkdir(parents=True)
        os.utime(folder, (0, 0) if folder != new else None)
    Run.create(experiment, tmp_path / "run")
    assert [folder.exists() for folder in (old, new, other)] == [False, True, True]


def test_a_folder_that_can_not_be_made_is_a_usage_error(experiment, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        Run.create(experiment, tmp_path / "file" / "run")


def test_what_is_no_run_is_told_apart(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        Run.open(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"holds no config\.yaml"):
        Run.open(tmp_path)
    (tmp_path / "report.html").touch()
    with pytest.raises(UsageError, match="it is a file, and a run is a folder"):
        Run.open(tmp_path / "report.html")
    for name in ("config.yaml", "provenance.json"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=f"it is a file; name the folder {tmp_path}$"):
        Run.open(tmp_path / "report.html")


def test_provenance_is_added_to(run):
    run.write_provenance(state="training")
    run.write_provenance(state="finished", epochs=3)
    facts = run.provenance()
    assert (facts["state"], facts["epochs"], facts["data"]["classes"]) == ("finished", 3, ["one", "two"])
    assert run.classes == ["one", "two"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"data": {}}'])
def test_damaged_provenance_is_a_clear_error(run, content):
    (run.folder / "provenance.json").write_text(content)
    with pytest.raises(TrainingError, match=r"provenance\.json"):
        _ = run.classes


def test_a_last_epoch_that_a_crash_cut_short_does_not_count(run):
    run.record({"epoch": 1, "loss": 0.5})
    run.record({"epoch": 2, "loss": 0.25})
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "lo')
    assert run.history() == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]


def test_without_an_epoch_the_history_is_empty(run):
    assert run.history() == []


def test_a_split_is_read_back(run):
    rows = [("a.png", "test", "one", "d1"), ("b, c.png", "train", "two", "d2")]
    tables.write(run.files.split, ("image", "split", "label", "digest"), rows)
    assert run.split("train") == [("b, c.png", "two", "d2", "", "")]
    assert run.split("validation") == []


@pytest.mark.parametrize("content", [None, b"image,label\na,b\n", b"\xff\xfe\xff"])
def test_a_damaged_split_is_a_clear_error(run, content):
    if content is not None:
        (run.folder / "split.csv").write_bytes(content)
    with pytest.raises(TrainingError, match=r"split\.csv"):
        run.split("test")


def test_the_log_has_the_time_of_each_line(run):
    run.log("hello")
    assert (run.folder / "log.txt").read_text().split("  ", 1)[1] == "hello\n"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_recorded_as_null(run, value):
    def refuse(constant):  # NaN is no JSON: other programs could not read the file
        raise AssertionError(f"{constant} is not JSON")

    run.record({"epoch": 1, "val_loss": value, "loss": 0.5})
    [line] = run.files.metrics.read_text().splitlines()
    assert json.loads(line, parse_constant=refuse) == {"epoch": 1, "val_loss": None, "loss": 0.5}


def test_provenance_is_json_that_a_person_can_read(run):
    text = (run.folder / "provenance.json").read_text()
    assert json.loads(text) and text.count("\n") > 3


@pytest.mark.parametrize("name", ["config.yaml", "split.csv"])
def test_a_run_that_was_changed_is_not_used(run, name):
    tables.write(run.files.split, ("image", "split", "label", "digest"), [("a", "test", "one", "0")])
    run.write_provenance(files=run.hashes())
    assert Run.open(run.folder)
    (run.folder / name).write_text((run.folder / name).read_text() + "\n")
    with pytest.raises(TrainingError, match=name):
        Run.open(run.folder)


@pytest.mark.parametrize("classes", [["two", "one"], ["one"], ["one", "2"], None])
def test_classes_that_were_changed_in_the_record_are_not_used(run, classes):
    file = run.files.provenance
    document = json.loads(file.read_text())
    document["data"]["classes"] = classes
    file.write_text(json.dumps(document))
    with pytest.raises(TrainingError, match=r"provenance\.json, data\.classes, is not as the run left it: .* copy"):
        Run.open(run.folder)


def test_a_record_of_before_classes_had_a_hash_is_used(run):
    document = json.loads(run.files.provenance.read_text())
    del document["data"]["classes_sha256"]
    run.files.provenance.write_text(json.dumps(document))
    assert Run.open(run.folder).classes == ["one", "two"]


def test_a_folder_below_a_dangling_link_is_refused_at_once(experiment, tmp_path):
    (tmp_path / "runs").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="can't be made"):
        Run.create(experiment, tmp_path / "runs" / "first")


# What is read is read once


@pytest.fixture
def trained(image_folder, tmp_path):
    """The folder of a run as training leaves it, with weights drawn by chance; every image is in test."""
    images = image_folder({"cat": 3, "dog": 3})
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace("name: digits", f"name: folder, path: {images}"))
    experiment = read(tmp_path / "tiny.yaml")
    index = experiment.data.source.open(Progress()).index(Progress())
    run = Run.create(experiment, tmp_path / "run")
    run.write_split(index, ["test"] * len(index), [""] * len(index))
    run.write_provenance(data={"classes": ["cat", "dog"]}, files=run.hashes())
    checkpoints.save(
        checkpoints.Weights.of(experiment.model.build((8, 8, 1), 2)), run.files.checkpoints, checkpoints.BEST, 1, {}
    )
    return run.folder


@pytest.fixture
def readings(monkeypatch):
    """The settings of each time that a config is read and validated."""
    seen = []
    configure = config_file.configure

    def counting(path, settings=(), *others):
        seen.append(tuple(settings))
        return configure(path, settings, *others)

    monkeypatch.setattr(config_file, "configure", counting)
    return seen


def test_evaluate_reads_the_config_once(trained, readings):
    assert evaluate(trained)["images"] == 6
    assert readings == [()]


@pytest.fixture
def only_read(trained, monkeypatch):
    """The same run, which may not be written to; permissions do not bind everyone who runs tests."""
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and Path(path).is_relative_to(trained)))
    return trained


def test_figures_of_a_run_that_can_only_be_read_are_told_and_that_they_are_not_kept(only_read, command):
    before = sorted(only_read.rglob("*"))
    code, out, err = command("evaluate", only_read, "--json")
    assert code == 0 and json.loads(out)["images"] == 6 and sorted(only_read.rglob("*")) == before
    assert f"{only_read} can't be written to: the figures are told, and not kept with the run\n" in err
    assert len(same_images.answers(Run.open(only_read), "test", Progress()).labels) == 6  # for `compare`
    (only_read / "evaluation").touch()
    code, out, err = command("evaluate", only_read)
    assert (
        code == 0 and f"{only_read}/evaluation is no folder: the figures are told, and not kept with the run\n" in out
    )


def test_answers_that_can_not_be_kept_for_compare_are_an_error_and_no_evaluation(trained, monkeypatch):
    def full(*_):
        raise DiskError("the disk is full")

    monkeypatch.setattr("cnnkit.evaluation.results.keep", full)
    with pytest.raises(DiskError, match="the figures are not kept with the run: the disk is full"):
        same_images.answers(Run.open(trained), "test", Progress())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["evaluate", "RUN", "--calibrate"], "a calibration is kept with the run; calibrate a copy of it, where you "),
        (["report", "RUN"], "the page of a run is kept there; name another file: --output FILE\n"),
        (["train", "--resume", "RUN"], "a run goes on in its own folder; go on with a copy, where you may write: "),
    ],
    ids=["calibrate", "report", "resume"],
)
def test_what_is_kept_in_a_run_that_can_only_be_read_is_refused(only_read, command, words, why):
    before = {path: path.read_bytes() for path in only_read.rglob("*") if path.is_file()}
    code, out, err = command(*(str(only_read) if word == "RUN" else word for word in words))
    assert (code, out) == (2, "") and err.startswith(f"{only_read} can't be written to, and {why}")
    assert {path: path.read_bytes() for path in only_read.rglob("*") if path.is_file()} == before


def test_runs_are_compared_by_the_weights_that_each_has(trained, tmp_path):
    run, folder = Run.open(trained), tmp_path / "other"
    shutil.copytree(trained, folder)
    weights = checkpoints.Weights.of(run.experiment.model.build((8, 8, 1), 2))  # drawn by chance, so other ones
    checkpoints.save(weights, Files(folder).checkpoints, checkpoints.BEST, 1, {})
    (pair,) = compare([trained, folder])["pairs"]
    right = [
        answers.labels == answers.predicted
        for answers in same_images.aligned([run, Run.open(folder)], "test", Progress())
    ]
    assert (pair["only_first"], pair["only_second"]) in [
        (sum(right[i] & ~right[1 - i]), sum(right[1 - i] & ~right[i])) for i in range(2)
    ]
    assert run.weights_digest() != Run.open(folder).weights_digest()
    add_a_line(Files(folder).checkpoints / "best-0001.weights.h5")
    with pytest.raises(TrainingError, match="is damaged: its SHA-256 is not"):
        compare([trained, folder])


def test_evaluate_with_settings_reads_the_config_once_too(trained, readings, tmp_path):
    """Nothing that may be set changes the network, so the config with the settings serves it as well."""
    before = evaluate(trained)
    (tmp_path / "images").rename(tmp_path / "moved")
    readings.clear()
    moved = f"data.source.path={tmp_path / 'moved'}"
    assert evaluate(trained, settings=[moved, "data.batch_size=4"]) == before
    assert readings == [(moved, "data.batch_size=4")]


def test_predict_reads_the_config_once(trained, readings, tmp_path):
    assert len(list(predict(trained, [tmp_path / "images"]))) == 6
    assert readings == [()]


def test_settings_are_over_the_config_and_change_nothing_in_the_run(trained):
    run = Run.open(trained)
    other = run.with_settings("data.batch_size=7")
    assert (run.experiment.data.batch_size, other.experiment.data.batch_size) == (32, 7)
    assert run.with_settings() is run


# Changed by hand


@pytest.fixture
def ended(trained):
    """A run whose training has ended, with all that its record has hashes of."""
    run = Run.open(trained)
    (trained / "backbone").mkdir()
    (trained / "backbone" / "saved_model.pb").write_bytes(b"a network")
    run.write_provenance(state="finished", files=run.hashes())
    run = Run.open(trained).calibrate(temperature=2.0)
    run.write_provenance(files=run.hashes_at_end())
    return Run.open(trained)


def in_its_place(file):
    file.unlink()
    file.mkdir()


def add_a_line(file):
    with file.open("ab") as opened:
        opened.write(b"\n")


def add_a_byte(file):
    file.write_bytes(file.read_bytes() + b"}")


ANEW = r"make it anew: cnnkit evaluate \S+/run --calibrate$"


def other_weights(file):
    """Other weights in the place of the best, and the file that names them with their hash to match."""
    experiment = Run(file.parent.parent).experiment
    weights = checkpoints.Weights.of(experiment.model.build((8, 8, 1), 2))
    checkpoints.save(weights, file.parent, checkpoints.BEST, 1, {})


def another_epoch(file):
    file.write_text(file.read_text().replace('"epoch": 1', '"epoch": 2'))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("config.yaml", add_a_line, r"config\.yaml is not as the run left it: its SHA-256 is not the recorded one"),
        ("split.csv", add_a_line, r"split\.csv is not as the run left it"),
        ("split.csv", Path.unlink, r"split\.csv is not as the run left it"),
        ("backbone/saved_model.pb", add_a_line, r"saved_model\.pb is not as the run left it"),
        ("calibration.json", add_a_line, rf"calibration\.json is not as the run left it: its SHA-256 .*{ANEW}"),
        ("calibration.json", in_its_place, rf"calibration\.json is not .*: what is there is no file; move .*{ANEW}"),
        ("calibration.json", Path.unlink, rf"calibration\.json is not as the run left it: it is gone; .*{ANEW}"),
        (
            "familiarity.safetensors",
            add_a_line,
            rf"familiarity\.safetensors is not as .*: the run has left none; .*{ANEW}",
        ),
        ("checkpoints/best.json", other_weights, r"checkpoints/best-0001\.weights\.h5 is not as the run left it"),
        ("checkpoints/best-0001.weights.h5", add_a_line, r"best-0001\.weights\.h5 is damaged: its SHA-256 is not"),
        ("checkpoints/best-0001.weights.h5", Path.unlink, r"best-0001\.weights\.h5 is missing, which best\.json names"),
        ("checkpoints/best.json", another_epoch, r"best\.json is damaged: best-0001\S+ is not of epoch 2; put it back"),
        ("checkpoints/best.json", Path.unlink, r"best\.json is missing, which names the weights.*; put it back from"),
        ("checkpoints/best.json", add_a_byte, r"best\.json is damaged: .*; put it back from a copy, or train a run"),
        (
            "checkpoints",
            shutil.rmtree,
            r"checkpoints: the file of the best weights is gone; put it back from a copy, or train",
        ),
        ("provenance.json", Path.unlink, r"is not a run of cnnkit: holds no provenance\.json"),
    ],
)
def test_what_was_changed_by_hand_is_named(ended, name, change, told):
    change(ended.folder / name)
    with pytest.raises((TrainingError, UsageError), match=told):
        evaluate(ended.folder)


def test_weights_are_recorded_when_training_has_ended_and_not_before(ended):
    other_weights(ended.files.checkpoints / "best.json")
    ended.write_provenance(files=ended.hashes_in_training(), state="training")
    Run.open(ended.folder)
    ended.write_provenance(files=ended.hashes_at_end(), state="finished")
    Run.open(ended.folder)
    other_weights(ended.files.checkpoints / "best.json")
    with pytest.raises(TrainingError, match="is not as the run left it"):
        Run.open(ended.folder)


def test_the_end_of_training_does_not_make_a_changed_config_right(ended):
    add_a_line(ended.files.config)
    ended.write_provenance(files=ended.hashes_at_end())
    with pytest.raises(TrainingError, match=r"config\.yaml is not as the run left it"):
        Run.open(ended.folder)


def test_a_change_that_a_calibration_mends_is_told_behind_one_that_it_does_not(ended):
    add_a_line(ended.files.calibration)
    other_weights(ended.files.checkpoints / "best.json")
    for fitted_anew in (False, True):
        with pytest.raises(TrainingError, match=r"best-0001\.weights\.h5 is not as the run left it"):
            Run.open(ended.folder, fitted_anew)


@pytest.mark.parametrize("name", ["config.yaml", "split.csv", "calibration.json"])
def test_what_was_changed_does_not_become_right_by_another_file_that_is_kept(ended, name):
    add_a_line(ended.folder / name)
    ended.keep_familiarity(b"features")
    with pytest.raises(TrainingError, match=rf"{name} is not as the run left it"):
        Run.open(ended.folder)


def test_a_calibration_keeps_the_record_of_the_weights(ended):
    ended.calibrate(unsure=0.5)
    other_weights(ended.files.checkpoints / "best.json")
    with pytest.raises(TrainingError, match=r"best-0001\.weights\.h5 is not as the run left it"):
        Run.open(ended.folder)


def test_what_was_found_of_weights_that_are_trained_on_is_gone(ended):
    evaluate(ended.folder)
    ended.files.result("train").write_text("{}")
    assert ended.calibration.temperature == 2.0
    assert ended.outdate()
    run = Run.open(ended.folder)
    assert run.calibration.temperature == 1.0 and run.provenance()["files"]["calibration.json"] is None
    assert not list(run.files.evaluation.iterdir())
    assert not run.outdate()


# Files


def test_the_names_of_files_in_a_run_stand_in_one_place():
    names = {path.name for path in vars(Files(Path("run"))).values() if path.suffix}
    assert len(names) >= 11  # so that there is something to look for
    marks = {"config.yaml", "provenance.json"}  # by these the rooms below know a run
    places = {"runs/files.py": names - marks, "core/own_folders.py": marks}
    package = Path(cnnkit.__file__).parent
    for source in package.rglob("*.py"):
        tree = ast.parse(source.read_text(encoding="utf-8"))
        words = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        named = {name for name in names for word in words if word == name or word.endswith(f"/{name}")}
        assert named == places.get(source.relative_to(package).as_posix(), set()), source


def test_what_a_run_writes_is_in_the_list(trained):
    evaluate(trained)
    run = Run.open(trained)
    run.log("hello")
    run.record({"epoch": 1})
    files = vars(run.files).values()
    assert [path for path in trained.iterdir() if path not in files] == []
    found = set(run.files.evaluation.iterdir())
    assert found == {run.files.result("test"), run.files.predictions("test"), run.files.answers("test")}


def test_metrics_are_cut_back_to_whole_epochs(run):
    for number in (1, 2, 3):
        run.record({"epoch": number, "loss": 0.1 * number})
    lines = run.files.metrics.read_bytes().splitlines(keepends=True)
    with run.files.metrics.open("ab") as file:
        file.write(b'{"epoch": 4, "lo')  # a crash
    run.cut_back(3)
    assert run.files.metrics.read_bytes() == b"".join(lines)
    run.cut_back(1)
    assert run.files.metrics.read_bytes() == lines[0]
    with pytest.raises(TrainingError, match=r"metrics\.jsonl has 1 epoch of the 2 that the run had when it was saved"):
        run.cut_back(2)
    run.cut_back(0)
    assert run.history() == []


@pytest.mark.parametrize("line", [b'{"epoch": 2, "lo', b"\xff\x00", b"[2]", b'{"loss": 1.0}', b"", b"[" * 60_000])
def test_a_damaged_line_amid_the_metrics_is_named_whoever_reads_them(run, line):
    for number in (1, 2, 3):
        run.record({"epoch": number, "loss": 0.1 * number})
    lines = run.files.metrics.read_bytes().split(b"\n")
    run.files.metrics.write_bytes(b"\n".join([lines[0], line, *lines[2:]]))
    for reader in (run.history, lambda: run.cut_back(2)):
        with pytest.raises(TrainingError, match=r"metrics\.jsonl: line 2 is damaged: .*; put it back from a copy"):
            reader()
    run.cut_back(1)  # what is trained again need not be whole
    assert [epoch["epoch"] for epoch in run.history()] == [1]


@pytest.mark.parametrize("name", ["provenance.json", "metrics.jsonl", "config.yaml", "split.csv"])
def test_what_the_disk_does_not_give_back_is_named(run, monkeypatch, name):
    run.record({"epoch": 1})
    before = Path.open

    def failing(path, *arguments, **options):
        if path.name == name:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return before(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", failing)
    reader = {"provenance.json": run.provenance, "metrics.jsonl": run.history, "config.yaml": run.hashes}
    with pytest.raises(TrainingError, match=rf"{name} can't be read: Input/output error"):
        reader.get(name, lambda: run.split("test"))()


def test_a_crash_while_the_config_is_changed_leaves_a_run_with_the_one_or_the_other(run, experiment, monkeypatch):
    other = run.with_settings("train.epochs=99").experiment

    class Crash(Exception):
        pass

    for left in (0, 1, 2):
        writes = iter(range(left))

        def failing(path, content, write=atomic.write_bytes, writes=writes):
            if next(writes, None) is None:
                raise Crash
            write(path, content)

        with monkeypatch.context() as patch, pytest.raises(Crash):
            patch.setattr(atomic, "write_bytes", failing)
            run.change(other)
        assert Run.open(run.folder).experiment.train.epochs == (99 if left == 2 else None)
    run.change(other)
    assert Run.open(run.folder).experiment == other
    run.files.config.write_text(run.files.config.read_text().replace("99", "98"))
    with pytest.raises(
        TrainingError, match=r"is not as the run left it.*; put it back .* cnnkit train .*config\.yaml$"
    ):
        Run.open(run.folder)


def test_one_process_holds_a_run(run):
    assert not run.is_held()
    with run.held():
        assert run.is_held()
        with pytest.raises(UsageError, match="is being trained by another process"), Run(run.folder).held(0.01):
            pass


def test_who_only_looks_whether_a_run_is_held_keeps_nobody_from_it(run):
    look = ExitStack()
    look.enter_context(run.held())
    threading.Timer(0.02, look.close).start()
    with Run(run.folder).held():
        assert run.is_held()
    with run.held():
        pass


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda index: index.take([0, 1, 2]), "1 image is gone, first 3.png"),
        (
            lambda index: replace(index, names=["new.png", *index.names[1:]]),
            "1 image is gone, .* 1 image is new, first new",
        ),
        (lambda index: replace(index, digests=["x", "y", *index.digests[2:]]), "2 images are changed, first 0.png"),
        (lambda index: replace(index, labels=1 - index.labels), "4 images are in another class, first 0.png"),
    ],
    ids=["gone", "new", "changed", "other labels"],
)
def test_a_run_goes_on_with_the_images_that_it_began_with_and_no_others(run, index_of, changed, said):
    index, splits, beside = index_of(np.zeros((4, 2, 2, 3), np.uint8), [0, 1, 0, 1]), ["train"] * 3 + ["test"], [""] * 4
    run.write_split(index, splits, beside)
    run.write_provenance(data={"classes": ["a", "b"]})
    images.refuse_others(run, index, splits, beside)
    with pytest.raises(DataError, match=f"can't go on, as its images are not those that it began with: {said}"):
        other = changed(index)
        images.refuse_others(run, other, splits[: len(other)], beside)
    with pytest.raises(DataError, match=r"1 image is in another split, first 3\.png"):
        images.refuse_others(run, index, ["train"] * 4, beside)


def test_an_epoch_that_is_recorded_outlasts_a_loss_of_power(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    run = Run(tmp_path)
    run.record({"epoch": 1, "loss": 0.5})
    assert synced == [run.files.metrics.stat().st_ino]
