from __future__ import annotations

import functools
from typing import get_args

import numpy as np
import pytest

from cnnkit.core.lazy import keras, tf
from cnnkit.inspection.summary import layer_rows
from cnnkit.models import (
    AlexNet,
    AnyArchitecture,
    DenseNet,
    Hub,
    Inception,
    KerasApplication,
    LeNet,
    ResNet,
    Sequential,
    Snn,
    Vgg,
)
from cnnkit.models.sequential import (
    ActivationLayer,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GaussianNoise,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
    Residual,
    SeparableConv,
)

pytestmark = pytest.mark.usefixtures("large_kernels_repeat_what_is_drawn")

FAMILIES = get_args(get_args(AnyArchitecture)[0])

IMAGENET = (224, 224, 3), 1000
CIFAR = (32, 32, 3), 10
MNIST = (28, 28, 1), 10

CONV_CONV_POOL = Sequential(
    layers=(
        Conv(filters=16),
        Conv(filters=16),
        MaxPool(),
        Conv(filters=32),
        Conv(filters=32),
        MaxPool(),
        Conv(filters=64),
        Conv(filters=64),
        Flatten(),
        Dense(units=128),
    )
)


class Total(int):
    """A published count that includes what is not trained, the moving statistics of batch normalisation."""


# Published counts of trainable parameters, or of all where a Total is given.
# LeNet-5: LeCun et al. as textbooks have it; AlexNet: torchvision; SNN: the sum of its layers.
# VGG: table 2 of the paper to the million, torchvision and Keras to the unit.
# ResNet: torchvision; the small ones: option A, without parameters in the shortcuts.
# DenseNet: torchvision; the small one: 0.8 million in table 2. GoogLeNet: Caffe's. Inception-v3: Keras.
# keras.applications: Keras's documentation.
GOLDEN = [
    (CONV_CONV_POOL, MNIST, 474_618),
    (LeNet(), ((32, 32, 1), 10), 61_706),
    (LeNet(), MNIST, 61_706),
    (AlexNet(), IMAGENET, 61_100_840),
    (Snn(), CIFAR, 896 + 9248 + 18_496 + 36_928 + 73_856 + 147_584 + (2048 * 256 + 256) + 2570),
    (Vgg(depth=11), IMAGENET, 132_863_336),
    (Vgg(depth=13), IMAGENET, 133_047_848),
    (Vgg(depth=16), IMAGENET, 138_357_544),
    (Vgg(depth=19), IMAGENET, 143_667_240),
    (ResNet(depth=18), IMAGENET, 11_689_512),
    (ResNet(depth=34), IMAGENET, 21_797_672),
    (ResNet(depth=50), IMAGENET, 25_557_032),
    (ResNet(depth=101), IMAGENET, 44_549_160),
    (ResNet(depth=152), IMAGENET, 60_192_808),
    (ResNet(depth=20), CIFAR, 269_722),
    (ResNet(depth=32), CIFAR, 464_154),
    (ResNet(depth=44), CIFAR, 658_586),
    (ResNet(depth=56), CIFAR, 853_018),
    (ResNet(depth=110), CIFAR, 1_727_962),
    (DenseNet(depth=121), IMAGENET, 7_978_856),
    (DenseNet(depth=169), IMAGENET, 14_149_480),
    (DenseNet(depth=201), IMAGENET, 20_013_928),
    (DenseNet(depth=100, growth_rate=12), CIFAR, 769_162),
    (Inception(version=1), IMAGENET, 6_998_552),
    (Inception(version=3), ((299, 299, 3), 1000), 23_817_352),
    (ResNet(depth=50, width=2), IMAGENET, 68_883_240),
    (ResNet(depth=101, width=2), IMAGENET, 126_886_696),
    (ResNet(depth=20, version=2), CIFAR, 269_722),
    (ResNet(depth=110, version=2), CIFAR, 1_727_962),
    (KerasApplication(application="ResNet50"), IMAGENET, Total(25_636_712)),
    (KerasApplication(application="ResNet101"), IMAGENET, Total(44_707_176)),
    (KerasApplication(application="ResNet152"), IMAGENET, Total(60_419_944)),
    (KerasApplication(application="ResNet50V2"), IMAGENET, Total(25_613_800)),
    (KerasApplication(application="Xception"), IMAGENET, Total(22_910_480)),
    (KerasApplication(application="InceptionV3"), IMAGENET, Total(23_851_784)),
    (KerasApplication(application="DenseNet121"), IMAGENET, Total(8_062_504)),
]

# Filters of all convolutions: torchvision's vgg*_bn has a bias for each of them, which the normalisation cancels.
VGG_BATCH_NORM = [(11, 132_868_840, 2752), (13, 133_053_736, 2944), (16, 138_365_992, 4224), (19, 143_678_248, 5504)]


def name_of(value):
    if isinstance(value, FAMILIES):
        settings = value.model_dump(exclude={"layers", "name", "dropout"}, exclude_unset=True)
        return "-".join([value.name, *(f"{key}={setting}" for key, setting in settings.items())])
    return ""


@pytest.fixture
def zeros(monkeypatch):
    """Drawing 140 million random numbers takes most of the time of building a VGG; nothing here looks at them."""
    monkeypatch.setattr(
        keras.initializers.VarianceScaling, "__call__", lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)
    )


@functools.cache
def counted(architecture, shape, classes):
    """(parameters, trainable parameters, multiply-adds, Keras's own count)"""
    model = architecture.build(shape, classes)
    rows = layer_rows(model)
    return (
        sum(row.parameters for row in rows),
        sum(row.trainable for row in rows),
        sum(row.macs for row in rows),
        model.count_params(),
    )


def test_every_family_has_a_golden_row():
    # A hub has the numbers of whatever SavedModel it is given: test_hub.py.
    assert {type(architecture) for architecture, _, _ in GOLDEN} == set(FAMILIES) - {Hub}


# Of each family the first row is fast; the others build as many networks, some of a hundred layers.
FIRST = {id(row) for row in {type(row[0]): row for row in reversed(GOLDEN)}.values()}


@pytest.mark.parametrize(
    ("architecture", "data", "published"),
    [row if id(row) in FIRST else pytest.param(*row, marks=pytest.mark.slow) for row in GOLDEN],
    ids=name_of,
)
def test_parameters_are_those_published(zeros, architecture, data, published):
    total, trainable, _, keras_count = counted(architecture, *data)
    assert (total if isinstance(published, Total) else trainable) == published
    assert total == keras_count


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "published", "filters"), VGG_BATCH_NORM)
def test_vgg_with_batch_norm_has_torchvisions_parameters_but_the_useless_biases(zeros, depth, published, filters):
    convolutional = 7 * 7 * 512 * 4096 + 4096 + 4096 * 4096 + 4096  # the same dense layers, built small below
    total, trainable, _, _ = counted(Vgg(depth=depth, normalization="batch", dense_units=()), (32, 32, 3), 10)
    classifier = 512 * 10 + 10
    assert trainable - classifier + convolutional + 4096 * 1000 + 1000 == published - filters
    assert total - trainable == 2 * filters  # a moving mean and variance for each


# Published multiply-adds, in units of 1e9.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "published"),
    [
        (Vgg(depth=16), 15.5),
        (ResNet(depth=18), 1.82),
        (ResNet(depth=50), 4.1),
        (DenseNet(depth=121), 2.88),
        (Inception(version=3), 5.7),
    ],
    ids=name_of,
)
def test_multiply_adds_are_those_published(zeros, architecture, published):
    assert counted(architecture, architecture.image_shape, 1000)[2] / 1e9 == pytest.approx(published, rel=0.02)


def test_layers_of_ones_own_have_the_counts_of_their_formulas():
    rows = layer_rows(CONV_CONV_POOL.build((28, 28, 1), 10))
    counts = [row.parameters for row in rows if row.parameters]
    assert counts == [160, 2320, 4640, 9248, 18496, 36928, 401_536, 1290]
    assert sum(counts) == 474_618


MADE_FOR_THE_TESTS = "/made for the tests"
"""Stands for the SavedModel of conftest.py, which is not there yet when tests are collected."""

# Every family, and every kind of block in it, small enough to run.
RUNNING = [
    Sequential(
        layers=(
            Conv(filters=4, strides=2, padding="valid", activation="gelu"),
            MaxPool(padding="same"),
            Flatten(),
            Dropout(rate=0.2),
            Dense(units=8, activation="tanh"),
        )
    ),
    Sequential(
        layers=(
            Conv(filters=6, activation="linear"),
            BatchNorm(),
            ActivationLayer(),
            GaussianNoise(stddev=0.05),
            SeparableConv(filters=8, activation="elu"),
            AvgPool(),
            DepthwiseConv(depth_multiplier=2, activation="leaky_relu"),
            Residual(layers=(Conv(filters=8), BatchNorm(), Conv(filters=16, activation="linear"))),
            Residual(layers=(Conv(filters=20, strides=2), Residual(layers=(Conv(filters=20),))), activation="elu"),
            GlobalAvgPool(),
            Residual(layers=(Dense(units=9, activation="tanh"),), activation="linear"),
        ),
        initializer="he_uniform",
    ),
    Sequential(layers=(AvgPool(pool_size=4), GlobalMaxPool())),
    LeNet(),
    LeNet(normalization="batch", activation="relu", dropout=0.3),
    AlexNet(stem="small", dense_units=(16,)),
    Snn(filters=(8, 12), dense_units=(16,)),
    Snn(filters=(8,), convolutions=1, dense_units=(), dropout=0.0),
    Vgg(depth=11, dense_units=(32, 16)),
    Vgg(depth=13, normalization="batch", dense_units=(16,), dropout=0.0),
    Vgg(depth=11, dense_units=()),
    ResNet(depth=18),
    ResNet(depth=50),
    ResNet(depth=20),
    DenseNet(depth=16, growth_rate=4, dropout=0.2),
    Inception(version=1),
    ResNet(depth=20, version=2),
    ResNet(depth=16, version=2, width=2, dropout=0.2, stochastic_depth=0.2),
    ResNet(depth=50, version=2),
    KerasApplication(application="MobileNet", alpha=0.25, weights=None, dropout=0.1),
    KerasApplication(application="MobileNetV2", alpha=0.35, weights=None),
    Hub(handle=MADE_FOR_THE_TESTS, pixel_range=(-1.0, 1.0)),
]


@functools.cache
def running(architecture):
    keras.utils.set_random_seed(1)
    return architecture.build((32, 32, 3), 5)


ONCE_MORE = (
    Vgg(depth=11, dense_units=()),
    ResNet(depth=18),
    ResNet(depth=50),
    ResNet(depth=20, version=2),
    ResNet(depth=50, version=2),
    KerasApplication(application="MobileNetV2", alpha=0.35, weights=None),
)
"""Of families and settings that others have which run among the fast tests. What their own blocks compute has a fast
test too, in the file of the family or below; but of MobileNetV2, which is Keras's, only the beginning."""


@pytest.fixture(
    params=[pytest.param(one, marks=pytest.mark.slow) if one in ONCE_MORE else one for one in RUNNING], ids=name_of
)
def architecture(request):
    if isinstance(request.param, Hub):
        return request.param.model_copy(update={"handle": str(request.getfixturevalue("hub_folder"))})
    return request.param


def pixels(*shape):
    return np.random.default_rng(7).integers(0, 256, shape).astype(np.float32)


def test_every_family_runs():
    assert {type(architecture) for architecture in RUNNING} == set(FAMILIES)


def test_logits_are_finite_float32_and_differ_between_images(architecture):
    logits = running(architecture)(pixels(3, 32, 32, 3), training=False).numpy()
    assert logits.shape == (3, 5) and logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert np.abs(logits[0] - logits[1]).max() > 0


def test_a_gradient_reaches_every_trainable_weight(architecture):
    model = running(architecture)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.nn.log_softmax(model(pixels(8, 32, 32, 3), training=True))[:, 0])
    weights = [weight.value for weight in model.trainable_weights]
    gradients = tape.gradient(loss, weights)
    still = [
        weight.path
        for weight, gradient in zip(model.trainable_weights, gradients, strict=True)
        if gradient is None or not np.any(gradient) or not np.isfinite(gradient).all()
    ]
    assert still == []


def test_weights_saved_and_loaded_make_no_difference(architecture, tmp_path):
    model = running(architecture)
    model.save_weights(tmp_path / "a.weights.h5")
    keras.utils.set_random_seed(2)
    other = architecture.build((32, 32, 3), 5)
    images = pixels(2, 32, 32, 3)
    assert np.abs(other(images) - model(images)).max() > 0
    other.load_weights(tmp_path / "a.weights.h5")
    assert np.abs(other(images) - model(images)).max() == 0.0


def test_scaling_is_inside_the_model(architecture):
    model = running(architecture)
    inside = keras.Model(model.input, model.get_layer("scaling").output)
    images = np.stack([np.full((32, 32, 3), value, np.float32) for value in (0, 127.5, 255)])
    assert np.abs(inside(images).numpy().mean(axis=(1, 2, 3)) - [-1, 0, 1]).max() < 1e-6


def test_stages_are_what_the_names_of_layers_begin_with_in_their_order(architecture):
    outside = {"image", "scaling", "flatten", "pool", "dropout", "logits"}
    stages = architecture.stages()
    if isinstance(architecture, KerasApplication):
        assert stages == ()  # its layers have Keras's names
        return
    layers = [row.name for row in layer_rows(running(architecture)) if row.name not in outside]
    found = [[stage for stage in stages if layer.startswith(stage)] for layer in layers]
    assert all(len(names) == 1 for names in found)
    assert tuple(dict.fromkeys(name for [name] in found)) == stages


SMALLEST = [
    (LeNet(), 12),
    (AlexNet(dense_units=(8,)), 63),
    (AlexNet(stem="small", dense_units=(8,)), 15),
    (Snn(filters=(4, 4, 4)), 8),
    (Vgg(depth=11, dense_units=(8,)), 32),
    (ResNet(depth=18), 32),
    (ResNet(depth=20), 8),
    pytest.param(DenseNet(depth=121, growth_rate=8), 29, marks=pytest.mark.slow),
    (DenseNet(depth=16, growth_rate=4), 4),
    (Inception(version=1), 32),
    (Inception(version=1, stem="small"), 4),
    pytest.param(Inception(version=3), 75, marks=pytest.mark.slow),
    pytest.param(Inception(version=3, stem="small"), 7, marks=pytest.mark.slow),
    pytest.param(ResNet(depth=18, version=2), 32, marks=pytest.mark.slow),
    (ResNet(depth=16, version=2, width=2), 8),
    (KerasApplication(application="MobileNet", alpha=0.25, weights=None), 32),
    pytest.param(KerasApplication(application="Xception", weights=None), 71, marks=pytest.mark.slow),
    (Sequential(layers=(Conv(filters=2, kernel_size=5, padding="valid"), MaxPool(), Flatten())), 6),
]


@pytest.mark.parametrize(("architecture", "smallest"), SMALLEST, ids=name_of)
def test_the_smallest_image_runs_and_one_pixel_less_is_a_problem(architecture, smallest):
    shape = (smallest, smallest, 1)
    assert list(architecture.problems(shape)) == []
    assert np.isfinite(architecture.build(shape, 2)(pixels(1, *shape))).all()
    for shape in ((smallest - 1, smallest, 1), (smallest, smallest - 1, 1)):
        [problem] = architecture.problems(shape)
        assert "pixels" in problem.message


@pytest.mark.parametrize(
    "architecture",
    [
        LeNet(),
        AlexNet(stem="small", dense_units=(8,)),
        Snn(filters=(4, 8)),
        Vgg(depth=11, dense_units=(8,)),
        ResNet(depth=18),
        ResNet(depth=20),
        pytest.param(DenseNet(depth=121, growth_rate=8), marks=pytest.mark.slow),
        DenseNet(depth=16, growth_rate=4),
        Inception(version=1),
        pytest.param(ResNet(depth=18, version=2), marks=pytest.mark.slow),
        ResNet(depth=20, version=2),
        CONV_CONV_POOL,
        KerasApplication(application="MobileNet", alpha=0.25, weights=None),
    ],
    ids=name_of,
)
def test_odd_and_non_square_images_work(architecture):
    shape = (33, 47, 1)
    assert list(architecture.problems(shape)) == []
    assert np.isfinite(architecture.build(shape, 3)(pixels(2, *shape))).all()


WRONG = [
    ((Dense(units=4),), "layers.0", "flatten"),
    ((Conv(filters=2),), "layers.0", "flatten"),
    ((Flatten(), Conv(filters=2)), "layers.1", "vector of 192"),
    ((MaxPool(pool_size=4), MaxPool(pool_size=4), Flatten()), "layers.1", "2 x 2 pixels"),
    ((Conv(filters=2, kernel_size=9, padding="valid"), Flatten()), "layers.0", "9 x 9"),
]


@pytest.mark.parametrize(("layers", "key", "expected"), WRONG, ids=[key + expected for _, key, expected in WRONG])
def test_layers_that_do_not_fit_are_a_problem_that_names_them(layers, key, expected):
    [problem] = Sequential(layers=layers).problems((8, 8, 3))
    assert problem.key == key
    assert expected in problem.message


@pytest.mark.parametrize("shape", [(28, 28, 1), (31, 17, 3)])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_shapes_foretold_without_tensorflow_are_those_of_keras(shape, strides, padding):
    layers = (
        Conv(filters=3, kernel_size=4, strides=strides, padding=padding),
        MaxPool(pool_size=3, strides=2, padding=padding),
        Flatten(),
        Dropout(),
        Dense(units=5),
    )
    foretold = [shape]
    for layer in layers:
        foretold.append(layer.output(foretold[-1]))
    rows = layer_rows(Sequential(layers=layers).build(shape, 2))
    assert [row.output_shape for row in rows[1:-1]] == foretold


@pytest.mark.parametrize("top", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_vgg16_computes_what_that_of_keras_applications_does(top):
    settings = {"classes": 5, "classifier_activation": None} if top else {}
    theirs = keras.applications.VGG16(include_top=top, weights=None, input_shape=(32, 32, 3), **settings)
    random = np.random.default_rng(2)  # biases too, which begin at zero
    theirs.set_weights([w if w.ndim > 1 else random.normal(0, 0.1, w.shape) for w in theirs.get_weights()])
    network = (Vgg(depth=16) if top else Vgg(depth=16, dense_units=())).network((32, 32, 3), 5)
    ours = network.model if top else network.backbone
    ours.set_weights(theirs.get_weights())
    images = pixels(2, 32, 32, 3)
    expected = theirs(images / 127.5 - 1).numpy().reshape(2, -1)
    assert np.abs(expected).max() > 0
    assert np.abs(ours(images).numpy() - expected).max() < 1e-4 * np.abs(expected).max()


def test_option_a_leaves_out_every_other_pixel_and_adds_channels_of_zeros():
    model = running(ResNet(depth=20))
    before = model.get_layer("stage1_block3_relu").output
    after = model.get_layer("stage2_block1_shortcut_pad").output
    x, shortcut = (tensor.numpy() for tensor in keras.Model(model.input, [before, after])(pixels(2, 32, 32, 3)))
    assert np.array_equal(shortcut[..., :16], x[:, ::2, ::2])
    assert shortcut.shape[-1] == 32 and not shortcut[..., 16:].any()


@pytest.mark.slow
def test_a_bottleneck_halves_the_image_in_its_3x3_convolution():
    model = running(ResNet(depth=50))
    convolutions = [model.get_layer(f"stage2_block1_conv{i}") for i in (1, 2, 3)]
    assert [(layer.kernel_size, layer.strides) for layer in convolutions] == [
        ((1, 1), (1, 1)),
        ((3, 3), (2, 2)),
        ((1, 1), (1, 1)),
    ]
