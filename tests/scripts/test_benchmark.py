"""Every benchmark works: each in its smallest form, all its sides in this process so that TensorFlow is loaded once.

PyTorch is no dependency, so its sides are not tried.
"""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import sys
from contextlib import redirect_stdout

import benchmark
import numpy as np
import pytest

from cnnkit import read, train
from cnnkit.core.machine import processor


@pytest.fixture
def lines_of(monkeypatch, capsys):
    """Runs a benchmark for one round; the lines that it prints."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(os, "sched_setaffinity", lambda *given: None, raising=False)

    def in_this_process(command, threads):
        printed = io.StringIO()
        with monkeypatch.context() as patched, redirect_stdout(printed):
            patched.setattr(sys, "argv", [str(word) for word in command[1:]])
            runpy.run_path(sys.argv[0], run_name="__main__")
        return printed.getvalue().splitlines()[-1]

    monkeypatch.setattr(benchmark, "in_own_process", in_this_process)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *map(str, words), "--rounds", "1"])
        benchmark.main()
        return capsys.readouterr().out.splitlines()

    return run


def sides_of(lines, title):
    """The sides that were measured, each with a speed; cnnkit's stands in the ratio to each other one."""
    found = [re.fullmatch(rf"{title} round 1  (\w+) +([\d,]+\.\d) images/s", line) for line in lines]
    speeds = {match[1]: float(match[2].replace(",", "")) for match in found if match}
    assert all(speed > 0 for speed in speeds.values())
    for side in set(speeds) - {"cnnkit"}:
        assert any(line.startswith(f"{title} against {side}: ") for line in lines)
    return set(speeds)


@pytest.mark.slow
def test_overhead(lines_of, tmp_path, write_idx):
    chance = np.random.default_rng(0)
    for name, count in (("train", 100), ("t10k", 20)):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte.gz", chance.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8) % 10)
    lines = lines_of("overhead", "--data", tmp_path, "--epochs", 2, "--limit", 10)
    assert sides_of(lines, "Fashion-MNIST small") == {"cnnkit", "keras"}
    assert sides_of(lines, "Fashion-MNIST lenet") == {"cnnkit", "keras"}


def test_train(lines_of):
    lines = lines_of("train", "--networks", "tiny", "--steps", 2)
    assert sides_of(lines, "tiny") == {"cnnkit", "keras"}
    header, line, row = lines[-3:]
    assert header == "| network | cnnkit | keras | against keras |"
    assert header.count("|") == line.count("|") == row.count("|")
    assert row.startswith("| tiny, 8 px, batch 2 | ")


def test_inference_with_onednn_and_without(lines_of, monkeypatch):
    asked = []
    measured = benchmark.in_own_process

    def in_own_process(command, threads):
        asked.append((command[2], command[command.index("--onednn") + 1]))
        return measured(command, threads)

    monkeypatch.setattr(benchmark, "in_own_process", in_own_process)
    lines = lines_of("train", "--networks", "tiny", "--steps", 2, "--inference", "--onednn", "both")
    assert sides_of(lines, "tiny inference") == {"cnnkit", "keras", "cnnkit_off", "keras_off"}
    assert asked == [("cnnkit", "on"), ("keras", "on"), ("cnnkit", "off"), ("keras", "off")]
    assert processor() in lines[-5]


@pytest.mark.slow
def test_watched(lines_of):
    lines = lines_of("train", "--watched", "--networks", "tiny", "--steps", 30, "--epochs", 2)
    assert any(line.startswith("tiny watched against bare: ") for line in lines)
    assert sum("tiny watched round 1" in line for line in lines) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("pipeline", "--inference"),
        ("pipeline", "--watched"),
        ("overhead", "--onednn", "on"),
        ("overhead", "--networks", "vgg16"),
    ],
)
def test_options_of_train_are_refused_elsewhere(lines_of, tmp_path, words):
    with pytest.raises(SystemExit):
        lines_of(*words, "--data", tmp_path)


@pytest.mark.slow
def test_predictions_of_files_some_of_them_bad(lines_of, image_folder, tmp_path):
    images = image_folder({"a": 12, "b": 12})
    config = {
        "data": {"source": {"name": "folder", "path": str(images)}, "image_size": [8, 8], "batch_size": 4},
        "model": {"name": "sequential", "layers": [{"name": "flatten"}]},
        "train": {"epochs": 1},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    train(read(tmp_path / "config.yaml"), tmp_path / "run")
    (images / "a" / "000_bad.png").write_bytes(b"none")
    assert sides_of(lines_of("predict", "--run", tmp_path / "run", "--data", images / "a"), "predict") == {
        "cnnkit",
        "bare",
    }
    with pytest.raises(SystemExit):
        lines_of("predict", "--data", images)


@pytest.mark.slow
def test_pipeline(lines_of, image_folder):
    lines = lines_of("pipeline", "--data", image_folder({"a": 3, "b": 3}))
    assert sides_of(lines, "colours") == {"cnnkit", "keras", "keras_crop"}
    assert sides_of(lines, "warps") == {"cnnkit", "keras"}
    assert sides_of(lines, "cached") == {"cnnkit", "keras"}


def test_a_measurement_has_a_process_of_its_own_with_as_many_threads_as_asked_for():
    command = [sys.executable, "-c", "import os; print('first'); print(os.getpid(), os.environ['OMP_NUM_THREADS'])"]
    process, threads = benchmark.in_own_process(command, 3).split()
    assert int(process) != os.getpid()
    assert threads == "3"
    with pytest.raises(SystemExit, match="no such thing"):
        benchmark.in_own_process([sys.executable, "-c", "raise ValueError('no such thing')"], 1)
