"""ResNet against its three papers, torchvision, keras.applications and NumPy."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from pydantic import ValidationError

from cnnkit.core.lazy import keras
from cnnkit.models import ResNet

pytestmark = pytest.mark.usefixtures("large_kernels_repeat_what_is_drawn")

IMAGENET = (224, 224, 3), 1000
CIFAR = (32, 32, 3), 10


@pytest.fixture
def zeros(monkeypatch):
    monkeypatch.setattr(
        keras.initializers.VarianceScaling, "__call__", lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)
    )


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@functools.cache
def randomized(architecture, size=32):
    """Every weight is drawn anew, those of normalisations too; a large one repeats its first numbers."""
    model = architecture.build((size, size, 3), 5)
    for weight in model.weights:
        weight.assign(drawn(weight))
    return model


def drawn(weight):
    size = int(np.prod(weight.shape))
    random = np.random.default_rng([size, len(weight.path)])
    count = min(size, 65_537)  # a prime: no two filters get the same numbers
    if weight.name in ("gamma", "moving_variance"):
        numbers = random.uniform(0.5, 1.5, count)
    else:
        numbers = random.normal(0, (2 / np.prod(weight.shape[:-1])) ** 0.5 if weight.name == "kernel" else 0.1, count)
    return np.resize(numbers.astype(np.float32), weight.shape)


def pixels(count, size=32):
    return np.random.default_rng(7).integers(0, 256, (count, size, size, 3)).astype(np.float32)


def close(found, expected):
    return found.shape == expected.shape and np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


# Counts.


def wide_by_hand(depth, width, classes):
    """Table 1 of the wide paper: kernels, a scale and an offset for each normalised channel, the classifier."""
    blocks = (depth - 4) // 6
    total = 9 * 3 * 16
    before = 16
    for filters in (16 * width, 32 * width, 64 * width):
        total += before * filters  # the projection
        for _ in range(blocks):
            total += 2 * before + 9 * before * filters  # before each convolution a normalisation
            total += 2 * filters + 9 * filters * filters
            before = filters
    return total + 2 * before + (before + 1) * classes


@pytest.mark.parametrize(
    ("depth", "width", "millions"),
    [
        (16, 8, 11.0),
        *(pytest.param(*row, marks=pytest.mark.slow) for row in [(28, 10, 36.5), (40, 4, 8.9), (22, 8, 17.2)]),
    ],
)
def test_wide_networks_have_the_parameters_of_their_table(zeros, depth, width, millions):
    count = trainable(ResNet(depth=depth, version=2, width=width).build(*CIFAR))
    assert count == wide_by_hand(depth, width, 10)
    assert round(count / 1e6, 1) == millions


# Tables 7 and 8 of the wide paper.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "millions"),
    [
        (ResNet(depth=18, width=2), 45.6),
        (ResNet(depth=18, width=3), 101.8),
        (ResNet(depth=34, width=2), 86.0),
        (ResNet(depth=200, version=2), 64.7),
    ],
    ids=["18-2", "18-3", "34-2", "pre-200"],
)
def test_large_networks_have_the_parameters_of_the_wide_papers_tables(zeros, architecture, millions):
    assert round(trainable(architecture.build(*IMAGENET)) / 1e6, 1) == millions


@pytest.mark.slow
def test_resnet_164_has_the_parameters_of_the_second_papers_table(zeros):
    assert round(trainable(ResNet(depth=164, version=2).build(*CIFAR)) / 1e6, 1) == 1.7


# Of version 1: torchvision. Version 2 normalises as many channels, but none behind a projection.
@pytest.mark.parametrize(
    ("depth", "first", "projected"),
    [(18, 11_689_512, 128 + 256 + 512), (50, 25_557_032, 256 + 512 + 1024 + 2048)],
)
def test_version_2_has_the_parameters_of_version_1_but_the_norms_of_projections(zeros, depth, first, projected):
    assert trainable(ResNet(depth=depth, version=2).build(*IMAGENET)) == first - 2 * projected


# What can't be chosen.


@pytest.mark.parametrize("depth", [16, 22, 28, 40])
def test_the_wide_papers_depths_are_of_version_2(depth):
    with pytest.raises(ValidationError, match="which have `version: 2`"):
        ResNet(depth=depth)
    assert ResNet(depth=depth, version=2).width == 1


def test_a_wide_network_for_small_images_has_the_wide_papers_depths():
    with pytest.raises(ValidationError, match="wide networks have depths 16, 22, 28, 40"):
        ResNet(depth=56, version=2, width=2)


def test_variants_are_those_of_the_papers_and_their_images_are_large_enough():
    variants = ResNet.variants()
    assert len(set(variants)) == len(variants)
    for variant in variants:
        assert list(variant.problems(variant.image_shape)) == []
        assert variant.image_shape[0] == (224 if len(variant.stages()) == 5 else 32)


# Blocks, in NumPy, from the figures of the papers.


def conv(x, layer, strides=1):
    [kernel] = layer.get_weights()
    size = len(kernel)
    x = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    height, width = (x.shape[1] - size) // strides + 1, (x.shape[2] - size) // strides + 1
    total = 0
    for i in range(size):
        for j in range(size):
            seen = x[:, i : i + strides * (height - 1) + 1 : strides, j : j + strides * (width - 1) + 1 : strides]
            total = total + seen @ kernel[i, j]
    return total


def norm(x, layer):
    gamma, beta, mean, variance = layer.get_weights()
    return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def relu(x):
    return np.maximum(x, 0)


def padded(x, filters):
    x = x[:, ::2, ::2]
    return np.concatenate([x, np.zeros((*x.shape[:-1], filters - x.shape[-1]), x.dtype)], axis=-1)


def version_1(x, layer, strides, shortcut):
    def conv_norm(x, name, strides=1):
        return norm(conv(x, layer(name), strides), layer(f"{name}_norm"))

    shortcuts = {
        "identity": lambda: x,
        "projection": lambda: conv_norm(x, "shortcut", strides),
        "padding": lambda: padded(x, 2 * x.shape[-1]),
    }
    try:
        layer("conv3")
    except ValueError:
        branch = conv_norm(relu(conv_norm(x, "conv1", strides)), "conv2")
    else:
        branch = conv_norm(relu(conv_norm(relu(conv_norm(x, "conv1")), "conv2", strides)), "conv3")
    return relu(shortcuts[shortcut]() + branch)


def version_2(x, layer, strides, shortcut, activated=False):
    before = x if activated else relu(norm(x, layer("norm")))
    shortcuts = {
        "identity": lambda: x,
        "projection": lambda: conv(before, layer("shortcut"), strides),
        "padding": lambda: padded(x, 2 * x.shape[-1]),
    }
    try:
        layer("conv3")
    except ValueError:
        y = conv(before, layer("conv1"), strides)
        y = conv(relu(norm(y, layer("conv1_norm"))), layer("conv2"))
    else:
        y = conv(before, layer("conv1"))
        y = conv(relu(norm(y, layer("conv1_norm"))), layer("conv2"), strides)
        y = conv(relu(norm(y, layer("conv2_norm"))), layer("conv3"))
    return shortcuts[shortcut]() + y


BLOCKS = [
    (ResNet(depth=18), "stage1_block1", "stem_pool", "identity"),
    (ResNet(depth=18), "stage2_block1", "stage1_block2_relu", "projection"),
    (ResNet(depth=20), "stage2_block1", "stage1_block3_relu", "padding"),
    (ResNet(depth=50), "stage1_block1", "stem_pool", "projection"),
    (ResNet(depth=50), "stage2_block1", "stage1_block3_relu", "projection"),
    pytest.param(
        *(ResNet(depth=50, width=2), "stage2_block2", "stage2_block1_relu", "identity"), marks=pytest.mark.slow
    ),
    (ResNet(depth=20, version=2), "stage1_block1", "stem_relu", "identity"),
    (ResNet(depth=20, version=2), "stage2_block1", "stage1_block3_add", "padding"),
    (ResNet(depth=16, version=2, width=2), "stage1_block1", "stem_relu", "projection"),
    (ResNet(depth=16, version=2, width=2), "stage2_block1", "stage1_block2_add", "projection"),
    (ResNet(depth=16, version=2, width=2), "stage2_block2", "stage2_block1_add", "identity"),
    (ResNet(depth=50, version=2), "stage2_block1", "stage1_block3_add", "projection"),
]


@pytest.mark.parametrize(
    ("architecture", "block", "before", "shortcut"),
    BLOCKS,
    ids=lambda value: f"v{value.version}-{value.depth}-{value.width}" if isinstance(value, ResNet) else value,
)
def test_a_block_computes_what_its_paper_says(architecture, block, before, shortcut):
    model = randomized(architecture)
    behind = f"{block}_{'relu' if architecture.version == 1 else 'add'}"
    outputs = [model.get_layer(name).output for name in (before, behind)]
    x, found = (tensor.numpy() for tensor in keras.Model(model.input, outputs)(pixels(2)))
    strides = x.shape[1] // found.shape[1]
    options = {"activated": before.startswith("stem")} if architecture.version == 2 else {}
    formula = version_1 if architecture.version == 1 else version_2
    assert strides == (2 if block == "stage2_block1" else 1)
    assert close(found, formula(x, lambda name: model.get_layer(f"{block}_{name}"), strides, shortcut, **options))


# Whole networks, with Keras's own blocks.


def strides_first(x):
    """ResNet50V2 of Keras's blocks, with the stride where the paper has it."""
    from keras.src.applications.resnet import residual_block_v2

    for stage, (filters, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], start=2):
        for i in range(1, blocks + 1):
            strides = 2 if i == 1 and stage > 2 else 1
            name = f"conv{stage}_block{i}"
            x = residual_block_v2(x, filters, stride=strides, conv_shortcut=i == 1, name=name)
    return x


def their_name(ours):
    """The layer of Keras's that has the weights of ours."""
    place, _, part = ours.partition("_")
    if place == "stem":
        return "conv2_block1_preact_bn" if part else "conv1_conv"
    if ours == "stage4_norm":
        return "post_bn"
    block, _, part = part.partition("_")
    parts = {"norm": "preact_bn", "shortcut": "0_conv", "conv1": "1_conv", "conv1_norm": "1_bn"}
    parts |= {"conv2": "2_conv", "conv2_norm": "2_bn", "conv3": "3_conv"}
    return f"conv{int(place[-1]) + 1}_{block}_{parts[part]}"


@functools.cache
def ours_of_version_2():
    model = randomized(ResNet(depth=50, version=2), 64)
    # Keras normalises behind the pooling; that is the same for a normalisation that only scales.
    gamma, beta, mean, variance = model.get_layer("stem_norm").get_weights()
    model.get_layer("stem_norm").set_weights([gamma, 0 * beta, 0 * mean, variance])
    return model


def with_our_weights(theirs):
    """Theirs with our weights, and biases of zero."""
    ours = ours_of_version_2()
    names = {their_name(layer.name): layer for layer in ours.layers if layer.weights and layer.name != "logits"}
    assert names.keys() == {layer.name for layer in theirs.layers if layer.weights}
    for name, layer in names.items():
        weights = layer.get_weights()
        for weight in theirs.get_layer(name).weights[len(weights) :]:
            assert weight.name == "bias"
            weights.append(np.zeros(weight.shape))
        theirs.get_layer(name).set_weights(weights)
    return theirs


def test_version_2_computes_what_keras_blocks_do_with_the_stride_of_the_paper():
    from keras.src.applications.resnet import ResNet as KerasResNet

    theirs = KerasResNet(
        strides_first, True, True, include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg"
    )
    ours = ours_of_version_2()
    images = pixels(2, 64)
    features = keras.Model(ours.input, ours.get_layer("pool").output)(images).numpy()
    assert close(features, with_our_weights(theirs)(images / 127.5 - 1).numpy())


@pytest.mark.slow
def test_keras_resnet50v2_is_another_network_from_the_first_3x3_convolution_of_its_second_stage():
    theirs = with_our_weights(keras.applications.ResNet50V2(include_top=False, weights=None, input_shape=(64, 64, 3)))
    ours = ours_of_version_2()
    images = pixels(2, 64)

    def through(model, names, x):
        return [tensor.numpy() for tensor in keras.Model(model.input, [model.get_layer(n).output for n in names])(x)]

    blocks = ["stage1_block3_add", "stage2_block1_conv2", "stage2_block1_shortcut"]
    before, inner, projected = through(ours, blocks, images)
    names = ["conv2_block3_out", "conv3_block1_2_conv", "conv3_block1_0_conv"]
    their_before, their_inner, their_projected = through(theirs, names, images / 127.5 - 1)
    # It has left out every other pixel a block earlier, so that the 3x3 convolution has other neighbours.
    assert close(before[:, ::2, ::2], their_before)
    assert close(projected, their_projected)
    assert inner.shape == their_inner.shape and not close(inner, their_inner)
    assert np.abs(inner - their_inner).max() > 0.1 * np.abs(inner).max()

    def strided(model):
        return [
            layer.name for layer in model.layers if getattr(layer, "kernel_size", 0) == (3, 3) and layer.strides[0] > 1
        ]

    assert strided(theirs) == ["conv2_block3_2_conv", "conv3_block4_2_conv", "conv4_block6_2_conv"]
    assert strided(ours) == ["stage2_block1_conv2", "stage3_block1_conv2", "stage4_block1_conv2"]


def biased(model):
    return {layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and layer.use_bias}


def biases(model):
    return sum(model.get_layer(name).filters for name in biased(model))


@pytest.mark.slow
def test_keras_resnets_have_the_parameters_of_ours_and_biases(zeros):
    theirs, ours = keras.applications.ResNet50V2(weights=None), ResNet(depth=50, version=2).build(*IMAGENET)
    assert theirs.count_params() == 25_613_800
    assert theirs.count_params() - biases(theirs) == ours.count_params()
    assert all(name == "conv1_conv" or name.endswith(("_0_conv", "_3_conv")) for name in biased(theirs))
    first, ours = keras.applications.ResNet50(weights=None), ResNet(depth=50).build(*IMAGENET)
    assert first.count_params() == 25_636_712
    assert first.count_params() - biases(first) == ours.count_params()
    assert first.get_layer("conv3_block1_1_conv").strides == (2, 2) == ours.get_layer("stage2_block1_conv2").strides


# What happens in training only.


@pytest.mark.parametrize("version", [1, 2])
def test_stochastic_depth_skips_the_last_branch_image_by_image_and_keeps_the_expectation(version):
    rate = 0.9
    model = ResNet(depth=20, version=version, stochastic_depth=rate).build((8, 8, 3), 2)
    skip = model.get_layer("stage3_block3_skip")
    both = keras.Model(model.input, [skip.input, skip.output])
    images = pixels(1500, 8)
    keras.utils.set_random_seed(3)
    branch, added = (tensor.numpy() for tensor in both(images, training=True))
    skipped = ~added.any(axis=(1, 2, 3))
    assert skipped.mean() == pytest.approx(rate, abs=4 * (rate * (1 - rate) / 1500) ** 0.5)
    assert close(added[~skipped] * (1 - rate), branch[~skipped])
    branch, added = (tensor.numpy() for tensor in both(images[:9], training=False))
    assert branch.any() and np.array_equal(branch, added)


@pytest.mark.parametrize("version", [1, 2])
def test_blocks_are_skipped_by_the_linear_rule(version):
    model = ResNet(depth=20, version=version, stochastic_depth=0.45).build((8, 8, 3), 2)
    rates = [layer.rate for layer in model.layers if layer.name.endswith("_skip")]
    assert rates == pytest.approx([0.05 * i for i in range(1, 10)])


DROPPING = [(ResNet(depth=20, dropout=0.3), 1), (ResNet(depth=16, version=2, dropout=0.3), 1)]
DROPPING += [(ResNet(depth=50, dropout=0.3), 2), (ResNet(depth=50, version=2, dropout=0.3), 2)]


@pytest.mark.parametrize(("architecture", "gaps"), DROPPING, ids=["v1", "v2", "v1-bottleneck", "v2-bottleneck"])
def test_dropout_is_between_the_convolutions_of_a_block_behind_the_activation(zeros, architecture, gaps):
    model = architecture.build((32, 32, 3), 2)
    dropped = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    blocks = sum(layer.name.endswith("_add") for layer in model.layers)
    assert len(dropped) == gaps * blocks
    for layer in dropped:
        place = layer.name.removesuffix("_dropout")
        following = f"{place[:-1]}{int(place[-1]) + 1}"
        padded = any(other.name == f"{following}_pad" for other in model.layers)
        assert layer.rate == 0.3
        assert layer.input is model.get_layer(f"{place}_relu").output
        assert model.get_layer(f"{following}_pad" if padded else following).input is layer.output


def test_neither_is_there_unless_asked_for():
    for version in (1, 2):
        model = ResNet(depth=20, version=version).build((8, 8, 3), 2)
        assert not [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
