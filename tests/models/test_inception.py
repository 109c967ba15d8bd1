from __future__ import annotations

import numpy as np
import pytest
from convert_weights import named_as_in_a_new_process
from keras_families import inception_name

from cnnkit.core.lazy import keras, tf
from cnnkit.inspection.summary import layer_rows
from cnnkit.models import Inception


@pytest.fixture
def zeros(monkeypatch):
    """Nothing that counts looks at the random numbers, which take most of the time of building."""
    monkeypatch.setattr(
        keras.initializers.VarianceScaling, "__call__", lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype)
    )


# Table 1 of GoogLeNet: output channels, depths of the branches, and the operations that it tells, in millions.
TABLE = {
    "stage3_block1": (192, (64, 96, 128, 16, 32, 32), 256, 128),
    "stage3_block2": (256, (128, 128, 192, 32, 96, 64), 480, 304),
    "stage4_block1": (480, (192, 96, 208, 16, 48, 64), 512, 73),
    "stage4_block2": (512, (160, 112, 224, 24, 64, 64), 512, 88),
    "stage4_block3": (512, (128, 128, 256, 24, 64, 64), 512, 100),
    "stage4_block4": (512, (112, 144, 288, 32, 64, 64), 528, 119),
    "stage4_block5": (528, (256, 160, 320, 32, 128, 128), 832, 170),
    "stage5_block1": (832, (256, 160, 320, 32, 128, 128), 832, 54),
    "stage5_block2": (832, (384, 192, 384, 48, 128, 128), 1024, 71),
}


def convolutions(inputs, one, reduce3, three, reduce5, five, projection):
    """(window, channels in, channels out) of a module's six convolutions."""
    return [
        (1, inputs, one),
        (1, inputs, reduce3),
        (3, reduce3, three),
        (1, inputs, reduce5),
        (5, reduce5, five),
        (1, inputs, projection),
    ]


def with_biases(convs):
    return sum(size * size * inputs * outputs + outputs for size, inputs, outputs in convs)


def test_googlenet_has_the_parameters_of_table_1(zeros):
    model = Inception(version=1).build((224, 224, 3), 1000)
    rows = layer_rows(model)
    derived = {name: with_biases(convolutions(inputs, *filters)) for name, (inputs, filters, *_) in TABLE.items()}
    for name, parameters in derived.items():
        assert sum(row.parameters for row in rows if row.name.startswith(name)) == parameters
    stem = with_biases([(7, 3, 64), (1, 64, 64), (3, 64, 192)])
    assert model.count_params() == stem + sum(derived.values()) + 1024 * 1000 + 1000


def test_googlenets_modules_have_the_operations_that_table_1_tells(zeros):
    rows = layer_rows(Inception(version=1).build((224, 224, 3), 1000))
    for name, (*_, channels, millions) in TABLE.items():
        assert sum(row.macs for row in rows if row.name.startswith(name)) / 1e6 == pytest.approx(millions, rel=0.06)
        (end,) = (row for row in rows if row.name == f"{name}_concat")
        side = {"3": 28, "4": 14, "5": 7}[name[5]]
        assert end.output_shape == (side, side, channels)


def test_inception_v3_has_the_sizes_of_its_paper(zeros):
    rows = {row.name: row.output_shape for row in layer_rows(Inception(version=3).build((299, 299, 3), 1000))}
    # Table 1; its 35 x 35 and 17 x 17 are told with the channels that come in.
    assert rows["stem_conv1"] == (149, 149, 32) and rows["stem_conv3"] == (147, 147, 64)
    assert rows["stem_pool1"] == (73, 73, 64)
    assert rows["stage3_block3_concat"] == (35, 35, 288)
    assert rows["stage4_block5_concat"] == (17, 17, 768)
    assert rows["stage5_block1_concat"] == (8, 8, 1280)
    assert rows["stage5_block3_concat"] == (8, 8, 2048)


def test_version_3_differs_from_1_in_what_a_config_leaves_out():
    first, third = Inception(version=1), Inception()
    assert (first.style.normalization, third.style.normalization) == ("none", "batch")
    assert (first.classifier_dropout, third.classifier_dropout) == (0.4, 0.2)
    chosen = Inception(version=1, normalization="group", dropout=0.0)
    assert (chosen.style.normalization, chosen.classifier_dropout) == ("group", 0.0)
    assert not [layer for layer in chosen.build((32, 32, 3), 2).layers if isinstance(layer, keras.layers.Dropout)]


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 224), ("imagenet", 33), ("small", 32), ("small", 4)])
def test_googlenet_has_two_auxiliary_classifiers_apart_from_the_product(zeros, stem, side):
    network = Inception(version=1, stem=stem).network((side, side, 3), 7)
    assert [weight for _, weight in network.auxiliary] == [0.3, 0.3]
    for number, stage4_block in ((1, 1), (2, 4)):
        part, _ = network.auxiliary[number - 1]
        rows = {row.name: row for row in layer_rows(part)}
        own = [row for name, row in rows.items() if name.startswith("auxiliary")]
        assert all(row.name.startswith(f"auxiliary{number}_") for row in own)
        assert part.output.shape == (None, 7)
        assert rows[f"auxiliary{number}_conv"].output_shape[-1] == 128
        assert rows[f"auxiliary{number}_dense"].output_shape == (1024,)
        assert part.get_layer(f"auxiliary{number}_dense_dropout").rate == 0.7
        assert f"stage4_block{stage4_block}_concat" in rows and f"stage4_block{stage4_block + 1}_1x1" not in rows
        if side == 224:  # section 5: an output of 4x4x512 at 4a and of 4x4x528 at 4d
            assert rows[f"auxiliary{number}_pool"].output_shape == (4, 4, 512 if number == 1 else 528)
    assert not [layer.name for layer in network.model.layers if "auxiliary" in layer.name]


def test_auxiliary_classifiers_share_the_weights_of_the_product():
    network = Inception(version=1, stem="small").network((8, 8, 1), 2)
    part, _ = network.auxiliary[1]
    shared = network.model.get_layer("stage4_block4_3x3")
    assert part.get_layer("stage4_block4_3x3") is shared
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(part(np.random.default_rng(5).uniform(0, 255, (4, 8, 8, 1)).astype(np.float32)) ** 2)
    assert np.abs(tape.gradient(loss, shared.kernel.value)).max() > 0


def test_version_3_has_no_auxiliary_classifier(zeros):
    assert Inception(version=3, stem="small").network((16, 16, 1), 2).auxiliary == ()


@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_windows_of_version_3_do_not_fit_in_an_image_smaller_than_the_smallest(zeros, stem):
    architecture = Inception(version=3, stem=stem)
    with pytest.raises(ValueError):
        architecture.build((architecture.smallest_image - 1,) * 2 + (3,), 2)


def randomise(model, random):
    """Weights of every kind differ from layer to layer, and what an image shows still reaches the end."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel = layer.kernel.shape
            layer.set_weights([random.normal(0, np.sqrt(2 / np.prod(kernel[:-1])), kernel)])
        if isinstance(layer, keras.layers.BatchNormalization):
            bounds = (-0.3, 0.3), (-0.3, 0.3), (0.5, 1.5)  # beta, moving mean, variance
            layer.set_weights([random.uniform(*bound, layer.beta.shape) for bound in bounds])


def blotches(random, count, height, width):
    """Images that stay apart when windows and means have smoothed them, as those of noise do not."""
    coarse = random.integers(0, 256, (count, 6, 6, 3))
    return coarse.repeat(-(-height // 6), 1).repeat(-(-width // 6), 2)[:, :height, :width].astype(np.float32)


@pytest.fixture(scope="module")
def inception3():
    keras.utils.set_random_seed(1)
    return Inception(version=3).build((75, 92, 3), 1000)


@pytest.mark.slow
def test_inception_v3_computes_what_that_of_keras_applications_does(inception3):
    part = keras.applications.InceptionV3(weights=None, include_top=False, pooling="avg", input_shape=(75, 92, 3))
    theirs = named_as_in_a_new_process(part)
    random = np.random.default_rng(3)
    randomise(part, random)
    ours = [layer.name for layer in inception3.layers if layer.weights and layer.name != "logits"]
    names = {name: inception_name(Inception(), name) for name in ours}
    for name, theirs_name in names.items():
        inception3.get_layer(name).set_weights(theirs[theirs_name].get_weights())
    assert len(set(names.values())) == len(names) == len([layer for layer in part.layers if layer.weights])
    assert inception3.count_params() == part.count_params() + 2048 * 1000 + 1000 == 23_851_784
    images = blotches(random, 2, 75, 92)
    kernel, bias = inception3.get_layer("logits").get_weights()
    expected = part(images / 127.5 - 1).numpy() @ kernel + bias
    scale = np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() > 0.02 * scale
    assert np.abs(inception3(images).numpy() - expected).max() < 1e-4 * scale


@pytest.mark.slow
def test_a_gradient_reaches_every_weight_of_version_3(inception3):
    with tf.GradientTape() as tape:
        images = np.random.default_rng(5).integers(0, 256, (4, 75, 92, 3)).astype(np.float32)
        loss = tf.reduce_sum(tf.nn.log_softmax(inception3(images, training=True))[:, 0])
    weights = inception3.trainable_weights
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    assert [w.path for w, g in zip(weights, gradients, strict=True) if not (np.isfinite(g).all() and np.any(g))] == []
