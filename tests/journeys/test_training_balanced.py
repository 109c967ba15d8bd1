"""Balance within a training: what changes, what stays, what is said, and when it is told that it can't be done."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from cnnkit import read, train
from cnnkit.core.errors import ConfigError, DataError
from cnnkit.core.progress import Progress
from cnnkit.data.balancing import AnyBalance
from cnnkit.data.balancing.smote import Smote
from cnnkit.training.balance import balance_line
from cnnkit.training.data import TrainingData

pytestmark = pytest.mark.usefixtures("without_report")

NAMES = [kind.model_fields["name"].default for kind in get_args(get_args(AnyBalance)[0])]

PIXELS = """
data:
  source: {name: folder, path: pictures}
  image_size: [8, 8]
  batch_size: 16
  split: {validation: 0.2, test: 0.2}
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 1}
"""

FEATURES = """
data:
  source: {name: folder, path: pictures}
  image_size: [40, 40]
  batch_size: 16
  split: {validation: 0.2, test: 0.2}
  balance: {name: smote, neighbors: 2}
model: {name: sequential, layers: [{name: conv, filters: 4}, {name: global_avg_pool}]}
train:
  stages:
    - {freeze: backbone, epochs: 1}
    - {freeze: backbone, epochs: 1}
"""

# 40 cats and 10 dogs, of which three fifths train.
BEFORE = {"cat": 24, "dog": 6}
AFTER = {
    "none": BEFORE,
    "class_weight": BEFORE,
    "oversample": {"cat": 24, "dog": 24},
    "undersample": {"cat": 6, "dog": 6},
    "smote": {"cat": 24, "dog": 24},
    "borderline_smote": {"cat": 24, "dog": 24},
}
SAID = {
    # 30 images count for 30 in all, half of it a class: 15 / 24 and 15 / 6.
    "class_weight": "balanced by class_weight: an image counts for 0.625 (cat), 2.5 (dog)",
    "oversample": "balanced by oversample: 30 training images to 48 (dog 6 to 24)",
    "undersample": "balanced by undersample: 30 training images to 12 (cat 24 to 6)",
    "smote": "balanced by smote: 30 training images to 48 (dog 6 to 24)",
    "borderline_smote": "balanced by borderline_smote: 30 training images to 48 (dog 6 to 24)",
}


def draw(folder, cats=40, dogs=10):
    """Noise of two classes, so that each has images among those of the other."""
    random = np.random.default_rng(1)
    for name, count in (("cat", cats), ("dog", dogs)):
        (folder / "pictures" / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"pictures/{name}/{i:02d}.png")


@pytest.fixture
def config(tmp_path):
    def written(text, cats=40, dogs=10):
        draw(tmp_path, cats, dogs)
        (tmp_path / "config.yaml").write_text(text)
        return tmp_path / "config.yaml"

    return written


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run with each balance, on the same images."""
    folder = tmp_path_factory.mktemp("balanced")
    draw(folder)
    (folder / "config.yaml").write_text(PIXELS)
    for name in NAMES:
        train(read(folder / "config.yaml", f"data.balance={{name: {name}}}"), folder / name)
    return folder


@pytest.fixture
def mixed(monkeypatch):
    """The shapes of what SMOTE was given to mix."""
    shapes = []
    balance = Smote.__call__

    def remembered(self, training, pool, seed):
        def seen():
            rows = pool.rows()
            shapes.append((*rows.shape, rows.dtype.name))
            return rows

        return balance(self, training, replace(pool, rows=seen), seed)

    monkeypatch.setattr(Smote, "__call__", remembered)
    return shapes


def balance_of(run):
    return json.loads((run / "provenance.json").read_text())["balance"]


def line_before_training(experiment):
    """What is said of the balance, of a training that is not begun; that `log.txt` has it is shown by `runs`."""
    data = TrainingData.of(experiment, Progress())
    return balance_line(experiment, data.images, data.chosen, data.training)


def balance_lines(run):
    return re.findall("balanced by .*|balance: .*", (run / "log.txt").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_the_split_is_the_same_whatever_the_balance(runs, name):
    assert (runs / name / "split.csv").read_bytes() == (runs / "none" / "split.csv").read_bytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_judges_is_the_same_whatever_the_balance(runs, name, split):
    with (runs / name / f"evaluation/{split}_predictions.csv").open(newline="") as file:
        judged = [row["image"] for row in csv.DictReader(file)]
    with (runs / "none" / "split.csv").open(newline="") as file:
        of_split = [row["image"] for row in csv.DictReader(file) if row["split"] == split]
    assert sorted(judged) == sorted(of_split)
    assert len(judged) == 10


@pytest.mark.parametrize("name", NAMES)
def test_a_run_records_and_tells_the_training_images_of_each_class(runs, name):
    assert balance_of(runs / name) == {"before": BEFORE, "after": AFTER[name]}
    assert balance_lines(runs / name) == ([SAID[name]] if name in SAID else [])


@pytest.mark.parametrize("name", NAMES)
def test_an_epoch_has_as_many_steps_as_its_images_need(runs, name):
    step = json.loads((runs / name / "metrics.jsonl").read_text())["step"]
    assert step == -(-sum(AFTER[name].values()) // 16)


@pytest.mark.parametrize(
    "setting",
    [
        "{name: class_weight}",
        "{name: class_weight, method: effective_number}",
        "{name: oversample}",
        "{name: undersample}",
    ],
)
def test_classes_that_are_even_already_are_no_error_but_it_is_said(config, setting):
    line = line_before_training(read(config(PIXELS, 15, 15), f"data.balance={setting}"))
    name = setting.strip("{}").split(",")[0].removeprefix("name: ")
    assert line == (
        f"balance: {name} changes nothing, for the classes are as even as it makes them: `cat` has 9 training images, "
        "`cat` 9"
    )


def test_a_run_records_that_its_balance_changes_nothing(config, tmp_path):
    train(read(config(PIXELS), "data.balance={name: undersample, ratio: 0.01}"), tmp_path / "run")
    (line,) = balance_lines(tmp_path / "run")
    assert "balance: undersample changes nothing" in line
    assert balance_of(tmp_path / "run") == {"before": BEFORE, "after": BEFORE}


@pytest.mark.parametrize("name", ["oversample", "undersample"])
def test_a_ratio_that_changes_nothing_is_said(config, name):
    line = line_before_training(read(config(PIXELS), f"data.balance={{name: {name}, ratio: 0.01}}"))
    assert line.startswith(f"balance: {name} changes nothing")
    assert line.endswith("`dog` has 6 training images, `cat` 24")


def test_smote_of_large_images_mixes_features_of_the_frozen_network_in_each_stage(config, tmp_path, mixed):
    document = train(read(config(FEATURES)), tmp_path / "run")
    assert document["epochs"] == 2
    assert mixed == [(30, 4, "float32")] * 2
    assert balance_of(tmp_path / "run") == {"before": BEFORE, "after": {"cat": 24, "dog": 24}}
    (line,) = balance_lines(tmp_path / "run")
    assert line.endswith("balanced by smote of features: 30 training images to 48 (dog 6 to 24)")


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param("[{freeze: backbone, epochs: 1}]", marks=pytest.mark.slow),
        pytest.param("[{epochs: 1}]", marks=pytest.mark.slow),
        "[{freeze: backbone, epochs: 1}, {epochs: 1}]",
    ],
)
def test_smote_of_small_images_mixes_pixels_once_whatever_is_frozen(config, tmp_path, mixed, stages):
    settings = ("data.image_size=[32, 32]", f"train.stages={stages}")
    train(read(config(FEATURES), *settings), tmp_path / "run")
    assert mixed == [(30, 32, 32, 3, "uint8")]
    assert balance_of(tmp_path / "run")["after"] == {"cat": 24, "dog": 24}


# What can't be done


def refused(experiment, folder, progress=None):
    """What is told, and that nothing is left behind."""
    with pytest.raises(DataError) as caught:
        train(experiment, folder, progress)
    assert not folder.exists()
    return [(problem.key, problem.message) for problem in caught.value.problems]


def mix(experiment, folder):
    """As far into a training as mixing is: images are mixed before it, features of large ones within."""
    if experiment.data.balance.on_features((*experiment.data.image_size, 3)):
        train(experiment, folder)
    else:
        TrainingData.of(experiment, Progress())


@pytest.mark.parametrize("size", [8, 40])
def test_too_few_neighbours_are_told_before_there_is_a_run(config, tmp_path, tasks, size):
    path = config(FEATURES, 40, 5)
    settings = (f"data.image_size=[{size}, {size}]", "data.balance.neighbors=3")
    ((key, message),) = refused(read(path, *settings), tmp_path / "run", tasks)
    assert key == "data.balance.neighbors"
    assert message.startswith("class `dog` has 3 training images; for 3 neighbours it needs at least 4: set neighbors")
    assert "building the network" not in tasks.names
    mix(read(path, settings[0], "data.balance.neighbors=2"), tmp_path / "run")  # the call mended as advised


@pytest.mark.parametrize("size", [8, 40])
@pytest.mark.parametrize("ratio", [1, 0.01])
def test_that_no_image_would_be_made_is_told_before_there_is_a_run(config, tmp_path, size, ratio):
    settings = (f"data.image_size=[{size}, {size}]", f"data.balance.ratio={ratio}")
    ((_, message),) = refused(read(config(FEATURES, 15, 15), *settings), tmp_path / "run")
    assert "so no image would be made" in message


def test_no_image_at_the_border_is_told_before_there_is_a_run(config, tmp_path):
    path = config(PIXELS)
    for i in range(40):  # cats are dark now, and dogs lie among dogs
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(tmp_path / f"pictures/cat/{i:02d}.png")
    settings = "data.balance={name: borderline_smote, neighbors: 2, border_neighbors: 3}"
    ((key, message),) = refused(read(path, settings), tmp_path / "run")
    assert key == "data.balance"
    assert message.startswith("makes no image of the smallest class, `dog`")


@pytest.mark.parametrize("size", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_more_memory_than_is_allowed_is_told_before_it_is_taken(config, tmp_path, mixed, size):
    path = config(FEATURES)
    large = f"data.image_size=[{size}, {size}]"
    ((key, message),) = refused(read(path, large, "data.cache.memory_gib=1e-6"), tmp_path / "run")
    assert key == "data.cache.memory_gib"
    assert message.startswith("smote takes up to ")
    assert mixed == []
    advised = message.split("; set ")[1].split(",")[0]
    mix(read(path, large, f"data.cache.memory_gib={advised}"), tmp_path / "run")
    assert mixed


def test_images_on_the_disk_do_not_make_smote_mix_pixels_of_large_ones(config, tmp_path, mixed):
    # 50 images of 4,800 bytes do not fit, their 4 features do.
    train(read(config(FEATURES), f"data.cache.memory_gib={100_000 / 2**30}"), tmp_path / "run")
    assert mixed == [(30, 4, "float32")] * 2


@pytest.mark.parametrize("name", ["smote", "borderline_smote"])
def test_making_images_without_memory_for_them_is_an_error_of_the_config(config, name):
    with pytest.raises(ConfigError) as caught:
        read(config(PIXELS), f"data.balance={{name: {name}}}", "data.cache={memory_gib: 0}")
    (problem,) = caught.value.problems
    assert problem.key == "data.cache.memory_gib"
    assert problem.message == f"{name} makes new images from those in memory, so set some, or use oversample"


# Of these, one shows images again and one makes new ones.
FAST = ("oversample", "smote")


@pytest.mark.parametrize(
    "name",
    [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in sorted({*NAMES} - {"none"})],
)
def test_mixing_goes_with_every_balance(config, tmp_path, name):
    settings = (f"data.balance={{name: {name}}}", "augment=[{name: mixup}, {name: cutmix}]")
    document = train(read(config(PIXELS), *settings), tmp_path / "run")
    assert balance_of(tmp_path / "run")["after"] == AFTER[name]
    assert np.isfinite(json.loads((tmp_path / "run/metrics.jsonl").read_text())["loss"])
    assert np.isfinite(document["test"]["loss"])
