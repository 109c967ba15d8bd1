from __future__ import annotations

import importlib
import inspect
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import get_args

import h5py
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from cnnkit.config.file import read, write
from cnnkit.core.errors import ConfigError, DataError
from cnnkit.core.lazy import keras
from cnnkit.core.progress import Progress
from cnnkit.inspection.summary import layer_rows
from cnnkit.models import AnyArchitecture, KerasApplication
from cnnkit.models.keras_application import NETWORKS, Name
from cnnkit.models.keras_layers import BatchNormalization

pytestmark = [
    pytest.mark.filterwarnings("ignore:`input_shape` is undefined"),  # Keras, of sizes without weights
    pytest.mark.usefixtures("large_kernels_repeat_what_is_drawn"),
]

WITH_ALPHA = [name for name, row in NETWORKS.items() if row.alphas]


def random_pixels(*shape):
    return np.random.default_rng(3).integers(0, 256, shape).astype(np.float32)


class Reached(Exception):
    """The first layer with weights that learn; carries what it gets."""


MOBILENET_V3_HASHES = importlib.import_module("keras.src.applications.mobilenet_v3").WEIGHTS_HASHES

# As they are, whatever a test puts in their place.
BUILD = {name: getattr(keras.applications, name) for name in NETWORKS}


def beginning(name, **settings):
    """What the first convolution of Keras's network gets; ConvNeXt's lies in a Sequential."""

    def stop(self, x, *_, **__):
        raise Reached(x)

    with pytest.MonkeyPatch.context() as patch:
        for kind in (keras.layers.Conv2D, keras.Sequential):
            patch.setattr(kind, "__call__", stop)
        with pytest.raises(Reached) as reached:
            BUILD[name](**settings)
    return reached.value.args[0]


def stock(name, monkeypatch, **settings):
    """Keras's network as it is built for ImageNet weights, which are left out."""
    with monkeypatch.context() as patch:
        patch.setattr(keras.src.utils.file_utils, "get_file", lambda *_, **__: "")
        patch.setattr(keras.Model, "load_weights", lambda *_: None)
        network = getattr(keras.applications, name)(include_top=False, pooling="avg", weights="imagenet", **settings)
    fill_normalization(network)
    return network


def fill_normalization(network):
    """EfficientNet's file has ImageNet's means, and deviations where the layer wants squares of them."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign([0.229, 0.224, 0.225])
            layer.finalize_state()


def test_the_table_has_every_network_of_keras_and_no_other():
    offered = {name for name in dir(keras.applications) if inspect.isfunction(getattr(keras.applications, name))}
    assert set(get_args(Name)) == set(NETWORKS) == offered
    assert [variant.application for variant in KerasApplication.variants()] == list(get_args(Name))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_first_convolution_gets_what_it_gets_in_keras(name, monkeypatch):
    images = random_pixels(2, 80, 80, 3)
    module = importlib.import_module(getattr(keras.applications, name).__module__)
    reached = beginning(name, include_top=False, weights="imagenet", input_shape=(80, 80, 3))
    theirs = keras.Model(keras.utils.get_source_inputs(reached)[0], reached)
    fill_normalization(theirs)
    expected = theirs(module.preprocess_input(images.copy())).numpy()

    def cut(**settings):
        end = beginning(name, **settings)
        return keras.Model(keras.utils.get_source_inputs(end), end)

    monkeypatch.setattr(keras.applications, name, cut)
    application = KerasApplication(application=name)
    image = keras.Input((80, 80, 3))
    ours = keras.Model(image, application.features(application.scale(image)))
    assert np.abs(ours(images).numpy() - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_smallest_image_is_that_of_keras(name):
    smallest = KerasApplication(application=name).smallest_image
    beginning(name, include_top=False, weights=None, input_shape=(smallest, smallest, 3))
    with pytest.raises(ValueError, match="at least"):
        getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(smallest - 1, smallest - 1, 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_image_of_the_table_is_that_of_the_imagenet_weights(name):
    # MobileNetV3 has a shape of its own only in the names of its files.
    if name.startswith("MobileNetV3"):
        assert all("_224_" in file for file in MOBILENET_V3_HASHES)
        assert KerasApplication(application=name).image_shape == (224, 224, 3)
        return
    [image] = keras.utils.get_source_inputs(beginning(name, include_top=True, weights="imagenet"))
    assert KerasApplication(application=name).image_shape == image.shape[1:]


@pytest.mark.parametrize("name", NETWORKS)
def test_alpha_is_taken_where_keras_takes_it(name):
    assert ("alpha" in inspect.signature(getattr(keras.applications, name)).parameters) == (name in WITH_ALPHA)
    for alpha in NETWORKS[name].alphas:
        beginning(name, include_top=False, weights="imagenet", input_shape=(224, 224, 3), alpha=alpha)
        assert KerasApplication(application=name, alpha=alpha).alpha == alpha
    if name in WITH_ALPHA:
        with pytest.raises(ValueError, match="alpha"):
            getattr(keras.applications, name)(
                include_top=False, weights="imagenet", input_shape=(224, 224, 3), alpha=0.9
            )


def kind_of(weight):
    layer, variable = weight.path.split("/")[-2:]
    return re.sub(r"_\d+$", "", layer), re.sub(r"_\d+$", "", variable), tuple(weight.shape)


# One of each way to be built: plain, with custom layers, operations, nested models, own scaling.
SAME = [
    ("MobileNet", {"alpha": 0.25}, 64),
    ("MobileNetV3Small", {"alpha": 0.75}, 64),
    pytest.param("EfficientNetB0", {}, 64, marks=pytest.mark.slow),
    pytest.param("ConvNeXtTiny", {}, 64, marks=pytest.mark.slow),
    pytest.param("Xception", {}, 71, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(
    ("name", "settings", "size"),
    SAME,
    ids=["MobileNet", "MobileNetV3Small", "EfficientNetB0", "ConvNeXtTiny", "Xception"],
)
def test_the_same_weights_give_the_features_of_keras(name, settings, size, monkeypatch):
    shape = (size, size, 3)
    theirs = stock(name, monkeypatch, input_shape=shape, **settings)
    random = np.random.default_rng(5)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([weight + random.uniform(-0.2, 0.2, weight.shape) for weight in layer.get_weights()])
    application = KerasApplication(application=name, **settings)
    ours = application.network(shape, 3).backbone
    # In the order in which Keras reads a file; numbers of layers without a name count all that was built before.
    assert [kind_of(weight) for weight in ours.weights] == [kind_of(weight) for weight in theirs.weights]
    ours.set_weights(theirs.get_weights())
    images = random_pixels(2, *shape)
    module = importlib.import_module(getattr(keras.applications, name).__module__)
    expected = theirs(module.preprocess_input(images.copy())).numpy()
    assert expected.std() > 0
    assert np.abs(ours(images).numpy() - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.fixture(scope="module")
def small():
    keras.utils.set_random_seed(1)
    return KerasApplication(application="MobileNet", alpha=0.25, weights=None).build((32, 32, 3), 4)


def test_batch_normalisation_is_ours_with_the_settings_of_keras(small):
    theirs = keras.applications.MobileNet(include_top=False, weights=None, alpha=0.25, input_shape=(32, 32, 3))
    checked = 0
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            mine = small.get_layer(layer.name)
            assert type(mine) is BatchNormalization
            assert mine.get_config() == layer.get_config()
            checked += 1
    assert checked == 27


def test_frozen_layers_are_in_inference_mode_in_training(small):
    layers = [layer for layer in small.layers if layer.weights]
    for layer in layers:
        layer.trainable = False
    before = small.get_weights()
    images = random_pixels(4, 32, 32, 3)
    assert np.array_equal(small(images, training=True), small(images, training=False))
    for layer in layers:
        layer.trainable = True
    assert np.abs(small(images, training=True) - small(images, training=False)).max() > 0
    assert all(np.array_equal(a, b) for a, b in zip(before[:2], small.get_weights()[:2], strict=True))


def test_layers_are_called_as_in_a_fresh_process_whatever_was_built_before():
    application = KerasApplication(application="MobileNet", alpha=0.25, weights=None)
    keras.layers.GlobalAveragePooling2D(), keras.layers.ReLU()
    number = int(keras.layers.ReLU().name.removeprefix("re_lu_"))
    names = [row.name for row in layer_rows(application.build((32, 32, 3), 2))]
    assert names[:3] == ["image", "scaling", "conv1"]
    assert names[-2:] == ["global_average_pooling2d", "logits"]
    assert keras.layers.ReLU().name == f"re_lu_{number + 1}"  # and numbers outside go on where they were


def test_every_layer_stands_by_itself_with_one_output():
    network = KerasApplication(application="ConvNeXtTiny", weights=None).network((32, 32, 3), 2)
    names = [row.name for row in layer_rows(network.model)]
    assert "convnext_tiny_stem_conv" in names and "convnext_tiny_downsampling_conv_2" in names
    assert not any(isinstance(layer, keras.Model) for layer in network.backbone.layers)
    for layer in network.backbone.layers:
        assert layer.output is not None


@pytest.mark.parametrize("name", ["EfficientNetB0", "VGG16"])
def test_images_of_one_channel_start_from_nothing(name):
    [problem] = KerasApplication(application=name).problems((32, 32, 1))
    assert problem.key == "weights" and "null" in problem.message
    application = KerasApplication(application=name, weights=None)
    assert list(application.problems((32, 32, 1))) == []
    assert np.isfinite(application.build((32, 32, 1), 2)(random_pixels(1, 32, 32, 1))).all()


def test_one_channel_is_scaled_even_where_keras_would_not():
    application = KerasApplication(application="ConvNeXtTiny", weights=None)
    image = keras.Input((32, 32, 1))
    scaled = keras.Model(image, application.scale(image))(np.full((1, 32, 32, 1), 255.0))
    assert np.all(scaled == 1)


ADAPTER = TypeAdapter(AnyArchitecture)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"application": "VGG16", "alpha": 0.5}, "one width only"),
        ({"application": "MobileNet", "alpha": 0.3}, "0.25, 0.5, 0.75 or 1"),
        ({"application": "MobileNet", "alpha": 0.0}, "greater than"),
        ({"application": "VGG17"}, "VGG16"),
        ({"application": "MobileNet", "weights": 3}, "string"),
        ({"application": "MobileNet", "activation": "relu"}, "Extra"),
    ],
)
def test_what_it_can_not_be(settings, expected):
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python({"name": "keras_application", **settings})
    [detail] = caught.value.errors()
    assert expected in detail["msg"]


def test_another_width_without_imagenet_weights():
    assert KerasApplication(application="MobileNet", alpha=0.3, weights=None).alpha == 0.3


def config(folder, model):
    text = f"data:\n  source: {{name: digits}}\n  image_size: [32, 32]\n  channels: 3\nmodel: {model}\n"
    (folder / "config.yaml").write_text(text)
    return folder / "config.yaml"


@pytest.mark.parametrize(
    ("written", "weights", "pretrained"),
    [("", "imagenet", True), (", weights: imagenet", "imagenet", True), (", weights: null", None, False)],
)
def test_imagenet_is_a_word_in_a_config(tmp_path, written, weights, pretrained):
    experiment = read(config(tmp_path, f"{{name: keras_application, application: VGG16{written}}}"))
    assert experiment.model.weights == weights
    assert experiment.model.pretrained == pretrained
    (tmp_path / "again.yaml").write_text(write(experiment))
    assert read(tmp_path / "again.yaml").model == experiment.model


def test_any_other_word_is_a_file_beside_the_config(tmp_path):
    path = config(tmp_path, "{name: keras_application, application: VGG16, weights: mine.h5}")
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(tmp_path / "mine.h5") in str(caught.value) and "model.weights" in str(caught.value)
    h5py.File(tmp_path / "mine.h5", "w").close()
    assert read(path).model.pretrained_weights(Progress()) == tmp_path / "mine.h5"


def test_a_wrong_width_has_its_place_in_the_config(tmp_path):
    with pytest.raises(ConfigError, match=r"config.yaml:5:\d+: model.alpha: VGG16 has one width only"):
        read(config(tmp_path, "{name: keras_application, application: VGG16, alpha: 0.5}"))


def test_weights_follow_the_width_and_the_size_as_in_keras():
    quarter = KerasApplication(application="MobileNet", alpha=0.25)
    for shape, size in (((160, 160, 3), 160), ((128, 160, 3), 224), ((32, 32, 3), 224)):
        published = quarter.published(shape)
        assert published.name == f"mobilenet_2_5_{size}_tf_no_top.h5"
        assert published.url.startswith("https://") and published.url.endswith(f"mobilenet/{published.name}")
        assert published.digest is None
    wide = KerasApplication(application="MobileNetV2", alpha=1.4).published((96, 96, 3))
    assert wide.name == "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_96_no_top.h5"
    small = KerasApplication(application="MobileNetV3Small", alpha=0.75).published((224, 224, 3))
    assert small.digest == MOBILENET_V3_HASHES["small_224_0.75_float"][1]


def test_keras_gets_its_own_download_back():
    before = keras.src.utils.file_utils.get_file
    KerasApplication(application="MobileNet", alpha=0.25).published((128, 128, 3))
    assert keras.src.utils.file_utils.get_file is before


def test_weights_in_the_cache_of_keras_serve(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", None)  # not asked
    file = tmp_path / "models" / "mobilenet_2_5_128_tf_no_top.h5"
    file.parent.mkdir()
    file.write_bytes(b"by hand")
    application = KerasApplication(application="MobileNet", alpha=0.25)
    assert application.pretrained_weights(Progress(), (128, 128, 3)) == file


def test_without_a_network_it_is_told_what_to_do(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise urllib.error.URLError(OSError(101, "Network is unreachable"))

    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("CNNKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(DataError) as caught:
        KerasApplication(application="MobileNet", alpha=0.25).pretrained_weights(Progress())
    message = str(caught.value)
    file = Path(tmp_path, "keras", "models", "mobilenet_2_5_224_tf_no_top.h5")
    assert "Network is unreachable" in message and str(file) in message and "model.weights: FILE" in message
    assert list(file.parent.iterdir()) == []
