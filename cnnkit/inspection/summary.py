"""Summary: every layer of a network with its parameters and how each count comes about.

Everything is derived from the built Keras model, so it holds for any network:
- the formula of a layer's parameters from the shapes of its weights;
- multiply-adds of convolutions and dense layers: each weight of the kernel is used once at every place of the output;
  those of a SavedModel are found in its graph;
- the receptive field, the square of the input that one number of a layer's output can see, by the rules of
  Araujo, Norris and Sim, Computing Receptive Fields of CNNs (2019), https://doi.org/10.23915/distill.00021: behind
  a window of size k that moves s at a time, it grows by (k - 1) times the distance of neighbours, and that distance
  becomes s times as large. What a SavedModel sees is not known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, groupby
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.core.lazy import keras
from cnnkit.core.progress import Progress
from cnnkit.models import freezing
from cnnkit.models.base import Architecture, Network
from cnnkit.models.freezing import BACKBONE

FLOAT = 4
"""Bytes of a weight and of an activation, float32."""

MANY = 12
"""Of a layer with more arrays than these, the formula tells only their number."""


PASSING = (
    "InputLayer",
    "ReLU",
    "Flatten",
    "Dropout",
    "AlphaDropout",
    "GaussianNoise",
    "ZeroPadding2D",
    "Rescaling",
    "BgrRescaling",
)
"""Layers that share, or nearly share, what the layer before has made."""


@dataclass(frozen=True)
class Row:
    """A layer, or `repeats` blocks of layers that are all alike."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable: int
    formula: str
    macs: int
    receptive_field: int | tuple[int, int] | None
    repeats: int = 1
    activations: tuple[int, ...] = ()
    """How many numbers of one image training keeps for the way back, an entry for each array."""

    def as_json(self) -> dict[str, Any]:
        """The form of `summary --json`."""
        return {name: value for name, value in asdict(self).items() if name not in ("repeats", "activations")}


@dataclass(frozen=True)
class Summary:
    """A network in numbers; `batch_size` is the one of the memory estimate, in bytes."""

    model: str
    input_shape: tuple[int, ...]
    classes: int
    rows: tuple[Row, ...]
    batch_size: int
    memory: dict[str, int]
    stages: tuple[dict[str, Any], ...] = ()
    """What each stage of the training trains: epochs, learning_rate, trained, frozen, parameters."""

    @property
    def parameters(self) -> dict[str, int]:
        """Total, trainable and not."""
        total = sum(row.parameters for row in self.rows)
        trainable = sum(row.trainable for row in self.rows)
        return {"total": total, "trainable": trainable, "non_trainable": total - trainable}

    @property
    def macs(self) -> int:
        """Multiply-adds of one image through the network."""
        return sum(row.macs for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """The document that `cnnkit summary --json` prints."""
        return {
            "model": self.model,
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "parameters": self.parameters,
            "macs": self.macs,
            "weight_bytes": self.parameters["total"] * FLOAT,
            "training_memory": {"batch_size": self.batch_size, **self.memory},
            "stages": list(self.stages),
            "layers": [row.as_json() for row in self.rows],
        }


def summarize(experiment: Experiment, shape: tuple[int, int, int], classes: int) -> Summary:
    """Builds the network of an experiment and counts it.

    Args:
        experiment: Names the network, the loss, the optimizer and the batch size.
        shape: Height, width and channels of the images.
        classes: How many classes the classifier tells apart.
    """
    network = experiment.model.network(shape, experiment.train.loss.logits(classes))
    rows = tuple(layer_rows(network.model))
    batch_size = experiment.data.batch_size
    stages = tuple(_stages(experiment, network))
    slots, saves = experiment.train.slots(experiment.plan()), experiment.train.checkpoint.saves
    # Of all stages the one that needs most.
    estimates = (
        memory_of(rows, batch_size, slots, stage["parameters"], stage["frozen"], saves and stage["epochs"] is not None)
        for stage in stages
    )
    memory = max(estimates, key=lambda estimate: estimate["total"])
    return Summary(network.model.name, shape, classes, rows, batch_size, memory, stages)


def count(architecture: Architecture, progress: Progress) -> tuple[int, int]:
    """Parameters and multiply-adds of a network for the images and classes of its paper."""
    with progress.task(f"counting {architecture.title}", 1):
        model = architecture.build(architecture.image_shape, architecture.classes)
        rows = layer_rows(model)
    counted = sum(row.parameters for row in rows), sum(row.macs for row in rows)
    del model, rows
    keras.backend.clear_session()  # the largest fill gigabytes
    return counted


def _stages(experiment: Experiment, network: Network) -> Iterator[dict[str, Any]]:
    """What each stage of the training trains."""
    for stage in experiment.plan():
        staged = freezing.apply(experiment.model, network, stage)
        yield {
            "epochs": stage.epochs,
            "learning_rate": stage.learning_rate,
            "trained": list(staged.trained),
            "frozen": list(staged.frozen),
            "parameters": sum(math.prod(weight.shape) for weight in network.model.trainable_weights),
        }


def layer_rows(model: Any) -> list[Row]:
    """A row for each layer of a functional Keras model, from input to output."""
    rows = []
    fields: dict[int, _ReceptiveField | None] = {}
    for operation in _operations(model):
        inputs = _inputs(operation)
        output = _flat(operation.output)[0]
        shape = tuple(output.shape[1:])
        field = _through(operation, [(fields[id(tensor)], tensor.shape[1:-1]) for tensor in inputs])
        fields[id(output)] = field
        weights = getattr(operation, "weights", [])
        trainable = getattr(operation, "trainable_weights", [])
        rows.append(
            Row(
                name=operation.name,
                type=type(operation).__name__,
                output_shape=shape,
                parameters=sum(math.prod(weight.shape) for weight in weights),
                trainable=sum(math.prod(weight.shape) for weight in trainable),
                formula=formula([tuple(weight.shape) for weight in weights]),
                macs=_macs(operation, shape),
                receptive_field=field.side if field else None,
                activations=_activations(operation, shape),
            )
        )
    return rows


def _operations(model: Any) -> list[Any]:
    """The layers of a functional model so that each branch stands in one piece, in front of where it joins.

    `model.operations` orders them by their distance to the output, which mixes the branches.
    """
    source = {id(tensor): op for op in model.operations for tensor in _flat(op.output)}
    ordered: dict[int, Any] = {}
    waiting = [source[id(tensor)] for tensor in _flat(model.output)]
    while waiting:
        operation = waiting[-1]
        first = [op for op in (source[id(tensor)] for tensor in _inputs(operation)) if id(op) not in ordered]
        if first:
            waiting.append(first[0])
        else:
            ordered[id(waiting.pop())] = operation
    return list(ordered.values())


def formula(shapes: Sequence[tuple[int, ...]]) -> str:
    """How a layer's parameters come about: `3x3x16x32 + 32 = 4,640`; equal terms as `4x64`; empty without any.

    Of a whole network in one layer, only how many arrays it has: `135 arrays = 218,544`.
    """
    if not shapes:
        return ""
    terms = [(len(shapes), *shapes[0])] if len(shapes) > 1 and len(set(shapes)) == 1 else shapes
    text = f"{len(shapes)} arrays" if len(shapes) > MANY else " + ".join("x".join(map(str, term)) for term in terms)
    return f"{text} = {sum(math.prod(shape) for shape in shapes):,}"


def folded(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows with repeated blocks drawn together; every other row by itself.

    Layers of a block share the beginning of their names, `stage2_block3_`. Blocks of a stage that follow each other
    and are alike in everything but the receptive field become one list: the rows of the last of them,
    named for all of them (`stage2_block2-3_`), each with the number of `repeats`.
    """
    result: list[list[Row]] = []
    blocks = [list(block) for _, block in groupby(rows, key=lambda row: _place(row) or row.name)]
    for (stage, _), group in groupby(blocks, key=lambda block: (_place(block[0])[:1], _kind(block))):
        first, *others = group
        if not stage or not others:
            result += ([row] for row in chain(first, *others))
            continue
        last = others[-1]
        name = rf"\g<1>_block{_place(first[0])[1]}-\g<2>_"
        result.append([replace(row, name=_BLOCK.sub(name, row.name), repeats=1 + len(others)) for row in last])
    return result


_BLOCK = re.compile(r"(.+)_block(\d+)_")


def _place(row: Row) -> tuple[str, ...]:
    """The stage and the number of the block that a row is in; nothing for one that is in none."""
    found = _BLOCK.match(row.name)
    return found.groups() if found else ()


def _kind(block: list[Row]) -> list[tuple[Any, ...]]:
    """What makes two blocks alike."""
    return [(_BLOCK.sub("", row.name), row.type, row.output_shape, row.formula, row.macs) for row in block]


@dataclass(frozen=True)
class _ReceptiveField:
    """The receptive field of a layer: what one number of it sees, in height and width.

    Attributes:
        size: Pixels that it depends on.
        step: Pixels between the fields of neighbours.
        flat: Height and width of the image that was flattened, for the dense layer that sees all of it.
    """

    size: tuple[int, int]
    step: tuple[int, int]
    flat: tuple[int, int] = (1, 1)

    @property
    def side(self) -> int | tuple[int, int]:
        """Its size as a row tells it: one number where it is square."""
        return self.size[0] if self.size[0] == self.size[1] else self.size

    def window(self, size: tuple[int, int], strides: tuple[int, int]) -> _ReceptiveField:
        """The field behind a window that moves over this layer."""
        (height, width), (down, right) = self.size, self.step
        size = height + (size[0] - 1) * down, width + (size[1] - 1) * right
        return _ReceptiveField(size, (down * strides[0], right * strides[1]))


def _through(operation: Any, inputs: list[tuple[_ReceptiveField | None, tuple[int, ...]]]) -> _ReceptiveField | None:
    """The field of a layer's output from those of its inputs, given with their heights and widths; None if unknown."""
    if not inputs:
        return _ReceptiveField((1, 1), (1, 1))
    fields = [field for field, _ in inputs if field]
    if len(fields) < len(inputs) or _is_saved_model(operation):
        return None
    field, size = fields[0], inputs[0][1]
    layers = keras.layers
    if isinstance(operation, layers.Conv2D | layers.DepthwiseConv2D | layers.SeparableConv2D):
        kernel, rate = operation.kernel_size, operation.dilation_rate
        spread = ((kernel[0] - 1) * rate[0] + 1, (kernel[1] - 1) * rate[1] + 1)
        return field.window(spread, tuple(operation.strides))
    if isinstance(operation, layers.MaxPooling2D | layers.AveragePooling2D):
        return field.window(tuple(operation.pool_size), tuple(operation.strides))
    if isinstance(operation, layers.GlobalAveragePooling2D | layers.GlobalMaxPooling2D):
        return field.window((size[0], size[1]), (1, 1))
    if isinstance(operation, layers.Flatten):
        return replace(field, flat=(size[0], size[1])) if len(size) == 2 else field
    if isinstance(operation, layers.Dense):
        return field.window(field.flat, (1, 1))
    # A sum sees what the branch that sees most of the image does.
    widest = (max(field.size[0] for field in fields), max(field.size[1] for field in fields))
    return replace(max(fields, key=lambda field: field.size), size=widest)


def _is_saved_model(operation: Any) -> bool:
    from cnnkit.models.saved_model_layer import SavedModelLayer

    return isinstance(operation, SavedModelLayer)


def _macs(operation: Any, output_shape: tuple[int, ...]) -> int:
    if _is_saved_model(operation):
        return int(operation.macs)
    layers = keras.layers
    if not isinstance(operation, layers.Conv2D | layers.DepthwiseConv2D | layers.SeparableConv2D | layers.Dense):
        return 0
    # Both kernels of a separable convolution are used at the places of its output: the first has its stride.
    kernels: list[tuple[int, ...]] = [weight.shape for weight in operation.weights if len(weight.shape) > 1]
    return sum(math.prod(kernel) for kernel in kernels) * math.prod(output_shape[:-1])


def _activations(operation: Any, output_shape: tuple[int, ...]) -> tuple[int, ...]:
    """What a layer makes of one image and training keeps for the way back, in numbers; see `memory_of`."""
    if _is_saved_model(operation):
        return tuple(operation.sizes)
    return () if type(operation).__name__ in PASSING else (math.prod(output_shape),)


def memory_of(
    rows: Sequence[Row], batch_size: int, slots: int, parameters: int, frozen: Sequence[str], saves: bool
) -> dict[str, int]:
    """Bytes that a training step needs, estimated.

    Weights, their gradients and the optimizer's state are exact. Of the layers' outputs, those that hold numbers
    of their own are kept for the way back; a rectifier or a dropout shares, or nearly shares, what the layer before
    has made, so about the convolutions, normalisations, poolings, sums and dense layers count. On the way back
    as much again as the two largest is in use. Of a frozen backbone nothing is kept for the way back. What is saved is
    copied: the best weights, with the file that they become, and a state. A disk that is slow makes it more.

    Args:
        rows: The layers.
        batch_size: Images a step.
        slots: Numbers that training remembers for each weight, most of them the optimizer's.
        parameters: How many numbers are trained.
        frozen: Names of what is not.
        saves: Whether states of the training are saved.
    """
    outputs = [numbers * batch_size * FLOAT for row in rows for numbers in row.activations]
    activations = 0 if BACKBONE in frozen else sum(outputs)
    weights, remembered = sum(row.parameters for row in rows) * FLOAT, slots * parameters * FLOAT
    parts = {
        "weights": weights,
        "gradients": parameters * FLOAT,
        "optimizer": remembered,
        "activations": activations + sum(sorted(outputs)[-2:]),
        "saving": 2 * weights + saves * (weights + remembered),
    }
    return parts | {"total": sum(parts.values())}


def _inputs(operation: Any) -> list[Any]:
    return [] if isinstance(operation, keras.layers.InputLayer) else _flat(operation.input)


def _flat(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]
