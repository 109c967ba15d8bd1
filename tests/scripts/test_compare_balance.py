"""The subset that scripts/compare_balance.py makes, and how long each method trains."""

from __future__ import annotations

import csv
from collections import Counter

import compare_balance
import numpy as np
import pytest
from PIL import Image

import cnnkit
from cnnkit.core.progress import Progress
from cnnkit.data.index import Index
from cnnkit.data.sources import recognised


@pytest.fixture
def index(tmp_path, write_idx) -> Index:
    rng = np.random.default_rng(0)
    for part, each in (("train", 30), ("t10k", 5)):
        labels = rng.permutation(np.repeat(np.arange(10), each))
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (len(labels), 4, 4)))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", labels)
    return recognised(tmp_path).open(Progress()).index(Progress())


def test_two_classes_are_kept_at_a_tenth_in_training_and_nothing_is_left_out_of_the_test(index, tmp_path):
    manifest = compare_balance.write_subset(index, tmp_path / "subset", images=20)
    counts = Counter((row["split"], row["label"]) for row in csv.DictReader(manifest.open(encoding="utf-8")))
    for name in compare_balance.CLASSES:
        assert counts["train", name] == (2 if name in ("pullover", "shirt") else 20)
        assert counts["test", name] == 5


def test_the_manifest_names_pictures_with_the_pixels_and_labels_of_the_idx_files(index, tmp_path):
    manifest = compare_balance.write_subset(index, tmp_path / "subset", images=20)
    place = {name: i for i, name in enumerate(index.names)}
    for row in csv.DictReader(manifest.open(encoding="utf-8")):
        i = place[row["path"].removesuffix(".png")]
        assert row["label"] == compare_balance.CLASSES[index.labels[i]]
        assert np.array_equal(Image.open(manifest.parent / row["path"]), index.open(i))


def test_each_method_sees_about_as_many_images():
    shown = {
        "none": 8 * 1000 + 2 * 100,
        "class weights": 8 * 1000 + 2 * 100,
        "focal loss": 8 * 1000 + 2 * 100,
        "oversample": 10 * 1000,
        "SMOTE": 10 * 1000,
        "Borderline-SMOTE": 10 * 1000,
        "undersample": 10 * 100,
    }
    assert shown.keys() == compare_balance.METHODS.keys()
    for method, an_epoch in shown.items():
        total = an_epoch * compare_balance.epochs_of(method, images=1000, epochs=8)
        assert total == pytest.approx(8 * shown["none"], rel=0.07)


SMALL = """
data: {source: {name: digits}, image_size: [4, 4], batch_size: 64}
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 1}
"""


@pytest.mark.parametrize("method", compare_balance.METHODS)
def test_every_method_is_a_setting(method):
    cnnkit.read(compare_balance.CONFIG, "data.source={name: digits}", compare_balance.METHODS[method])


def test_methods_train_once_and_what_has_run_is_not_run_again(index, tmp_path, monkeypatch, capsys):
    (tmp_path / "small.yaml").write_text(SMALL)
    monkeypatch.setattr(compare_balance, "CONFIG", tmp_path / "small.yaml")
    words = [str(tmp_path), str(tmp_path / "made"), "--images", "100", "--epochs", "1", "--seeds", "1"]
    words += ["--methods", *(methods := ["SMOTE"])]
    assert compare_balance.main(words) == 0
    first = capsys.readouterr()
    header, *rows = first.out.splitlines()
    assert header.startswith("method") and "recall of shirt" in header
    assert [row.split("  ")[0] for row in rows] == methods
    assert compare_balance.main(words) == 0
    again = capsys.readouterr()
    assert (again.out, again.err) == (first.out, "")
