"""Architecture: a network up to its feature vector; the scaling before and the classifier behind are for all alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import DataError, Problem, TrainingError, UsageError
from cnnkit.core.lazy import keras, tf
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath, Spec
from cnnkit.core.text import by
from cnnkit.models import weight_files
from cnnkit.models.layers import Style, odd_dropout, scaled

Shape = tuple[int, int, int]

HEAVY = 0.05
"""An `l2` from which on kernels are pressed to 0."""

FAMILY_FOR_SMALL, FAMILY_FOR_LARGE = 96, 64
"""Height or width, in pixels, from which on a network for small images is slow, and below which one for images of 224
pixels is left with less than 2 x 2 of them."""


@dataclass(frozen=True)
class FeatureVectors:
    """What a network has seen in an image.

    Attributes:
        main: The feature vector (B, c) that the classifier gets.
        auxiliary: Feature vectors (B, c) from within, each with the weight that the loss of its own classifier has.
    """

    main: Any
    auxiliary: Sequence[tuple[Any, float]] = ()


@dataclass(frozen=True)
class Network:
    """A built network: the product, its two parts, and what only training has use for.

    All are Keras models that share their layers.

    Attributes:
        model: From pixels (B, H, W, C) in 0..255 to logits.
        backbone: From pixels to the feature vector (B, c).
        classifier: From the feature vector to logits.
        auxiliary: From pixels to the logits of an auxiliary classifier, each with the weight of its loss.
    """

    model: Any
    backbone: Any
    classifier: Any
    auxiliary: tuple[tuple[Any, float], ...] = ()


class Architecture(Spec):
    """A convolutional network. A family with only its depth given is its paper's network."""

    l2: Annotated[float, Field(ge=0)] = 0.0
    """This times the sum of the squares of all kernels is added to the loss; 1e-4 is usual with SGD."""
    weights: AbsolutePath | None = None
    """Where weights start from: a run, a .weights.h5, or Keras's .h5 or .keras; it may have other classes."""

    in_float32: ClassVar[bool] = False
    """Whether its features are computed in float32 whatever `train.precision` says."""

    @classmethod
    def variants(cls) -> Sequence[Architecture]:
        """The networks of its paper, for `cnnkit list architectures`; none where something has to be chosen."""
        return () if any(field.is_required() for field in cls.model_fields.values()) else (cls(),)

    @property
    def paper(self) -> str:
        """Who, when, where, as `cnnkit list architectures` shows it."""
        return ""

    @property
    def small(self) -> bool:
        """Whether it is for images of about 32 pixels, as those of CIFAR are, not of 224 as those of ImageNet."""
        return False

    @property
    def image_shape(self) -> Shape:
        """Height, width and channels of the images that the paper's network is for."""
        return (32, 32, 3) if self.small else (224, 224, 3)

    @property
    def classes(self) -> int:
        """How many classes the paper tells apart: those of ImageNet, for small images those of CIFAR-10 and MNIST."""
        return 1000 if min(self.image_shape[:2]) > 64 else 10

    @property
    def smallest_image(self) -> int:
        """Height and width, in pixels, that an image must have at least."""
        return 1

    @property
    def pretrained(self) -> bool:
        """Whether its features were learnt already, so that they are frozen unless `train.stages` says otherwise."""
        return self.weights is not None

    @property
    def learnt_with(self) -> Shape | None:
        """Height, width and channels of the images that its features were learnt with, where that is known."""
        return None

    def stages(self) -> tuple[str, ...]:
        """Names of its parts from input to output; the layers of a part begin with its name."""
        return ()

    def may_have(self, part: str) -> bool:
        """Whether a stage or a layer may be called so, as far as can be told before the network is built."""
        return not self.stages() or any(belongs(part, stage) for stage in self.stages())

    def careful(self, given: Given) -> Iterator[Problem]:
        """A penalty or a dropout that leaves nothing to learn, and images of another size than it is for."""
        if self.l2 >= HEAVY:
            yield Problem("presses all kernels to 0; 1e-5 to 1e-3 is usual", key="l2")
        yield from odd_dropout(self._chosen("dropout", None) or 0, "dropout")
        has_both = type(self).small is not Architecture.small
        shorter, size = min(given.shape[:2]), by(given.shape[:2])
        if has_both and self.small and shorter > FAMILY_FOR_SMALL:
            times = given.shape[0] * given.shape[1] // (32 * 32)
            message = f"is for images of about 32 x 32, and takes {times} times the time for {size}"
            yield Problem(f"{message}; `cnnkit list architectures` has those for large images")
        if has_both and not self.small and not given.pretrained and shorter < FAMILY_FOR_LARGE:
            message = f"is for images of about 224 x 224, and halves {size} until 1 x 1 is left"
            yield Problem(f"{message}; `cnnkit list architectures` has those for small images")

    def problems(self, shape: Shape) -> Iterator[Problem]:
        """What makes it impossible for images of (height, width, channels); found without TensorFlow."""
        height, width, channels = shape
        if min(height, width) < self.smallest_image:
            needed = f"{self.smallest_image} x {self.smallest_image}"
            message = f"{self.title} needs images of at least {needed} pixels; these are {by((height, width))}"
            yield Problem(message)
        if channels != 3 and self._chosen("scaling", "symmetric") != "symmetric":
            message = "is a scaling of colours; with data.channels 1 it can only be symmetric"
            yield Problem(message, key="scaling")

    @property
    def title(self) -> str:
        """What to call it in a sentence: `resnet 50`."""
        return " ".join(str(part) for part in (self._chosen("name", ""), self._chosen("depth", "")) if part)

    def _chosen(self, name: str, default: Any) -> Any:
        """The setting of that name, where the family has it."""
        return getattr(self, name) if name in type(self).model_fields else default

    @property
    def style(self) -> Style:
        """How its layers are made, from those of the choices that the family takes."""
        choices = [field.name for field in fields(Style) if field.name in type(self).model_fields]
        return Style(**{name: getattr(self, name) for name in choices})

    @property
    def classifier_dropout(self) -> float:
        """Share of the features that is dropped in training."""
        return 0.0

    def scale(self, image: Any) -> Any:
        """From pixels 0..255 (B, H, W, C) to what `features` takes. Inside the model, so that nobody scales twice."""
        return scaled(image, self._chosen("scaling", "symmetric"))

    @abstractmethod
    def features(self, x: Any) -> Any:
        """From scaled images (B, H, W, C) to a feature vector (B, c), or to `FeatureVectors`."""

    def build(self, shape: Shape, logits: int, precision: str = "float32") -> Any:
        """The Keras model from pixels 0..255 to logits; see `network`."""
        return self.network(shape, logits, precision).model

    def network(self, shape: Shape, logits: int, precision: str = "float32") -> Network:
        """The whole network, from pixels 0..255 to logits, and its parts.

        Args:
            shape: Height, width and channels of the images.
            logits: How many numbers come out, one a class (`Loss.logits`).
            precision: What its layers compute in, by Keras's name of the policy; weights, scaled pixels and logits are
                float32 in each.

        Raises:
            TrainingError: Its weights do not fit in memory.
        """
        with computing_in("float32"):
            image = keras.Input(shape, name="image")
            scaled = self.scale(image)
        with computing_in(precision):
            return self._network(image, scaled, logits)

    def _network(self, image: Any, scaled: Any, logits: int) -> Network:
        """The same behind the scaling of the image."""
        try:
            features = self.features(scaled)
            features = features if isinstance(features, FeatureVectors) else FeatureVectors(features)
            vector = keras.Input(features.main.shape[1:], name="features")
            head = [keras.layers.Dropout(self.classifier_dropout, name="dropout")] if self.classifier_dropout else []
            head.append(keras.layers.Dense(logits, dtype="float32", name="logits"))
            model = keras.Model(image, _through(head, features.main), name=self._chosen("name", "network"))
            auxiliary = []
            for i, (x, weight) in enumerate(features.auxiliary, start=1):
                answer = keras.layers.Dense(logits, dtype="float32", name=f"auxiliary{i}_logits")(x)
                auxiliary.append((keras.Model(image, answer, name=f"auxiliary{i}"), weight))
        except tf.errors.ResourceExhaustedError:
            raise TrainingError("the weights of this network do not fit in memory; make its layers smaller") from None
        backbone = keras.Model(image, features.main, name="backbone")
        classifier = keras.Model(vector, _through(head, vector), name="classifier")
        network = Network(model, backbone, classifier, tuple(auxiliary))
        if self.l2:
            for part in (model, *(part for part, _ in auxiliary)):
                for variable in part.trainable_variables:
                    if len(variable.shape) > 1:  # kernels; biases, scales and shifts are vectors
                        variable.regularizer = keras.regularizers.L2(self.l2)
        return network

    def fetch(self, progress: Progress) -> None:
        """Gets the files that the network is built from beside its weights, where it has some and they lie elsewhere.

        Raises:
            DataError: They can't be had.
        """

    def with_files_in(self, folder: Path, copy: bool = False, called: Path | None = None) -> Architecture:
        """The same network, with the files that it is built from in a folder that a run has for them.

        Args:
            folder: The folder; where it is not there, and nothing is to be copied, the network is as it was.
            copy: Whether to copy them there first, unless they are there.
            called: What the folder is going to be called, if it is not yet.
        """
        return self

    def pretrained_weights(self, progress: Progress, shape: Shape | None = None) -> Path | None:
        """The file or run whose weights it starts from; gets it first where it lies elsewhere.

        Args:
            progress: Is told of a download.
            shape: Of the images, where weights were published for several; that of the paper if left out.

        Raises:
            DataError: It can't be had.
        """
        return Path(self.weights) if self.weights else None

    def absent(self) -> Iterator[Problem]:
        """Files that it names and that are not there, or not whole; found without TensorFlow."""
        if self.weights and not Path(self.weights).is_dir():  # a folder is a run
            try:
                weight_files.refuse_broken(Path(self.weights))
            except (UsageError, DataError) as error:
                yield from (replace(problem, key="weights") for problem in error.problems)


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers that are made within compute in a precision, by Keras's name of the policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def belongs(layer: str, stage: str) -> bool:
    """Whether a layer's name is the stage's, or begins with it and a sign, or a number, of its own."""
    rest = layer.removeprefix(stage)
    return layer.startswith(stage) and (not rest or rest[0] == "_" or (rest[0].isdigit() and not stage[-1].isdigit()))


def _through(layers: Sequence[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x
