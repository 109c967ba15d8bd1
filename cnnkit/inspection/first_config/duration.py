"""How long a training takes on this machine's processor, estimated without TensorFlow.

What earlier trainings here have recorded counts first. Where there is nothing, the multiply-adds of the network are
counted; how many of them this machine does a second is measured by products of matrices; to that come the decoding and
the augmenting of images. The constants were found from trainings whose time was taken: configs/folder.yaml and
configs/fashion_mnist.yaml on two cores with nothing else to do.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple, Self

from cnnkit.core import speeds
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

FITTING = 2e-4
"""Seconds to fit a classifier to the features of an image, for each class."""

HANDLED = 3000
"""Images a second that are read, divided, examined and judged, beside decoding them."""

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


@dataclass(frozen=True)
class Speeds:
    """How fast this machine is.

    Attributes:
        multiply_adds: A second, when nothing else wants the processor, as `speed` measures it.
        recorded: What earlier trainings have recorded, see `cnnkit.core.speeds`.
        damaged: Whether that can't be read.
    """

    multiply_adds: float
    recorded: Mapping[str, float] = field(default_factory=dict)
    damaged: bool = False

    @classmethod
    def here(cls) -> Self:
        """Those of this machine; measured once."""
        recorded = speeds.recorded()
        return cls(_speed_here(), recorded or {}, damaged=recorded is None)


@cache
def _speed_here() -> float:
    return speed()


class Estimate(NamedTuple):
    """How long a training will take.

    Attributes:
        seconds: So long.
        basis: What that is told by.
    """

    seconds: float
    basis: str


def estimate(suggestion: Suggestion, traits: Traits, speed: Speeds) -> Estimate:
    """How long a training takes, from its start to its evaluation.

    Args:
        suggestion: What is trained, and how long.
        traits: The images that train, and those that are looked at after each epoch and at the end.
        speed: How fast this machine is.
    """
    starting = speed.recorded.get(speeds.STARTING, STARTING)
    decoding = traits.decoding * traits.images / min(cores(), USEFUL_CORES)  # measured on the very pictures
    handling = traits.images / speed.recorded.get(speeds.HANDLING, HANDLED)
    kind, network = _network_seconds(suggestion, traits, speed)
    if kind in speed.recorded:
        basis = "by the speed of earlier trainings here"
    else:
        basis = f"an estimate for {counted(cores(), 'core')} with nothing else to do; better after a training"
        if speed.damaged:
            basis += f" ({speeds.place()}, where earlier ones are recorded, is damaged)"
    return Estimate(starting + handling + decoding + network, basis)


def _network_seconds(suggestion: Suggestion, traits: Traits, speed: Speeds) -> tuple[str, float]:
    """The kind of work that the network is, and how long it takes."""
    if suggestion.backbone is not None:
        kind = speeds.features(suggestion.backbone.title, suggestion.backbone.size)
        a_second = speed.recorded.get(kind, speed.multiply_adds / suggestion.work)
        # The test images go through the whole network at the end, and those of validation again.
        shown = traits.images + traits.splits["validation"]
        return kind, shown / a_second + FITTING * traits.training * len(traits.classes)
    kind = speeds.training(suggestion.values()["model"]["name"])
    images = (STEP * traits.training + traits.splits["validation"]) * suggestion.epochs
    evaluated = traits.splits["validation"] + traits.splits["test"]
    if kind in speed.recorded:  # that has the augmenting in it
        return kind, suggestion.work * (images + evaluated) / (STEP * speed.recorded[kind])
    network = suggestion.work * (images + evaluated) / (EFFICIENCY * speed.multiply_adds)
    augmenting = bool(suggestion.augment.value) * AUGMENTING * traits.training * suggestion.epochs
    return kind, network + augmenting


def roughly(seconds: float) -> str:
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
