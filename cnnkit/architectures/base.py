"""Architecture: a network up to its feature vector; the classifier behind it is the same for all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from cnnkit.errors import Problem, TrainingError
from cnnkit.lazy import keras, tf
from cnnkit.spec import Spec

Shape = tuple[int, int, int]


class Architecture(Spec):
    """A convolutional network. A family with only its depth given is its paper's network."""

    def stages(self) -> tuple[str, ...]:
        """Names of its parts from input to output; the layers of a part begin with its name."""
        return ()

    def problems(self, shape: Shape) -> Iterator[Problem]:
        """What makes it impossible for images of (height, width, channels); found without TensorFlow."""
        yield from ()

    @abstractmethod
    def features(self, x: Any) -> Any:
        """From scaled images (B, H, W, C) to a feature vector (B, c)."""

    def build(self, shape: Shape, logits: int) -> Any:
        """The whole network as a Keras model: pixels 0..255 in, logits out.

        The scaling to -1..1 is inside, so that whoever uses the model can't scale twice or not at all.

        Args:
            shape: Height, width and channels of the images.
            logits: How many numbers come out, one a class (`Loss.logits`).

        Returns:
            `keras.Model` from float32 (B, H, W, C) in 0..255 to float32 (B, logits).

        Raises:
            TrainingError: Its weights do not fit in memory.
        """
        image = keras.Input(shape, name="image")
        x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scaling")(image)
        try:
            x = self.features(x)
            x = keras.layers.Dense(logits, dtype="float32", name="logits")(x)
        except tf.errors.ResourceExhaustedError:
            raise TrainingError("the weights of this network do not fit in memory; make its layers smaller") from None
        return keras.Model(image, x, name=getattr(self, "name", "network"))


def too_small(shape: Shape, smallest: int, what: str) -> Iterator[Problem]:
    """The problem of images smaller than `smallest` pixels in height or width, if they are."""
    height, width, _ = shape
    if min(height, width) < smallest:
        yield Problem(f"{what} needs images of at least {smallest} x {smallest} pixels; these are {height} x {width}")
