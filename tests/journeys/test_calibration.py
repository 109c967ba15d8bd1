"""A network that knows its few training images by heart is too sure, and a temperature mends that on others."""

from __future__ import annotations

import json

import pytest

# Two of a hundred digits to learn from, 60 times, with nothing against learning them by heart. The epoch that is kept
# is the one that knows them best: that of the best accuracy on validation may come before the network is too sure.
CONFIG = """
data: {source: {name: digits}, image_size: [8, 8], split: {validation: 0.49, test: 0.49}, batch_size: 16}
model:
  name: sequential
  layers: [{name: conv, filters: 32}, {name: conv, filters: 32}, {name: flatten}, {name: dense, units: 128}]
train:
  epochs: 60
  checkpoint: {monitor: loss}
  optimizer: {name: adam, learning_rate: 3.0e-3}
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_temperature_lowers_the_calibration_error_of_an_overfitted_run(seed, config, command, tmp_path):
    run, others = tmp_path / "run", ("--no-baseline", "--json")
    code, out, err = command("train", config(CONFIG), "--run", run, "--set", f"seed={seed}", "--json")
    assert code == 0, err
    assert json.loads(out)["validation"]["accuracy"] < 0.95  # of training it is 1 by then
    before = {split: json.loads(command("evaluate", run, "--split", split, *others)[1]) for split in SPLITS}
    code, out, err = command("evaluate", run, "--calibrate", *others)
    assert code == 0, err
    told = json.loads(out)["calibrated"]
    assert told["temperature"] > 1.2
    after = {split: json.loads(command("evaluate", run, "--split", split, *others)[1]) for split in SPLITS}
    for split in SPLITS:
        assert after[split]["accuracy"] == before[split]["accuracy"]
        assert after[split]["log_loss"] < before[split]["log_loss"]
        error, left = before[split]["calibration"], after[split]["calibration"]
        assert left["ece"] < error["ece"] / 2
        assert left["ece_interval"][1] < error["ece_interval"][0]


SPLITS = ("validation", "test")
