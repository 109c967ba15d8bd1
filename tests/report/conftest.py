"""Pages of the report with whatever text and pictures a test wants on them, and runs that were never trained."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from cnnkit import Run, read
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.index import Index
from cnnkit.evaluation import results
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.exam import Shown
from cnnkit.report import charts, confusion
from cnnkit.report.headline import Tile
from cnnkit.report.joint import Joint, OfThem
from cnnkit.report.page import Page
from cnnkit.report.pictures import Picture
from cnnkit.report.suspected import Search, Suspected
from cnnkit.report.tables import Table
from cnnkit.runs import checkpoints

CONFIG = """
data: {source: {name: digits}, image_size: [8, 8], channels: 1}
model: {name: sequential, layers: [{name: flatten}]}
"""


def history_of(epochs):
    return [{"epoch": k, "loss": 1 / k, "accuracy": 0.5, "val_loss": None, "val_accuracy": 0.4} for k in epochs]


def made(text="cat", classes=("cat", "dog"), counts=((3, 1), (0, 2)), pictures=()) -> Page:
    table, picture = Table(text, (text, "value"), [[text, text]]), Picture("data:image/png;base64,", text, text)
    known = {
        "name": text,
        "title": text,
        "told": [text],
        "tiles": [Tile(text, text, text)],
        "made": text,
        "notes": [text],
        "figures": table,
        "methods": table,
        "curves": charts.curves(history_of((1, 2)), 2),
        "kept": text,
        "split": "test",
        "matrix": confusion.matrix(classes, counts),
        "pairs": confusion.pairs(classes, counts),
        "cells": {"0,1": list(pictures) or [picture]},
        "classes": table,
        "calibration": charts.reliability([(0.5, 0.4, 3), (1.0, 1.0, 9)]),
        "calibrated": table,
        "suspects": [picture],
        "suspected": Suspected(1, 22, 2, 1),
        "search": Search(text, text),
        "mistakes": [picture],
        "unsure": [],
        "more": [table],
        "images": table,
        "findings": [text],
        "examination": text,
        "samples": [],
        "augmented": [],
        "layers": Table(text, (text, "kind"), [[text, text], ["global_average_pool1", "GlobalAveragePooling2D"]]),
        "config": text,
        "provenance": table,
        "commands": [(text, text)],
    }
    assert {field.name for field in fields(Page)} == set(known)
    return Page(**known)


def made_joint(text="cat") -> Joint:
    table = Table(text, (text, "value"), [[text, text]])
    return Joint(
        kind=text,
        name=text,
        title=text,
        told=[text],
        made=text,
        notes=[text],
        runs=[OfThem(text, text, "./a/report.html", text), OfThem(text, text, "", text)],
        figures=table,
        settings=table,
        cost=table,
        curves=charts.curves_of_runs({text: history_of((1, 2)), "other": history_of((1, 2, 3))}),
        classes=table,
    )


def made_folds(text="cat", pictures=()) -> Joint:
    table, classes, counts = Table(text, (text, "value"), [[text, text]], [text, text]), (text, "dog"), ((3, 1), (0, 2))
    shown = list(pictures) or [Picture("data:image/png;base64,", text, text)]
    return replace(
        made_joint(text), settings=None, cost=None, beside=table, confused=True,
        matrix=confusion.matrix(classes, counts), pairs=confusion.pairs(classes, counts), cells={"0,1": shown},
        calibration=charts.reliability([(0.5, 0.4, 3)]), mistakes=shown,
    )  # fmt: skip


@pytest.fixture(scope="session")
def page():
    """Makes the page of a run."""
    return made


@pytest.fixture(scope="session")
def joint():
    """Makes that of several."""
    return made_joint


@pytest.fixture(scope="session")
def folds():
    """Makes that of folds."""
    return made_folds


@pytest.fixture
def run_of(tmp_path, monkeypatch):
    """Makes a run as training leaves it, but for the weights, and its images.

    Of each class there are `each` test images; image i of them is answered as `said` says, by number of class, as
    surely as `sure` does; a tenth of them, but one at least, validates, and as many train.
    """
    monkeypatch.setattr(checkpoints, "read", lambda folder, name: {"file": "best.h5", "sha256": "as saved", "epoch": 1})
    monkeypatch.setattr(Run, "weights_digest", lambda run: "as saved")

    def make(name="run", classes=("cat", "dog"), each=10, said=None, sure=None, settings=(), size=8, epochs=2):
        (tmp_path / "config.yaml").write_text(CONFIG)
        experiment = read(tmp_path / "config.yaml", *settings)
        count = len(classes)
        few = max(1, each // 10)
        labels = np.concatenate([np.repeat(np.arange(count), n) for n in (few, few, each)])
        splits = ["train"] * (count * few) + ["validation"] * (count * few) + ["test"] * (count * each)
        pixels = np.random.default_rng(1).integers(0, 256, (len(labels), size, size, 1), np.uint8)
        index = Index(
            classes=tuple(classes),
            names=[f"{classes[label]}/{i}.png" for i, label in enumerate(labels)],
            labels=labels,
            digests=[digest_of(i.to_bytes(4, "big")) for i in range(len(labels))],
            splits=[None] * len(labels),
            open=lambda i: None,
        )
        run = Run.create(experiment, tmp_path / "runs" / name)
        run.write_split(index, splits, [""] * len(labels))
        where = {split: [i for i, other in enumerate(splits) if other == split] for split in set(splits)}
        per_class = {
            split: dict.fromkeys(classes, n) for split, n in (("train", few), ("validation", few), ("test", each))
        }
        facts = {"classes": list(classes), "images_per_class": per_class, "findings": []}
        run.write_provenance(data=facts, state="finished", best_epoch=2, parameters={"total": 9}, files=run.hashes())
        run.files.evaluation.mkdir()
        for split in ("validation", "test"):
            truth = labels[where[split]]
            answer = truth.copy()
            if split == "test" and said is not None:
                answer[: len(said)] = said
            strength = np.full((len(truth), 1), 5.0, np.float32)
            if split == "test" and sure is not None:
                strength[: len(sure), 0] = sure
            logits = strength * np.eye(count, dtype=np.float32)[answer]
            answers = Answers.of(run, truth, logits, [index.names[i] for i in where[split]])
            answers.write(run, split)
            results.write(run, split, results.figures(run, split, answers) | {"loss": 0.1})
        for line in history_of(range(1, epochs + 1)):
            run.record(line)
        images = SimpleNamespace(index=index, rows=lambda numbers: [pixels[n] for n in numbers])
        return run, lambda split: Shown(images, where[split])

    return make
