from __future__ import annotations

import functools
import itertools
import json

import numpy as np
import pytest

from cnnkit.config import file as config_file
from cnnkit.core.lazy import keras, tf
from cnnkit.inspection.summary import folded, formula, layer_rows, summarize
from cnnkit.models import LeNet, ResNet, Sequential, Snn, Vgg
from cnnkit.models.sequential import (
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
    Residual,
    SeparableConv,
)
from cnnkit.optimization.schedules import Cosine
from cnnkit.runs.run import Run

ISSUE = """
name: issue
data:
  source: {name: digits}
  image_size: [28, 28]
  channels: 1
model:
  name: sequential
  layers:
    - {name: conv, filters: 16}
    - {name: conv, filters: 16}
    - {name: max_pool}
    - {name: conv, filters: 32}
    - {name: conv, filters: 32}
    - {name: max_pool}
    - {name: conv, filters: 64}
    - {name: conv, filters: 64}
    - {name: flatten}
    - {name: dense, units: 128}
"""

TINY = """
name: tiny
data:
  source: {name: folder, path: nowhere}
  image_size: [8, 8]
  channels: 1
  batch_size: 10
model:
  name: sequential
  layers: [{name: conv, filters: 2}, {name: flatten}, {name: dense, units: 3}]
"""

SMALL = [
    Sequential(layers=(Conv(filters=3), MaxPool(), Dropout(), Conv(filters=5, kernel_size=1), Flatten())),
    Sequential(layers=(Flatten(), Dense(units=7), Dense(units=1))),
    Sequential(
        layers=(
            SeparableConv(filters=6),
            Residual(layers=(DepthwiseConv(depth_multiplier=2, strides=2), BatchNorm(), Conv(filters=4))),
            AvgPool(),
            GlobalAvgPool(),
            Residual(layers=(Dense(units=3),)),
        )
    ),
    LeNet(normalization="batch"),
    Snn(filters=(3, 4), dense_units=(5,)),
    Vgg(depth=11, normalization="batch", dense_units=(16, 8)),
    Vgg(depth=11, dense_units=(8,)),
    ResNet(depth=18),
    ResNet(depth=20),
    ResNet(depth=50),
]


@functools.cache
def built(architecture):
    model = architecture.build((32, 32, 3), 5)
    return model, layer_rows(model)


@pytest.fixture(params=SMALL, ids=lambda architecture: f"{architecture.name}-{SMALL.index(architecture)}")
def network(request):
    return built(request.param)


def written(folder, text):
    (folder / "config.yaml").write_text(text)
    return folder / "config.yaml"


def worked_out(text):
    """The value of `3x3x16x32 + 32 = 4,640`, both sides."""
    left, right = text.split(" = ")
    return sum(np.prod([int(n) for n in term.split("x")]) for term in left.split(" + ")), int(right.replace(",", ""))


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ([(3, 3, 16, 32), (32,)], "3x3x16x32 + 32 = 4,640"),
        ([(3136, 128), (128,)], "3136x128 + 128 = 401,536"),
        ([(64,)] * 4, "4x64 = 256"),
        ([(1, 1, 64, 256)], "1x1x64x256 = 16,384"),
        ([], ""),
    ],
)
def test_a_formula_shows_its_numbers(shapes, text):
    assert formula(shapes) == text


def test_every_formula_gives_the_parameters_of_its_layer(network):
    for row in network[1]:
        if row.parameters:
            assert worked_out(row.formula) == (row.parameters, row.parameters)
        else:
            assert row.formula == ""


def test_totals_are_those_of_keras(network):
    model, rows = network
    assert sum(row.parameters for row in rows) == model.count_params()
    assert sum(row.trainable for row in rows) == sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def test_every_layer_is_told_once_and_behind_those_it_needs(network):
    model, rows = network
    names = [row.name for row in rows]
    assert sorted(names) == sorted(layer.name for layer in model.layers)
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            needed = layer.input if isinstance(layer.input, list) else [layer.input]
            for tensor in needed:
                assert names.index(tensor._keras_history.operation.name) < names.index(layer.name)


# (layers, receptive field of each layer between scaling and classifier), worked out by hand.
FIELDS = [
    ((Conv(filters=2, kernel_size=3), Conv(filters=2, kernel_size=3)), [3, 5]),
    ((Conv(filters=2, kernel_size=3, strides=2), Conv(filters=2, kernel_size=3)), [3, 7]),
    ((Conv(filters=2, kernel_size=5), MaxPool(), Conv(filters=2, kernel_size=3)), [5, 6, 10]),
    ((MaxPool(pool_size=3, strides=2), MaxPool(pool_size=3, strides=2), Conv(filters=1, kernel_size=1)), [3, 7, 7]),
    ((SeparableConv(filters=2), DepthwiseConv(kernel_size=5, strides=2), SeparableConv(filters=1)), [3, 7, 11]),
    ((AvgPool(pool_size=3, strides=2), DepthwiseConv(depth_multiplier=2), AvgPool()), [3, 7, 9]),
    # convolutions, sum and rectifier of a group; then its shortcut, which sees every other pixel, beside the way around
    ((Residual(layers=(Conv(filters=1), SeparableConv(filters=1))),), [3, 5, 5, 5]),
    ((Residual(layers=(DepthwiseConv(strides=2), Conv(filters=2))), AvgPool()), [1, 3, 7, 7, 7, 9]),
    # VGG16 up to its last pooling: Araujo et al., table 1.
    (
        tuple(
            layer
            for count in (2, 2, 3, 3, 3)
            for layer in [*[Conv(filters=1, kernel_size=3)] * count, MaxPool(pool_size=2)]
        ),
        [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212],
    ),
]


@pytest.mark.parametrize(("layers", "fields"), FIELDS, ids=len)
def test_receptive_fields_are_those_worked_out_by_hand(layers, fields):
    rows = layer_rows(Sequential(layers=(*layers, Flatten())).build((224, 224, 1), 2))
    assert [row.receptive_field for row in rows[2:-2]] == fields


# Araujo et al., table 1, have ResNet-50 (v1) at 483; with the stride in the 3x3 convolutions it is 427.
@pytest.mark.parametrize(("depth", "field"), [(18, 435), (34, 899), (50, 427)])
def test_receptive_fields_of_resnets(depth, field):
    rows = {row.name: row for row in layer_rows(ResNet(depth=depth).build((224, 224, 3), 2))}
    last = [row for row in rows.values() if row.name.startswith("stage4")][-1]
    assert rows["stem"].receptive_field == 7
    assert rows["stem_pool"].receptive_field == 11
    assert last.receptive_field == field


SEEING = [
    (Sequential(layers=(Conv(filters=2, strides=2), MaxPool(pool_size=3, strides=1), Conv(filters=1), Flatten())), 4),
    (Sequential(layers=(Conv(filters=2, kernel_size=4), Conv(filters=2, kernel_size=2, strides=2), Flatten())), 3),
    (
        Sequential(
            layers=(
                AvgPool(pool_size=3, strides=2),
                Residual(layers=(DepthwiseConv(kernel_size=5), SeparableConv(filters=2, strides=2))),
                Flatten(),
            )
        ),
        -1,
    ),
    (ResNet(depth=20), -4),
]


@pytest.mark.parametrize(("architecture", "place"), SEEING, ids=["pool", "even", "separable", "resnet20"])
def test_a_receptive_field_is_what_has_a_gradient(architecture, place):
    """All weights are positive, so that nothing cancels and no rectifier closes."""
    model = architecture.build((151, 151, 1), 2)
    rows = layer_rows(model)
    last = next((i for i, row in enumerate(rows) if row.name in ("stage3_block3_relu", "residual1_relu")), -1)
    row = rows[place if place >= 0 else last]
    for layer in model.layers:
        for weight in layer.trainable_weights:
            if weight.path.endswith("kernel"):
                weight.assign(tf.abs(weight.value) + 1e-3)
    part = keras.Model(model.get_layer("scaling").output, model.get_layer(row.name).output)
    seen = np.zeros((151, 151), bool)
    # A maximum passes a gradient to one pixel only: several images show all of them.
    for seed in range(30 if any("MaxPool" in r.type for r in rows) else 1):
        x = tf.constant(np.random.default_rng(seed).uniform(0.5, 1, (1, 151, 151, 1)), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = part(x)
            middle = y[0, y.shape[1] // 2, y.shape[2] // 2, 0]
        seen |= tape.gradient(middle, x).numpy()[0, :, :, 0] != 0
    height = np.ptp(np.flatnonzero(seen.any(axis=1))) + 1
    width = np.ptp(np.flatnonzero(seen.any(axis=0))) + 1
    assert height == width == row.receptive_field


def test_a_dense_layer_behind_a_flattened_image_sees_everything():
    rows = layer_rows(Sequential(layers=(MaxPool(), Flatten(), Dense(units=3))).build((10, 20, 1), 2))
    assert [row.receptive_field for row in rows[3:]] == [2, (10, 20), (10, 20)]  # flatten only moves numbers
    rows = layer_rows(Sequential(layers=(MaxPool(), Flatten())).build((10, 10, 1), 2))
    assert rows[-1].receptive_field == 10


def test_multiply_adds_by_hand():
    layers = (
        Conv(filters=4, kernel_size=3),  # 16 x 12 places
        MaxPool(),  # 8 x 6
        Conv(filters=5, kernel_size=3, padding="valid", strides=2),  # 3 x 2 places
        Flatten(),
        Dense(units=7),
    )
    rows = layer_rows(Sequential(layers=layers).build((16, 12, 3), 2))
    expected = [16 * 12 * 4 * (3 * 3 * 3), 0, 3 * 2 * 5 * (3 * 3 * 4), 0, 30 * 7, 7 * 2]
    assert [row.macs for row in rows[2:]] == expected


def test_parameters_and_multiply_adds_of_separable_and_depthwise_convolutions_by_hand():
    layers = (
        SeparableConv(filters=8, strides=2),  # 8 x 6 places
        DepthwiseConv(kernel_size=5, depth_multiplier=2, padding="valid"),  # 4 x 2 places
        AvgPool(),  # 2 x 1
        GlobalMaxPool(),
        Residual(layers=(Dense(units=4),)),
    )
    rows = {row.name: row for row in layer_rows(Sequential(layers=layers).build((16, 12, 3), 2))}
    separable, depthwise = rows["separable_conv1"], rows["depthwise_conv1"]
    assert separable.formula == "3x3x3x1 + 1x1x3x8 + 8 = 59"
    assert separable.macs == 8 * 6 * (3 * 3 * 3 + 3 * 8)
    assert depthwise.formula == "5x5x8x2 + 16 = 416"
    assert depthwise.macs == 4 * 2 * (5 * 5 * 8 * 2)
    assert [rows[name].macs for name in ("avg_pool1", "global_max_pool1", "residual1_add")] == [0, 0, 0]
    assert [rows[f"residual1_{name}"].macs for name in ("shortcut", "dense1")] == [16 * 4, 16 * 4]
    assert rows["residual1_shortcut"].formula == "16x4 = 64"


def test_what_dense_layers_beside_a_shortcut_see_does_not_grow_beyond_the_image():
    layers = (Flatten(), Residual(layers=(Dense(units=4),)), Dense(units=3))
    rows = layer_rows(Sequential(layers=layers).build((10, 20, 1), 2))
    assert [row.receptive_field for row in rows[3:]] == [(10, 20)] * 6
    layers = (Flatten(), Residual(layers=(Dense(units=200),)), Dense(units=3))  # the input is added as it is
    rows = layer_rows(Sequential(layers=layers).build((10, 20, 1), 2))
    assert [row.receptive_field for row in rows[3:]] == [(10, 20)] * 5


@pytest.mark.parametrize("depth", [18, 20, 50])
def test_folding_loses_nothing_and_hides_nothing(depth):
    _, rows = built(ResNet(depth=depth))
    entries = folded(rows)
    shown = [row for entry in entries for row in entry]
    assert any(row.repeats > 1 for row in shown)
    for number in ("parameters", "trainable", "macs"):
        assert sum(getattr(row, number) * row.repeats for row in shown) == sum(getattr(row, number) for row in rows)
    # Unfolded by hand: as many rows as before, in the same order, equal but for name and receptive field.
    unfolded = []
    for entry in entries:
        unfolded += entry * entry[0].repeats
    facts = ("type", "output_shape", "parameters", "trainable", "formula", "macs")
    assert [[getattr(row, fact) for fact in facts] for row in unfolded] == [
        [getattr(row, fact) for fact in facts] for row in rows
    ]


def test_only_neighbours_of_one_stage_are_folded():
    for entry in folded(built(ResNet(depth=50))[1]):
        assert len({row.name.split("_")[0] for row in entry}) == 1
        assert len({row.repeats for row in entry}) == 1
    stages = [entry[0].repeats for entry in folded(built(ResNet(depth=50))[1]) if entry[0].repeats > 1]
    assert stages == [2, 3, 5, 2]  # blocks 3, 4, 6, 3, the first of each with its projection stands alone


def test_what_is_not_in_blocks_is_not_folded():
    rows = built(SMALL[0])[1]
    assert folded(rows) == [[row] for row in rows]


def test_json_has_the_counts_of_the_issue(command, tmp_path):
    code, out, err = command("summary", written(tmp_path, ISSUE), "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["input_shape"] == [28, 28, 1]
    assert document["classes"] == 10
    assert document["parameters"] == {"total": 474_618, "trainable": 474_618, "non_trainable": 0}
    assert document["macs"] == sum(layer["macs"] for layer in document["layers"])
    keys = {"name", "type", "output_shape", "parameters", "formula", "macs", "receptive_field"}
    assert all(keys <= layer.keys() for layer in document["layers"])
    weighted = [layer for layer in document["layers"] if layer["parameters"]]
    assert [layer["parameters"] for layer in weighted] == [160, 2320, 4640, 9248, 18496, 36928, 401_536, 1290]
    assert [layer["formula"] for layer in weighted][2] == "3x3x16x32 + 32 = 4,640"
    assert [layer["output_shape"] for layer in weighted][-3:] == [[7, 7, 64], [128], [10]]


def test_the_table_shows_the_formulas_and_the_totals(command, tmp_path):
    code, out, err = command("summary", written(tmp_path, ISSUE))
    assert (code, err) == (0, "")
    assert "3x3x16x32 + 32 = 4,640" in out
    assert "3136x128 + 128 = 401,536" in out
    assert "474,618 parameters" in out


def test_classes_can_be_given_instead_of_the_images(command, tmp_path):
    config = written(tmp_path, TINY)
    assert command("summary", config)[0] == 2  # there is no such folder
    code, out, _ = command("summary", config, "--classes", 7, "--json")
    document = json.loads(out)
    assert (code, document["classes"]) == (0, 7)
    assert document["parameters"]["total"] == (3 * 3 * 2 + 2) + (8 * 8 * 2 * 3 + 3) + (3 * 7 + 7)


def test_without_images_and_without_their_size_it_says_what_to_set(command, tmp_path):
    config = written(tmp_path, TINY.replace("  image_size: [8, 8]\n", ""))
    code, _, err = command("summary", config, "--classes", 7)
    assert code == 2
    assert "data.image_size" in err


@pytest.mark.parametrize("words", [[], ["--classes", 5]], ids=["images", "classes"])
def test_an_image_too_small_for_the_network_is_a_problem_of_the_config(command, tmp_path, words):
    layers = "layers: [{name: max_pool, pool_size: 40}, {name: flatten}]"
    config = written(tmp_path, f"data: {{source: {{name: digits}}}}\nmodel: {{name: sequential, {layers}}}\n")
    code, _, err = command("summary", config, *words)
    assert code == 2
    assert "40 x 40" in err


def test_each_kind_of_convolution_is_explained_where_it_is_used(command, tmp_path):
    layers = "[{name: separable_conv, filters: 2}, {name: depthwise_conv}, {name: global_avg_pool}]"
    config = written(tmp_path, f"data: {{source: {{name: digits}}}}\nmodel: {{name: sequential, layers: {layers}}}\n")
    _, out, _ = command("summary", config)
    assert "\nSeparableConv2D: " in out and "\nDepthwiseConv2D: " in out
    assert "\nConv2D: " not in out and "\nAdd: " not in out


def test_full_shows_what_is_folded_otherwise(command, tmp_path):
    config = written(tmp_path, "data: {source: {name: digits}}\nmodel: {name: resnet, depth: 20}\n")
    _, short, _ = command("summary", config)
    _, full, _ = command("summary", config, "--full")
    assert "stage1_block2_conv1" in full and "stage1_block2_conv1" not in short
    assert "3 such blocks" in short and "such blocks" not in full


def experiment_of(folder, *settings):
    return config_file.read(written(folder, TINY), *settings, files=False)


@pytest.fixture
def run_folder(tmp_path):
    run = Run.create(experiment_of(tmp_path), tmp_path / "run")
    run.write_provenance(data={"classes": ["ant", "bee", "cat"]}, files=run.hashes())
    return run.folder


@pytest.mark.parametrize(
    ("setting", "side", "units"),
    [("data.image_size=[16, 16]", 16, 3), ("model.layers.2.units=5", 8, 5), ("data.batch_size=1", 8, 3)],
)
def test_a_setting_over_a_run_has_its_effect(command, run_folder, setting, side, units):
    document = json.loads(command("summary", run_folder, "--json", "--set", setting)[1])
    assert document["input_shape"] == [side, side, 1]
    flat = side * side * 2
    assert document["parameters"]["total"] == (3 * 3 * 2 + 2) + (flat * units + units) + (units * 3 + 3)
    assert document["training_memory"]["batch_size"] == (1 if setting == "data.batch_size=1" else 10)


@pytest.mark.parametrize("setting", ["data.limit=3", "data.source.path=elsewhere", "augment=[]", "name=other"])
def test_a_setting_that_has_no_say_in_the_network_of_a_run_is_refused(command, run_folder, setting):
    code, out, err = command("summary", run_folder, "--set", setting)
    assert (code, out) == (2, "")
    assert f"--set {setting}: " in err and "data.image_size" in err


def test_memory_by_hand(tmp_path):
    memory = summarize(experiment_of(tmp_path), (8, 8, 1), 2).memory
    parameters = (3 * 3 * 2 + 2) + (8 * 8 * 2 * 3 + 3) + (3 * 2 + 2)
    assert memory["weights"] == memory["gradients"] == 4 * parameters
    assert memory["optimizer"] == 2 * 4 * parameters  # Adam: a mean and a mean of squares
    assert memory["saving"] == (1 + 1 + 3) * 4 * parameters  # the best weights, their file, a state
    outputs = 4 * 10 * (8 * 8 * 2 + 3 + 2)  # convolution, dense, logits; batches of 10
    assert outputs <= memory["activations"] <= 3 * outputs
    assert memory["total"] == sum(memory.values()) - memory["total"]


def test_activations_grow_with_the_batch_and_nothing_else_does(tmp_path):
    small, large = (
        summarize(experiment_of(tmp_path, f"data.batch_size={size}"), (8, 8, 1), 2).memory for size in (10, 30)
    )
    assert large.pop("activations") == 3 * small.pop("activations")
    small.pop("total"), large.pop("total")
    assert large == small


@pytest.mark.parametrize(
    "settings",
    [
        ["train.optimizer={name: adam}"],
        ["train.optimizer={name: sgd}"],
        ["train.optimizer={name: sgd, nesterov: true}"],
        ["train.optimizer={name: sgd, momentum: 0.0}"],
        ["train.optimizer={name: lion}"],
        ["train.optimizer={name: rmsprop, momentum: 0.9, centered: true}"],
    ],
)
def test_the_optimizers_memory_is_what_keras_allocates(tmp_path, settings):
    experiment = experiment_of(tmp_path, *settings)
    model = experiment.model.build((8, 8, 1), 2)
    optimizer = experiment.train.optimizer.build(Cosine()(0.1, 1, 1))
    optimizer.build(model.trainable_variables)
    state = [v for v in optimizer.variables if v.path.split("/")[-1] not in ("iteration", "learning_rate")]
    expected = 4 * sum(int(np.prod(v.shape)) for v in state)
    assert summarize(experiment, (8, 8, 1), 2).memory["optimizer"] == expected


@pytest.mark.parametrize("setting", ["train.ema={}", "train.sam={}", "train.gradient_accumulation=4"])
def test_what_training_keeps_beside_each_weight_counts_as_memory(tmp_path, setting):
    plain, more = (summarize(experiment_of(tmp_path, *words), (8, 8, 1), 2) for words in ([], [setting]))
    assert more.memory["optimizer"] - plain.memory["optimizer"] == 4 * plain.stages[0]["parameters"]


def test_a_summary_adds_up(tmp_path):
    told = summarize(experiment_of(tmp_path), (8, 8, 1), 2)
    document = told.as_json()
    assert document["parameters"]["total"] == sum(row["parameters"] for row in document["layers"])
    assert document["weight_bytes"] == 4 * document["parameters"]["total"]
    assert document["training_memory"]["batch_size"] == 10
    assert all(a["output_shape"] != [] for a, _ in itertools.pairwise(document["layers"]))
