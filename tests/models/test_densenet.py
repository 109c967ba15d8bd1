from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from keras_families import densenet_name
from pydantic import ValidationError

from cnnkit.config.file import configure
from cnnkit.core.errors import ConfigError
from cnnkit.core.lazy import keras
from cnnkit.inspection.summary import layer_rows
from cnnkit.models import DenseNet
from cnnkit.models.densenet import BLOCKS


@pytest.fixture
def zeros(monkeypatch):
    """Nothing that counts looks at the random numbers, which take most of the time of building."""
    monkeypatch.setattr(
        keras.initializers.VarianceScaling, "__call__", lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)
    )


def trainable_by_the_paper(blocks, growth, classes, large):
    """Trainable parameters worked out from section 3: (from norms and convolutions without bias, channel by channel)"""
    channels = 2 * growth
    total = 7 * 7 * 3 * channels + 2 * channels if large else 3 * 3 * 3 * channels
    for block, layers in enumerate(blocks):
        if block:
            total += 2 * channels + channels * (channels // 2)  # BN, 1x1 to half the channels
            channels //= 2
        for _ in range(layers):
            total += 2 * channels + channels * 4 * growth  # BN, 1x1 to 4k
            total += 2 * 4 * growth + 3 * 3 * 4 * growth * growth  # BN, 3x3 to k
            channels += growth
    return total + 2 * channels + channels * classes + classes


@pytest.mark.parametrize(
    ("depth", "growth", "millions"), [(100, 12, 0.8), (250, 24, 15.3), (190, 40, 25.6)], ids=lambda value: f"{value}"
)
def test_the_derivation_gives_the_millions_of_table_2(depth, growth, millions):
    counted = trainable_by_the_paper([(depth - 4) // 6] * 3, growth, 10, large=False)
    assert counted / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(("depth", "published"), [(121, 7_978_856), (169, 14_149_480), (201, 20_013_928)])
def test_the_derivation_gives_the_counts_of_torchvision(depth, published):
    assert trainable_by_the_paper(BLOCKS[depth], 32, 1000, large=True) == published


def test_the_derivation_gives_the_known_count_of_the_small_network():
    assert trainable_by_the_paper([16] * 3, 12, 10, large=False) == 769_162


def trainable(architecture, side, classes):
    return sum(row.trainable for row in layer_rows(architecture.build((side, side, 3), classes)))


@pytest.mark.parametrize(("depth", "growth"), [(40, 24), (22, 5), (10, 1)])
def test_small_networks_have_the_parameters_of_the_derivation(zeros, depth, growth):
    derived = trainable_by_the_paper([(depth - 4) // 6] * 3, growth, 10, large=False)
    assert trainable(DenseNet(depth=depth, growth_rate=growth), 32, 10) == derived


@pytest.mark.slow
def test_the_deepest_network_has_the_parameters_of_the_derivation(zeros):
    derived = trainable_by_the_paper(BLOCKS[264], 32, 1000, large=True)
    assert trainable(DenseNet(depth=264), 64, 1000) == derived


@pytest.mark.parametrize("depth", [121, 169, 201])  # the column of table 1 that is called 264 has 265
def test_the_depth_counts_the_layers_with_weights(depth):
    # Two convolutions a dense layer, one a transition, the stem and the classifier.
    assert 2 * sum(BLOCKS[depth]) + len(BLOCKS[depth]) - 1 + 2 == depth


def test_left_out_growth_rates_are_those_of_the_paper():
    rates = {variant.depth: variant._growth_rate for variant in DenseNet.variants()}
    assert rates == {121: 32, 169: 32, 201: 32, 264: 32, 100: 12, 190: 40, 250: 24}


@pytest.mark.parametrize(
    ("depth", "expected"), [(99, "94 and 100"), (122, "118 and 124"), (12, "10 and 16"), (120, "118 and 124")]
)
def test_an_impossible_depth_is_a_problem_that_names_the_rule(tmp_path, depth, expected):
    config = tmp_path / "a.yaml"
    config.write_text(f"data: {{source: {{name: digits}}}}\nmodel:\n  name: densenet\n  depth: {depth}\n")
    with pytest.raises(ConfigError) as error:
        configure(config)
    (problem,) = error.value.problems
    assert (problem.line, problem.column, problem.key) == (4, 10, "model.depth")
    assert (
        problem.message.startswith(f"can't be {depth}; it may be 121, 169, 201, 264, or")
        and expected in problem.message
    )
    assert "6n + 4" in problem.message


@pytest.mark.parametrize("depth", [4, 9, 1006])
def test_a_depth_without_layers_or_without_end_is_refused(depth):
    with pytest.raises(ValidationError, match="depth"):
        DenseNet(depth=depth)


@pytest.mark.parametrize("architecture", [DenseNet(growth_rate=2), DenseNet(depth=16)], ids=["large", "small"])
def test_nothing_is_left_of_an_image_smaller_than_the_smallest(architecture):
    with pytest.raises(ValueError):
        architecture.build((architecture.smallest_image - 1,) * 2 + (3,), 2)


def test_a_dense_layer_sees_all_before_it_and_adds_to_it():
    model = DenseNet(depth=22, growth_rate=4, compression=0.7).build((16, 16, 3), 2)
    layers = {layer.name: layer for layer in model.layers}
    channels = 8
    for stage in (1, 2, 3):
        for block in (1, 2, 3):
            assert layers[f"stage{stage}_block{block}_conv1"].kernel.shape == (1, 1, channels, 16)
            assert layers[f"stage{stage}_block{block}_conv2"].kernel.shape == (3, 3, 16, 4)
            channels += 4
        if stage < 3:
            compressed = int(0.7 * channels)
            assert layers[f"transition{stage}"].kernel.shape == (1, 1, channels, compressed)
            channels = compressed
    assert layers["stage3_norm"].gamma.shape == (channels,)


def test_dropout_stands_behind_each_convolution_but_that_of_the_stem():
    rows = layer_rows(DenseNet(depth=16, growth_rate=2, dropout=0.2).build((8, 8, 3), 2))
    behind = {row.name for before, row in pairwise(rows) if before.type == "Conv2D"}
    dropouts = {row.name for row in rows if row.type == "Dropout"}
    assert len(dropouts) == 3 * 2 * 2 + 2
    assert behind - dropouts == {"stage1_block1_conv1_norm"}


def randomise(model, random):
    """Weights of every kind differ from layer to layer, and what an image shows still reaches the end."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel = layer.kernel.shape
            layer.set_weights([random.normal(0, np.sqrt(2 / np.prod(kernel[:-1])), kernel)])
        if isinstance(layer, keras.layers.BatchNormalization):
            bounds = (0.5, 1.5), (-0.3, 0.3), (-0.3, 0.3), (0.5, 2.0)  # gamma, beta, moving mean, variance
            layer.set_weights([random.uniform(*bound, layer.beta.shape) for bound in bounds])


def blotches(random, count, height, width):
    """Images that stay apart when windows and means have smoothed them, as those of noise do not."""
    coarse = random.integers(0, 256, (count, 6, 6, 3))
    return coarse.repeat(-(-height // 6), 1).repeat(-(-width // 6), 2)[:, :height, :width].astype(np.float32)


@pytest.mark.slow
def test_densenet_121_computes_what_that_of_keras_applications_does():
    theirs = keras.applications.DenseNet121(weights=None, include_top=False, pooling="avg", input_shape=(80, 95, 3))
    random = np.random.default_rng(3)
    randomise(theirs, random)
    ours = DenseNet(depth=121).build((80, 95, 3), 1000)
    names = {la.name: densenet_name(DenseNet(), la.name) for la in ours.layers if la.weights and la.name != "logits"}
    for name, theirs_name in names.items():
        ours.get_layer(name).set_weights(theirs.get_layer(theirs_name).get_weights())
    assert len(set(names.values())) == len(names) == len([layer for layer in theirs.layers if layer.weights])
    assert ours.count_params() == theirs.count_params() + 1024 * 1000 + 1000 == 8_062_504
    images = blotches(random, 2, 80, 95)
    kernel, bias = ours.get_layer("logits").get_weights()
    expected = theirs(images / 127.5 - 1).numpy() @ kernel + bias
    scale = np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() > 0.02 * scale
    assert np.abs(ours(images).numpy() - expected).max() < 1e-4 * scale
