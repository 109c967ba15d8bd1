"""Trainings whose images, cache or disk change under them; in a process of its own what is killed or limited."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit import Run, evaluate, read, train
from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError
from cnnkit.core.machine import cores
from cnnkit.core.progress import Progress
from cnnkit.runs.epochs import TIMES

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX"),
    pytest.mark.usefixtures("without_report"),
]

CONFIG = """
name: changing
data:
  source: {name: folder, path: images}
  image_size: [64, 64]
  split: {validation: 0.2, test: 0.2}
  cache: {memory_gib: 0, disk_gib: 0}
augment: [{name: flip}]
model:
  name: sequential
  layers: [{name: conv, filters: 2, strides: 4}, {name: flatten}]
train:
  epochs: 3
"""
ON_DISK = ["--set", "data.cache={memory_gib: 0, disk_gib: 1}"]
IN_MEMORY = ["--set", "data.cache={memory_gib: 1, disk_gib: 0}"]
ENDLESS = ["--set", "train.epochs=100000"]


def image_of(number):
    coarse = np.random.default_rng(number).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((80, 70), Image.Resampling.BICUBIC)


def save_images(folder):
    for i in range(60):
        file = folder / "images" / "ab"[i % 2] / f"{i}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        image_of(i).save(file)
    (folder / "config.yaml").write_text(CONFIG)
    return folder / "images"


@pytest.fixture
def images(tmp_path):
    return save_images(tmp_path)


@contextmanager
def training(images, run, *words, **options):
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnkit", "train", "config.yaml", "--run", run, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=images.parent,
        **options,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until_the_first_epoch(process):
    for line in process.stdout:
        if line.startswith("epoch "):
            return
    raise AssertionError(process.communicate())


def ended(process, code=0):
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, (out, err)
    return out, err


def learnt(run):
    """What each epoch came to, and the tests; not how long it took."""
    epochs = [{k: v for k, v in epoch.items() if k not in TIMES} for epoch in run.history()]
    return epochs, (run.folder / "split.csv").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a run comes to that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    save_images(folder)
    train(read(folder / "config.yaml"), folder / "run")
    return learnt(Run.open(folder / "run"))


@pytest.mark.slow
def test_a_file_that_changes_while_it_is_decoded_again_and_again_ends_the_run_which_keeps_what_it_has(images, tmp_path):
    run = tmp_path / "run"
    with training(images, run, *ENDLESS) as process:
        until_the_first_epoch(process)
        trained = Run.open(run).split("train")[0].image
        image_of(1000).save(images / trained)
        out, err = ended(process, code=3)
    problem, closing = err.splitlines()
    assert problem == f"{trained}: has changed since it was looked at; a run needs images that stay"
    best = json.loads((run / "checkpoints" / "best.json").read_text())["epoch"]
    assert closing.startswith(f"{run} keeps epoch {best}, the best of ")
    assert f"; see what it is worth with: cnnkit evaluate {run}; " in closing
    assert closing.endswith(f"cnnkit train --resume {run}")
    assert "Traceback" not in out
    record = Run.open(run)
    assert record.provenance()["state"] == "failed"
    assert len(record.history()) >= 1
    assert list(run.rglob(".writing*")) == []
    assert evaluate(record, "validation")["images"] == 12


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or cores() == 1, reason="there are workers on Linux alone, on two cores")
def test_a_run_whose_worker_is_killed_says_so_and_keeps_what_it_has(images, tmp_path):
    run = tmp_path / "run"
    with training(images, run, *ENDLESS) as process:
        until_the_first_epoch(process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == cores()
        os.kill(int(children[0]), signal.SIGKILL)
        _, err = ended(process, code=4)
    problem, closing = err.splitlines()
    assert problem.startswith("a process that prepared images has been ended from outside")
    assert closing.startswith(f"{run} keeps epoch ")
    assert not any(Path(f"/proc/{child}").exists() for child in children)


class AfterTheFirstEpoch(Progress):
    """Does something then, and writes down what is said."""

    def __init__(self, what=lambda: None):
        self.what, self.lines = what, []

    def say(self, line):
        self.lines.append(line)

    def epoch(self, line):
        self.what()
        self.what = lambda: None


def removed(file):
    file.unlink()


def replaced(file):
    image_of(1000).save(file)


def cut(file):
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize(
    ("words", "how"),
    [pytest.param(ON_DISK, replaced, marks=pytest.mark.slow), (IN_MEMORY, removed)],
    ids=["disk", "memory"],
)
def test_a_run_goes_on_with_the_images_that_it_has_kept(images, tmp_path, how, words, undisturbed):
    experiment = read(images.parent / "config.yaml", words[1])
    train(experiment, tmp_path / "run", AfterTheFirstEpoch(lambda: how(images / "a" / "0.jpg")))
    assert learnt(Run.open(tmp_path / "run")) == undisturbed


@pytest.mark.parametrize(
    ("split", "how"),
    [
        ("train", cut),
        ("validation", removed),
        pytest.param("train", removed, marks=pytest.mark.slow),
        pytest.param("validation", cut, marks=pytest.mark.slow),
    ],
)
def test_a_file_that_is_damaged_while_it_is_used_ends_the_run_too(images, tmp_path, how, split):
    run = tmp_path / "run"

    def damage():
        first = Run.open(run).split(split)[0].image
        how(images / first)

    # Some batches are made ahead, so that the images of a short training may all have been decoded by then.
    experiment = read(images.parent / "config.yaml", "train.epochs=100")
    with pytest.raises(DataError) as raised:
        train(experiment, run, AfterTheFirstEpoch(damage))
    problem, closing = raised.value.problems
    assert problem.file in [row.image for row in Run.open(run).split(split)]
    assert closing.message.startswith(f"{run} keeps epoch ")
    assert Run.open(run).provenance()["state"] == "failed"


@pytest.mark.slow
def test_a_run_killed_while_it_fills_the_cache_harms_no_other(images, tmp_path, undisturbed):
    folder = cache_folder() / "pixels"
    with training(images, tmp_path / "killed", *ON_DISK) as process:
        end = time.monotonic() + 300
        while not list(folder.glob(".writing-*")):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "killed").exists()
    for left in folder.iterdir():  # none if it was done before the signal came
        os.utime(left, (time.time() - 61,) * 2)
    with training(images, tmp_path / "run", *ON_DISK) as process:
        ended(process)
    assert learnt(Run.open(tmp_path / "run")) == undisturbed
    [file] = folder.iterdir()
    assert file.suffix == ".images" and not file.name.startswith(".")


@pytest.mark.slow
def test_two_runs_that_fill_the_same_cache_at_once_are_both_right(images, tmp_path, undisturbed):
    runs = tmp_path / "one", tmp_path / "other"
    with training(images, runs[0], *ON_DISK) as one, training(images, runs[1], *ON_DISK) as other:
        for process in (one, other):
            ended(process)
    assert [learnt(Run.open(run)) for run in runs] == [undisturbed] * 2
    [file] = (cache_folder() / "pixels").iterdir()
    assert not file.name.startswith(".")


@pytest.mark.slow
def test_on_a_full_disk_a_run_says_a_line_and_is_right(images, tmp_path, undisturbed):
    size = 60 * 64 * 64 * 3

    def nothing_as_large():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    with training(images, tmp_path / "run", *ON_DISK, preexec_fn=nothing_as_large) as process:
        out, err = ended(process, 4)  # what else is as large is the page at the end
    [line] = [line for line in out.splitlines() if "not kept" in line]
    assert [line.split(" (")[0] for line in out.splitlines() if "the run is complete" in line] == [
        "report.html is not written"
    ]
    assert line.startswith("decoded images are not kept: no file may be so large") and str(cache_folder()) in line
    assert err == ""
    assert learnt(Run.open(tmp_path / "run")) == undisturbed
    assert list((cache_folder() / "pixels").iterdir()) == []


def test_a_cache_that_is_a_file_keeps_no_run_from_training(images, tmp_path, monkeypatch, undisturbed):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path / "file"))
    progress = AfterTheFirstEpoch()
    train(read(images.parent / "config.yaml", ON_DISK[1]), tmp_path / "run", progress)
    assert ["decoded images are not kept" in line for line in progress.lines].count(True) == 1
    assert learnt(Run.open(tmp_path / "run")) == undisturbed
    assert (tmp_path / "file").read_text() == "mine"
