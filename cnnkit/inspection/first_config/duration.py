"""How long a training takes on this machine's processor, estimated without TensorFlow.

The multiply-adds of the network are counted; how many of them this machine does a second is measured by products of
matrices; to that come the decoding and the augmenting of images. The constants were found from trainings whose time was
taken: configs/folder.yaml and configs/fashion_mnist.yaml on two cores with nothing else to do.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from cnnkit.core.lazy import np
from cnnkit.core.machine import cores
from cnnkit.core.text import counted
from cnnkit.inspection.first_config.base import Suggestion, Traits
from cnnkit.models.sequential_layers import Conv, Dense, Layer, Tensor

STEP = 3
"""Multiply-adds of a training step, as a multiple of those of the answer alone: the gradients by the weights and by the
inputs cost as much again each."""

EFFICIENCY = 0.68
"""Share of a small matrix product's speed that the layers of a small network reach."""

AUGMENTING = 2e-4
"""Seconds to flip and shift an image, beside the training on two cores."""

USEFUL_CORES = 8
"""More do not make a network this small faster; a guess, only two were measured."""

STARTING = 12
"""Seconds in which TensorFlow is imported, the network built and the first step made ready."""


def multiply_adds(layers: Sequence[Layer], shape: Tensor, classes: int) -> int:
    """Multiply-adds that a plain network of convolutions and dense layers needs for an image, the classifier included.

    Args:
        layers: Those of a `sequential` network, without branches.
        shape: Height, width and channels of the image.
        classes: How many numbers the classifier makes.
    """
    total = 0
    for layer in layers:
        after = layer.output(shape)
        if isinstance(layer, Conv):
            total += math.prod(after) * layer.kernel_size**2 * shape[-1]
        elif isinstance(layer, Dense):
            total += shape[0] * layer.units
        shape = after
    return total + shape[0] * classes


def speed(seconds: float = 0.1) -> float:
    """Multiply-adds that this machine does a second when nothing else wants it.

    The fastest of many matrix products, each so small that one core does it in microseconds: so the answer is the same
    on a busy machine, where larger ones are torn apart.
    """
    side, repeats = 64, 10
    matrix = np.full((side, side), 0.5, np.float32)
    product = np.empty_like(matrix)
    fastest = math.inf
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        for _ in range(repeats):
            np.matmul(matrix, matrix, out=product)
        fastest = min(fastest, time.perf_counter() - start)
    return float(side**3 * repeats / fastest) * min(cores(), USEFUL_CORES)


def training_seconds(suggestion: Suggestion, traits: Traits, multiply_adds_a_second: float) -> float:
    """Seconds that a training takes.

    Args:
        suggestion: What is trained, and how long.
        traits: The images that train, and those that are looked at after each epoch.
        multiply_adds_a_second: What `speed` has measured.
    """
    values = suggestion.values()
    epochs: int = values["train"]["epochs"]
    images = STEP * traits.training + traits.splits["validation"]
    network = suggestion.macs * images * epochs / (EFFICIENCY * multiply_adds_a_second)
    decoding = traits.decoding * traits.images / cores()
    return STARTING + decoding + network + bool(values["augment"]) * AUGMENTING * traits.training * epochs


def in_words(seconds: float) -> str:
    """A duration as a person would say it who has estimated it."""
    if seconds < 50:
        return "under a minute"
    minutes = seconds / 60
    if minutes < 50:
        return f"about {counted(max(1, round(minutes)), 'minute')}"
    hours = minutes / 60
    if hours < 36:
        return f"about {counted(max(1, round(hours)), 'hour')}"
    return f"about {round(hours / 24)} days"
