"""A whole SavedModel as one Keras layer. Importing this module imports Keras; it is imported where it is used."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnkit.core.errors import CnnkitError, DataError, Problem
from cnnkit.core.lazy import convert_to_constants, keras, tf

# Operations whose results stay in memory for the gradient; a rectifier nearly shares that of the one before.
HELD = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "FusedBatchNormV3", "MaxPool", "AvgPool", "AddV2", "Mul")


@keras.saving.register_keras_serializable(package="cnnkit")
class SavedModelLayer(keras.layers.Layer):
    """A TF2 SavedModel that makes vectors (B, c) of images (B, H, W, C) and can be trained further.

    Its variables become weights of the layer, in the order and by the names in which the SavedModel lists them
    (`conv1/kernel` is `conv1_kernel`). A weight shares the memory of its variable: what an optimizer does to the one,
    the SavedModel's functions find in the other. Where the layer is frozen, the network runs as in inference.

    Its numbers are float32 whatever the precision around it: that is what its functions were saved for.

    Attributes:
        in_inference: Whether the network runs as in inference where it is trained too: a SavedModel has one word for
            its normalisation and its dropout, so these go together.
        losses_of_weights: Functions without arguments, each to what the SavedModel asks of some of its weights.

    Args:
        folder: Where the SavedModel lies.
        shape: Height, width and channels of the images.
        called: What errors call it.
        if_damaged: What errors add if it can't be loaded.

    Raises:
        DataError: It is damaged, or no network that makes vectors of such images and can be trained.
    """

    in_inference = False

    def __init__(self, folder: Path, shape: tuple[int, int, int], called: str, if_damaged: str = "", **settings: Any):
        super().__init__(**settings | {"dtype": "float32"})
        self.supports_jit = False  # it may hold any operation of TensorFlow
        self._called = called
        self._shape_of_image = shape
        self._network = self._loaded(folder, if_damaged)
        self._function = self._function_for(shape)
        self._takes_training = "training" in self._function.function_type.parameters
        self.losses_of_weights = list(getattr(self._network, "regularization_losses", None) or [])
        self._adopted = [self._adopt(variable, trained) for variable, trained in self._variables_of_network()]
        if not self.trainable_weights:
            raise self._unusable(
                "has no variables to train, as if it was of TF1 or frozen when it was saved: take a TF2 version of it "
                "that can be trained"
            )
        self._features = self._probed()

    def call(self, images: Any, training: bool = False) -> Any:
        """The vectors (B, c); where the layer is trained, what the SavedModel asks of its weights joins the loss."""
        if self.trainable:
            for loss in self.losses_of_weights:
                self.add_loss(loss())
        return self._run(images, bool(training and self.trainable and not self.in_inference))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """A vector for each image."""
        return (input_shape[0], self._features)

    @property
    def macs(self) -> int:
        """Multiply-adds of one image, counted in the graph of the SavedModel: convolutions and products of matrices."""
        return sum(_multiply_adds(operation) for operation in self._operations)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers each of its convolutions, normalisations, poolings, sums and products makes of one image."""
        return tuple(_size(operation) for operation in self._operations if operation.type in HELD)

    @functools.cached_property
    def _operations(self) -> list[Any]:
        """What is done to one image, function calls written out."""
        graph = convert_to_constants.convert_variables_to_constants_v2(self._traced(self._inference, batch=1)).graph
        return [operation for operation in graph.get_operations() if operation.outputs]

    def get_config(self) -> dict[str, Any]:
        """Its name: where the SavedModel lies is no part of it, since it holds on one machine only."""
        return dict(super().get_config())

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SavedModelLayer:
        """Not possible.

        Raises:
            ValueError: Always; the text says what to do.
        """
        raise ValueError(
            "a SavedModel is no part of a Keras file: load the run that made it, or export the run as a SavedModel"
        )

    def _unusable(self, why: str, error: Exception | None = None) -> DataError:
        reason = f": {' '.join(str(error).split())}" if error else ""
        return DataError(Problem(f"{self._called} {why}{reason}", key="model.handle"))

    def _loaded(self, folder: Path, if_damaged: str) -> Any:
        try:
            with _without_warnings():
                return tf.saved_model.load(str(folder))
        except (OSError, ValueError, LookupError, AttributeError, TypeError, tf.errors.OpError) as error:
            raise self._unusable(f"can't be loaded as a SavedModel{if_damaged}", error) from error

    def _function_for(self, shape: tuple[int, int, int]) -> Any:
        """The function of the SavedModel that takes images."""
        function: Any = self._network.__call__ if callable(self._network) else None
        if not getattr(function, "concrete_functions", None):
            raise self._unusable(
                "has signatures only and can't be called, so it can't be trained: take one in TF Hub's form, such as "
                "tf.saved_model.save writes of a network with a __call__"
            )
        inputs = [spec for concrete in function.concrete_functions for spec in _first(concrete)]
        if not any(_fits(spec, shape) for spec in inputs):
            raise self._unusable(_takes_others(inputs, shape))
        return function

    def _variables_of_network(self) -> Iterator[tuple[Any, bool]]:
        """Its variables and whether they are trained: those that it lists, then those that its function has besides."""
        trained = list(getattr(self._network, "trainable_variables", None) or [])
        listed = list(getattr(self._network, "variables", None) or [])
        used = [variable for concrete in self._function.concrete_functions for variable in concrete.variables]
        chosen = {id(variable) for variable in trained}
        for variable in {id(variable): variable for variable in (*listed, *trained, *used)}.values():
            yield variable, id(variable) in chosen

    def _adopt(self, variable: Any, trained: bool) -> Any:
        """A Keras variable that shares the memory of one of the SavedModel."""
        name = variable.name.split(":")[0].replace("/", "_")
        adopted = keras.Variable(variable, trainable=trained, name=name)
        if adopted.value is not variable:
            raise CnnkitError(
                f"Keras {keras.__version__} copies variables where earlier ones shared them, so a SavedModel can't be "
                "trained; cnnkit is made for Keras 3.15"
            )
        return adopted

    def _run(self, images: Any, training: bool) -> Any:
        return self._function(images, training=training) if self._takes_training else self._function(images)

    def _inference(self, images: Any) -> Any:
        return self._run(images, False)

    def _traced(self, function: Callable[[Any], Any], batch: int | None = None) -> Any:
        """A function of so many images as a graph; it is not run."""
        images = tf.TensorSpec((batch, *self._shape_of_image), tf.float32)
        return tf.function(function, autograph=False).get_concrete_function(images)

    def _probed(self) -> int:
        """Length of the vectors; also tries a gradient, which a SavedModel can lack.

        Functions are traced, not run, so this costs little.
        """
        try:
            output = self._traced(self._inference).structured_outputs
            length = _length_of_vector(output)
        except ValueError as error:
            raise self._unusable("can't be called", error) from error
        if length is None:
            raise self._unusable(f"makes {_described(output)} of images, not a vector of each: take its feature vector")
        weights = [weight.value for weight in self.trainable_weights]
        reached = False

        def slopes(x: Any) -> None:
            nonlocal reached
            with tf.GradientTape() as tape:
                total = tf.reduce_sum(self._run(x, True))
            reached = any(slope is not None for slope in tape.gradient(total, weights))

        try:
            # As a step of training does it, since variables that are spread over devices can be trained only so.
            self._traced(lambda x: tf.distribute.get_strategy().run(slopes, (x,)))
        except LookupError as error:
            raise self._unusable(
                "was saved without the gradients of some of its operations, so it can't be trained: save it again with "
                "tf.saved_model.SaveOptions(experimental_custom_gradients=True), or take another"
            ) from error
        except ValueError as error:
            raise self._unusable("can't be called for training", error) from error
        if not reached:
            raise self._unusable("lets no gradient through to its variables, so it can't be trained: take another")
        return length


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Leaves out TensorFlow's lines, one a function, that gradients are missing: we tell that in one line."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _first(concrete: Any) -> Sequence[Any]:
    """The first argument of a function, in a list, which is empty where it has none."""
    positional, named = concrete.structured_input_signature
    return [*positional, *named.values()][:1]


def _fits(spec: Any, shape: tuple[int, int, int]) -> bool:
    """Whether a function that takes `spec` takes any number of float32 images of that shape."""
    return (
        isinstance(spec, tf.TensorSpec)
        and spec.dtype == tf.float32
        and spec.shape.is_compatible_with((None, *shape))
        and (spec.shape.rank is None or spec.shape[0] is None)
    )


def _takes_others(inputs: Sequence[Any], shape: tuple[int, int, int]) -> str:
    """That it takes other images, and what to do."""
    taken = " or ".join(dict.fromkeys(_described(spec) for spec in inputs))
    why = f"takes {taken}, not images (any number, {', '.join(map(str, shape))}) of float32"
    for spec in inputs:
        if _is_image(spec) and _fits(spec, (shape[0], shape[1], spec.shape[3])):
            return f"{why}: set data.channels: {spec.shape[3]}"
        if _is_image(spec) and _fits(spec, (spec.shape[1], spec.shape[2], shape[2])):
            return f"{why}: set data.image_size: [{spec.shape[1]}, {spec.shape[2]}]"
    return f"{why}: take one that does"


def _is_image(spec: Any) -> bool:
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank == 4


def _length_of_vector(output: Any) -> int | None:
    """Length of the vectors (B, c), where there is one tensor and it is these."""
    one = tf.is_tensor(output) or isinstance(output, tf.TensorSpec)
    return output.shape[1] if one and output.shape.rank == 2 and output.dtype.is_floating else None


def _described(value: Any) -> str:
    """A tensor, or several, in words."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_described(part)}" for name, part in sorted(value.items())) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_described(part) for part in value) + "]"
    if getattr(value, "shape", None) is None or value.shape.rank is None:
        return str(value)
    sides = ", ".join("any number" if side is None else str(side) for side in value.shape)
    return f"({sides}) of {value.dtype.name}"


def _multiply_adds(operation: Any) -> int:
    """Of a convolution or a product of matrices; of other operations none."""
    if operation.type == "Conv2D":
        each = operation.inputs[1].shape[:3]  # height, width and inputs of the kernel
    elif operation.type == "DepthwiseConv2dNative":
        each = operation.inputs[1].shape[:2]
    elif operation.type == "MatMul":
        each = operation.inputs[0].shape[:1] if operation.get_attr("transpose_a") else operation.inputs[0].shape[1:]
    else:
        return 0
    return int(_size(operation) * math.prod(each))


def _size(operation: Any) -> int:
    """How many numbers it makes."""
    return math.prod(side or 1 for side in operation.outputs[0].shape)
