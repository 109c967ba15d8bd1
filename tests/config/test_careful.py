"""What is right in a config and yet hardly meant so is said; what people ordinarily write is not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cnnkit.config import careful
from cnnkit.config.file import read
from cnnkit.core.text import counted
from cnnkit.data.index import Collection

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))

BASE = """
data:
  source: {name: digits}
  image_size: [64, 64]
  channels: 3
model: {name: sequential, layers: [{name: conv, filters: 8}, {name: flatten}]}
"""

HUB = "model={name: hub, handle: ./module}"
VGG_WEIGHTS = "model={name: keras_application, application: MobileNet}"
EVEN = {"train": [70, 70], "validation": [15, 15], "test": [15, 15]}
UNEVEN = {"train": [700, 100], "validation": [150, 21], "test": [150, 21]}
TORN = {"train": [7000, 20], "validation": [1500, 5], "test": [1500, 5]}


ACCUMULATED = "train.gradient_accumulation=1000"
SCALED = "train.scale_learning_rate_with_batch=true"


@pytest.fixture
def said(tmp_path):
    """What is said of a config with some settings, as a dictionary from the key to the message."""

    def ask(*settings, classes=("cat", "dog"), counts=None, pictures=None):
        (tmp_path / "config.yaml").write_text(BASE)
        experiment = read(tmp_path / "config.yaml", *settings, files=False)
        collection = Collection(classes, frozenset(), (64, 64, 3), index=None)
        found = careful.of(experiment.completed(collection), classes, counts, pictures)
        return {problem.key: problem.message for problem in found}

    return ask


def augmented(text):
    return f"augment=[{text}]"


TRAINING = [
    ("train.checkpoint.every_epochs=31", "train.checkpoint.every_epochs", "ends after 30 epochs, so no state"),
    ("train.optimizer={name: adam, learning_rate: 10}", "train.optimizer.learning_rate", "10 is so large a step"),
    ("train.optimizer={name: adam, learning_rate: 1e-8}", "train.optimizer.learning_rate", "hardly moves"),
    ("train.optimizer={name: sgd, learning_rate: 3}", "train.optimizer.learning_rate", "3 is so large a step for sgd"),
    ("train.optimizer={name: sgd, momentum: 0.999}", "train.optimizer.momentum", "about 1,000 others"),
    ("train.optimizer={name: sgd, momentum: 0, nesterov: true}", "train.optimizer.nesterov", "which is 0"),
    ("train.optimizer={name: adam, weight_decay: 10}", "train.optimizer.weight_decay", "takes 0.01 of each weight"),
    ("train.optimizer={name: adam, beta_1: 0.999}", "train.optimizer.beta_1", "about 1,000 steps"),
    ("train.optimizer={name: adam, beta_2: 0.5}", "train.optimizer.beta_2", "below beta_1, 0.9"),
    ("train.optimizer={name: adam, epsilon: 10}", "train.optimizer.epsilon", "outweighs the gradients"),
    ("train.optimizer={name: adamw, weight_decay: 0}", "train.optimizer.weight_decay", "adamw is adam"),
    ("train.optimizer={name: rmsprop, momentum: 0.999}", "train.optimizer.momentum", "about 1,000 others"),
    ("train.optimizer={name: adagrad, epsilon: 10}", "train.optimizer.epsilon", "outweighs the gradients"),
    ("train.optimizer={name: adadelta, epsilon: 10}", "train.optimizer.epsilon", "1e-06 is usual"),
    ("train.optimizer={name: lion, learning_rate: 0.1}", "train.optimizer.learning_rate", "at most 0.003 is usual"),
    ("train.optimizer={name: lion, beta_1: 0.999}", "train.optimizer.beta_1", "about 1,000 steps"),
    ("train.optimizer={name: lamb, beta_2: 0.5}", "train.optimizer.beta_2", "below beta_1, 0.9"),
    ("train.schedule={name: step, every_epochs: 30}", "train.schedule.every_epochs", "never come in 30 epochs"),
    ("train.schedule={name: multi_step, epochs: [10, 60]}", "train.schedule.epochs.1", "after epoch 60, which never"),
    ("train.schedule={name: cosine_restarts, cycle_epochs: 20}", "train.schedule.cycle_epochs", "cut off at 85 %"),
    ("train.schedule={name: one_cycle, warmup_epochs: 2}", "train.schedule.warmup_epochs", "before the rise"),
    ("train.schedule={name: plateau, patience: 30}", "train.schedule.patience", "so the rate never falls"),
    ("train.schedule={name: plateau, monitor: accuracy}", "train.schedule.monitor", "val_accuracy is measured on"),
    ("train.schedule={name: plateau, min_delta: 0.5}", "train.schedule.min_delta", "better by less than 0.5"),
    ("train.ema={momentum: 0.99999}", "train.ema.momentum", "over about 100,000 updates"),
    ("train.sam={rho: 2}", "train.sam.rho", "0.01 to 0.5 are usual"),
    ("train.loss={name: mean_squared_error}", "train.loss.name", "set schedule.warmup_epochs"),
    ("train.loss={name: mean_absolute_error}", "train.loss.name", "where the network is sure and wrong"),
    ("train.loss={name: cross_entropy, label_smoothing: 0.6}", "train.loss.label_smoothing", "leaves 40 % of"),
    ("train.loss={name: binary_cross_entropy, label_smoothing: 0.9}", "train.loss.label_smoothing", "leaves 10 % of"),
    ("train.loss={name: focal, gamma: 9}", "train.loss.gamma", "0 to 5"),
    ("train.early_stopping={patience: 30}", "train.early_stopping.patience", "never come in 30 epochs"),
    ("train.early_stopping={monitor: accuracy}", "train.early_stopping.monitor", "val_accuracy is measured on others"),
    ("train.early_stopping={monitor: loss}", "train.early_stopping.monitor", "val_loss is measured on others"),
    ("train.early_stopping={min_delta: 0.5}", "train.early_stopping.min_delta", "better by less than 0.5"),
    ("train.checkpoint={monitor: accuracy}", "train.checkpoint.monitor", "learnt most by heart"),
    ("train.schedule={name: cosine, warmup_epochs: 20}", "train.schedule.warmup_epochs", "rises for 20 of 30 epochs"),
    ("train.epochs=5000", "train.epochs", "5,000 epochs without early_stopping"),
    ("train={devices: cpu, precision: mixed_float16}", "train.precision", "takes many times as long"),
    ("train={devices: cpu, jit: true}", "train.jit", "slower on a CPU"),
    ("train.stages=[{freeze: backbone}]", "train.stages", "all but the classifier stays as chance made it"),
    ("train.stages=[{freeze: backbone}, {freeze: conv1, epochs: 3}]", "train.stages", "its beginning stays"),
    ("train.stages=[{epochs: 3}, {epochs: 3, learning_rate: 5}]", "train.stages.1.learning_rate", "5 is so large"),
    ("train.stages=[{epochs: 3, layer_decay: 0.1}]", "train.stages.0.layer_decay", "leaves 0.1 % of the rate"),
]

NETWORKS = [
    ("model.l2=0.5", "model.l2", "presses all kernels to 0"),
    ("model={name: resnet, depth: 20, dropout: 0.95}", "model.dropout", "leaves 5 % of the values"),
    ("model={name: alexnet, dropout: 0.001}", "model.dropout", "one value in 1,000"),
    ("model={name: sequential, layers: [{name: flatten}, {name: dropout, rate: 0.95}]}", "model.layers.1.rate", "5 %"),
    (
        "model={name: sequential, layers: [{name: flatten}, {name: gaussian_noise, stddev: 0.9}]}",
        "model.layers.1.stddev",
        "as much as what it is added to",
    ),
    (
        "model={name: sequential, layers: [{name: flatten}, {name: dense, units: 4096}]}",
        "model.layers.1.units",
        "50,331,648 weights behind 12,288 values",
    ),
    (
        "model={name: sequential, layers: [{name: residual, layers: [{name: dropout, rate: 0.9}]}, {name: flatten}]}",
        "model.layers.0.layers.0.rate",
        "leaves 10 %",
    ),
]

AUGMENTATIONS = [
    ("{name: rotate, degrees: 0.1}", "degrees", "moves no pixel of 64 x 64 by more than 0.056"),
    ("{name: zoom, fraction: 0.001}", "fraction", "more than 0.032"),
    ("{name: shear, degrees: 0.2}", "degrees", "more than 0.11"),
    ("{name: shear, degrees: 59}", "degrees", "pushes most of the picture out"),
    ("{name: perspective, strength: 0.001}", "strength", "more than 0.064"),
    ("{name: shift, fraction: 0.5}", "fraction", "as little as 25 % of the picture"),
    ("{name: crop, fraction: 0.45}", "fraction", "as little as 30 % of the picture"),
    ("{name: affine, degrees: 0.01}", "degrees", "0.01 moves no pixel"),
    ("{name: affine, shift: 0.001}", "shift", "0.001 moves no pixel"),
    ("{name: affine, shift: 0.5}", "shift", "as little as 25 %"),
    ("{name: flip, probability: 0.001}", "probability", "one image in 1,000"),
    ("{name: brightness, strength: 0.001}", "strength", "by more than 0.26 of 255"),
    ("{name: brightness, strength: 1}", "strength", "all but black or white"),
    ("{name: contrast, strength: 0.001}", "strength", "at most 0.1 %"),
    ("{name: contrast, strength: 1}", "strength", "one grey"),
    ("{name: saturation, strength: 0.001}", "strength", "at most 0.1 %"),
    ("{name: hue, degrees: 0.5}", "degrees", "half a step of 1.4 degrees"),
    ("{name: hue, degrees: 180}", "degrees", "say nothing any more"),
    ("{name: gamma, strength: 0.001}", "strength", "0.094 of 255"),
    ("{name: blur, fraction: 0.001}", "fraction", "0.064 pixels of 64 x 64"),
    ("{name: blur, fraction: 0.1}", "fraction", "patches"),
    ("{name: sharpen, strength: 0.01}", "strength", "at most 1.0 %"),
    ("{name: sharpen, strength: 9}", "strength", "noise and edges"),
    ("{name: noise, deviation: 0.001}", "deviation", "0.26 of 255"),
    ("{name: noise, deviation: 0.9}", "deviation", "leaves noise"),
    ("{name: jpeg, quality: 99}", "quality", "next to nothing"),
    ("{name: jpeg, quality: 2}", "quality", "blocks of 8 x 8"),
    ("{name: erasing, area: [0.0001, 0.0002]}", "area.1", "0.82 pixels"),
    ("{name: erasing, area: [0.5, 0.9]}", "area.1", "covers up to 90 %"),
    ("{name: random_resized_crop, area: [1.0, 1.0], ratio: [1.0, 1.0]}", "area.0", "always shows the whole image"),
    ("{name: random_resized_crop, area: [0.01, 0.05]}", "area.1", "never shows more than 5 %"),
    ("{name: random_resized_crop, area: [0.001, 1.0]}", "area.0", "a window of 4.1 pixels"),
    ("{name: rand_augment, magnitude: 0.1}", "magnitude", "too weak"),
    ("{name: rand_augment, layers: 5, magnitude: 10}", "layers", "5 changes at magnitude 10"),
    ("{name: trivial_augment, strength: 0.01}", "strength", "too weak"),
    ("{name: mixup, alpha: 0.001}", "alpha", "nearly every image alone"),
    ("{name: mixup, alpha: 20}", "alpha", "half and half"),
    ("{name: cutmix, alpha: 0.001}", "alpha", "nearly every image alone"),
    ("{name: cutmix, alpha: 50}", "alpha", "half of the image"),
]


@pytest.mark.parametrize(("setting", "key", "words"), TRAINING + NETWORKS)
def test_a_setting_that_is_hardly_meant_is_said_at_its_key(said, setting, key, words):
    found = said(setting)
    assert words in found.pop(key)
    assert not found


@pytest.mark.parametrize(("augmentation", "key", "words"), AUGMENTATIONS)
def test_an_augmentation_that_changes_nothing_or_leaves_nothing_is_said(said, augmentation, key, words):
    found = said(augmented(augmentation))
    assert words in found.pop(f"augment.0.{key}")
    assert not found


@pytest.mark.parametrize("name", sorted({text.split(",")[0].removeprefix("{name: ") for text, *_ in AUGMENTATIONS}))
def test_an_augmentation_with_its_defaults_or_that_is_switched_off_is_not(said, name):
    assert said(augmented(f"{{name: {name}}}")) == {}
    assert said(augmented(f"{{name: {name}, probability: 0}}")) == {}


@pytest.mark.parametrize(
    ("listed", "key", "words"),
    [
        ("{name: flip}, {name: rotate}, {name: flip}", "augment.2", "flip is listed twice"),
        ("{name: mixup}, {name: mixup, alpha: 0.4}", "augment.1", "mixup is listed twice"),
        ("{name: shift}, {name: shift}, {name: shift}", "augment.1", "shift is listed 3 times"),
        ("{name: mixup}, {name: cutmix}", "augment.1", "mixes images, as mixup before it does"),
        ("{name: rand_augment}, {name: trivial_augment}", "augment.1", "as rand_augment before it does"),
    ],
)
def test_what_is_done_twice_is_said(said, listed, key, words):
    assert words in said(augmented(listed))[key]


def test_of_two_mixings_that_share_the_images_nothing_is_said(said):
    assert said(augmented("{name: mixup, probability: 0.5}, {name: cutmix, probability: 0.5}")) == {}


@pytest.mark.parametrize("classes", [tuple("0123456789"), ("A", "B"), ("b", "d", "p")])
def test_characters_have_a_left_and_a_right_and_a_top(said, classes):
    listed = augmented("{name: flip}, {name: rotate, degrees: 180}")
    found = said(listed, classes=classes)
    assert "mirrors characters" in found["augment.0.name"]
    assert "180 degrees" in found["augment.1.degrees"]
    assert said(listed, classes=("cat", "dog")) == {}
    assert said(augmented("{name: rotate}"), classes=classes) == {}


@pytest.mark.parametrize(
    ("settings", "counts", "key", "words"),
    [
        (["data.batch_size=200"], EVEN, "data.batch_size", "more than the 140 training images, so an epoch is a"),
        (["data.batch_size=200", "data.limit=100"], EVEN, "data.batch_size", "140 training images of data.limit 100"),
        (["data.limit=500"], EVEN, "data.limit", "none is left out"),
        (["data.split.validation=0.001"], EVEN | {"validation": [1, 1]}, "data.split.validation", "2 images to choose"),
        (["data.split.test=0.001"], EVEN | {"test": [1, 1]}, "data.split.test", "2 images to judge"),
        (["data.split.test=0.001"], None, "data.split.test", "0.1 % of the images to judge"),
        (["data.split.test=0.8"], EVEN, "data.split.test", "leaves 5 % of the images to train on"),
        (["data.balance={name: class_weight}"], EVEN, "data.balance.name", "each class has 70 training images"),
        (["data.balance={name: oversample}"], EVEN, "data.balance.name", "which are even"),
        (["data.balance={name: undersample}"], EVEN, "data.balance.name", "which are even"),
        (["data.balance={name: class_weight}"], TORN, "data.balance.method", "counts for 350 of the largest"),
        (
            ["data.balance={name: class_weight, method: effective_number, beta: 0.5}"],
            UNEVEN,
            "data.balance.beta",
            "counts for 1.00 times",
        ),
        (["data.balance={name: oversample}"], TORN, "data.balance.ratio", "20 images of the smallest class 350 times"),
        (["data.balance={name: undersample}"], TORN, "data.balance.ratio", "trains on 40 of 7,020 images"),
        (["data.balance={name: smote}", "data.image_size=[8, 8]"], TORN, "data.balance.ratio", "makes 349 new images"),
    ],
)
def test_what_the_number_of_images_speaks_against_is_said(said, settings, counts, key, words):
    found = said(*settings, counts=counts)
    assert words in found.pop(key)
    assert not found


@pytest.mark.parametrize(
    "train", ["precision: mixed_float16", "precision: mixed_bfloat16", "jit: true", "devices: cpu", "devices: 2"]
)
def test_what_is_slow_on_a_cpu_alone_is_not_said_before_the_device_is_known(said, train):
    assert said(f"train={{{train}}}") == {}


@pytest.mark.parametrize("bfloat16", [True, False])
def test_bfloat16_is_slow_on_processors_without_it(said, monkeypatch, bfloat16):
    monkeypatch.setattr("cnnkit.optimization.section.computes_in_bfloat16", lambda: bfloat16)
    found = said("train={devices: cpu, precision: mixed_bfloat16}")
    assert found.keys() == (set() if bfloat16 else {"train.precision"})


@pytest.mark.parametrize("balance", ["class_weight", "oversample", "undersample", "smote"])
def test_a_balance_of_uneven_classes_is_not_said(said, balance):
    assert said(f"data.balance={{name: {balance}}}", "data.image_size=[8, 8]", counts=UNEVEN) == {}
    assert said(f"data.balance={{name: {balance}}}", "data.image_size=[8, 8]") == {}


@pytest.mark.parametrize(
    ("size", "pictures", "words"),
    [
        ("[64, 64]", (8, 8), "64 x 64 is 64 times the pixels that the pictures have, 8 x 8"),
        ("[8, 8]", (400, 600), "8 x 8 leaves one pixel of 3,750"),
        ("[64, 64]", (128, 128), None),
        ("[32, 32]", (8, 8), None),
        ("[64, 64]", (3000, 4000), None),
    ],
)
def test_an_image_size_that_pictures_do_not_have_is_said(said, size, pictures, words):
    found = said(f"data.image_size={size}", pictures=pictures)
    assert (words in found["data.image_size"]) if words else found == {}


@pytest.mark.parametrize(
    ("settings", "key", "words"),
    [
        (["model={name: resnet, depth: 20}", "data.image_size=[224, 224]"], "model", "takes 49 times the time"),
        (["model={name: resnet, depth: 18}", "data.image_size=[32, 32]"], "model", "until 1 x 1 is left"),
        (["model={name: densenet, depth: 121}", "data.image_size=[48, 48]"], "model", "halves 48 x 48"),
        (["model={name: resnet, depth: 20}", "data.batch_size=2"], "data.batch_size", "from 2 images"),
        (
            ["model={name: resnet, depth: 20}", "data.batch_size=16", "train.devices=8"],
            "data.batch_size",
            "16 or more is usual on each device",
        ),
        (
            [
                "model={name: sequential, layers: [{name: conv, filters: 4}, {name: batch_norm}, {name: flatten}]}",
                "data.batch_size=1",
            ],
            "data.batch_size",
            "from 1 image,",
        ),
        (["model.l2=1e-4", "train.optimizer={name: adam, weight_decay: 0.01}"], "model.l2", "one of them is enough"),
        (
            ["train.schedule={name: plateau, patience: 8}", "train.early_stopping={patience: 8}"],
            "train.early_stopping.patience",
            "before the rate can fall after 8; give it a patience of 16 or more",
        ),
        (["data.prepare=[{name: clahe}, {name: clahe}]"], "data.prepare.1", "is clahe again"),
        ([HUB, "data.image_size=[32, 32]"], "data.image_size", "learnt on images of 224 x 224"),
        ([VGG_WEIGHTS, "data.image_size=[1024, 1024]"], "data.image_size", "much larger"),
        ([HUB, "data.image_size=[224, 224]", "augment=[{name: shift}]"], "augment", "computed anew in every epoch"),
        (
            [VGG_WEIGHTS, "data.image_size=[224, 224]", "train.stages=[{epochs: 3, learning_rate: 1e-2}]"],
            "train.stages.0.learning_rate",
            "what the network has learnt is soon lost at it; 0.0001 is usual",
        ),
    ],
)
def test_sections_that_do_not_suit_each_other_are_said(said, settings, key, words):
    found = said(*settings)
    assert words in found.pop(key)
    assert not found


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("pictures", [None, (128, 128)])
def test_of_the_example_configs_nothing_is_said(config, pictures):
    experiment = read(config, files=False)
    classes = tuple("0123456789") if config.stem == "digits" else ("daisy", "rose")
    shape = (32, 32, 1) if config.stem == "digits" else (64, 64, 3)
    completed = experiment.completed(Collection(classes, frozenset(), shape, index=None))
    assert list(careful.of(completed, classes, EVEN, pictures)) == []


@pytest.mark.parametrize(
    "tree", [{"a": 8, "b": 6}, {"cat": 30, "dog": 20, "bird": 15}, {"0": 60, "1": 60}, {"x": 200, "y": 25}]
)
def test_of_what_init_writes_nothing_is_said(image_folder, tmp_path, command, tree):
    code, _, err = command("init", image_folder(tree), "--output", tmp_path / "made.yaml")
    assert code == 0, err
    code, out, _ = command("check", tmp_path / "made.yaml", "--json")
    assert (code, json.loads(out)["careful"]) == (0, [])


ODD = """
data:
  source: {name: digits}
  balance: {name: class_weight}
augment:
  - {name: rotate, degrees: 0.1}
model: {name: resnet, depth: 20}
train:
  epochs: 5
  early_stopping: {patience: 8}
"""


def test_check_says_each_with_its_place_ends_well_and_loads_no_tensorflow(tmp_path, command, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # an import would fail
    config = tmp_path / "odd.yaml"
    config.write_text(ODD)
    code, out, _ = command("check", config, "--json")
    places = [entry["places"][0] for entry in json.loads(out)["careful"]]
    assert code == 0
    assert [(place["line"], place["column"], place["key"]) for place in places] == [
        (4, 19, "data.balance.name"),
        (6, 29, "augment.0.degrees"),
        (10, 30, "train.early_stopping.patience"),
    ]
    assert all(place["file"] == str(config) for place in places)
    code, out, _ = command("check", config)
    assert code == 0
    assert out.replace("\n", "").count("careful: ") == 3
    code, out, _ = command("check", config, "--set", "train.optimizer.learning_rate=10", "--json")
    [by_setting] = [e for e in json.loads(out)["careful"] if "learning_rate" in e["places"][0]["key"]]
    assert by_setting["places"][0]["file"] == "--set train.optimizer.learning_rate=10"


def test_what_is_odd_about_a_default_is_told_as_one_and_has_no_place_in_the_file(tmp_path, command):
    config = tmp_path / "few.yaml"
    config.write_text("data:\n  source: {name: digits}\n  limit: 4\nmodel: {name: lenet}\n")
    (entry,) = json.loads(command("check", config, "--json")[1])["careful"]
    assert entry["places"] == [{"file": str(config), "line": None, "column": None, "key": "data.batch_size"}]
    assert entry["message"].startswith("32 is more than the ")
    assert entry["message"].endswith("so an epoch is a single step; write 8 (not set: the default)")
    (entry,) = json.loads(command("check", config, "--set", "data.batch_size=50", "--json")[1])["careful"]
    assert entry["places"][0]["file"] == "--set data.batch_size=50" and "not set" not in entry["message"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], {}),
        (["data.limit=10"], {"train": [6] * 10, "validation": [2] * 10, "test": [2] * 10}),
        (["data.split={validation: 0.5, test: 0.001}"], {"test": [1] * 10}),
    ],
)
def test_how_many_images_each_split_will_have_is_known_before_they_are_read(tmp_path, settings, expected):
    from cnnkit.core.progress import Progress

    (tmp_path / "config.yaml").write_text(BASE)
    experiment = read(tmp_path / "config.yaml", *settings)
    collection = experiment.data.source.open(Progress())
    counts = experiment.data.expected(collection.counts())
    index = experiment.data.index(collection, Progress())
    splits = experiment.data.splits(index)
    for split, images in counts.items():
        labels = [label for label, name in zip(index.labels.tolist(), splits, strict=True) if name == split]
        assert [labels.count(label) for label in range(10)] == images, counted(len(labels), "image")
    assert expected.items() <= counts.items()


def test_batches_say_nothing_where_a_classifier_is_fitted_and_do_where_steps_follow(said):
    few = {"train": [10, 10], "validation": [3, 3], "test": [3, 3]}
    assert "data.batch_size" not in said(HUB, counts=few)
    assert "single step" in said(HUB, "train.stages=[{freeze: backbone}, {epochs: 3}]", counts=few)["data.batch_size"]
    assert "single step" in said(HUB, "train.optimizer={name: adam}", counts=few)["data.batch_size"]


def test_small_batches_harm_normalisation_only_where_it_works_with_them(said):
    pretrained = "model={name: resnet, depth: 20, weights: some.weights.h5}"
    plan = "train.stages=[{freeze: backbone}, {epochs: 3 %s}]"
    assert "data.batch_size" not in said(pretrained, "data.batch_size=4", plan % "")
    assert "tell little" in said(pretrained, "data.batch_size=4", plan % ", batch_norm: batch")["data.batch_size"]
    assert "tell little" in said("model={name: resnet, depth: 20}", "data.batch_size=4")["data.batch_size"]


def test_a_handful_of_images_may_have_the_small_batches_that_init_writes_for_them(said):
    def of(each):
        counts = {"train": [each, each], "validation": [2, 2], "test": [2, 2]}
        return said("model={name: resnet, depth: 20}", "data.batch_size=4", counts=counts).get("data.batch_size", "")

    assert "tell little" not in of(6) and "tell little" in of(16)


def test_a_rate_is_odd_as_training_has_it(said):
    rate, accumulated = "train.optimizer.learning_rate", "train.gradient_accumulation"
    adam = "train.optimizer={name: adam, learning_rate: 1e-3}"
    message = said(adam, SCALED, f"{accumulated}=1000")[rate]
    assert message.startswith("0.25 is so large") or message.startswith("0.125 is so large"), message
    assert "it is multiplied by" in message
    assert rate not in said(adam, SCALED)
    assert rate not in said(adam, f"{accumulated}=1000")


def test_an_update_has_no_more_batches_than_its_epoch(said):
    key = "train.gradient_accumulation"
    assert said(ACCUMULATED, counts=EVEN)[key].startswith("an update ends with its epoch, which has ")
    assert "learning rates are scaled by it" in said(ACCUMULATED, SCALED, counts=EVEN)[key]
    assert key not in said("train.gradient_accumulation=2", counts=EVEN)
    assert key not in said(ACCUMULATED)


@pytest.mark.parametrize(("steps", "odd"), [(150, False), (151, True)])  # 30 epochs of 5 batches of 32
def test_states_that_are_never_saved_before_the_end_are_told(said, steps, odd):
    found = said(f"train.checkpoint.every_steps={steps}", "data.batch_size=32", counts=EVEN)
    assert ("train.checkpoint.every_steps" in found) == odd


@pytest.mark.parametrize(
    ("lengths", "every", "message"),
    [
        ((5, 5), 8, None),
        ((5, 5), 10, None),
        ((5, 5), 11, "training ends after 10 epochs, so states are saved at the ends of stages only; lower it"),
        ((1,), 2, "training ends after 1 epoch, so no state is saved until then; lower it"),
        ((None, 5), 6, None),  # a classifier that is fitted counts as one
        ((None, 5), 7, "training ends after 5 epochs, so no state is saved until then; lower it"),
    ],
)
def test_states_are_counted_over_all_stages(said, lengths, every, message):
    stages = [f"{{epochs: {length}}}" if length else "{freeze: backbone}" for length in lengths]
    settings = (f"train.stages=[{', '.join(stages)}]", "data.batch_size=140")  # so an epoch has one update
    for counter in ("every_epochs", "every_steps"):
        found = said(*settings, f"train.checkpoint.{counter}={every}", counts=EVEN)
        expected = message and (message if counter == "every_epochs" else message.replace("epoch", "update"))
        assert found.get(f"train.checkpoint.{counter}") == expected
