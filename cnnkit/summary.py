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
from dataclasses import dataclass, replace
from typing import Any

from cnnkit import staging
from cnnkit.architectures import Architecture, Network
from cnnkit.experiment import BACKBONE, Experiment
from cnnkit.lazy import keras
from cnnkit.progress import Progress

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
    kept: tuple[int, ...] = ()
    """How many numbers of one image training keeps, an entry for each array."""

    def as_json(self) -> dict[str, Any]:
        """The form of `summary --json`."""
        return {
            "name": self.name,
            "type": self.type,
            "output_shape": list(self.output_shape),
            "parameters": self.parameters,
            "trainable": self.trainable,
            "formula": self.formula,
            "macs": self.macs,
            "receptive_field": self.receptive_field,
        }


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
    slots = experiment.train.optimizer.slots
    # Of all stages the one that needs most.
    estimates = (_memory(rows, batch_size, slots, stage["parameters"], stage["frozen"]) for stage in stages)
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
        staged = staging.apply(experiment.model, network, stage)
        yield {
            "epochs": stage.epochs,
            "learning_rate": stage.learning_rate or experiment.train.optimizer.learning_rate,
            "trained": list(staged.trained),
            "frozen": list(staged.frozen),
            "parameters": sum(math.prod(weight.shape) for weight in network.model.trainable_weights),
        }


def layer_rows(model: Any) -> list[Row]:
    """A row for each layer of a functional Keras model, from input to output."""
    rows = []
    views: dict[int, _ReceptiveField | None] = {}
    for operation in _operations(model):
        inputs = [] if isinstance(operation, keras.layers.InputLayer) else _flat(operation.input)
        output = _flat(operation.output)[0]
        view = _through(operation, [(views[id(tensor)], tensor.shape[1:-1]) for tensor in inputs])
        views[id(output)] = view
        weights = getattr(operation, "weights", [])
        trainable = getattr(operation, "trainable_weights", [])
        rows.append(
            Row(
                name=operation.name,
                type=type(operation).__name__,
                output_shape=tuple(output.shape[1:]),
                parameters=sum(math.prod(weight.shape) for weight in weights),
                trainable=sum(math.prod(weight.shape) for weight in trainable),
                formula=formula([tuple(weight.shape) for weight in weights]),
                macs=_macs(operation, tuple(output.shape[1:])),
                receptive_field=view.seen if view else None,
                kept=_kept(operation, tuple(output.shape[1:])),
            )
        )
    return rows


def _operations(model: Any) -> list[Any]:
    """The layers of a functional model so that each branch stands in one piece, in front of where it joins.

    `model.operations` orders them by their distance to the output, which mixes the branches.
    """
    made_by = {id(tensor): op for op in model.operations for tensor in _flat(op.output)}
    ordered: dict[int, Any] = {}
    waiting = [made_by[id(tensor)] for tensor in _flat(model.output)]
    while waiting:
        operation = waiting[-1]
        inputs = [] if isinstance(operation, keras.layers.InputLayer) else _flat(operation.input)
        first = [op for op in (made_by[id(tensor)] for tensor in inputs) if id(op) not in ordered]
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
    if len(shapes) > MANY:
        terms = [f"{len(shapes)} arrays"]
    elif len(shapes) > 1 and len(set(shapes)) == 1:
        terms = ["x".join(str(side) for side in (len(shapes), *shapes[0]))]
    else:
        terms = ["x".join(str(side) for side in shape) for shape in shapes]
    return f"{' + '.join(terms)} = {sum(math.prod(shape) for shape in shapes):,}"


def folded(rows: Sequence[Row]) -> list[Row | list[Row]]:
    """The rows with repeated blocks drawn together.

    Layers of a block share the beginning of their names, `stage2_block3_`. Blocks of a stage that follow each other
    and are alike in everything but the receptive field become one list: the rows of the last of them,
    named for all of them (`stage2_block2-3_`), each with the number of `repeats`.
    """
    result: list[Row | list[Row]] = []
    blocks: list[list[Row]] = []

    def flush() -> None:
        if len(blocks) > 1:
            first = _BLOCK.match(blocks[0][0].name)
            number = first.group(2) if first else ""
            result.append(
                [
                    replace(row, name=_BLOCK.sub(rf"\g<1>_block{number}-\g<2>_", row.name), repeats=len(blocks))
                    for row in blocks[-1]
                ]
            )
        elif blocks:
            result.extend(blocks[0])
        blocks.clear()

    for block in _blocks(rows):
        if blocks and not (_stage(block) == _stage(blocks[0]) is not None and _kind(block) == _kind(blocks[0])):
            flush()
        if _stage(block) is None:
            flush()
            result.extend(block)
        else:
            blocks.append(block)
    flush()
    return result


_BLOCK = re.compile(r"(.+)_block(\d+)_")


def _blocks(rows: Sequence[Row]) -> list[list[Row]]:
    """Neighbours whose names begin with the same block."""
    groups: list[list[Row]] = []
    last = None
    for row in rows:
        match = _BLOCK.match(row.name)
        key = match.group(0) if match else None
        if key and key == last:
            groups[-1].append(row)
        else:
            groups.append([row])
        last = key
    return groups


def _stage(block: list[Row]) -> str | None:
    match = _BLOCK.match(block[0].name)
    return match.group(1) if match else None


def _kind(block: list[Row]) -> list[tuple[Any, ...]]:
    """What makes two blocks alike."""
    return [(_BLOCK.sub("", row.name), row.type, row.output_shape, row.formula, row.macs) for row in block]


@dataclass(frozen=True)
class _ReceptiveField:
    """What one number of a layer sees, in height and width.

    Attributes:
        field: Pixels that it depends on.
        step: Pixels between the fields of neighbours.
        flat: Height and width of the image that was flattened, for the dense layer that sees all of it.
    """

    field: tuple[int, int]
    step: tuple[int, int]
    flat: tuple[int, int] = (1, 1)

    @property
    def seen(self) -> int | tuple[int, int]:
        """The field as a row tells it: one number where it is square."""
        return self.field[0] if self.field[0] == self.field[1] else self.field

    def window(self, size: tuple[int, int], strides: tuple[int, int]) -> _ReceptiveField:
        """The view behind a window that moves over this layer."""
        field = tuple(f + (k - 1) * d for f, k, d in zip(self.field, size, self.step, strict=True))
        step = tuple(d * s for d, s in zip(self.step, strides, strict=True))
        return _ReceptiveField((field[0], field[1]), (step[0], step[1]))


def _through(operation: Any, seen: list[tuple[_ReceptiveField | None, tuple[int, ...]]]) -> _ReceptiveField | None:
    """The view of a layer's output from those of its inputs, given with their heights and widths; None if unknown."""
    if not seen:
        return _ReceptiveField((1, 1), (1, 1))
    inputs = [(view, size) for view, size in seen if view]
    if len(inputs) < len(seen) or _is_saved_model(operation):
        return None
    view, size = inputs[0]
    layers = keras.layers
    if isinstance(operation, layers.Conv2D | layers.DepthwiseConv2D | layers.SeparableConv2D):
        kernel, rate = operation.kernel_size, operation.dilation_rate
        spread = ((kernel[0] - 1) * rate[0] + 1, (kernel[1] - 1) * rate[1] + 1)
        return view.window(spread, tuple(operation.strides))
    if isinstance(operation, layers.MaxPooling2D | layers.AveragePooling2D):
        return view.window(tuple(operation.pool_size), tuple(operation.strides))
    if isinstance(operation, layers.GlobalAveragePooling2D | layers.GlobalMaxPooling2D):
        return view.window((size[0], size[1]), (1, 1))
    if isinstance(operation, layers.Flatten):
        return replace(view, flat=(size[0], size[1])) if len(size) == 2 else view
    if isinstance(operation, layers.Dense):
        return view.window(view.flat, (1, 1))
    # A sum sees what the branch that sees most of the image does.
    widest = (max(v.field[0] for v, _ in inputs), max(v.field[1] for v, _ in inputs))
    return replace(max((v for v, _ in inputs), key=lambda v: v.field), field=widest)


def _is_saved_model(operation: Any) -> bool:
    from cnnkit.architectures.saved_model_layer import SavedModelLayer

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


def _kept(operation: Any, output_shape: tuple[int, ...]) -> tuple[int, ...]:
    """What a layer makes of one image and training keeps for the way back, in numbers; see `_memory`."""
    if _is_saved_model(operation):
        return tuple(operation.sizes)
    return () if type(operation).__name__ in PASSING else (math.prod(output_shape),)


def _memory(rows: Sequence[Row], batch_size: int, slots: int, parameters: int, frozen: Sequence[str]) -> dict[str, int]:
    """Bytes that a training step needs, estimated.

    Weights, their gradients and the optimizer's state are exact. Of the layers' outputs, those that hold numbers
    of their own are kept for the way back; a rectifier or a dropout shares, or nearly shares, what the layer before
    has made, so about the convolutions, normalisations, poolings, sums and dense layers count. On the way back
    as much again as the two largest is in use. Of a frozen backbone nothing is kept for the way back.

    Args:
        rows: The layers.
        batch_size: Images a step.
        slots: Numbers that the optimizer remembers for each weight.
        parameters: How many numbers are trained.
        frozen: Names of what is not.
    """
    outputs = [numbers * batch_size * FLOAT for row in rows for numbers in row.kept]
    trainable = parameters * FLOAT
    weights = sum(row.parameters for row in rows) * FLOAT
    kept = 0 if BACKBONE in frozen else sum(outputs)
    activations = kept + sum(sorted(outputs)[-2:])
    parts = {
        "weights": weights,
        "gradients": trainable,
        "optimizer": slots * trainable,
        "activations": activations,
    }
    return parts | {"total": sum(parts.values())}


def _flat(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]
