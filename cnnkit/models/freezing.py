"""Which layers learn in a stage of the training, and how fast.

A network is a row of groups of layers: the stages that its family names, or where it names none (the networks of
keras.applications) the stretches in which the image has one size. What is frozen is always the beginning of the row,
so that the gradient has to go no further back than to the first layer that learns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem, UsageError
from cnnkit.core.spec import Count, Positive, PositiveOrAuto, Spec, Text
from cnnkit.core.text import by, nearest, percent
from cnnkit.models.base import Architecture, Network, belongs

BACKBONE = "backbone"
"""What `freeze` calls everything but the classifier."""


STEEP = 0.4
"""Decays of the rate from stage to stage below which early stages are as good as frozen."""


class Stage(Spec):
    """A part of a training: which layers learn, for how long, how fast."""

    epochs: Count | None = None
    """How often every training image is shown in it; left out where the classifier is fitted, which is for a frozen
    `backbone` without augmentation."""
    freeze: Text | None = None
    """`backbone` (all but the classifier), or a stage or layer of the network: it and all before it do not learn."""
    unfreeze_from: Text | None = None
    """A stage or layer of the network: it and all behind it learn, all before it does not."""
    learning_rate: Positive | None = None
    """The rate of this stage; that of the optimizer if left out."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The rate of each stage of the network is this times that of the one behind it; 1 for the same everywhere."""
    batch_norm: Literal["inference", "batch"] | None = None
    """What batch normalisation that learns works with: its moving statistics, which stay as they are (`inference`; only
    scale and shift learn, and a SavedModel works wholly as in inference), or those of each `batch`. If left out,
    inference in a pretrained network, else batch."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A decay that freezes all but the last stages."""
        if self.layer_decay < STEEP:
            message = (
                f"leaves {percent(self.layer_decay**3, 1)} of the rate three stages further back, so that hardly learns"
            )
            yield Problem(f"{message}; 0.65 to 0.9 is usual", key="layer_decay")

    @property
    def freezes_backbone(self) -> bool:
        """Whether nothing but the classifier learns in it."""
        return self.freeze == BACKBONE

    @property
    def fitted(self) -> bool:
        """Whether its classifier is fitted: the optimum of the loss, in place of epochs of steps towards it."""
        return self.epochs is None and self.freezes_backbone


class PlannedStage(Stage):
    """A stage as it is trained, with what it inherits filled in."""

    learning_rate: PositiveOrAuto | None  # type: ignore[assignment]  # wider than that of a stage, but never changed
    """Its own rate, or that of the optimizer; None where it takes no steps."""
    batch_norm: Literal["inference", "batch"]
    """Its own, or what suits the network."""

    @property
    def rate_in_words(self) -> str:
        """Its rate, as a line tells it."""
        return self.learning_rate if isinstance(self.learning_rate, str) else f"{self.learning_rate or 0:g}"

    @property
    def lines(self) -> int:
        """Lines of metrics that it leaves: its epochs, or the one of a fitted classifier."""
        return self.epochs or 1


@dataclass(frozen=True)
class Group:
    """Layers in their order, and the stage that they belong to."""

    name: str
    layers: tuple[Any, ...]

    @property
    def learns(self) -> bool:
        """Whether any of it is trained."""
        return any(layer.trainable_variables for layer in self.layers)


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
    """The layers of the backbone, stage by stage from input to output."""
    stages = architecture.stages()
    members: dict[str, list[Any]] = {name: [] for name in stages}
    smallest: tuple[int, ...] | None = None
    for layer in network.backbone.layers:
        if stages:
            name = next((stage for stage in stages if belongs(layer.name, stage)), None)
        else:
            # Squeezed to 1 x 1 for a moment, or padded, an image is still in the stretch that it came from.
            size = tuple(layer.output.shape[1:-1])
            if len(size) == 2 and min(size) > 1 and (smallest is None or size < smallest):
                smallest = size
            name = by(smallest or (1, 1))
        if name:
            members.setdefault(name, []).append(layer)
    return tuple(Group(name, tuple(layers)) for name, layers in members.items() if layers)


def apply(architecture: Architecture, network: Network, stage: Stage) -> Staged:
    """Freezes and unfreezes the layers of a network for a stage.

    A layer that is frozen keeps its weights to the bit, and a batch normalisation among them its moving statistics: it
    works as it will after the training. So does one that learns where the stage keeps it in inference.

    Raises:
        UsageError: The network has no layer of the name that the stage gives.
    """
    row = groups(architecture, network)
    layers = [layer for group in row for layer in group.layers]
    for layer in layers:
        layer.trainable = True
        if hasattr(layer, "in_inference"):
            layer.in_inference = stage.batch_norm == "inference"
    row_that_can = [group for group in row if group.learns]
    for layer in layers[: _first_that_learns(row, stage)]:
        layer.trainable = False
    network.classifier.trainable = True
    rates = {
        id(variable.value): stage.layer_decay ** (len(row_that_can) - number)
        for number, group in enumerate(row_that_can)
        for layer in group.layers
        for variable in layer.trainable_variables
    }
    trained = tuple(group.name for group in row_that_can if group.learns)
    frozen = tuple(group.name for group in row_that_can if not group.learns) if trained else (BACKBONE,)
    return Staged((*trained, "classifier"), frozen, not trained, rates if stage.layer_decay < 1 else {})


def _first_that_learns(row: Sequence[Group], stage: Stage) -> int:
    """Number of the first layer that learns."""
    layers = [layer.name for group in row for layer in group.layers]
    if stage.freezes_backbone:
        return len(layers)
    part = stage.freeze or stage.unfreeze_from
    if part is None:
        return 0
    inside = next(([layer.name for layer in group.layers] for group in row if group.name == part), [part])
    if inside[0] not in layers:
        hint = nearest(part, layers) or f"; they are called {layers[0]} ... {layers[-1]}"
        raise UsageError(f"train.stages: the network has no layer `{part}`{hint}")
    return layers.index(inside[-1]) + 1 if stage.freeze else layers.index(inside[0])
