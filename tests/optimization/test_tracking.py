"""What a config may say of trackers; and what they keep, in the real packages, without any server."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from cnnkit.config.file import read
from cnnkit.core.errors import ConfigError
from cnnkit.optimization.tracking import base
from cnnkit.optimization.tracking.base import TrackedRun
from cnnkit.optimization.tracking.mlflow import MLflow
from cnnkit.optimization.tracking.wandb import WeightsAndBiases

CONFIG = "data: {source: {name: digits}}\nmodel: {name: resnet, depth: 20}\ntrain:\n  track:\n"


def read_with(folder: Path, *trackers: str):
    (folder / "config.yaml").write_text(CONFIG + "".join(f"    - {tracker}\n" for tracker in trackers))
    return read(folder / "config.yaml").train.track


def test_none_is_named_unless_one_is_asked_for(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG.partition("train")[0])
    assert read(tmp_path / "config.yaml").train.track == ()


def test_a_folder_counts_from_that_of_the_config_and_an_address_stays(tmp_path):
    (tracker,) = read_with(tmp_path, "{name: mlflow, uri: books}")
    assert tracker.uri == str(tmp_path / "books")
    (tracker,) = read_with(tmp_path, "{name: mlflow, uri: 'https://mlflow.example.org'}")
    assert tracker.uri == "https://mlflow.example.org"
    assert not (tmp_path / "books").exists()


@pytest.mark.parametrize(
    ("trackers", "message"),
    [
        (["{name: mlflow}", "{name: mlflow, uri: x}"], "config.yaml:6:14: train.track.1.name: mlflow is there already"),
        (["{name: mlflow, uri: 'https://me:secret@x.org'}"], "config.yaml:5:27: train.track.0.uri: holds a name or a"),
        (["{name: mlflow, uri: 'sqlite:///x.db'}"], "train.track.0.uri: should be an address with http"),
        (["{name: wandb, mode: sometimes}"], "config.yaml:5:27: train.track.0.mode: "),
        (["{name: tensorboard}"], "config.yaml:5:14: train.track.0.name: there is no `tensorboard`"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, trackers, message):
    with pytest.raises(ConfigError) as raised:
        read_with(tmp_path, *trackers)
    assert message in str(raised.value)


@pytest.mark.parametrize("found", [None, type("Folder", (), {"origin": None})])
@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_one_that_is_not_installed_is_told_with_the_command(tmp_path, monkeypatch, name, found):
    """W&B makes a folder `wandb` wherever it is used, which Python takes for a package."""
    monkeypatch.setattr(base, "find_spec", lambda package: found)
    with pytest.raises(ConfigError, match=rf"config.yaml:5:14: train.track.0.name: needs .*pip install '.\[{name}\]'"):
        read_with(tmp_path, f"{{name: {name}}}")
    assert read(tmp_path / "config.yaml", files=False).train.track[0].name == name  # a run can still be evaluated


@pytest.fixture
def run(tmp_path):
    """A run with a config, a picture and a result."""
    folder = tmp_path / "a run"
    (folder / "evaluation").mkdir(parents=True)
    (folder / "config.yaml").write_text("name: flowers\n")
    (folder / "evaluation" / "test.json").write_text("{}")
    return TrackedRun(folder, "0123456789abcdef", "flowers", {"seed": 0, "model.name": "resnet"}, {"device": "CPU"})


def files(run):
    return [run.folder / "config.yaml", run.folder / "evaluation" / "test.json"]


@pytest.mark.slow
@pytest.mark.parametrize("uri", [None, "books"])
def test_the_store_of_mlflow_holds_settings_figures_and_files(run, tmp_path, monkeypatch, uri):
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    for name, value in MLflow.environment.items():
        monkeypatch.setenv(name, value)
    tracker = MLflow(uri=uri, experiment=None)
    store = tmp_path / uri if uri else run.folder / "mlflow"
    session = tracker.begin(run, run.folder / "mlflow")
    session.epoch(1, {"loss": 2.0, "gradient_norms/stem": 4.0, "of (one) ü": 1.0})
    session.epoch(2, {"loss": 1.0, "gradient_norms/stem": 2.0})
    session = tracker.begin(run, run.folder / "mlflow")  # a resume, which trains the second epoch again
    session.epoch(2, {"loss": 1.0, "gradient_norms/stem": 2.0})
    session.epoch(3, {"loss": 0.5, "gradient_norms/stem": 1.0})
    session.end("finished", {"test_accuracy": 0.75}, files(run))

    client = MlflowClient(f"sqlite:///{store}/mlflow.db")
    (recorded,) = client.search_runs([client.get_experiment_by_name("flowers").experiment_id])
    assert recorded.info.run_name == "a run" and recorded.info.status == "FINISHED"
    assert recorded.data.params == {"seed": "0", "model.name": "resnet"}
    assert recorded.data.metrics == {
        "loss": 0.5,
        "gradient_norms/stem": 1.0,
        "of _one_ ü": 1.0,
        "test_accuracy": 0.75,
    }
    assert recorded.data.tags.keys() == {"device", "cnnkit.run", "mlflow.runName"}
    losses = client.get_metric_history(recorded.info.run_id, "loss")
    assert [(each.step, each.value) for each in losses] == [(1, 2.0), (2, 1.0), (3, 0.5)]
    kept = {path.name for path in store.rglob("*") if path.is_file()}
    assert kept == {"mlflow.db", "config.yaml", "test.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"a run"} | ({uri} if uri else set())
    assert b"telemetry" not in (store / "mlflow.db").read_bytes().lower()


def records(file: Path):
    """What a file of W&B holds: blocks of a log as LevelDB's, behind a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(whole)
            whole = b""


@pytest.mark.slow
def test_the_files_of_wandb_hold_settings_and_figures_and_no_secret(run, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    for name, value in {**WeightsAndBiases.environment, "HOME": str(home), "SECRET": "hunter-two"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.chdir(tmp_path)
    session = WeightsAndBiases(project="garden").begin(run, run.folder / "wandb")
    for number in (1, 2, 3):
        session.epoch(number, {"loss": 2.0 / number})
    session.end("finished", {"test_accuracy": 0.75}, files(run))

    (file,) = run.folder.glob("wandb/offline-run-*/run-0123456789abcdef.wandb")
    found = list(records(file))
    (begun,) = (record.run for record in found if record.WhichOneof("record_type") == "run")
    assert (begun.project, begun.display_name, begun.run_id) == ("garden", "a run", run.id)
    config = {item.key or ".".join(item.nested_key): item.value_json for item in begun.config.update}
    assert {key: json.loads(config[key]) for key in ("seed", "model.name", "run.device")} == {
        "seed": 0,
        "model.name": "resnet",
        "run.device": "CPU",
    }
    history = [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in found
        if record.WhichOneof("record_type") == "history"
    ]
    assert [(row["epoch"], row["loss"]) for row in history] == [(1, 2.0), (2, 1.0), (3, pytest.approx(2 / 3))]
    assert {path.name for path in tmp_path.iterdir()} == {"a run", "home"}
    assert [path for path in home.rglob("*") if path.is_file()] == []
    written = b"".join(path.read_bytes() for path in run.folder.rglob("*") if path.is_file())
    for secret in ("hunter-two", "0123456789" * 4, os.environ["PATH"]):
        assert secret.encode() not in written
