"""Weights from files: what fits is loaded to the last bit, what does not changes nothing and is told."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from cnnkit import Run, read
from cnnkit.core.errors import DataError, TrainingError, UsageError
from cnnkit.core.lazy import keras
from cnnkit.models.base import Network
from cnnkit.models.resnet import ResNet
from cnnkit.runs import checkpoints
from cnnkit.training import start_weights

SHAPE = (8, 8, 3)

CONFIG = """
name: tiny
data: {source: {name: digits}, image_size: [8, 8], channels: 3}
model: {name: sequential, layers: [{name: conv, filters: 4}, {name: conv, filters: 6}, {name: flatten}]}
"""


def conv(name, filters=4):
    return keras.layers.Conv2D(filters, 3, padding="same", name=name)


def norm(name, **settings):
    return keras.layers.BatchNormalization(name=name, **settings)


def dense(name, units=5):
    return keras.layers.Dense(units, name=name)


def flat():
    return keras.layers.Flatten()


def separable(name):
    return keras.layers.SeparableConv2D(6, 3, name=name)


def depthwise(name, **settings):
    return keras.layers.DepthwiseConv2D(3, name=name, **settings)


def model_of(*layers, shape=SHAPE):
    """A model of these layers, every number in it random."""
    model = keras.Sequential([keras.Input(shape), *layers])
    scatter(model)
    return model


def scatter(model, seed=0):
    random = np.random.default_rng(seed)
    for variable in model.weights:
        # Divided by what a kernel adds up, so that deep networks stay finite.
        size = np.prod(variable.shape[:-1])
        variable.assign((random.uniform(0.1, 1, variable.shape) / size).astype(variable.dtype))


def network_of(*layers, classes=3, auxiliary=False, shape=SHAPE):
    """A network with these layers before its classifier."""
    image = keras.Input(shape)
    inner = [image]
    for layer in layers:
        inner.append(layer(inner[-1]))
    vector = keras.Input(inner[-1].shape[1:])
    logits = dense("logits", classes)
    parts = ()
    if auxiliary:
        answer = dense("auxiliary1_logits", classes)(keras.layers.GlobalAveragePooling2D()(inner[1]))
        parts = ((keras.Model(image, answer), 0.3),)
    model = keras.Model(image, logits(inner[-1]), name="sequential")
    return Network(model, keras.Model(image, inner[-1]), keras.Model(vector, logits(vector)), parts)


def plain():
    """Layers of most kinds, without a classifier."""
    return [
        conv("first"),
        norm("first_norm"),
        depthwise("deep"),
        norm("deep_norm", scale=False),
        separable("separable"),
        flat(),
        keras.layers.Dropout(0.5),
        dense("wide", 16),
    ]


# Every form in which Keras writes weights.


def keras3(model, folder):
    model.save_weights(folder / "a.weights.h5")
    return folder / "a.weights.h5"


def archive(model, folder):
    model.save(folder / "a.keras")
    return folder / "a.keras"


def compiled(model, folder):
    """With the state of an optimizer."""
    model.compile("adam", "mse", metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    path = archive(model, folder)
    with zipfile.ZipFile(path) as file, h5py.File(io.BytesIO(file.read("model.weights.h5"))) as inside:
        assert len(inside["optimizer/vars"]) > 2 * len(model.trainable_variables)
    return path


def keras2(model, folder, group=None, names=None, leaf=lambda layer, variable: f"{layer.name}/{variable.name}:0"):
    """As Keras 2 wrote weights: `layer_names` in order, and in each layer's group `weight_names`."""
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        root = file.create_group(group) if group else file
        root.attrs["layer_names"] = [name.encode() for name in names or [layer.name for layer in model.layers]]
        for layer in model.layers:
            inside = root.create_group(layer.name)
            variables = layer.trainable_weights + layer.non_trainable_weights
            inside.attrs["weight_names"] = [leaf(layer, variable).encode() for variable in variables]
            for variable in variables:
                inside[leaf(layer, variable)] = variable.numpy()
    return path


def whole_keras2(model, folder):
    path = keras2(model, folder, "model_weights")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = '{"class_name": "Lambda", "config": "not to be built"}'
    return path


def keras3s_legacy(model, folder):
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(folder / "a.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return folder / "a.h5"


FORMS = [keras3, archive, compiled, keras2, whole_keras2, keras3s_legacy]


def outputs(model, shape=SHAPE):
    return model(np.random.default_rng(1).uniform(0, 255, (2, *shape)).astype("float32")).numpy()


def values(network):
    models = [network.model, *(part for part, _ in network.auxiliary)]
    return [variable.numpy() for model in models for variable in model.weights]


def refused(network, path, error, match, **settings):
    """What is said; nothing has changed."""
    before = values(network)
    with pytest.raises(error, match=match) as raised:
        start_weights.load(network, path, **settings)
    assert all(np.array_equal(*pair) for pair in zip(before, values(network), strict=True))
    text = str(raised.value)
    assert len(text.splitlines()) <= 12 and text.isprintable() == ("\n" not in text)
    return text


@pytest.mark.parametrize("write", FORMS)
def test_every_form_is_read_to_the_last_bit(write, tmp_path):
    theirs = model_of(*plain(), dense("logits", 3))
    expected = outputs(theirs)
    ours = network_of(*plain(), auxiliary=True)
    auxiliary = ours.auxiliary[0][0].get_layer("auxiliary1_logits").get_weights()
    report = start_weights.load(ours, write(theirs, tmp_path))
    assert np.abs(outputs(ours.model) - expected).max() == 0.0
    assert (report.layers, report.numbers) == (7, theirs.count_params())
    assert report.classifier and not report.reason and not report.left_out
    assert "with the classifier" in report.line()
    assert np.array_equal(auxiliary[0], ours.auxiliary[0][0].get_layer("auxiliary1_logits").get_weights()[0])


@pytest.mark.parametrize("write", FORMS)
def test_layers_behind_the_features_are_left_out(write, tmp_path):
    backbone = model_of(*plain())
    theirs = model_of(*backbone.layers, dense("fc1", 7), norm("fc1_norm"), dense("predictions", 9))
    ours = network_of(*plain())
    scatter(ours.model, seed=1)
    before = ours.classifier.get_weights()
    report = start_weights.load(ours, write(theirs, tmp_path))
    assert np.abs(outputs(ours.backbone) - outputs(backbone)).max() == 0.0
    assert set(report.left_out) == {"fc1", "fc1_norm", "predictions"}
    assert not report.classifier and "logits" in report.reason
    assert all(np.array_equal(*pair) for pair in zip(before, ours.classifier.get_weights(), strict=True))
    assert "left out: " in report.line() and "6 layers" in report.line()


@pytest.mark.parametrize("write", FORMS)
@pytest.mark.parametrize("between", [conv, norm])
def test_a_layer_in_the_middle_that_is_not_here_is_another_network(write, between, tmp_path):
    theirs = model_of(conv("first"), between("between"), conv("last", 6), flat(), dense("logits", 3))
    ours = network_of(conv("first"), conv("last", 6), flat())
    text = refused(ours, write(theirs, tmp_path), UsageError, "another network")
    assert "only there: between" in text and "only here" not in text


@pytest.mark.parametrize("write", FORMS)
def test_dense_layers_in_the_middle_are_not_taken_for_a_classifier(write, tmp_path):
    """Squeeze and excitation; Keras 3 does not tell where these stand among the convolutions."""
    squeezed = [conv("first", 8), dense("squeeze", 2), dense("excite", 8), conv("last", 6), flat(), dense("top", 9)]
    ours = network_of(conv("first", 8), conv("last", 6), flat())
    text = refused(ours, write(model_of(*squeezed), tmp_path), UsageError, "another network")
    assert "only there: squeeze, excite" in text


def test_a_resnet_for_other_classes_gives_all_but_its_classifier(tmp_path):
    theirs = ResNet(depth=20).network((32, 32, 3), 4)
    scatter(theirs.model)
    theirs.model.save_weights(tmp_path / "a.weights.h5")
    ours = ResNet(depth=20).network((32, 32, 3), 3)
    report = start_weights.load(ours, tmp_path / "a.weights.h5")
    shape = (32, 32, 3)
    assert np.abs(outputs(ours.backbone, shape) - outputs(theirs.backbone, shape)).max() == 0.0
    assert report.layers == 38 and "64x4 there, 64x3 here" in report.reason


def test_another_depth_is_told_with_both_sides(tmp_path):
    deep, shallow = ResNet(depth=32).network((32, 32, 3), 3), ResNet(depth=20).network((32, 32, 3), 3)
    text = refused(shallow, keras3(deep.model, tmp_path), UsageError, "of 38 layers here 38 fit")
    # Of two stages two blocks each, of two convolutions and two norms: 16; those of the last stage lie behind.
    assert "only there: stage1_block4_conv1_norm, " in text and "and 11 more" in text and "depth" in text
    text = refused(deep, keras3(shallow.model, tmp_path), UsageError, "of 62 layers here 38 fit")
    assert "only here: stage1_block4_conv1, " in text and "and 19 more" in text and "only there" not in text


def test_other_shapes_are_told_with_both(tmp_path):
    theirs = model_of(*(conv(f"conv{i}", 5) for i in range(8)), flat())
    ours = network_of(*(conv(f"conv{i}", 4) for i in range(8)), flat())
    text = refused(ours, keras3(theirs, tmp_path), UsageError, "of 8 layers here 0 fit")
    assert "conv0: 3x3x3x5 there, 3x3x3x4 here" in text and "conv1: 3x3x5x5 there, 3x3x4x4 here" in text
    assert "4 more" in text and "width" in text


def test_other_numbers_of_arrays_are_told(tmp_path):
    theirs = model_of(keras.layers.Conv2D(4, 3, use_bias=False, name="conv1"), flat())
    assert "conv1: 1 arrays there, 2 here" in refused(
        network_of(conv("conv1"), flat()), keras3(theirs, tmp_path), UsageError, "another network"
    )


def test_a_file_of_keras_applications_is_recognised(tmp_path):
    theirs = model_of(conv("conv1"), norm("conv1_bn"), depthwise("conv_dw_1"), flat(), dense("predictions"))
    ours = network_of(conv("stem"), conv("stage1_conv"), flat())
    text = refused(ours, keras2(theirs, tmp_path), UsageError, "of 2 layers here 0 fit")
    assert "only here: stem, stage1_conv" in text and "only there: conv1, conv1_bn, conv_dw_1, predictions" in text
    assert "keras_application" in text and "scripts/convert_weights.py" in text


def test_nothing_in_common_is_told(tmp_path):
    text = refused(network_of(conv("a"), flat()), keras3(model_of(conv("b"), flat()), tmp_path), UsageError, "0 fit")
    assert "only here: a\n" in text and "only there: b\n" in text and "no layer has the same name" in text


def test_a_network_without_weights_of_its_own_takes_the_classifier_or_nothing(tmp_path):
    path = keras3(model_of(flat(), dense("logits", 3)), tmp_path)
    assert start_weights.load(network_of(flat()), path).layers == 1
    refused(network_of(flat(), classes=4), path, UsageError, "nothing for this network: logits: 192x3 there")


# Names and order.


@pytest.mark.parametrize("write", [keras3, archive, keras2, keras3s_legacy])
def test_a_model_inside_a_model_counts_by_its_layers(write, tmp_path):
    def nested():
        inner = keras.Sequential([keras.Input(SHAPE), conv("a"), norm("a_norm"), conv("b")], name="inner")
        return [inner, flat()]

    theirs = model_of(*nested(), dense("logits", 3))

    def leaf(layer, variable):
        return variable.path if layer.name == "inner" else f"{layer.name}/{variable.name}"

    path = keras2(theirs, tmp_path, leaf=leaf) if write is keras2 else write(theirs, tmp_path)
    for ours in (network_of(*nested()), network_of(conv("a"), norm("a_norm"), conv("b"), flat())):
        assert start_weights.load(ours, path).layers == 4
        assert np.abs(outputs(ours.model) - outputs(theirs)).max() == 0.0


def test_layers_of_a_layer_are_told_apart(tmp_path):
    def attention(name):
        return keras.layers.MultiHeadAttention(2, 3, name=name)

    def built():
        image = keras.Input((4, 4))
        x = attention("one")(image, image)
        return image, keras.layers.GlobalAveragePooling1D()(attention("two")(x, x))

    image, x = built()
    theirs = keras.Model(image, x)
    scatter(theirs)
    image, x = built()
    vector = keras.Input((4,))
    logits = dense("logits", 3)
    ours = Network(keras.Model(image, logits(x)), keras.Model(image, x), keras.Model(vector, logits(vector)))
    assert start_weights.load(ours, keras3(theirs, tmp_path)).layers == 8
    assert np.abs(outputs(ours.backbone, (4, 4)) - outputs(theirs, (4, 4))).max() == 0.0


def test_more_than_ten_layers_of_a_kind_and_arrays_of_a_layer_keep_their_order(tmp_path):
    def layers():
        return [*(keras.layers.Conv2D(4, 1, name=f"c{i:02}") for i in range(12)), flat()]

    theirs = model_of(*layers(), keras.layers.Reshape((8, 8, 4)), keras.layers.Conv2D(2, 1, name="top"))
    ours = network_of(*layers())
    assert start_weights.load(ours, keras3(theirs, tmp_path)).left_out == ("top",)
    inside = network_of(*layers()[:10], *layers()[11:])
    text = refused(inside, keras3(theirs, tmp_path), UsageError, "another network")
    assert "only there: c10" in text


def test_arrays_go_by_their_names_where_the_file_has_them(tmp_path):
    theirs = model_of(conv("a"), norm("n"), flat())
    path = keras2(theirs, tmp_path)
    with h5py.File(path, "a") as file:
        file["n"].attrs["weight_names"] = file["n"].attrs["weight_names"][::-1]
    ours = network_of(conv("a"), norm("n"), flat())
    start_weights.load(ours, path)
    assert np.abs(outputs(ours.backbone) - outputs(theirs)).max() == 0.0


def test_a_scale_is_not_taken_for_an_offset(tmp_path):
    theirs = model_of(conv("a"), norm("n", scale=False), flat())
    ours = network_of(conv("a"), norm("n", center=False), flat())
    text = refused(ours, keras2(theirs, tmp_path), UsageError, "another network")
    assert "n: beta there, gamma here" in text


def test_depthwise_kernels_of_keras_2_have_another_name(tmp_path):
    def leaf(layer, variable):
        name = "depthwise_kernel" if layer.name == "d" and variable.name == "kernel" else variable.name
        return f"{layer.name}_1/{name}:0"

    theirs = model_of(depthwise("d", depth_multiplier=2), flat())
    ours = network_of(depthwise("d", depth_multiplier=2), flat())
    start_weights.load(ours, keras2(theirs, tmp_path, leaf=leaf))
    assert np.abs(outputs(ours.backbone) - outputs(theirs)).max() == 0.0


@pytest.mark.parametrize("write", [keras3, keras2])
def test_layers_that_keras_numbered_go_by_their_order(write, tmp_path):
    def layers():
        return [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(), keras.layers.Conv2D(4, 3), flat()]

    theirs, ours = model_of(*layers(), dense("predictions")), network_of(*layers())
    assert {layer.name for layer in theirs.layers[:3]}.isdisjoint(layer.name for layer in ours.backbone.layers)
    assert start_weights.load(ours, write(theirs, tmp_path)).left_out == ("predictions",)
    features = keras.Model(theirs.inputs[0], theirs.layers[-2].output)
    assert np.abs(outputs(ours.backbone) - outputs(features)).max() == 0.0


def test_a_normalization_computes_with_what_was_loaded(tmp_path):
    def layers():
        return [keras.layers.Normalization(name="normal"), conv("a"), flat()]

    theirs = model_of(*layers())
    theirs.layers[0].finalize_state()
    expected = outputs(theirs)
    for write in (keras3, keras2):
        ours = network_of(*layers())
        start_weights.load(ours, write(theirs, tmp_path))
        assert np.abs(outputs(ours.backbone) - expected).max() == 0.0


def test_two_layers_of_one_name_are_refused(tmp_path):
    path = keras3(model_of(conv("a"), conv("b"), flat()), tmp_path)
    with h5py.File(path, "a") as file:
        file["layers/conv2d_1/vars"].attrs["name"] = "a"
    refused(network_of(conv("a"), flat()), path, UsageError, "several layers of one name.*: a$")
    path = keras2(model_of(conv("a"), flat()), tmp_path, names=["a", "a"])
    refused(network_of(conv("a"), flat()), path, UsageError, "several layers of one name")


def test_old_files_without_names_are_told(tmp_path):
    path = keras3(model_of(conv("a"), flat()), tmp_path)
    with h5py.File(path, "a") as file:
        del file["layers/conv2d/vars"].attrs["name"]
    refused(network_of(conv("a"), flat()), path, UsageError, "does not tell the names of its layers")


def test_many_layers_whose_names_are_cut_into_parts(tmp_path):
    path = keras2(model_of(conv("a"), conv("b"), flat()), tmp_path)
    with h5py.File(path, "a") as file:
        names = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:1], names[1:]
    assert start_weights.load(network_of(conv("a"), conv("b"), flat()), path).layers == 2


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4"])
def test_other_floats_are_cast(dtype, tmp_path):
    theirs = model_of(conv("a"), flat())
    path = keras2(theirs, tmp_path)
    half = theirs.layers[0].kernel.numpy().astype(dtype)
    replace(path, half)
    ours = network_of(conv("a"), flat())
    start_weights.load(ours, path)
    assert np.array_equal(ours.backbone.layers[1].kernel, half.astype("float32"))


# A run.


@pytest.fixture
def run(tmp_path):
    """Makes a run that has trained for the given classes."""

    def make(classes):
        (tmp_path / "tiny.yaml").write_text(CONFIG)
        experiment = read(tmp_path / "tiny.yaml")
        earlier = Run.create(experiment, tmp_path / "run")
        earlier.write_provenance(data={"classes": classes}, files=earlier.hashes())
        network = experiment.model.network(SHAPE, len(classes))
        scatter(network.model)
        checkpoints.save(checkpoints.Weights.of(network.model), earlier.files.checkpoints, "best", 12, {})
        return earlier, network, experiment.model.network(SHAPE, 3)

    return make


def test_a_run_with_the_same_classes_goes_on(run):
    earlier, theirs, ours = run(["a", "b", "c"])
    report = start_weights.load(ours, earlier.folder, ["a", "b", "c"])
    assert np.abs(outputs(ours.model) - outputs(theirs.model)).max() == 0.0
    numbers = 3 * 3 * 3 * 4 + 4 + 3 * 3 * 4 * 6 + 6 + 8 * 8 * 6 * 3 + 3
    assert (
        report.line() == f"weights: 3 layers, {numbers:,} numbers from {earlier.folder} (epoch 12); with the classifier"
    )


@pytest.mark.parametrize(
    ("classes", "reason"),
    [
        (["a", "b", "c", "d", "e"], "5 classes there, 3 here"),
        (["a", "c", "b"], "the same classes there, but in another order"),
        (["a", "b", "x"], "other classes there, x is c here"),
    ],
)
def test_a_run_with_other_classes_gives_all_but_its_classifier(run, classes, reason):
    earlier, theirs, ours = run(classes)
    before = ours.classifier.get_weights()
    report = start_weights.load(ours, earlier.folder, ["a", "b", "c"])
    assert np.abs(outputs(ours.backbone) - outputs(theirs.backbone)).max() == 0.0
    assert all(np.array_equal(*pair) for pair in zip(before, ours.classifier.get_weights(), strict=True))
    assert report.line().endswith(f"(epoch 12); the classifier starts anew: {reason}")
    assert report.layers == 2 and report.left_out == ()


def test_a_damaged_run_is_refused(run):
    earlier, _, ours = run(["a", "b", "c"])
    file = earlier.files.checkpoints / "best-0012.weights.h5"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused(ours, earlier.folder, TrainingError, "SHA-256")
    file.unlink()
    refused(ours, earlier.folder, TrainingError, "is missing")
    (earlier.files.checkpoints / "best.json").unlink()
    refused(ours, earlier.folder, TrainingError, "no checkpoint yet")


def test_what_is_no_source_of_weights_is_told(tmp_path):
    ours = network_of(conv("a"), flat())
    refused(ours, tmp_path / "nothing", UsageError, "no such file or run")
    refused(ours, tmp_path, UsageError, "is not a run of cnnkit")
    refused(ours, Path("/dev/null"), UsageError, "is not a file")
    (tmp_path / "text.h5").write_text("weights")
    refused(ours, tmp_path / "text.h5", UsageError, r"of another kind.*\.weights\.h5, \.h5 or \.keras")
    (tmp_path / "empty.h5").touch()
    refused(ours, tmp_path / "empty.h5", DataError, "is empty")
    with zipfile.ZipFile(tmp_path / "torch.keras", "w") as file:
        file.writestr("archive/data.pkl", b"cos\nsystem\n(S'exit'\ntR.")
    refused(ours, tmp_path / "torch.keras", UsageError, r"without model\.weights\.h5")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    refused(ours, tmp_path / "saved", UsageError, "hub")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = np.zeros(3)
    refused(ours, tmp_path / "other.h5", UsageError, "no layers with weights of Keras")


# Files that are damaged, or mean harm.


def replace(path, content, **settings):
    """Puts something else in the place of the first layer's kernel."""
    with h5py.File(path, "a") as file:
        name = "a/a/kernel:0" if "a" in file else "layers/conv2d/vars/0"
        if name in file:
            del file[name]
        if content is None:
            file.create_dataset(name, **settings)
        elif isinstance(content, np.ndarray):
            file.create_dataset(name, data=content, **settings)
        else:
            file[name] = content


def kernel(value=1.0, dtype="float32"):
    array = np.ones((3, 3, 3, 4), dtype)
    array[0, 1, 2, 3] = value
    return array


def external(path, folder):
    with h5py.File(folder / "secret.h5", "w") as file:
        file["numbers"] = kernel()
    replace(path, h5py.ExternalLink("secret.h5", "numbers"))


def raw(path, folder):
    (folder / "secret").write_bytes(kernel().tobytes())
    replace(path, None, shape=(3, 3, 3, 4), dtype="f4", external=[(str(folder / "secret"), 0, h5py.h5f.UNLIMITED)])


def virtual(path, folder):
    external(path, folder)
    layout = h5py.VirtualLayout((3, 3, 3, 4), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "numbers", (3, 3, 3, 4))
    with h5py.File(path, "a") as file:
        name = "a/a/kernel:0" if "a" in file else "layers/conv2d/vars/0"
        del file[name]
        file.create_virtual_dataset(name, layout)


def group_elsewhere(path, folder):
    shutil.copy(path, folder / "other.h5")
    with h5py.File(path, "a") as file:
        name = "a" if "a" in file else "layers"
        del file[name]
        file[name] = h5py.ExternalLink("other.h5", name)


def texts_for_numbers(path, folder):
    replace(path, np.full((3, 3, 3, 4), b"text"))


def texts_of_any_length(path, folder):
    replace(path, None, shape=(3, 3, 3, 4), dtype=h5py.string_dtype())


def references(path, folder):
    replace(path, None, shape=(3, 3, 3, 4), dtype=h5py.ref_dtype)


def complex_numbers(path, folder):
    replace(path, kernel(dtype="complex64"))


def records(path, folder):
    replace(path, np.zeros((3, 3, 3, 4), [("a", "f4"), ("b", "f4")]))


def no_numbers(path, folder):
    replace(path, h5py.Empty("f4"))


def group_for_array(path, folder):
    replace(path, None, shape=(), dtype="f4")
    with h5py.File(path, "a") as file:
        name = "a/a/kernel:0" if "a" in file else "layers/conv2d/vars/0"
        del file[name]
        file.create_group(name)


def not_a_number(path, folder):
    replace(path, kernel(np.nan))


def infinite(path, folder):
    replace(path, kernel(-np.inf))


def too_large_for_float32(path, folder):
    replace(path, kernel(1e300, "float64"))


def giant_chunks(path, folder):
    replace(path, None, shape=(3, 3, 3, 4), maxshape=(None,) * 4, chunks=(512, 512, 64, 4), dtype="f4", compression=1)


def cut_short(path, folder):
    path.write_bytes(path.read_bytes()[:-200])


def beginning_only(path, folder):
    path.write_bytes(path.read_bytes()[:600])


def zeroed(path, folder):
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(len(content) - 100))


HARM = {
    external: "is a link",
    group_elsewhere: "is a link",
    raw: "lie in other files",
    virtual: "lie in other files",
    texts_for_numbers: "should hold numbers",
    texts_of_any_length: "should hold numbers",
    references: "should hold numbers",
    complex_numbers: "should hold numbers",
    records: "should hold numbers",
    no_numbers: "should hold numbers",
    group_for_array: "should be a dataset",
    not_a_number: "layer a holds numbers that are NaN or infinite",
    infinite: "layer a holds numbers that are NaN or infinite",
    too_large_for_float32: "layer a holds numbers that are NaN or infinite",
    giant_chunks: "chunks larger than itself",
    cut_short: "is damaged",
    beginning_only: "is damaged",
    zeroed: "is damaged",
}


# Both forms are read by the same few functions: of the older one those are tried that concern its own groups.
@pytest.mark.parametrize(
    ("write", "harm"),
    [*((keras3, harm) for harm in HARM), *((keras2, harm) for harm in (external, group_elsewhere, group_for_array))],
    ids=lambda value: value.__name__,
)
def test_a_file_that_is_not_in_order_is_refused_in_one_line(write, harm, tmp_path):
    path = write(model_of(conv("a"), conv("b"), flat()), tmp_path)
    harm(path, tmp_path)
    text = refused(network_of(conv("a"), conv("b"), flat()), path, DataError, HARM[harm])
    assert "\n" not in text and str(path) in text and len(text) < len(str(path)) + 250


@pytest.mark.parametrize("write", [keras3, keras2])
def test_a_soft_link_is_refused(write, tmp_path):
    path = write(model_of(conv("a"), conv("b"), flat()), tmp_path)
    replace(path, h5py.SoftLink("/b/b/kernel:0" if write is keras2 else "/layers/conv2d_1/vars/0"))
    refused(network_of(conv("a"), conv("b"), flat()), path, DataError, "is a link")


@pytest.mark.parametrize("write", [keras3, keras2])
def test_a_giant_array_is_never_read(write, tmp_path):
    path = write(model_of(conv("a"), flat()), tmp_path)
    replace(path, None, shape=(2**20, 2**10, 2**10, 4), chunks=(1, 2**10, 2**10, 4), dtype="f4")
    text = refused(network_of(conv("a"), flat()), path, UsageError, "another network")
    assert "1048576x1024x1024x4 there, 3x3x3x4 here" in text


def test_groups_inside_one_another_come_to_an_end(tmp_path):
    path = keras3(model_of(conv("a"), flat()), tmp_path)
    with h5py.File(path, "a") as file:
        file["layers/conv2d/again"] = file["layers"]
    refused(network_of(conv("a"), flat()), path, DataError, "inside one another")
    with h5py.File(path, "a") as file:
        del file["layers/conv2d/again"]
        file.create_group("layers/" + "/".join("x" * 40))
    refused(network_of(conv("a"), flat()), path, DataError, "inside one another")


def test_names_that_lead_elsewhere_in_the_file_are_refused(tmp_path):
    for name in ("../a", "a/../b", "", "/a", "a//kernel"):
        path = keras2(model_of(conv("a"), flat()), tmp_path)
        with h5py.File(path, "a") as file:
            file["a"].attrs["weight_names"] = [name, "a/bias:0"]
        refused(network_of(conv("a"), flat()), path, DataError, "is damaged: it lacks")


def test_names_are_shown_without_control_characters(tmp_path):
    path = keras3(model_of(conv("a"), flat()), tmp_path)
    with h5py.File(path, "a") as file:
        file["layers/conv2d/vars"].attrs["name"] = "\x1b[31mred\n" + "a" * 500
    text = refused(network_of(conv("b"), flat()), path, UsageError, "another network")
    assert "?[31mred?aaa" in text and max(map(len, text.splitlines())) < len(str(path)) + 120


@pytest.mark.parametrize("name", ["layer_names", "weight_names"])
@pytest.mark.parametrize("content", [3.5, [1, 2], b"\xff\xfe", h5py.Empty("f4")])
def test_names_that_are_none_are_refused(name, content, tmp_path):
    path = keras2(model_of(conv("a"), flat()), tmp_path)
    with h5py.File(path, "a") as file:
        (file if name == "layer_names" else file["a"]).attrs[name] = content
    before = network_of(conv("a"), flat())
    refused(before, path, (DataError, UsageError), "a.h5")


@pytest.mark.parametrize("name", ["layer_names", "weight_names"])
@pytest.mark.parametrize("dtype", ["S1000", h5py.string_dtype()])
def test_more_names_than_an_attribute_has_room_for_are_refused(name, dtype, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        names = {"layer_names": [b"a"], "weight_names": [b"a/kernel:0"]} | {name: [b"a"] * 9000}
        file.attrs["layer_names"] = [b"a"]
        for item, key in ((file, "layer_names"), (file.create_group("a"), "weight_names")):
            item.attrs.create(key, names[key], dtype=dtype)
    refused(network_of(conv("a"), flat()), path, DataError, f"its {name} is far too large")


def repacked(path, member="model.weights.h5", content=None, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path) as file:
        content = file.read("model.weights.h5") if content is None else content
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(member, content)


def test_an_archive_is_not_unpacked_without_bounds(tmp_path):
    path = archive(model_of(conv("a"), flat()), tmp_path)
    repacked(path)
    assert start_weights.load(network_of(conv("a"), flat()), path).layers == 1
    repacked(path, content=bytes(2**27))
    refused(network_of(conv("a"), flat()), path, DataError, "134,217,728 bytes unpack from")


def test_a_damaged_archive_is_told(tmp_path):
    good = archive(model_of(conv("a"), flat()), tmp_path).read_bytes()
    path = tmp_path / "b.keras"
    middle = good.index(b"\x89HDF") + 3000
    for content in (good[:-30], good[:100], good[:middle] + b"damage" + good[middle + 6 :]):
        path.write_bytes(content)
        refused(network_of(conv("a"), flat()), path, DataError, "is damaged")
    path.write_bytes(good)
    repacked(path, content=b"no HDF5")
    refused(network_of(conv("a"), flat()), path, DataError, "is damaged")
    path.write_bytes(good)
    repacked(path, compression=zipfile.ZIP_LZMA)
    refused(network_of(conv("a"), flat()), path, DataError, "is refused")
    path.write_bytes(good)
    repacked(path, member="../model.weights.h5")
    refused(network_of(conv("a"), flat()), path, UsageError, "without model")
