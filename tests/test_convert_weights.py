from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import convert_weights
import numpy as np
import pytest

from cnnkit.architectures import Vgg
from cnnkit.lazy import keras

SCRIPT = Path(convert_weights.__file__)
SMALL = ("--image-size", "32")


def randomized(model):
    """Biases start at zero, so that a wrong one would not be seen."""
    random = np.random.default_rng(3)
    model.set_weights([random.normal(0, (2 / np.prod(w.shape[:-1])) ** 0.5, w.shape) for w in model.get_weights()])
    return model


def write_legacy(model, file):
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(file, "w") as opened:
        legacy_h5_format.save_weights_to_hdf5_group(opened, model)


@pytest.fixture(scope="module")
def vgg16():
    return randomized(keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3)))


@pytest.fixture(scope="module")
def legacy_file(vgg16, tmp_path_factory):
    file = tmp_path_factory.mktemp("keras") / "vgg16_notop.h5"
    write_legacy(vgg16, file)
    return file


def run(*words):
    """The script in a process of its own."""
    return subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False)


def images():
    return np.random.default_rng(7).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)


def close(found, expected):
    return np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_legacy_file_without_top_becomes_our_network(vgg16, legacy_file, tmp_path):
    output = tmp_path / "vgg16.weights.h5"
    done = run(legacy_file, "--model", "{name: vgg, depth: 16}", "--output", output, "--classes", 7, *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("13 layers match, all of VGG16 without its top\n")
    assert done.stdout.endswith(
        f"model:\n  name: vgg\n  weights: {output}\n  depth: 16\n  dense_units: []\n  scaling: caffe\n"
    )
    network = Vgg(depth=16, dense_units=(), scaling="caffe").network((32, 32, 3), 7)
    network.model.load_weights(output)
    expected = vgg16(keras.applications.vgg16.preprocess_input(images())).numpy().reshape(2, -1)
    assert close(network.backbone(images()).numpy(), expected)


@pytest.mark.parametrize("name", ["vgg16.weights.h5", "vgg16.h5"])
def test_a_file_of_another_form_becomes_our_network(vgg16, name, tmp_path):
    file, output = tmp_path / name, tmp_path / "ours.weights.h5"
    if name.endswith(".weights.h5"):
        vgg16.save_weights(file)
    else:
        vgg16.save(file)
    assert convert_weights.main([f"{file}", "--model", "{name: vgg, depth: 16}", "--output", f"{output}", *SMALL]) == 0
    network = Vgg(depth=16, dense_units=(), scaling="caffe").network((32, 32, 3), 1000)
    network.model.load_weights(output)
    assert all(map(np.array_equal, network.backbone.get_weights(), vgg16.get_weights()))


def test_a_model_with_its_top_becomes_our_network_with_its_classifier(tmp_path):
    complete = randomized(
        keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), classes=5, classifier_activation=None)
    )
    file, output = tmp_path / "vgg16.keras", tmp_path / "ours.weights.h5"
    complete.save(file)
    model = "{name: vgg, depth: 16}"
    assert convert_weights.main([f"{file}", "--model", model, "--output", f"{output}", "--classes", "5", *SMALL]) == 0
    ours = Vgg(depth=16, scaling="caffe").build((32, 32, 3), 5)
    ours.load_weights(output)
    expected = complete(keras.applications.vgg16.preprocess_input(images())).numpy()
    assert close(ours(images()).numpy(), expected)


def test_a_file_of_another_network_is_told_apart_and_nothing_is_written(legacy_file, tmp_path):
    output = tmp_path / "vgg19.weights.h5"
    done = run(legacy_file, "--model", "{name: vgg, depth: 19}", "--output", output, *SMALL)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"{legacy_file} has other weights than VGG19 without its top\n"
        "  only in the file: none\n"
        "  only in VGG19 without its top: 1 of 256, 1 of 3x3x256x256, 2 of 3x3x512x512, 2 of 512\n"
    )
    assert list(tmp_path.iterdir()) == []


def refused(capsys, tmp_path, *words):
    output = tmp_path / "ours.weights.h5"
    assert convert_weights.main([*map(str, words), "--output", f"{output}", *SMALL]) == 2
    assert not output.exists()
    assert not list(tmp_path.glob(".writing*"))
    return capsys.readouterr().err


def test_layers_that_only_one_side_has_are_listed(capsys, legacy_file, tmp_path):
    told = refused(capsys, tmp_path, legacy_file, "--model", "{name: vgg, depth: 16, normalization: batch}")
    assert told.startswith("not all layers of vgg 16 and VGG16 match\n  only in ours: block1_conv1 kernel3x3x3x64, ")
    assert "block1_conv1_norm gamma64 beta64 moving_mean64 moving_variance64" in told
    assert "only in VGG16: block1_conv1 kernel3x3x3x64 bias64, " in told


@pytest.mark.parametrize("setting", ["activation: elu", "scaling: symmetric"])
def test_a_network_of_other_outputs_is_refused(capsys, legacy_file, tmp_path, setting):
    told = refused(capsys, tmp_path, legacy_file, "--model", f"{{name: vgg, depth: 16, {setting}}}")
    assert told.startswith("the outputs of vgg 16 and VGG16 differ, by ")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("{name: vgg, depth: 16, weights: x.h5}", "model.weights: is what this makes"),
        ("{name: vgg, depth: 11}", "keras.applications has no VGG11"),
        ("{name: vgg, depth: 12}", "model.depth: can't be 12; it may be 11, 13, 16, 19"),
        ("{name: vgg", "--model:1:"),
        ("{name: resnet, depth: 50, version: 2}", "resnet has no counterpart in keras.applications; these have: vgg"),
    ],
)
def test_a_network_that_can_not_be_converted_is_told(capsys, legacy_file, tmp_path, model, told):
    assert told in refused(capsys, tmp_path, legacy_file, "--model", model)


def test_a_file_that_is_none_of_keras_is_told(capsys, tmp_path):
    broken = tmp_path / "broken.h5"
    broken.write_bytes(b"no weights")
    vgg = ("--model", "{name: vgg, depth: 16}")
    assert "is not a file of Keras" in refused(capsys, tmp_path, broken, *vgg)
    assert "there is no such file" in refused(capsys, tmp_path, tmp_path / "absent.h5", *vgg)
    assert "is not a file of Keras" in refused(capsys, tmp_path, broken.rename(tmp_path / "broken.keras"), *vgg)


def test_a_name_that_hides_the_form_of_a_file_is_told(capsys, legacy_file, tmp_path):
    renamed = tmp_path / "vgg16.weights.h5"
    renamed.write_bytes(legacy_file.read_bytes())
    told = refused(capsys, tmp_path, renamed, "--model", "{name: vgg, depth: 16}")
    assert "is in the form of Keras 2; give it a name that ends in .h5, without .weights" in told


def test_every_family_of_the_table_names_a_layer_of_keras_for_each_of_ours():
    ours = {"vgg": Vgg(depth=16, dense_units=(4, 4))}
    theirs = {"vgg": keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), classes=2)}
    assert ours.keys() == convert_weights.FAMILIES.keys()
    for name, family in convert_weights.FAMILIES.items():
        layers = [layer.name for layer in ours[name].build((32, 32, 3), 2).layers if layer.weights]
        assert {family.keras_name(ours[name], layer) for layer in layers} == {
            layer.name for layer in theirs[name].layers if layer.weights
        }
