"""LeNet-5, AlexNet, the self-normalising network, and what a network of one's own may consist of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import TypeAdapter

from cnnkit.core.lazy import keras
from cnnkit.inspection.summary import layer_rows
from cnnkit.models import AlexNet, LeNet, Sequential, Snn
from cnnkit.models.layers import Style
from cnnkit.models.sequential import (
    ActivationLayer,
    AnyLayer,
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
    named,
)


def shapes(model):
    return {row.name: row.output_shape for row in layer_rows(model)}


def counts(model):
    return [row.parameters for row in layer_rows(model) if row.parameters]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def behind(model, *names):
    """The outputs of these layers, from what the layer `scaling` makes."""
    return keras.Model(model.get_layer("scaling").output, [model.get_layer(name).output for name in names])


@pytest.mark.parametrize("family", [LeNet, AlexNet, Snn])
def test_a_family_by_its_name_alone_is_the_network_of_its_paper(family):
    assert list(family.variants()) == [family()]
    assert list(family().problems(family().image_shape)) == []
    assert "arXiv" in family().paper or "doi" in family().paper


@pytest.mark.parametrize("layer", [SeparableConv(filters=2), DepthwiseConv(), Residual(layers=(Conv(filters=2),))])
def test_l2_counts_every_kernel_of_the_new_layers(layer):
    model = Sequential(layers=(layer, Flatten()), l2=0.5).build((8, 8, 3), 2)
    kernels = [weight.numpy() for weight in model.weights if len(weight.shape) > 1]
    expected = 0.5 * sum(np.square(kernel).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


# LeCun et al. 1998, figure 2. Parameters by hand: 5 x 5 x 1 x 6 + 6, 5 x 5 x 6 x 16 + 16 (every map sees all six),
# 400 x 120 + 120, 120 x 84 + 84, 84 x 10 + 10.
@pytest.mark.parametrize("side", [32, 28])
def test_lenet_has_the_shapes_of_its_figure_at_32_and_at_28_pixels(side):
    model = LeNet().build((side, side, 1), 10)
    found = shapes(model)
    names = ["conv1", "conv1_pool", "conv2", "conv2_pool", "flatten", "dense1", "dense2"]
    figure = [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (400,), (120,), (84,)]
    assert [found[name] for name in names] == figure
    assert counts(model) == [156, 2416, 48_120, 10_164, 850]
    assert sum(counts(model)) == 61_706


def test_lenet_at_28_pixels_computes_what_it_does_at_32_in_a_frame_of_zeros():
    small, large = (LeNet().build((side, side, 1), 3) for side in (28, 32))
    large.set_weights(small.get_weights())
    images = noise(2, 28, 28, 1)
    framed = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    logits = behind(small, "logits")(images)[0], behind(large, "logits")(framed)[0]
    assert np.abs(logits[0]).max() > 0
    assert np.abs(logits[0] - logits[1]).max() < 1e-5


def test_lenet_is_the_papers_unless_told_otherwise():
    paper = {row.type for row in layer_rows(LeNet().build((32, 32, 1), 10))}
    assert paper == {"InputLayer", "Rescaling", "Conv2D", "Activation", "AveragePooling2D", "Flatten", "Dense"}
    model = LeNet(activation="relu", normalization="batch", dropout=0.4).build((32, 32, 1), 10)
    names = [row.name for row in layer_rows(model)]
    assert ["conv2_norm" in names, "dense2_relu" in names, "dense2_dropout" in names] == [True] * 3
    assert not model.get_layer("conv1").use_bias
    assert model.get_layer("dense1_dropout").rate == 0.4


# Filters, and what is left of 224 pixels: (224 + 4 - 11) / 4 + 1 = 55, poolings of 3 by 2: 27, 13, 6.
def test_alexnet_has_the_shapes_of_its_table():
    model = AlexNet(dense_units=(4,)).build((224, 224, 3), 2)
    found = shapes(model)
    assert [found[f"conv{i}"] for i in range(1, 6)] == [
        (55, 55, 64),
        (27, 27, 192),
        (13, 13, 384),
        (13, 13, 256),
        (13, 13, 256),
    ]
    assert [found[f"conv{i}_pool"][:2] for i in (1, 2, 5)] == [(27, 27), (13, 13), (6, 6)]
    assert found["flatten"] == (9216,)
    assert [row.name for row in layer_rows(model) if row.type == "MaxPooling2D"] == [
        "conv1_pool",
        "conv2_pool",
        "conv5_pool",
    ]


def test_the_dense_layers_of_alexnet_follow_the_size_of_the_image():
    for side, left in ((63, 1), (95, 2), (224, 6), (256, 7)):  # by the same rule, by hand
        found = shapes(AlexNet(dense_units=()).build((side, side, 1), 2))
        assert found["conv5_pool"] == (left, left, 256)


def test_the_small_stem_of_alexnet_keeps_the_image():
    architecture = AlexNet(stem="small", dense_units=(8,))
    model = architecture.build((32, 32, 3), 10)
    found = shapes(model)
    assert [found[name][:2] for name in ("conv1", "conv1_pool", "conv2_pool", "conv5_pool")] == [
        (32, 32),
        (15, 15),
        (7, 7),
        (3, 3),
    ]
    assert model.get_layer("conv1").kernel_size == (3, 3)
    assert architecture.image_shape == (32, 32, 3) and AlexNet().image_shape == (224, 224, 3)


@pytest.mark.parametrize(("side", "helps"), [(62, True), (15, True), (14, False)])
def test_alexnet_tells_of_its_small_stem_where_that_would_do(side, helps):
    [problem] = AlexNet().problems((side, side, 3))
    assert ("stem: small" in problem.message) == helps
    assert (list(AlexNet(stem="small").problems((side, side, 3))) == []) == helps


def test_snn_is_selu_lecun_and_alpha_dropout_and_nothing_else():
    model = Snn(filters=(4, 4), dense_units=(8,)).build((32, 32, 3), 2)
    types = {row.type for row in layer_rows(model)}
    assert types == {
        *("InputLayer", "Rescaling", "ZeroPadding2D", "Conv2D", "Activation", "AlphaDropout", "Flatten", "Dense")
    }
    for layer in model.layers[:-1]:
        if isinstance(layer, keras.layers.Activation):
            assert layer.activation is keras.activations.selu
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense) and layer.name != "logits":
            assert isinstance(layer.kernel_initializer, keras.initializers.LecunNormal) and layer.use_bias
    dropped = [layer.name for layer in model.layers if isinstance(layer, keras.layers.AlphaDropout)]
    assert dropped == ["stage1_dropout", "stage2_dropout", "dense1_dropout"]


@pytest.mark.parametrize("setting", ["activation", "normalization", "initializer", "scaling"])
def test_snn_takes_no_setting_that_would_undo_it(setting):
    assert setting not in Snn.model_fields


def test_each_stage_of_snn_halves_the_image_with_its_last_convolution():
    found = shapes(Snn(filters=(3, 5, 7), convolutions=3).build((32, 24, 3), 2))
    assert found["stage1_conv2"] == (32, 24, 3)
    assert [found[f"stage{i}_conv3"] for i in (1, 2, 3)] == [(16, 12, 3), (8, 6, 5), (4, 3, 7)]


# 12 convolutions and 6 dense layers; images large enough that edges do not count.
DEEP = Snn(filters=(32, 48), convolutions=6, dense_units=(256,) * 6, dropout=0.1)


def statistics(training):
    """Mean and variance behind each layer for noise of mean 0 and variance 1."""
    keras.utils.set_random_seed(1)
    model = DEEP.build((48, 48, 3), 2)
    names = [row.name for row in layer_rows(model) if row.type in ("Activation", "ReLU", "AlphaDropout")]
    outputs = [output.numpy() for output in behind(model, *names)(noise(4, 48, 48, 3), training=training)]
    assert len(outputs) == 18 + 8
    return [(output.mean(), output.var()) for output in outputs]


# Klambauer et al., theorem 1: where weights have variance 1/n, means of -0.1..0.1 and variances of 0.8..1.5 stay there.
@pytest.mark.parametrize("training", [False, True], ids=["as it is", "with alpha dropout"])
def test_mean_and_variance_stay_near_0_and_1_through_the_layers_of_snn(training):
    for mean, variance in statistics(training):
        assert -0.1 <= mean <= 0.1
        assert 0.8 <= variance <= 1.5


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_another_activation_does_not_keep_them(monkeypatch, activation):
    monkeypatch.setattr(Snn, "style", property(lambda self: Style(activation, "lecun_normal", "none")))
    _, variance = statistics(training=False)[-1]
    assert variance < 0.4


# Every kind of layer, in ways that Keras can confirm.
LAYERS = [
    Conv(filters=3, kernel_size=4, strides=2),
    SeparableConv(filters=5),
    SeparableConv(filters=5, kernel_size=4, strides=3, padding="valid"),
    SeparableConv(filters=5, kernel_size=2, strides=2),
    DepthwiseConv(),
    DepthwiseConv(kernel_size=4, strides=2, padding="valid", depth_multiplier=3),
    DepthwiseConv(kernel_size=5, strides=3),
    MaxPool(pool_size=3, strides=2),
    AvgPool(),
    AvgPool(pool_size=3, strides=2, padding="same"),
    AvgPool(pool_size=4, strides=3),
    GlobalAvgPool(),
    GlobalMaxPool(),
    Flatten(),
    BatchNorm(),
    ActivationLayer(activation="tanh"),
    Dropout(),
    GaussianNoise(),
    Residual(layers=(Conv(filters=2), BatchNorm())),
    Residual(layers=(Conv(filters=4, strides=2), Conv(filters=7, activation="linear"))),
    Residual(layers=(MaxPool(pool_size=3, strides=3, padding="same"),), activation="linear"),
    Residual(layers=(Residual(layers=(DepthwiseConv(depth_multiplier=2),)), Conv(filters=2, strides=4))),
]
VECTOR_LAYERS = [
    Dense(units=6),
    BatchNorm(),
    ActivationLayer(),
    Flatten(),
    Residual(layers=(Dense(units=4), Dense(units=2))),
    Residual(layers=(Dense(units=9, activation="linear"),)),
]


def identity(layer):
    return f"{layer.name}-{LAYERS.index(layer) if layer in LAYERS else VECTOR_LAYERS.index(layer)}"


def test_every_kind_of_layer_is_held_against_keras():
    names = TypeAdapter(AnyLayer).json_schema()["discriminator"]["mapping"]
    assert {layer.name for layer in LAYERS + VECTOR_LAYERS} == set(names)


@pytest.mark.parametrize("shape", [(28, 28, 2), (31, 17, 2), (19, 20, 2)], ids=str)
@pytest.mark.parametrize("layer", LAYERS, ids=identity)
def test_the_shape_foretold_without_tensorflow_is_that_of_keras(layer, shape):
    x = layer(keras.Input(shape), "layer", Style())
    assert layer.output(shape) == tuple(x.shape[1:])


@pytest.mark.parametrize("layer", VECTOR_LAYERS, ids=identity)
def test_the_vector_foretold_without_tensorflow_is_that_of_keras(layer):
    x = layer(keras.Input((2,)), "layer", Style())
    assert layer.output((2,)) == tuple(x.shape[1:])


def output_of(layer, images):
    """What one layer makes of these numbers, in prediction, and the model."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input(images.shape[1:])
    model = keras.Model(inputs, layer(inputs, "layer", Style()))
    return model(images).numpy(), model


def test_a_separable_convolution_is_a_depthwise_one_and_a_1x1_one():
    images = noise(2, 9, 9, 3)
    output, model = output_of(SeparableConv(filters=4, activation="linear"), images)
    depthwise, pointwise, bias = (weight.numpy() for weight in model.weights)
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    by_hand = sum(
        padded[:, i : i + 9, j : j + 9] * depthwise[i, j, :, 0] for i in range(3) for j in range(3)
    )  # each channel by itself
    assert np.abs(output - (by_hand @ pointwise[0, 0] + bias)).max() < 1e-5
    output, model = output_of(DepthwiseConv(activation="linear"), images)
    model.set_weights([depthwise, np.zeros(3)])
    assert np.abs(model(images) - by_hand).max() < 1e-5


def test_poolings_by_hand():
    image = np.arange(32, dtype=np.float32).reshape(1, 4, 4, 2)
    assert output_of(AvgPool(), image)[0][0, :, :, 0].tolist() == [[5, 9], [21, 25]]
    assert output_of(GlobalAvgPool(), image)[0].tolist() == [[15, 16]]
    assert output_of(GlobalMaxPool(), image)[0].tolist() == [[30, 31]]


def test_noise_and_dropout_are_for_training_only():
    images = noise(2, 16, 16, 3)
    output, model = output_of(GaussianNoise(stddev=0.5), images)
    assert np.array_equal(output, images)
    assert (model(images, training=True).numpy() - images).std() == pytest.approx(0.5, rel=0.1)


def test_batch_norm_is_that_of_all_families():
    from cnnkit.models.keras_layers import BatchNormalization

    _, model = output_of(BatchNorm(), noise(2, 4, 4, 3))
    assert isinstance(model.get_layer("layer"), BatchNormalization)
    output = model(noise(8, 4, 4, 3) * 7 + 5, training=True).numpy()
    assert np.abs(output.mean(axis=(0, 1, 2))).max() < 1e-4
    assert np.abs(output.std(axis=(0, 1, 2)) - 1).max() < 1e-3


def test_a_residual_group_adds_its_input():
    images = noise(2, 8, 8, 3)
    group = Residual(layers=(Conv(filters=3, activation="linear"),), activation="linear")
    output, model = output_of(group, images)
    inside = keras.Model(model.input, model.get_layer("layer_conv1").output)(images).numpy()
    assert np.array_equal(output, images + inside)
    rectified = output_of(group.model_copy(update={"activation": "relu"}), images)[0]
    assert np.array_equal(rectified, np.maximum(output, 0))


def test_where_a_residual_group_changes_the_shape_its_input_is_projected():
    images = noise(2, 8, 8, 3)
    output, model = output_of(Residual(layers=(Conv(filters=5, strides=2),), activation="linear"), images)
    kernel = model.get_layer("layer_shortcut").kernel.numpy()
    assert kernel.shape == (1, 1, 3, 5) and not model.get_layer("layer_shortcut").use_bias
    inside = keras.Model(model.input, model.get_layer("layer_conv1").output)(images).numpy()
    assert np.abs(output - (inside + images[:, ::2, ::2] @ kernel[0, 0])).max() < 1e-5


def test_layers_are_named_by_kind_and_number_and_are_the_stages():
    network = Sequential(
        layers=(
            Conv(filters=2),
            Conv(filters=2),
            MaxPool(),
            Residual(layers=(Conv(filters=2), Conv(filters=2), Residual(layers=(BatchNorm(),)))),
            Conv(filters=2),
            GlobalAvgPool(),
        )
    )
    assert network.stages() == ("conv1", "conv2", "max_pool1", "residual1", "conv3", "global_avg_pool1")
    assert [name for _, name in named(network.layers)] == list(network.stages())
    assert [row.name for row in layer_rows(network.build((8, 8, 1), 2))] == [
        *("image", "scaling", "conv1", "conv2", "max_pool1", "residual1_conv1", "residual1_conv2"),
        *("residual1_residual1_batch_norm1", "residual1_residual1_add", "residual1_residual1_relu"),
        *("residual1_add", "residual1_relu", "conv3", "global_avg_pool1", "logits"),
    ]


WRONG = [
    ((Flatten(), SeparableConv(filters=2)), "layers.1", "separable_conv takes an image, not a vector of 192"),
    ((GlobalAvgPool(), DepthwiseConv()), "layers.1", "depthwise_conv takes an image, not a vector of 3"),
    ((Flatten(), AvgPool()), "layers.1", "avg_pool takes an image"),
    ((GlobalMaxPool(), GlobalAvgPool()), "layers.1", "global_avg_pool takes an image"),
    ((Flatten(), GlobalMaxPool()), "layers.1", "global_max_pool takes an image"),
    ((AvgPool(pool_size=9),), "layers.0", "9 x 9"),
    ((BatchNorm(), ActivationLayer()), "layers.1", "ends in an image of 8 x 8 x 3"),
    ((Conv(filters=2), Residual(layers=(Conv(filters=2), Dense(units=2)))), "layers.1.layers.1", "8 x 8 x 2"),
    ((Residual(layers=(BatchNorm(), Residual(layers=(MaxPool(pool_size=9),)))),), "layers.0.layers.1.layers.0", "9 x"),
    ((Residual(layers=(GlobalAvgPool(),)),), "layers.0", "8 x 8 x 3, but its layers make a vector of 3"),
    ((Residual(layers=(Conv(filters=3, padding="valid"),)),), "layers.0", "make one of 6 x 6 x 3"),
    ((BatchNorm(), Residual(layers=(MaxPool(strides=1),))), "layers.1", "7 x 7 x 3, which no stride brings it to"),
]


@pytest.mark.parametrize(("layers", "key", "expected"), WRONG, ids=[f"{key}-{expected}" for _, key, expected in WRONG])
def test_a_layer_that_does_not_fit_is_a_problem_that_names_it(layers, key, expected):
    [problem] = Sequential(layers=layers).problems((8, 8, 3))
    assert problem.key == key
    assert expected in problem.message


# Inputs that one output sees: of a convolution 3 x 3 x 8, of a depthwise one 3 x 3, of a mix 8, of a dense layer all.
@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (Conv(filters=32), [72]),
        (SeparableConv(filters=32), [9, 8]),
        (DepthwiseConv(depth_multiplier=8), [9]),
        (Residual(layers=(Conv(filters=32),)), [8, 72]),
        (Dense(units=16), [512]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_initializer_of_the_network_is_that_of_all_its_kernels(layer, inputs):
    """LeCun's uniform one fills -sqrt(3 / inputs) .. sqrt(3 / inputs)."""
    layers = (Flatten(), layer) if isinstance(layer, Dense) else (layer, Flatten())
    model = Sequential(layers=layers, initializer="lecun_uniform").build((8, 8, 8), 2)
    kernels = [weight.numpy() for weight in model.weights[:-2] if len(weight.shape) > 1]
    largest = sorted(np.abs(kernel).max() * math.sqrt(seen / 3) for kernel, seen in zip(kernels, inputs, strict=True))
    assert 0.9 < largest[0] <= largest[-1] <= 1


@pytest.mark.parametrize(
    "layer",
    [
        Conv(filters=64, kernel_size=5),
        SeparableConv(filters=64, kernel_size=5),
        DepthwiseConv(kernel_size=5),
        DepthwiseConv(kernel_size=5, depth_multiplier=4),
    ],
    ids=str,
)
def test_weights_start_so_that_numbers_keep_their_size(layer):
    """He et al. 2015: weights of variance 2 / inputs double the mean square, of which the rectifier takes half."""
    keras.utils.set_random_seed(5)
    images = noise(4, 24, 24, 64)
    x = keras.Input((24, 24, 64))
    output = keras.Model(x, layer(x, "layer", Style()))(images).numpy()[:, 2:-2, 2:-2]
    assert np.square(output).mean() == pytest.approx(1, rel=0.25)
