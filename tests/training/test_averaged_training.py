"""With `ema` a whole training validates, keeps and evaluates averages of the weights."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pytest

from cnnkit import Run, read, train
from cnnkit.training.averages import Averages

CONFIG = """
data: {source: {name: digits}, image_size: [8, 8], limit: 12, batch_size: 16}
model: {name: sequential, layers: [{name: flatten}, {name: batch_norm}]}
train:
  epochs: 2
  schedule: {name: plateau}
  ema: {momentum: 0.5}
"""


def test_what_is_judged_kept_and_evaluated_are_the_averages(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(CONFIG)
    judged, trained, in_place = [], [], Averages.in_place

    @contextmanager
    def noted(self):
        trained.append([weight.numpy() for weight in self._weights])
        judged.append([average.numpy() for average in self.variables])
        with in_place(self):
            yield
        assert all(np.array_equal(w.numpy(), b) for w, b in zip(self._weights, trained[-1], strict=True))

    monkeypatch.setattr(Averages, "in_place", noted)
    document = train(read(tmp_path / "config.yaml"), tmp_path / "run")
    epochs = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert len(judged) == 2
    best = document["best_epoch"]
    for metric in ("loss", "accuracy"):
        assert document["validation"][metric] == pytest.approx(epochs[best - 1][f"val_{metric}"], abs=1e-6)
    kept = [weight.numpy() for weight in Run(tmp_path / "run").network().weights]
    assert not any(map(np.array_equal, trained[best - 1], judged[best - 1]))
    assert all(map(np.array_equal, kept, judged[best - 1]))
