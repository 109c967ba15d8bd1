"""A whole training that MLflow and Weights & Biases record, in their own processes and without any server."""

from __future__ import annotations

import json

import pytest

from cnnkit import Run, read, train
from cnnkit.runs.epochs import TIMES

CONFIG = """
name: tracked
data: {source: {name: digits}, limit: 12, batch_size: 16}
augment: [{name: shift, fraction: 0.1}]
model:
  name: sequential
  layers: [{name: conv, filters: 4}, {name: flatten}, {name: dropout, rate: 0.2}]
train: {epochs: 3, optimizer: {name: adam, learning_rate: 0.01}}
"""


@pytest.mark.slow
def test_trackers_hold_the_run_and_change_no_bit_of_it(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    trackers = "train.track=[{name: mlflow, weights: true}, {name: wandb}]"
    alone = train(read("config.yaml"), "alone")
    tracked = train(read("config.yaml", trackers), "tracked")
    assert {**tracked, "run": "alone", "report": alone["report"]} == alone
    runs = [Run.open(name) for name in ("alone", "tracked")]
    metrics = [[{k: v for k, v in line.items() if k not in TIMES} for line in run.history()] for run in runs]
    assert metrics[0] == metrics[1]
    pointers = [json.loads((run.files.checkpoints / "best.json").read_text()) for run in runs]
    assert pointers[0]["sha256"] == pointers[1]["sha256"]

    recorded = runs[1].provenance()["tracking"]
    client = MlflowClient(f"sqlite:///{tmp_path}/tracked/mlflow/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("tracked").experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_id in recorded["mlflow"]
    assert run.data.params["train.optimizer.learning_rate"] == "0.01"
    assert run.data.tags["version.keras"] == runs[1].provenance()["versions"]["keras"]
    losses = client.get_metric_history(run.info.run_id, "val_loss")
    assert [(each.step, each.value) for each in losses] == [(line["epoch"], line["val_loss"]) for line in metrics[1]]
    assert run.data.metrics["test_accuracy"] == tracked["test"]["accuracy"]
    kept = {path.name for path in (tmp_path / "tracked" / "mlflow" / "files").rglob("*") if path.is_file()}
    assert kept == {"config.yaml", "validation.json", "test.json", pointers[1]["file"]}
    (events,) = (tmp_path / "tracked" / recorded["wandb"]).glob("run-*.wandb")
    assert events.stat().st_size > 1000
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "alone", "tracked"}
