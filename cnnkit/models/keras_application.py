"""The networks of keras.applications, by Keras's own names, with the weights that Keras publishes for them.

Keras's layers stand in our network one by one, between our scaling and our classifier, in their order and with the
names that they have in a fresh process. Batch normalisation runs on the fused kernel; nothing else differs.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator, field_validator

from cnnkit.core.cache import cache_folder, expanded
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import keras
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath
from cnnkit.models.base import Architecture, Shape
from cnnkit.models.layers import DEVIATION, MEAN, ClassifierDropout, keras_layers, scaled


@dataclass(frozen=True)
class NetworkFacts:
    """What Keras's documentation says of a network.

    Attributes:
        scaling: What its weights were trained with; `own` if the network scales pixels itself.
        size: Height and width of the images that its ImageNet weights were trained with.
        smallest: Height and width that an image must have at least.
        alphas: The widths that there are ImageNet weights for; empty if its width is fixed.
        options: What Keras has to be told to build it.
    """

    scaling: Literal["symmetric", "imagenet", "caffe", "own"]
    size: int
    smallest: int = 32
    alphas: tuple[float, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def _alike(facts: NetworkFacts, *names: str) -> dict[str, NetworkFacts]:
    return dict.fromkeys(names, facts)


def _scaling_themselves(name: str, *sizes: int) -> dict[str, NetworkFacts]:
    """EfficientNets from 0 on, each for larger images."""
    return {f"{name}{number}": NetworkFacts("own", size) for number, size in enumerate(sizes)}


NETWORKS = {
    # ConvNeXt's own scaling is that of ImageNet too, but leaves out images of one channel.
    **_alike(
        NetworkFacts("imagenet", 224, options={"include_preprocessing": False}),
        *("ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge"),
    ),
    **_alike(NetworkFacts("imagenet", 224), "DenseNet121", "DenseNet169", "DenseNet201"),
    **_scaling_themselves("EfficientNetB", 224, 240, 260, 300, 380, 456, 528, 600),
    **_scaling_themselves("EfficientNetV2B", 224, 240, 260, 300),
    "EfficientNetV2S": NetworkFacts("own", 384),
    **_alike(NetworkFacts("own", 480), "EfficientNetV2M", "EfficientNetV2L"),
    **_alike(NetworkFacts("symmetric", 299, 75), "InceptionResNetV2", "InceptionV3"),
    "MobileNet": NetworkFacts("symmetric", 224, alphas=(0.25, 0.5, 0.75, 1.0)),
    "MobileNetV2": NetworkFacts("symmetric", 224, alphas=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    **_alike(NetworkFacts("own", 224, alphas=(0.75, 1.0)), "MobileNetV3Small", "MobileNetV3Large"),
    "NASNetMobile": NetworkFacts("symmetric", 224),
    "NASNetLarge": NetworkFacts("symmetric", 331),
    **_alike(NetworkFacts("caffe", 224), "ResNet50", "ResNet101", "ResNet152"),
    **_alike(NetworkFacts("symmetric", 224), "ResNet50V2", "ResNet101V2", "ResNet152V2"),
    **_alike(NetworkFacts("caffe", 224), "VGG16", "VGG19"),
    "Xception": NetworkFacts("symmetric", 299, 71),
}
"""The networks in the order in which they are listed."""

if TYPE_CHECKING:
    Name = str
else:
    Name = Literal[tuple(NETWORKS)]

IMAGENET = "imagenet"
"""The word for the weights that Keras publishes."""


def _word_or_path(value: object, path: ValidatorFunctionWrapHandler) -> object:
    return IMAGENET if value == IMAGENET else path(value)


Weights = Annotated[AbsolutePath, WrapValidator(_word_or_path)]


class KerasApplication(Architecture):
    """Any network of keras.applications, with its ImageNet weights unless told otherwise."""

    name: Literal["keras_application"] = "keras_application"
    application: Name
    """What Keras calls the network."""
    weights: Weights | None = IMAGENET
    """Where weights start from: `imagenet` for those that Keras publishes (fetched once, then cached), a run,
    a .weights.h5, Keras's .h5 or .keras; null to start from nothing."""
    alpha: Annotated[float, Field(ge=0.05, le=10)] | None = None
    """Width of a MobileNet as a multiple of the paper's; left out, the paper's. ImageNet weights exist for a few."""
    dropout: ClassifierDropout = 0.0

    paper: ClassVar[str] = "keras.applications"

    @field_validator("alpha")
    @classmethod
    def _has_it(cls, alpha: float | None, info: ValidationInfo) -> float | None:
        application = info.data.get("application")
        if alpha is None or application is None:
            return alpha
        if not (widths := NETWORKS[application].alphas):
            having = ", ".join(name for name, facts in NETWORKS.items() if facts.alphas)
            raise ValueError(f"{application} has one width only; leave this out (it is for {having})")
        if info.data.get("weights") == IMAGENET and alpha not in widths:
            *others, last = (f"{width:g}" for width in widths)
            published = f"{', '.join(others)} or {last}"
            raise ValueError(
                f"ImageNet weights of {application} are for {published}; with {alpha:g} write weights: null"
            )
        return alpha

    @classmethod
    def variants(cls) -> Sequence[Architecture]:
        """One for each network."""
        return [cls(application=name) for name in NETWORKS]

    @property
    def title(self) -> str:
        """What Keras calls it."""
        return self.application

    @property
    def image_shape(self) -> Shape:
        """What its ImageNet weights were trained with."""
        return (self._facts.size, self._facts.size, 3)

    @property
    def smallest_image(self) -> int:
        """What Keras allows."""
        return self._facts.smallest

    @property
    def classifier_dropout(self) -> float:
        """Its setting; Keras's layers may drop more."""
        return self.dropout

    @property
    def _facts(self) -> NetworkFacts:
        return NETWORKS[self.application]

    @property
    def learnt_with(self) -> Shape | None:
        """ImageNet's, where it starts from weights."""
        return self.image_shape if self.weights else None

    def problems(self, shape: Shape) -> Iterator[Problem]:
        """ImageNet's images are in colour."""
        yield from super().problems(shape)
        if shape[2] != 3 and self.weights == IMAGENET:
            yield Problem("ImageNet weights are for data.channels 3; with 1 write weights: null", key="weights")

    def absent(self) -> Iterator[Problem]:
        """ImageNet weights are fetched when they are needed."""
        if self.weights != IMAGENET:
            yield from super().absent()

    def scale(self, image: Any) -> Any:
        """As Keras's `preprocess_input` for this network; one channel can only be symmetric."""
        if self._facts.scaling == "own":
            return image
        return scaled(image, self._facts.scaling if image.shape[-1] == 3 else "symmetric")

    def features(self, x: Any) -> Any:
        """Keras's layers up to the mean over the image (B, c)."""
        with _names_from_the_start():
            network = self._built(None, input_tensor=x, input_shape=tuple(x.shape[1:]))
            # The same graph again with layers of our own in it. Keras's is dropped, weights and all.
            return keras.models.clone_model(
                network, input_tensors=network.input, clone_function=_copy, call_function=_call
            ).output

    def _built(self, weights: str | None, **settings: Any) -> Any:
        """Keras's own model, without its classifier."""
        width = {} if self.alpha is None else {"alpha": self.alpha}
        build = getattr(keras.applications, self.application)
        return build(include_top=False, weights=weights, pooling="avg", **width, **self._facts.options, **settings)

    def pretrained_weights(self, progress: Progress, shape: Shape | None = None) -> Path | None:
        """ImageNet weights come into the cache, `KERAS_HOME` where that is set, so that it may be shared with Keras."""
        if self.weights != IMAGENET:
            return super().pretrained_weights(progress, shape)
        from cnnkit.core.downloads import fetch

        published = self.published(shape or self.image_shape)
        home = expanded("KERAS_HOME", os.environ.get("KERAS_HOME") or str(cache_folder() / "keras"))
        hint = "start from a file that you have with model.weights: FILE, or from nothing with model.weights: null"
        return fetch(published.url, home / "models" / published.name, published.digest, progress, hint)

    def published(self, shape: Shape) -> Published:
        """The file that Keras would load for images of (height, width, channels).

        The file hangs on the network, its width and for some on the size of the images. Keras knows it only while it
        builds the network, so it is asked there.
        """
        files = keras.src.utils.file_utils
        get_file = files.get_file
        files.get_file = _ask
        try:
            with warnings.catch_warnings():
                # Where there are no weights for this size, Keras takes those for 224 and warns of it.
                warnings.simplefilter("ignore")
                self._built(IMAGENET, input_shape=(*shape[:2], 3))
        except _Asked as asked:
            return asked.published
        finally:
            files.get_file = get_file
        raise AssertionError(f"Keras builds {self.application} without a file")


@dataclass(frozen=True)
class Published:
    """A file of weights: its name in the cache, where it lies, and its checksum if there is one."""

    name: str
    url: str
    digest: str | None


class _Asked(Exception):
    """Keras wants a file."""

    def __init__(self, published: Published):
        super().__init__(published)
        self.published = published


def _ask(name: str, url: str, file_hash: str | None = None, **_: Any) -> None:
    """Stands in for Keras's `get_file`."""
    raise _Asked(Published(name, url, file_hash))


@contextmanager
def _names_from_the_start() -> Iterator[None]:
    """Layers without a name get the number that they have in a fresh process, whatever was built before in this one."""
    state, key = keras.src.backend.common.global_state, "object_name_uids"
    numbers = state.get_global_attribute(key)
    state.set_global_attribute(key, None)
    try:
        yield
    finally:
        state.set_global_attribute(key, numbers)


def _copy(layer: Any) -> Any:
    """A layer, or an operation between layers, made anew; where we have a layer of our own for it, as that."""
    if isinstance(layer, keras.Sequential):
        return layer
    kind: Any = getattr(keras_layers, type(layer).__name__, type(layer))
    return kind.from_config(layer.get_config())


def _call(layer: Any, *inputs: Any, **settings: Any) -> Any:
    """Calls a layer in the new graph."""
    if isinstance(layer, keras.Sequential):
        # Its layers stand by themselves, so that each has its row in a summary and can be frozen.
        x = inputs[0]
        for inner in layer.layers:
            x = _copy(inner)(x)
        return x
    x = layer(*inputs, **settings)
    if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None and x.shape[-1] == 3:
        # EfficientNet: Keras divides by the root of ImageNet's deviation, and again, but the second time only in a
        # network that it fills with ImageNet weights itself. Here it is the same network whatever it starts from.
        layer.adapt_mean.assign(MEAN)
        layer.adapt_variance.assign(DEVIATION)
        layer.finalize_state()
        x = keras.layers.Rescaling([d**-0.5 for d in DEVIATION])(x)
    return x
