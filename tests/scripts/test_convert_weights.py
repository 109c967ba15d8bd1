from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import convert_weights
import numpy as np
import pytest
from keras_families import FAMILIES

from cnnkit.core.lazy import keras
from cnnkit.models import DenseNet, Inception, Vgg
from cnnkit.training import start_weights

SCRIPT = Path(convert_weights.__file__)
SMALL = ("--image-size", "32")


def randomized(model):
    """Biases start at zero and normalisations change nothing at first, so that a wrong one would not be seen."""
    random = np.random.default_rng(3)
    bounds = {"gamma": (0.5, 1.5), "moving_variance": (0.5, 2.0)}
    for weight in model.weights:
        if weight.name == "kernel":
            weight.assign(random.normal(0, (2 / np.prod(weight.shape[:-1])) ** 0.5, weight.shape))
        else:
            weight.assign(random.uniform(*bounds.get(weight.name, (-0.3, 0.3)), weight.shape))
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


def images(size=32):
    """One of noise, one of blotches: windows and means make all noise the same."""
    random = np.random.default_rng(7)
    blotches = random.integers(0, 256, (5, 5, 3)).repeat(size // 5 + 1, 0).repeat(size // 5 + 1, 1)[:size, :size]
    return np.stack([random.integers(0, 256, (size, size, 3)), blotches]).astype(np.float32)


def close(found, expected):
    return np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_legacy_file_without_top_becomes_our_network(capsys, vgg16, legacy_file, tmp_path):
    output = tmp_path / "vgg16.weights.h5"
    words = ["--model", "{name: vgg, depth: 16}", "--output", f"{output}", "--classes", "7", *SMALL]
    assert convert_weights.main([f"{legacy_file}", *words]) == 0
    told = capsys.readouterr().out
    assert told.startswith("13 layers match, all of VGG16 without its top\n")
    assert told.endswith(
        f"model:\n  name: vgg\n  depth: 16\n  dense_units: []\n  scaling: caffe\n  weights: {output}\n"
    )
    network = Vgg(depth=16, dense_units=(), scaling="caffe").network((32, 32, 3), 7)
    classifier = network.classifier.get_weights()
    report = start_weights.load(network, output)
    assert (report.layers, report.classifier, report.left_out) == (13, False, ())
    assert "the classifier starts anew" in report.line()
    assert all(map(np.array_equal, network.classifier.get_weights(), classifier))
    expected = vgg16(keras.applications.vgg16.preprocess_input(images())).numpy().reshape(2, -1)
    assert close(network.backbone(images()).numpy(), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16.weights.h5", "vgg16.h5"])
def test_a_file_of_another_form_becomes_our_network(vgg16, name, tmp_path):
    file, output = tmp_path / name, tmp_path / "ours.weights.h5"
    if name.endswith(".weights.h5"):
        vgg16.save_weights(file)
    else:
        vgg16.save(file)
    assert convert_weights.main([f"{file}", "--model", "{name: vgg, depth: 16}", "--output", f"{output}", *SMALL]) == 0
    network = Vgg(depth=16, dense_units=(), scaling="caffe").network((32, 32, 3), 1000)
    assert not start_weights.load(network, output).classifier
    assert all(map(np.array_equal, network.backbone.get_weights(), vgg16.get_weights()))


@pytest.mark.slow
def test_a_model_with_its_top_becomes_our_network_with_its_classifier(tmp_path):
    complete = randomized(
        keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), classes=5, classifier_activation=None)
    )
    file, output = tmp_path / "vgg16.keras", tmp_path / "ours.weights.h5"
    complete.save(file)
    model = "{name: vgg, depth: 16}"
    assert convert_weights.main([f"{file}", "--model", model, "--output", f"{output}", "--classes", "5", *SMALL]) == 0
    ours = Vgg(depth=16, scaling="caffe").network((32, 32, 3), 5)
    report = start_weights.load(ours, output)
    assert (report.layers, report.classifier, report.left_out) == (16, True, ())
    assert "with the classifier" in report.line()
    expected = complete(keras.applications.vgg16.preprocess_input(images())).numpy()
    assert close(ours.model(images()).numpy(), expected)


OTHERS = {
    "densenet": ("DenseNet121", "{name: densenet}", 64, DenseNet(scaling="imagenet"), 241),
    "inception": ("InceptionV3", "{name: inception, version: 3, dropout: null}", 75, Inception(version=3), 188),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", OTHERS)
def test_a_file_of_another_family_becomes_our_network(capsys, tmp_path, family):
    application, model, size, architecture, layers = OTHERS[family]
    build = getattr(keras.applications, application)
    theirs = randomized(build(include_top=False, pooling="avg", weights=None, input_shape=(size, size, 3)))
    file, output = tmp_path / "theirs.h5", tmp_path / "ours.weights.h5"
    write_legacy(theirs, file)
    words = ["--model", model, "--output", f"{output}", "--image-size", f"{size}"]
    assert convert_weights.main([f"{file}", *words]) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert told.startswith(f"{layers} layers match, all of {application} without its top\n")
    assert told.endswith(f"  scaling: {architecture.scaling}\n  weights: {output}\n")
    ours = architecture.network((size, size, 3), 1000)
    report = start_weights.load(ours, output)
    assert (report.layers, report.classifier, report.left_out) == (layers, False, ())
    preprocess = keras.applications.densenet if family == "densenet" else keras.applications.inception_v3
    expected = theirs(preprocess.preprocess_input(images(size))).numpy()
    assert np.ptp(expected, axis=0).max() > 0.02 * np.abs(expected).max()
    assert close(ours.backbone(images(size)).numpy(), expected)


def test_a_file_of_another_network_is_told_apart_and_nothing_is_written(capsys, legacy_file, tmp_path):
    output = tmp_path / "vgg19.weights.h5"
    words = ["--model", "{name: vgg, depth: 19}", "--output", f"{output}", *SMALL]
    assert convert_weights.main([f"{legacy_file}", *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        f"{legacy_file} has other weights than VGG19 without its top\n"
        "  only in the file: none\n"
        "  only in VGG19 without its top: 1 of 256, 1 of 3x3x256x256, 2 of 3x3x512x512, 2 of 512\n"
    )
    assert list(tmp_path.iterdir()) == []


def refused(capsys, tmp_path, *words):
    output = tmp_path / "ours.weights.h5"
    assert convert_weights.main(["--output", f"{output}", *SMALL, *map(str, words)]) == 2
    assert not output.exists()
    assert not list(tmp_path.glob(".writing*"))
    return capsys.readouterr().err


def test_layers_that_only_one_side_has_are_listed(capsys, legacy_file, tmp_path):
    told = refused(capsys, tmp_path, legacy_file, "--model", "{name: vgg, depth: 16, dense_units: [8]}")
    assert told == (
        "not all layers of vgg 16 and VGG16 match\n  only in ours: dense1 kernel512x8 bias8\n  only in VGG16: none\n"
    )


def test_a_file_that_is_there_is_replaced_only_by_force(capsys, legacy_file, tmp_path):
    output = tmp_path / "ours.weights.h5"
    output.write_text("mine")
    words = ["--model", "{name: vgg, depth: 16}", "--output", f"{output}", *SMALL]
    assert convert_weights.main(["no such file.h5", *words]) == 2  # before anything is read
    assert capsys.readouterr().err == f"--output {output} exists already; --force replaces it\n"
    assert output.read_text() == "mine"
    assert convert_weights.main([f"{legacy_file}", *words, "--force"]) == 0
    assert start_weights.load(Vgg(depth=16, dense_units=()).network((32, 32, 3), 7), output).layers == 13


def test_a_network_of_other_outputs_is_refused(capsys, legacy_file, tmp_path, monkeypatch):
    vgg = FAMILIES["vgg"]
    monkeypatch.setitem(FAMILIES, "vgg", replace(vgg, scaling="symmetric"))
    told = refused(capsys, tmp_path, legacy_file, "--model", "{name: vgg, depth: 16}")
    assert told.startswith("the outputs of vgg 16 and VGG16 differ, by ")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("{name: vgg, depth: 16, weights: x.h5}", "model.weights: is what this makes"),
        ("{name: vgg, depth: 11}", "keras.applications has no VGG11"),
        ("{name: vgg, depth: 12}", "model.depth: can't be 12; it may be 11, 13, 16, 19"),
        ("{name: vgg", "--model:1:"),
        ("{name: densenet, depth: 264}", "keras.applications has no DenseNet264"),
        ("{name: densenet, depth: 22}", "keras.applications has no DenseNet22"),
        ("{name: inception, version: 1}", "keras.applications has no InceptionV1"),
    ],
)
def test_a_network_that_can_not_be_converted_is_told(capsys, legacy_file, tmp_path, model, told):
    answer = refused(capsys, tmp_path, legacy_file, "--model", model, "--image-size", "64")
    assert told in answer and answer.count("\n") == 1


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("name: vgg, activation: elu", "VGG16 of keras.applications has activation: relu, not elu"),
        ("name: vgg, normalization: batch", "VGG16 of keras.applications has normalization: none, not batch"),
        ("name: vgg, scaling: symmetric", "VGG16 of keras.applications has scaling: caffe, not symmetric"),
        (
            "name: densenet, growth_rate: 12, compression: 1.0, normalization: group",
            "DenseNet121 of keras.applications has growth_rate: 32, not 12; compression: 0.5, not 1.0; "
            "normalization: batch, not group",
        ),
        (
            "name: densenet, scaling: symmetric",
            "DenseNet121 of keras.applications has scaling: imagenet, not symmetric",
        ),
        ("name: inception, stem: small", "InceptionV3 of keras.applications has stem: imagenet, not small"),
        (
            "name: inception, normalization: none",
            "InceptionV3 of keras.applications has normalization: batch, not none",
        ),
    ],
)
def test_a_setting_that_the_network_of_keras_has_otherwise_is_told(capsys, legacy_file, tmp_path, model, told):
    assert refused(capsys, tmp_path, legacy_file, "--model", f"{{{model}}}", "--image-size", "75") == f"{told}\n"


def test_settings_that_say_what_is_so_anyway_are_no_difference():
    same = DenseNet(growth_rate=32, normalization="batch", dropout=0.2, initializer="he_uniform", l2=1e-4)
    assert not list(convert_weights.differences(FAMILIES["densenet"], same))
    same = Inception(normalization="batch", dropout=None, scaling="symmetric")
    assert not list(convert_weights.differences(FAMILIES["inception"], same))


def test_an_image_too_small_for_the_network_of_keras_is_told(capsys, legacy_file, tmp_path):
    told = refused(capsys, tmp_path, legacy_file, "--model", "{name: densenet}", "--image-size", "30")
    assert told.startswith("DenseNet121 is not for images of 30 pixels: ")


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


def test_every_family_of_the_table_is_converted_here_and_finds_the_classifier_of_keras():
    assert FAMILIES.keys() == {"vgg", *OTHERS}
    architectures = {"vgg": Vgg(), "densenet": DenseNet(), "inception": Inception()}
    for name, family in FAMILIES.items():
        assert family.keras_name(architectures[name], "logits") == "predictions"


def test_a_process_of_the_script_ends_with_2_and_one_line_where_it_can_not_convert(tmp_path):
    words = [tmp_path / "any.h5", "--model", "{name: lenet}", "--output", tmp_path / "ours.weights.h5"]
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "lenet has no counterpart in keras.applications; these have: vgg, densenet, inception\n"
    assert list(tmp_path.iterdir()) == []
