"""Which layers learn in a stage of the training, and how fast.

A network is a row of groups of layers: the stages that its family names, or where it names none (the networks of
keras.applications) the stretches in which the image has one size. What is frozen is always the beginning of the row,
so that the gradient has to go no further back than to the first layer that learns.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.architectures import Architecture
from cnnkit.architectures.base import Network
from cnnkit.errors import UsageError
from cnnkit.experiment import BACKBONE, Stage


@dataclass(frozen=True)
class Group:
    """Layers that have weights, in their order, and the stage that they belong to."""

    name: str
    layers: tuple[Any, ...]


@dataclass(frozen=True)
class Staged:
    """What a stage of the training does with a network.

    Attributes:
        trained: Names of the groups that learn, wholly or in part, the classifier behind them.
        frozen: Names of the groups of which nothing learns; if that is all of them, just `backbone`.
        backbone_frozen: Whether nothing but the classifier learns.
        rates: Share of the learning rate that a variable has, by the identity of its storage; 1 where it is missing.
    """

    trained: tuple[str, ...]
    frozen: tuple[str, ...]
    backbone_frozen: bool
    rates: dict[int, float]


def groups(architecture: Architecture, network: Network) -> tuple[Group, ...]:
    """The layers of the backbone that have weights, stage by stage from input to output."""
    layers = [layer for layer in network.backbone.layers if layer.weights]
    stages = architecture.stages()
    if stages:
        rows = [(name, [layer for layer in layers if _belongs(layer.name, name)]) for name in stages]
    else:
        sizes: dict[tuple[int, ...], list[Any]] = {}
        for layer in layers:
            sizes.setdefault(tuple(layer.output.shape[1:-1]), []).append(layer)
        rows = [(_size_name(size), members) for size, members in sizes.items()]
    return tuple(Group(name, tuple(members)) for name, members in rows if members)


def _belongs(layer: str, stage: str) -> bool:
    """Whether the layer's name is the stage's, or begins with it and a sign or number of its own."""
    rest = layer.removeprefix(stage)
    return rest != layer and (not rest or rest[0] == "_" or (rest[0].isdigit() and not stage[-1].isdigit()))


def _size_name(size: tuple[int, ...]) -> str:
    return f"{size[0]} x {size[1]}" if len(size) == 2 else "vector"


def apply(architecture: Architecture, network: Network, stage: Stage) -> Staged:
    """Freezes and unfreezes the layers of a network for a stage.

    A layer that is frozen keeps its weights to the bit, and a batch normalisation among them its moving statistics: it
    works as it will after the training.

    Raises:
        UsageError: The network has no layer of the name that the stage gives.
    """
    row = groups(architecture, network)
    first = _first_that_learns(row, stage)
    position = 0
    trained: list[str] = []
    frozen: list[str] = []
    rates: dict[int, float] = {}
    for number, group in enumerate(row):
        learns = False
        for layer in group.layers:
            layer.trainable = position >= first
            learns = learns or layer.trainable
            position += 1
            for variable in layer.trainable_variables:
                rates[id(variable.value)] = stage.layer_decay ** (len(row) - number)
        (trained if learns else frozen).append(group.name)
    network.classifier.trainable = True
    rates = rates if stage.layer_decay < 1 else {}
    frozen = frozen if trained else [BACKBONE]
    return Staged((*trained, "classifier"), tuple(frozen), not trained, rates)


def _first_that_learns(row: Sequence[Group], stage: Stage) -> int:
    """Number of the first layer that learns, among those that have weights."""
    layers = [layer.name for group in row for layer in group.layers]
    if stage.freeze == BACKBONE:
        return len(layers)
    for part, behind in ((stage.freeze, 1), (stage.unfreeze_from, 0)):
        if part is None:
            continue
        begin = 0
        for group in row:
            if group.name == part:
                return begin + behind * len(group.layers)
            begin += len(group.layers)
        if part not in layers:
            near = difflib.get_close_matches(part, layers, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"they are called {layers[0]} ... {layers[-1]}"
            raise UsageError(f"train.stages: the network has no layer `{part}` with weights; {hint}")
        return layers.index(part) + behind
    return 0
