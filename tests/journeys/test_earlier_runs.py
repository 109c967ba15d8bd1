"""Runs of earlier versions open, evaluate and predict as they did when they were made.

run_of_version_0_1_0/ was made by version 0.1.0 and is not to be made anew, with

    data:
      source: {name: digits}
      image_size: [8, 8]
      channels: 1
      limit: 20
      batch_size: 2
    augment: [{name: shift}]
    model:
      name: sequential
      layers: [{name: conv, filters: 4}, {name: max_pool}, {name: flatten}]
    train:
      epochs: 1
      optimizer: {name: adam, learning_rate: 0.01}

Without the curves as a picture and the name of the machine, to keep it small and plain; all else is as it was written.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from cnnkit import Run, evaluate, predict
from cnnkit.evaluation import results
from cnnkit.evaluation.abstain import Abstain
from cnnkit.evaluation.baseline import Baseline
from cnnkit.evaluation.corruptions import Corruptions
from cnnkit.evaluation.tta import TestTimeAugmentation

EARLIER_RUN = Path(__file__).with_name("run_of_version_0_1_0")

# What version 0.1.0 answered with this run: the probabilities of the classes 0 to 9.
ANSWERS = {
    0: [0.0703893, 0.1083762, 0.1597240, 0.0944403, 0.0923912, 0.1174702, 0.0760012, 0.0812898, 0.0876677, 0.1122500],
    500: [0.0407531, 0.1682825, 0.1310287, 0.0672297, 0.0884980, 0.0878176, 0.1455377, 0.0617803, 0.1167816, 0.0922908],
    1000: [
        0.0485066,
        0.1039881,
        0.2286165,
        0.0664639,
        0.0872369,
        0.0945285,
        0.0890457,
        0.0628847,
        0.1437816,
        0.0749475,
    ],
}


@pytest.fixture
def run(tmp_path):
    return Path(shutil.copytree(EARLIER_RUN, tmp_path / "run"))


def with_config(run, text, other):
    """Puts another text into its config, as if it had been trained so."""
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(text, other))
    recorded = json.loads((run / "provenance.json").read_text())
    recorded["files"]["config.yaml"] = hashlib.sha256(config.read_bytes()).hexdigest()
    (run / "provenance.json").write_text(json.dumps(recorded))


def test_it_opens(run):
    opened = Run.open(run)
    experiment = opened.experiment
    assert (experiment.name, experiment.model.name, experiment.train.epochs) == ("digits", "sequential", 1)
    assert opened.classes == [str(digit) for digit in range(10)]
    assert [len(opened.split(split)) for split in ("train", "validation", "test")] == [140, 30, 30]
    assert opened.history()[0]["epoch"] == 1
    assert opened.network().count_params() == (9 * 4 + 4) + (4 * 4 * 4 * 10 + 10)


@pytest.mark.parametrize("seed", [0, 7])
def test_its_images_were_divided_by_the_one_seed_that_there_was(run, seed):
    with_config(run, "seed: 0", f"seed: {seed}")
    assert Run.open(run).experiment.data.split.seed == seed


@pytest.mark.parametrize("split", ["validation", "test"])
def test_it_is_worth_what_it_was_worth(run, split):
    before = json.loads((EARLIER_RUN / "evaluation" / f"{split}.json").read_text())
    now = evaluate(run, split)
    assert now.pop("loss") == pytest.approx(before.pop("loss"), rel=1e-5)
    # What later versions measure is new.
    for earlier, later in zip(before.pop("classes"), now.pop("classes"), strict=True):
        assert earlier.items() <= later.items()
    assert before.items() <= now.items()


def test_every_question_can_be_asked_of_it_on_fewer_devices_than_it_was_trained_on(run):
    with_config(run, "train:\n", "train:\n  devices: 2\n")
    assert Run.open(run).experiment.train.devices == 2
    questions = [Baseline(), Corruptions(most=2), TestTimeAugmentation(1), Abstain(0.5)]
    found = evaluate(run, "validation", questions=questions)
    assert found["accuracy"] == json.loads((EARLIER_RUN / "evaluation" / "validation.json").read_text())["accuracy"]
    assert found == results.read(Run.open(run), "validation")
    assert all(list(question.lines(found[question.name])) for question in questions)


def test_it_answers_what_it_answered(run, tmp_path):
    files = [tmp_path / f"{number}.png" for number in ANSWERS]
    for number, file in zip(ANSWERS, files, strict=True):
        Image.fromarray(np.uint8(load_digits().images[number] * 15)).save(file)
    for expected, found in zip(ANSWERS.values(), predict(run, files), strict=True):
        assert list(found.probabilities) == [str(digit) for digit in range(10)]
        assert list(found.probabilities.values()) == pytest.approx(expected, abs=1e-5)
        assert found.label == str(np.argmax(expected))
