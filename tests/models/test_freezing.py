from __future__ import annotations

import numpy as np
import pytest

from cnnkit.core.errors import UsageError
from cnnkit.core.lazy import keras, tf
from cnnkit.models import KerasApplication, ResNet, Sequential, Snn, Vgg, freezing
from cnnkit.models.freezing import Stage
from cnnkit.models.sequential_layers import BatchNorm, Conv, Flatten

pytestmark = pytest.mark.usefixtures("large_kernels_repeat_what_is_drawn")

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def resnet():
    model = ResNet(depth=20)
    return model, model.network(SHAPE, 2)


def learning(network):
    """Names of the layers with weights that learn, by the beginning of their names."""
    return {layer.name.split("_")[0] for layer in network.model.layers if layer.trainable_weights}


def test_without_freezing_everything_learns(resnet):
    staged = freezing.apply(*resnet, Stage(epochs=1))
    assert staged.trained == ("stem", "stage1", "stage2", "stage3", "classifier")
    assert staged.frozen == () and not staged.backbone_frozen
    assert learning(resnet[1]) == {"stem", "stage1", "stage2", "stage3", "logits"}


def test_freezing_the_backbone_leaves_the_classifier(resnet):
    staged = freezing.apply(*resnet, Stage(epochs=1, freeze="backbone"))
    assert staged.trained == ("classifier",) and staged.backbone_frozen
    assert staged.frozen == ("backbone",)
    assert learning(resnet[1]) == {"logits"}


@pytest.mark.parametrize("how", [{"freeze": "stage1"}, {"unfreeze_from": "stage2"}], ids=str)
def test_a_stage_divides_what_learns_from_what_does_not(resnet, how):
    staged = freezing.apply(*resnet, Stage(epochs=1, **how))
    assert staged.frozen == ("stem", "stage1")
    assert learning(resnet[1]) == {"stage2", "stage3", "logits"}


def test_a_layer_divides_a_stage(resnet):
    model, network = resnet
    staged = freezing.apply(model, network, Stage(epochs=1, unfreeze_from="stage3_block3_conv2"))
    assert staged.frozen == ("stem", "stage1", "stage2")
    names = [layer.name for layer in network.model.layers if layer.trainable_weights]
    assert names == ["stage3_block3_conv2", "stage3_block3_conv2_norm", "logits"]


def test_what_was_frozen_learns_again_in_a_later_stage(resnet):
    freezing.apply(*resnet, Stage(epochs=1, freeze="backbone"))
    freezing.apply(*resnet, Stage(epochs=1))
    assert len(resnet[1].model.trainable_weights) == 19 + 2 * 19 + 2  # convolutions, normalisations, classifier


def test_a_layer_that_is_not_there_is_an_error_that_names_the_nearest(resnet):
    with pytest.raises(UsageError, match=r"stage3_block4_conv1.*did you mean `stage3_block3_conv1`"):
        freezing.apply(*resnet, Stage(epochs=1, freeze="stage3_block4_conv1"))


def test_the_rate_decays_from_the_classifier_to_the_input(resnet):
    model, network = resnet
    staged = freezing.apply(model, network, Stage(epochs=1, freeze="stem", layer_decay=0.5))
    rates = {
        variable.path.split("_")[0]: staged.rates.get(id(variable.value), 1.0)
        for variable in network.model.trainable_variables
    }
    assert {name.split("/")[0]: rate for name, rate in rates.items()} == {
        "stage1": 0.125,
        "stage2": 0.25,
        "stage3": 0.5,
        "logits": 1.0,
    }


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (Vgg(depth=11, dense_units=(8,)), 32),
        (Snn(filters=(4, 8), dropout=0.5), 16),
        (ResNet(depth=20, stochastic_depth=0.5), 8),
        pytest.param(KerasApplication(application="EfficientNetB0", weights=None), 32, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "title", str(value)),
)
def test_nothing_is_dropped_in_what_is_frozen(model, size):
    keras.utils.set_random_seed(0)  # by chance all rectifiers of a narrow layer may be dead, and nothing to drop
    network = model.network((size, size, 3), 2)
    images = np.random.default_rng(0).integers(0, 256, (8, size, size, 3)).astype(np.float32)
    freezing.apply(model, network, Stage(epochs=1, freeze="backbone"))
    assert np.array_equal(network.backbone(images, training=True), network.backbone(images, training=False))
    freezing.apply(model, network, Stage(epochs=1))
    assert not np.array_equal(network.backbone(images, training=True), network.backbone(images, training=False))


@pytest.mark.parametrize(
    "application",
    [
        "MobileNet",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("EfficientNetB0", "MobileNetV3Small", "ResNet50V2")),
    ],
)
def test_layers_of_keras_are_divided_in_their_order(application):
    model = KerasApplication(application=application, weights=None)
    network = model.network((64, 64, 3), 2)
    row = freezing.groups(model, network)
    assert [layer for group in row for layer in group.layers] == list(network.backbone.layers)
    sides = [int(group.name.split(" x ")[0]) for group in row]
    assert sides == sorted(sides, reverse=True) and len(set(sides)) == len(sides)


def test_every_layer_with_weights_is_in_one_group():
    for model, shape in ((ResNet(depth=18), (32, 32, 3)), (Vgg(depth=11, dense_units=(4, 4)), (32, 32, 3))):
        network = model.network(shape, 2)
        found = [layer.name for group in freezing.groups(model, network) for layer in group.layers if layer.weights]
        assert sorted(found) == sorted(layer.name for layer in network.backbone.layers if layer.weights)


def test_a_frozen_normalisation_works_as_after_the_training(resnet):
    model, network = resnet
    freezing.apply(model, network, Stage(epochs=1, freeze="backbone"))
    images = np.random.default_rng(0).integers(0, 256, (4, *SHAPE)).astype(np.float32)
    before = [weight.numpy() for weight in network.backbone.weights]
    training = network.backbone(images, training=True).numpy()
    assert np.array_equal(training, network.backbone(images, training=False).numpy())
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, network.backbone.weights, strict=True))


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (ResNet(depth=20), 8),
        (KerasApplication(application="MobileNet", alpha=0.25, weights=None), 32),
        (Sequential(layers=(Conv(filters=3), BatchNorm(), Flatten())), 8),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_normalisation_in_inference_is_as_after_the_training_while_scale_and_shift_learn(model, size):
    network = model.network((size, size, 3), 2)
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (4, size, size, 3)).astype(np.float32))
    statistics = [weight for weight in network.backbone.weights if "moving" in weight.path]
    before = [weight.numpy() for weight in statistics]
    assert statistics
    dropping = [layer for layer in network.backbone.layers if isinstance(layer, keras.layers.Dropout)]
    for layer in dropping:
        layer.rate = 0.0
    freezing.apply(model, network, Stage(epochs=1, batch_norm="inference"))
    with tf.GradientTape() as tape:
        features = network.backbone(images, training=True)
        total = tf.reduce_sum(features**2)
    assert np.array_equal(features, network.backbone(images, training=False))
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, statistics, strict=True))
    learning = [weight for weight in network.backbone.trainable_weights if "gamma" in weight.path]
    assert len(learning) == len(statistics) // 2
    assert all(slope is not None for slope in tape.gradient(total, [weight.value for weight in learning]))
    freezing.apply(model, network, Stage(epochs=1, batch_norm="batch"))  # a later stage may have it otherwise
    assert not np.array_equal(network.backbone(images, training=True), network.backbone(images, training=False))
    assert not any(np.array_equal(a, b.numpy()) for a, b in zip(before, statistics, strict=True))
