"""What scripts/measure_lr.py asks for, and what it makes of the answers; finder and trainings are formulas here."""

from __future__ import annotations

from types import SimpleNamespace

import measure_lr
import pytest

import cnnkit
from cnnkit.core.errors import TrainingError

ROW = {1e-4: 0.80, 3e-4: 0.86, 1e-3: 0.90, 3e-3: 0.91, 1e-2: 0.89}


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    """The rates that were trained with; a training with a rate above 0.2 diverges."""
    (tmp_path / "config.yaml").write_text("data: {source: {name: digits}}\nmodel: {name: lenet}\n")
    made = []

    def train(experiment, folder):
        rate = experiment.train.optimizer.learning_rate
        made.append((experiment.train.optimizer.name, experiment.seed, experiment.train.epochs, rate))
        if rate > 0.2:
            raise TrainingError("diverged")
        return {"validation": {"accuracy": 0.9 - abs(rate - 0.01)}}

    def find(experiment, *_):
        found = {"learning_rate": 0.02 if experiment.train.optimizer.name == "sgd" else 0.01}
        return SimpleNamespace(as_json=lambda: found), None

    monkeypatch.setattr(cnnkit, "train", train)
    monkeypatch.setattr(measure_lr.rate_finder, "for_experiment", find)
    return made


def test_each_rate_and_the_suggestion_are_trained_once_for_each_seed(trainings, tmp_path, capsys):
    words = [str(tmp_path / "config.yaml"), str(tmp_path / "out"), "--seeds", "2", "--optimizers", "sgd"]
    measure_lr.main(words)
    assert trainings == [("sgd", seed, 2, rate) for seed in (0, 1) for rate in (0.003, 0.01, 0.03, 0.1, 0.3, 0.02)]
    *_, seeds, mean = capsys.readouterr().out.splitlines()
    assert seeds.split()[:4] == ["seed", "1", "0.02", "0.8900"]
    assert mean.split() == ["mean", "0.8900", "0.8930", "0.9000", "0.8800", "0.8100", "0.0000", "+0.0100", "right"]
    measure_lr.main(words)  # goes on where it was, which is the end
    assert len(trainings) == 12


@pytest.mark.parametrize(("own", "verdict"), [(0.91, "right"), (0.901, "right"), (0.899, "WRONG"), (0.95, "right")])
def test_a_suggestion_is_right_within_a_point_of_the_best_of_the_row(own, verdict):
    found = [measure_lr.Measured(0.002, own, ROW, 10.0)] * 3
    assert measure_lr.table("adam", found)[-1].split()[-1] == verdict
