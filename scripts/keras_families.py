"""How our families are called, built and named in keras.applications; `convert_weights.py` takes weights over by it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cnnkit.models.densenet import DenseNet
from cnnkit.models.inception import Inception
from cnnkit.models.vgg import Vgg


@dataclass(frozen=True)
class Family:
    """How one of our families is called and built in keras.applications.

    Attributes:
        application: The function in keras.applications, for one of our networks.
        module: The module of its `preprocess_input`.
        keras_name: The name that Keras gives to the layer that has this name with us.
        scaling: Our word for what `preprocess_input` does.
        settings: Those of ours that decide what is computed, with Keras's value, last, and others that mean the same.
        pooling: What makes a vector of Keras's features without a top; None where ours flattens them.
        without_top: Settings of ours that leave out what belongs to Keras's top.
    """

    application: Callable[[Any], str]
    module: Callable[[Any], str]
    keras_name: Callable[[Any, str], str]
    scaling: str
    settings: Mapping[str, tuple[Any, ...]]
    pooling: str | None = None
    without_top: Mapping[str, Any] = field(default_factory=dict)


def vgg_name(architecture: Vgg, name: str) -> str:
    """Blocks have the same names; ours count the dense layers as such."""
    return {"dense1": "fc1", "dense2": "fc2", "logits": "predictions"}.get(name, name)


def densenet_name(architecture: DenseNet, name: str) -> str:
    """Keras counts the image's sizes from its stem on, and a normalisation as the end of the convolution before it."""
    fixed = {"stem": "conv1_conv", "stem_norm": "conv1_bn", "stage4_norm": "bn", "logits": "predictions"}
    if name in fixed:
        return fixed[name]
    kind = "bn" if name.endswith("_norm") else "conv"
    if transition := re.match(r"transition(\d)", name):
        return f"pool{int(transition[1]) + 1}_{kind}"
    if found := re.match(r"stage(\d)_block(\d+)_conv(\d)", name):
        stage, block, conv = map(int, found.groups())
        return f"conv{stage + 1}_block{block}_{conv - 1 if kind == 'bn' else conv}_{kind}"
    return name


# Branches of the modules of Inception-v3, in the order in which Keras makes their convolutions.
FIGURE_5 = ("1x1", "5x5_reduce", "5x5", "3x3_reduce", "3x3_1", "3x3_2", "pool_proj")
FIGURE_6 = (
    *("1x1", "7x7_reduce", "7x7_1", "7x7_2"),
    *("double7x7_reduce", "double7x7_1", "double7x7_2", "double7x7_3", "double7x7_4", "pool_proj"),
)
FIGURE_7 = (
    *("1x1", "3x3_reduce", "3x3_row", "3x3_column"),
    *("double3x3_reduce", "double3x3", "double3x3_row", "double3x3_column", "pool_proj"),
)
BLOCKS = {
    "stem": ("conv1", "conv2", "conv3", "conv4", "conv5"),
    **{f"stage3_block{i}": FIGURE_5 for i in (1, 2, 3)},
    "stage4_block1": ("3x3", "double3x3_reduce", "double3x3_1", "double3x3_2"),
    **{f"stage4_block{i}": FIGURE_6 for i in (2, 3, 4, 5)},
    "stage5_block1": ("3x3_reduce", "3x3", "7x7_reduce", "7x7_1", "7x7_2", "7x7_3"),
    **{f"stage5_block{i}": FIGURE_7 for i in (2, 3)},
}
ORDER = [f"{block}_{name}" for block, names in BLOCKS.items() for name in names]

# What Keras calls the layers to which InceptionV3 gives no name.
NUMBERED = ("conv2d", "batch_normalization")


def inception_name(architecture: Inception, name: str) -> str:
    """Keras has numbered convolutions and normalisations; see `named_as_in_a_new_process`."""
    if name == "logits":
        return "predictions"
    kind = "batch_normalization" if name.endswith("_norm") else "conv2d"
    return numbered(kind, ORDER.index(name.removesuffix("_norm")))


def numbered(kind: str, number: int) -> str:
    """What Keras calls a layer without a name; the first has no number."""
    return f"{kind}_{number}" if number else kind


def named_as_in_a_new_process(model: Any) -> dict[str, Any]:
    """The layers of a Keras model by their names, with numbers that count from the first of the model.

    Keras numbers the layers of all networks of a process in the order in which they were made.
    """
    found = {}
    counted: dict[str, list[tuple[int, Any]]] = {kind: [] for kind in NUMBERED}
    for layer in model.layers:
        if match := re.fullmatch(rf"({'|'.join(NUMBERED)})(?:_(\d+))?", layer.name):
            counted[match[1]].append((int(match[2] or 0), layer))
        else:
            found[layer.name] = layer
    for kind, layers in counted.items():
        in_order = sorted(layers, key=lambda pair: pair[0])
        found |= {numbered(kind, i): layer for i, (_, layer) in enumerate(in_order)}
    return found


FAMILIES = {
    "vgg": Family(
        application=lambda vgg: f"VGG{vgg.depth}",
        module=lambda vgg: f"vgg{vgg.depth}",
        keras_name=vgg_name,
        scaling="caffe",
        settings={"activation": ("relu",), "normalization": ("none",)},
        without_top={"dense_units": ()},
    ),
    "densenet": Family(
        application=lambda densenet: f"DenseNet{densenet.depth}",
        module=lambda densenet: "densenet",
        keras_name=densenet_name,
        scaling="imagenet",
        settings={
            "growth_rate": (None, 32),
            "compression": (0.5,),
            "activation": ("relu",),
            "normalization": ("batch",),
        },
        pooling="avg",
    ),
    "inception": Family(
        application=lambda inception: f"InceptionV{inception.version}",
        module=lambda inception: "inception_v3",
        keras_name=inception_name,
        scaling="symmetric",
        settings={"stem": ("imagenet",), "activation": ("relu",), "normalization": (None, "batch")},
        pooling="avg",
    ),
}
