"""How the steps of a training are computed: on which devices, in what precision, by TensorFlow's kernels or XLA's."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from cnnkit.core.devices import Devices
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import tf
from cnnkit.core.spec import AUTO
from cnnkit.optimization.section import Train
from cnnkit.training.loss_scale import LossScale
from cnnkit.training.model import Learner

FIRST = Devices(("CPU:0",))
"""The one device that there always is."""


@dataclass(frozen=True)
class Computing:
    """What a config leaves to the machine, decided.

    Attributes:
        devices: What computes.
        jit: Whether XLA compiles what one device computes.
        precision: What the network computes in, by Keras's name of the policy.
    """

    devices: Devices = FIRST
    jit: bool = False
    precision: str = "float32"

    @classmethod
    def of(cls, train: Train, model: Any) -> Self:
        """What a section comes to on this machine.

        Args:
            train: The section.
            model: Keras's; not all layers can be compiled.

        Raises:
            ConfigError: There are fewer devices than it asks for.
        """
        devices = Devices.of(train.devices)
        can = devices.gpu and not devices.several and all(layer.supports_jit for layer in model.layers)
        return cls(devices, can if train.jit == AUTO else bool(train.jit), train.precision)

    def facts(self) -> dict[str, Any]:
        """What the record of a run says of it."""
        return {"devices": list(self.devices.names), "precision": self.precision, "jit": self.jit}

    def careful(self, train: Train) -> Iterator[Problem]:
        """What takes longer here than it would if it was left out, and could not be told before."""
        if not self.devices.gpu and train.devices != "cpu":
            yield from (replace(problem, key=f"train.{problem.key}") for problem in train.slow_on_cpu())


class Gradients:
    """Loss and gradients of a batch, as the devices compute them.

    Attributes:
        learner: What learns.
        learns: Of each of its weights, whether it has a say in the loss; known once they were computed.
        scale: That of the loss; None where there is none.
    """

    def __init__(self, learner: Learner, computing: Computing):
        """Compiles nothing yet.

        Args:
            learner: What learns.
            computing: How.
        """
        self.learner, self._devices = learner, computing.devices
        self._weights = learner.trainable_variables
        self.learns = [True] * len(self._weights)
        self.scale = LossScale() if computing.precision == "mixed_float16" else None
        self._on_one = self._of_images
        if computing.jit:
            self._on_one = tf.function(self._of_images, autograph=False, jit_compile=True)

    def __call__(self, images: Any, labels: Any, weights: Any) -> tuple[Any, list[Any], Any]:
        """Loss, gradients (zeros for a weight that has no say in the loss) and the network's own logits."""
        one = not self._devices.several
        loss, gradients, logits = (self._on_one if one else self._divided)(images, labels, weights)
        if self.scale:
            gradients = [gradient / tf.cast(self.scale.value, gradient.dtype) for gradient in gradients]
        return loss, gradients, logits

    def answers(self, images: Any) -> Any:
        """The network's own logits, without training."""
        if not self._devices.several:
            return self.learner.logits(images, training=False)[0]

        def own(number: int, images: Any) -> Any:
            [share], count, _ = self._share(number, images)
            return self.learner.logits(share, training=False)[0][:count]

        return tf.concat(self._devices.each(own, images), 0)

    def _of_images(self, images: Any, labels: Any, weights: Any) -> tuple[Any, list[Any], Any]:
        """The same of images on one device, the gradients times the scale."""
        with tf.GradientTape() as tape:
            logits = self.learner.logits(images, training=True)
            loss = self.learner.loss(labels, logits, weights)
            scaled = loss * self.scale.value if self.scale else loss
        found = tape.gradient(scaled, [weight.value for weight in self._weights])
        self.learns = [gradient is not None for gradient in found]
        gradients = [
            tf.zeros_like(weight.value) if gradient is None else tf.convert_to_tensor(gradient)
            for gradient, weight in zip(found, self._weights, strict=True)
        ]
        return loss, gradients, logits[0]

    def _divided(self, images: Any, labels: Any, weights: Any) -> tuple[Any, list[Any], Any]:
        """The same of a batch that several devices divide among them: means over all of its images."""
        self._devices.tell_apart(self._seeds)

        def own(number: int, *batch: Any) -> tuple[Any, ...]:
            shares, count, part = self._share(number, *batch)
            loss, gradients, logits = self._of_images(*shares)
            return part, loss * part, [each * tf.cast(part, each.dtype) for each in gradients], logits[:count]

        parts, losses, gradients, logits = zip(*self._devices.each(own, images, labels, weights), strict=True)
        self._devices.bring_together(self._statistics, parts)
        return tf.add_n(losses), [tf.add_n(of_one) for of_one in zip(*gradients, strict=True)], tf.concat(logits, 0)

    def _share(self, number: int, *batch: Any) -> tuple[list[Any], Any, Any]:
        """The share of a device in a batch, how many images it has, and what part of the batch that is.

        A device for which none is left computes with an image that counts nothing.
        """
        with tf.device("CPU:0"):  # where batches are made: no device gets more than its share
            count, devices = tf.shape(batch[0])[0], len(self._devices.names)
            begin, end = count * number // devices, count * (number + 1) // devices
            shares = [part[begin : tf.maximum(end, begin + 1)] for part in batch]
            return shares, end - begin, tf.cast(end - begin, tf.float32) / tf.cast(count, tf.float32)

    @functools.cached_property
    def _seeds(self) -> list[Any]:
        return [variable.value for variable in self.learner.seeds]

    @functools.cached_property
    def _statistics(self) -> list[Any]:
        values = [variable.value for variable in self.learner.statistics]
        return [value for value in values if value.dtype.is_floating]
