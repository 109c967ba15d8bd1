"""Networks in half precision: between weights and logits numbers are halved, in every family, and nowhere else."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from cnnkit.core.lazy import keras
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
from cnnkit.models.base import computing_in
from cnnkit.models.keras_layers import AlphaDropout, BatchNormalization, Dropout, GaussianNoise, PadChannels
from cnnkit.models.sequential import AnyLayer, Residual
from cnnkit.models.sequential_layers import Conv, Flatten

EVERY_LAYER = Sequential(
    layers=(
        *(
            {"name": name}
            for name in ("depthwise_conv", "batch_norm", "activation", "max_pool", "avg_pool", "gaussian_noise")
        ),
        {"name": "conv", "filters": 4},
        {"name": "separable_conv", "filters": 4},
        {"name": "residual", "layers": ({"name": "conv", "filters": 4},)},
        {"name": "flatten"},
        {"name": "dense", "units": 4},
        {"name": "dropout"},
    )
)
SLOW = pytest.mark.slow
NETWORKS = [
    (EVERY_LAYER, (16, 16, 3)),
    (LeNet(), (28, 28, 1)),
    (AlexNet(dense_units=(8,)), (67, 67, 3)),
    (Vgg(depth=11, dense_units=(8,)), (32, 32, 3)),
    (ResNet(depth=20), (16, 16, 3)),
    (DenseNet(depth=10, growth_rate=4), (16, 16, 3)),
    pytest.param(Inception(), (96, 96, 3), marks=SLOW),
    pytest.param(Inception(version=1), (64, 64, 3), marks=SLOW),
    (Snn(), (16, 16, 3)),
    pytest.param(KerasApplication(application="MobileNet", weights=None), (32, 32, 3), marks=SLOW),
    pytest.param(KerasApplication(application="EfficientNetB0", weights=None), (32, 32, 3), marks=SLOW),
]
IN_FLOAT32 = {"image", "scaling", "logits", "auxiliary1_logits", "auxiliary2_logits"}


def test_every_family_is_here():
    networks = [getattr(row, "values", row)[0] for row in NETWORKS]
    assert {type(network) for network in networks} | {Hub} == set(get_args(get_args(AnyArchitecture)[0]))


@pytest.mark.parametrize("precision", [pytest.param("mixed_bfloat16", marks=SLOW), "mixed_float16"])
@pytest.mark.parametrize(("architecture", "shape"), NETWORKS, ids=lambda value: getattr(value, "name", None))
def test_weights_scaled_pixels_and_logits_are_float32_and_the_rest_is_not(architecture, shape, precision):
    network = architecture.network(shape, 4, precision)
    half = precision.removeprefix("mixed_")
    for model in (network.model, *(model for model, _ in network.auxiliary)):
        assert model.output.dtype == "float32"
        odd = {layer.name for layer in model.layers if layer.compute_dtype != half}
        assert odd <= IN_FLOAT32
    assert network.backbone.output.dtype == half
    assert {weight.dtype for weight in network.model.weights if weight.trainable} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(("precision", "far"), [("mixed_bfloat16", 0.06), ("mixed_float16", 0.01)])
@pytest.mark.parametrize(
    "architecture", [EVERY_LAYER, pytest.param(ResNet(depth=20), marks=SLOW)], ids=lambda network: network.name
)
def test_answers_are_those_of_float32_to_the_precision(architecture, precision, far):
    keras.utils.set_random_seed(0)  # how far roundings add up hangs on the weights
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.float32)
    exact = architecture.network((16, 16, 3), 4).model
    made = architecture.network((16, 16, 3), 4, precision).model
    made.set_weights(exact.get_weights())
    expected = exact(images).numpy()
    assert np.abs(made(images).numpy() - expected).max() < far * np.abs(expected).max()


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    "made",
    [
        lambda: BatchNormalization(momentum=0.9),
        lambda: Dropout(0.5),
        lambda: AlphaDropout(0.5),
        lambda: GaussianNoise(0.5),
        lambda: PadChannels(5),
    ],
)
def test_layers_of_our_own_compute_in_half_and_keep_their_statistics_whole(made, precision):
    with computing_in(precision):
        layer = made()
    x = np.random.default_rng(1).normal(2, 3, (64, 4, 4, 3)).astype(np.float32)
    answer = layer(x, training=True) if not isinstance(layer, PadChannels) else layer(x)
    assert answer.dtype.name == precision.removeprefix("mixed_")
    assert np.isfinite(np.asarray(keras.ops.cast(answer, "float32"))).all()
    if isinstance(layer, BatchNormalization):
        expected = 0.1 * x.mean(axis=(0, 1, 2)), 0.9 + 0.1 * x.var(axis=(0, 1, 2))
        assert layer.moving_mean.dtype == layer.moving_variance.dtype == "float32"
        assert layer.moving_mean.numpy() == pytest.approx(expected[0], rel=5e-3)
        assert layer.moving_variance.numpy() == pytest.approx(expected[1], rel=5e-3)


def test_every_layer_is_among_those_that_are_tried():
    tried = {type(layer) for layer in EVERY_LAYER.layers} | {Conv, Flatten, Residual}
    one_number_a_channel = {"global_max_pool", "global_avg_pool"}  # in place of flatten
    names = {layer.model_fields["name"].default for layer in get_args(get_args(AnyLayer)[0])}
    assert names - {layer.model_fields["name"].default for layer in tried} == one_number_a_channel
