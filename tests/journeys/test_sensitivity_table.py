"""The classical table, one factor at a time from a base, out of one command; its runs are really trained."""

from __future__ import annotations

import json

import pytest

from cnnkit import read, train

NETWORKS = ("model={name: resnet, depth: 50}", "model={name: vgg, depth: 11, dense_units: [32]}")
CHANGES = {
    "data.prepare": "[{name: equalize}]",
    "train.epochs": "2",
    "data.batch_size": "32",
    "train.optimizer.learning_rate": "0.05",
}


@pytest.mark.slow
def test_two_networks_over_data_epochs_batches_and_rates_are_one_table(config, command, tmp_path):
    file = config(
        "data: {source: {name: digits}, limit: 8, batch_size: 16}\nmodel: {name: lenet}\n"
        "train: {epochs: 1, optimizer: {name: sgd, learning_rate: 0.01}}\n"
    )
    for m, network in enumerate(NETWORKS):
        for c, change in enumerate([(), *((f"{key}={value}",) for key, value in CHANGES.items())]):
            train(read(file, network, *change), tmp_path / "runs" / f"{m}-{c}")
    options = [word for key in CHANGES for word in ("--vary", key)]
    runs = sorted((tmp_path / "runs").iterdir())
    code, out, _ = command("compare", *runs, *options, "--json")
    document = json.loads(out)
    assert code == 0 and document["left_out"] == document["remarks"] == []
    assert [row["model"] for row in document["rows"]] == ["resnet, depth 50", "vgg, depth 11"]
    assert [column["setting"] for column in document["columns"]] == [key for key in CHANGES for _ in range(2)]
    assert all(cell["runs"] == 1 for row in document["rows"] for cell in row["cells"])
