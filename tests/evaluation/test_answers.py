from __future__ import annotations

import json

import numpy as np
import pytest

from cnnkit import Run, read
from cnnkit.core.errors import TrainingError
from cnnkit.evaluation.answers import Answers

CONFIG = """
name: tiny
data: {source: {name: digits}, image_size: [2, 2], channels: 1}
model: {name: sequential, layers: [{name: flatten}]}
"""
LOGITS = np.array([[0.1, 1 / 3, -2.0], [1e-30, 7.0, 3.0]], np.float32)
NAMES = ["ä/one.png", "two\n.png"]


@pytest.fixture
def run(tmp_path):
    """A run with the record of its weights, and its answers to a test split of two images."""
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    run = Run.create(read(tmp_path / "tiny.yaml"), tmp_path / "run")
    run.write_provenance(data={"classes": ["ant", "bee", "cat"]}, files=run.hashes())
    _best(run, "ab")
    run.files.evaluation.mkdir()
    Answers.of(run, np.array([1, 0]), LOGITS, NAMES).write(run, "test")
    return run


def _best(run, digest):
    run.files.checkpoints.mkdir(exist_ok=True)
    facts = {"epoch": 1, "file": "best.weights.h5", "sha256": digest}
    (run.files.checkpoints / "best.json").write_text(json.dumps(facts))


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_answers_are_read_back_to_the_last_bit(run):
    answers = Answers.read(run, "test")
    assert (answers.logits == LOGITS).all()
    assert answers.logits.dtype == np.float32
    assert answers.labels.tolist() == [1, 0]
    assert answers.names == NAMES
    assert answers.classes == ["ant", "bee", "cat"]
    assert answers.probabilities == pytest.approx(softmax(LOGITS.astype(np.float64)), rel=1e-12)


def test_of_a_split_that_was_not_evaluated_there_are_none(run):
    assert Answers.read(run, "validation") is None


def test_answers_of_other_weights_do_not_count(run):
    _best(run, "cd")
    assert Answers.read(run, "test") is None


@pytest.mark.parametrize("change", [lambda content: content[:50], lambda content: b"", lambda content: content[::-1]])
def test_damaged_answers_are_a_clear_error(run, change):
    file = run.files.answers("test")
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(TrainingError, match=r"test_answers\.safetensors is damaged: .*; evaluate the run again"):
        Answers.read(run, "test")


def test_logits_are_divided_by_the_temperature_of_the_run(run):
    calibrated = Run.open(run.calibrate(temperature=2.5).folder)
    assert Answers.read(calibrated, "test").probabilities == pytest.approx(softmax(LOGITS.astype(np.float64) / 2.5))


def test_what_is_calibrated_later_leaves_what_was_before(run):
    calibrated = run.calibrate(temperature=2.5).calibrate(unsure=0.75)
    assert (calibrated.calibration.temperature, calibrated.calibration.unsure) == (2.5, 0.75)


def test_a_run_without_calibration_has_the_temperature_1(run):
    assert (run.calibration.temperature, run.calibration.unsure) == (1.0, None)


@pytest.mark.parametrize("text", ["{", "[]", '{"temperature": 0.0}', '{"temperature": "2"}', '{"cold": 1.0}'])
def test_a_damaged_calibration_is_a_clear_error(run, text):
    run.files.calibration.write_text(text)
    with pytest.raises(TrainingError, match=r"calibration\.json is damaged: "):
        Run(run.folder).probabilities(LOGITS)


def test_a_calibration_that_was_changed_by_hand_is_named(run):
    run.calibrate(temperature=2.5)
    run.files.calibration.write_text(run.files.calibration.read_text().replace("2.5", "9.5"))
    with pytest.raises(TrainingError, match=r"calibration\.json is not as the run left it"):
        Run.open(run.folder)


def test_a_calibration_that_was_put_in_by_hand_is_named(run):
    run.files.calibration.write_text('{"temperature": 2.0}')
    with pytest.raises(TrainingError, match=r"calibration\.json is not as the run left it"):
        Run.open(run.folder)
