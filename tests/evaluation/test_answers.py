from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from cnnkit import Run, read
from cnnkit.core.errors import TrainingError
from cnnkit.data.files import tables
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
    _best(run, b"ab")
    rows = [(name, "test", label, "0", "") for name, label in zip(NAMES, ("bee", "ant"), strict=True)]
    tables.write(run.files.split, ("image", "split", "label", "digest", "beside"), rows)
    run.write_provenance(files=run.hashes())
    run.files.evaluation.mkdir()
    Answers.of(run, np.array([1, 0]), LOGITS, NAMES).write(run, "test")
    return run


def _best(run, content):
    run.files.checkpoints.mkdir(exist_ok=True)
    (run.files.checkpoints / "best-0001.weights.h5").write_bytes(content)
    facts = {"epoch": 1, "file": "best-0001.weights.h5", "sha256": hashlib.sha256(content).hexdigest()}
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
    _best(run, b"cd")
    assert Answers.read(run, "test") is None


def _flipped(content):
    """With another number among the logits, which is one still."""
    return content.replace(LOGITS.tobytes(), (LOGITS + np.float32(1)).tobytes())


@pytest.mark.parametrize("change", [lambda c: c[:50], lambda c: b"", lambda c: c[::-1], lambda c: b"{}", _flipped])
def test_damaged_answers_are_a_clear_error_with_what_mends_them(run, change):
    file = run.files.answers("test")
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(TrainingError) as error:
        Answers.read(run, "test")
    assert "test_answers.safetensors is damaged: " in str(error.value)
    assert str(error.value).endswith(f"; evaluate these images again: cnnkit evaluate {run.folder} --split test")


@pytest.mark.parametrize(
    "labels, logits, names, why",
    [
        ([1, -1], LOGITS, NAMES, "-1 is the label of none of the 3 classes"),
        ([1, 99], LOGITS, NAMES, "99 is the label of none"),
        ([1, 2], LOGITS, NAMES, r"1 label is not that of split\.csv, first that of two"),
        ([0, 1], LOGITS, NAMES, r"2 labels are not those of split\.csv, first that of ä/one\.png"),
        ([1, 0], LOGITS[:, :2], NAMES, r"its logits are float32 \(2, 2\) in place of float32 \(2, 3\)"),
        ([1, 0], LOGITS[:1], NAMES, r"its logits are float32 \(1, 3\) in place of float32 \(2, 3\)"),
        ([1, 0], np.where(LOGITS > 5, np.nan, LOGITS), NAMES, "one of its logits is no number"),
        ([1, 0], np.where(LOGITS > 5, np.inf, LOGITS), NAMES, "one of its logits is no number"),
        ([1, 0], LOGITS, [NAMES[0], "other.png"], "it is not about the 2 test images of the run"),
        ([1, 1], LOGITS, [NAMES[0]] * 2, "it is not about the 2 test images of the run"),
        ([1], LOGITS[:1], NAMES[:1], "it is not about the 2 test images of the run"),
        ([1, 0], LOGITS, [NAMES[0], 7], "its names are no list of names"),
    ],
)
def test_answers_that_no_evaluation_has_written_are_refused(run, labels, logits, names, why):
    """As if somebody had written them so, their hash included."""
    Answers(np.array(labels), None, run.classes, names, logits).write(run, "test")
    with pytest.raises(TrainingError, match=rf"is damaged: {why}.*; evaluate these images again: cnnkit evaluate"):
        Answers.read(run, "test")


@pytest.mark.parametrize("part, kind", [("labels", np.float64), ("labels", np.uint8), ("logits", np.float64)])
def test_answers_of_other_types_are_refused(run, part, kind):
    from safetensors.numpy import load, save

    file, noted = run.files.answers("test"), {"names": NAMES, "weights": run.weights_digest(), "sha256": ""}
    content = load(file.read_bytes())
    content[part] = content[part].astype(kind)
    file.write_bytes(save(content, {"answers": json.dumps(noted)}))
    with pytest.raises(TrainingError, match=f"is damaged: its {part} are {np.dtype(kind).name}"):
        Answers.read(run, "test")


def test_answers_of_weights_that_were_damaged_since_are_refused(run):
    file = run.files.checkpoints / "best-0001.weights.h5"
    file.write_bytes(b"ac")
    with pytest.raises(
        TrainingError, match=r"best-0001\.weights\.h5 is damaged: its SHA-256.*; put it back from a copy"
    ):
        Answers.read(Run.open(run.folder), "test")
    file.unlink()
    with pytest.raises(TrainingError, match=r"best-0001\.weights\.h5 is missing.*; put it back from a copy, or train"):
        Answers.read(Run.open(run.folder), "test")


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
