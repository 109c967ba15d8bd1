"""The metrics that training follows: which way each is better, and that a new one is an entry of the list, no more."""

from __future__ import annotations

import json
import math

import pytest

from cnnkit import read, train
from cnnkit.core.lazy import keras
from cnnkit.optimization import training_metrics
from cnnkit.optimization.section import Checkpoint, EarlyStopping
from cnnkit.optimization.training_metrics import EPOCH_METRICS, EpochMetric, metric_of
from cnnkit.training.observers import KeepBest

CONFIG = """
data:
  source: {name: digits}
  image_size: [8, 8]
  limit: 5
  batch_size: 16
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 2}
"""


@pytest.mark.parametrize(
    ("monitor", "value", "best", "min_delta", "expected"),
    [
        ("val_loss", 0.4, 0.5, 0.0, True),
        ("val_loss", 0.5, 0.5, 0.0, False),
        ("val_loss", 0.6, 0.5, 0.0, False),
        ("loss", 0.4, 0.5, 0.2, False),
        ("val_accuracy", 0.6, 0.5, 0.0, True),
        ("val_accuracy", 0.5, 0.5, 0.0, False),
        ("accuracy", 0.4, 0.5, 0.0, False),
        ("accuracy", 0.6, 0.5, 0.2, False),
        ("val_loss", 9.0, None, 0.0, True),
        ("val_accuracy", 0.0, None, 5.0, True),
        ("val_loss", 1e9, math.inf, 0.0, True),
        ("val_loss", math.nan, 0.5, 0.0, False),
        ("val_loss", math.nan, None, 0.0, False),
        ("val_accuracy", math.nan, None, 0.0, False),
    ],
)
def test_accuracies_go_up_losses_go_down_and_nan_is_never_better(monitor, value, best, min_delta, expected):
    assert metric_of(monitor).better(value, best, min_delta) is expected


@pytest.mark.parametrize("section", [Checkpoint, EarlyStopping])
def test_the_config_may_name_each_metric_of_training_and_validation(section):
    assert section.model_json_schema()["properties"]["monitor"]["enum"] == [
        "val_loss",
        "val_accuracy",
        "loss",
        "accuracy",
    ]


@pytest.fixture
def error(monkeypatch):
    """A new metric: the share of images that are wrong."""
    metric = EpochMetric(
        "error",
        more_is_better=False,
        build=lambda loss: keras.metrics.MeanMetricWrapper(
            lambda y, logits: 1 - loss.accuracy(y, logits), name="error"
        ),
        format=".1%",
    )
    monkeypatch.setattr(training_metrics, "EPOCH_METRICS", (*EPOCH_METRICS, metric))


@pytest.mark.usefixtures("error")
def test_a_new_metric_is_recorded_said_and_drawn(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    train(read(tmp_path / "config.yaml"), tmp_path / "run")
    epochs = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    log = (tmp_path / "run/log.txt").read_text()
    assert len(epochs) == 2
    for epoch in epochs:
        for side in ("", "val_"):
            assert epoch[f"{side}error"] == pytest.approx(1 - epoch[f"{side}accuracy"], abs=1e-6)
            assert f"  {side}error {epoch[f'{side}error']:.1%}  " in log
    assert 'id="chart-error"' in (tmp_path / "run/report.html").read_text()


@pytest.mark.usefixtures("error")
def test_a_new_metric_chooses_the_best_epoch():
    saved = []
    keep_best = KeepBest("val_error", lambda epoch, metrics: saved.append(epoch))
    for epoch, value in enumerate([0.5, 0.6, 0.4], start=1):
        keep_best.judge(epoch, {"val_error": value})
    assert saved == [1, 3]
