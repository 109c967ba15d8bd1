"""Advice: what to try when a training goes wrong, the likeliest first, with the number to set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.models.base import Architecture
from cnnkit.optimization.section import Train

MUCH = 10
"""Times the usual rate above which the usual one is proposed, and not a tenth of what is set."""


def against_divergence(
    experiment: Experiment, stage: int, first_epoch: bool, backward: bool = False, overflow: bool = False
) -> Iterator[str]:
    """What may help where numbers grow beyond all bounds.

    Args:
        experiment: What is done.
        stage: Number of the stage, from 1.
        first_epoch: Whether it happened in the first epoch of the stage.
        backward: Whether it came up on the way back, among gradients.
        overflow: Whether numbers of the network itself were too large.
    """
    train = experiment.train
    clip = [] if getattr(train, "clip", True) else ["train.clip={name: global_norm, at: 1.0} (now none)"]
    if getattr(train, "precision", "") == "mixed_float16" and (overflow or backward):
        yield "train.precision=float32 or mixed_bfloat16 (float16 ends at 65,504)"
    yield slower(experiment, stage)
    if backward:
        yield from clip
    if first_epoch and train.schedule and not train.schedule.warmup_epochs:
        yield "train.schedule.warmup_epochs=1 (now none), as the first steps are the most dangerous"
    if not backward:
        yield from clip
    if lacks_normalization(experiment.model):
        yield "model.normalization=batch, which keeps the layers in one range"


def against_vanishing(experiment: Experiment, stage: int) -> Iterator[str]:
    """What may help where gradients do not come back to the first layers."""
    model = experiment.model
    named, flattening = list(_named(model.model_dump())), flattening_in(model)
    if not flattening:
        yield f"{slower(experiment, stage)}: steps that are too long switch rectifiers off for good"
    if flattening:
        yield f"`relu` in place of `{flattening[0]}`, whose slope is {FLATTENING[flattening[0]]}"
    if lacks_normalization(model):
        yield "model.normalization=batch"
    elif ("name", "sequential") in named and ("name", "batch_norm") not in named:
        yield "a `batch_norm` behind each layer"
    yield "fewer layers, or a network with shortcuts (resnet, densenet)"


def flattening_in(model: Architecture) -> list[str]:
    """The activations of a network that flatten out; none where most of its activations are others."""
    activations = [value for key, value in _named(model.model_dump()) if key == "activation"]
    found = [activation for activation in activations if activation in FLATTENING]
    return sorted(set(found)) if 2 * len(found) >= len(activations) else []


FLATTENING = {"sigmoid": "a quarter at most", "tanh": "far below 1 but around 0"}
"""Activations that flatten out, and so shorten the gradient at each layer, with how much."""


def _named(values: Any) -> Iterator[tuple[str, Any]]:
    """All settings of a section, however deep, that are texts, with their names."""
    if isinstance(values, dict):
        for key, value in values.items():
            if isinstance(value, str):
                yield key, value
            yield from _named(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _named(value)


def slower(experiment: Experiment, stage: int) -> str:
    """A smaller learning rate: the setting with its number, and what is set now."""
    key, now, then = slower_rate(experiment, stage)
    return f"{key}={then:g} (now {now:g})"


def slower_rate(experiment: Experiment, stage: int) -> tuple[str, float, float]:
    """The setting of a stage's learning rate, its value and a smaller one that is likely to do."""
    train, usual = experiment.train, usual_rate(experiment.train)
    own = train.stages[stage - 1].learning_rate if train.stages else None
    now = own or getattr(train.optimizer, "learning_rate", None)
    if not isinstance(now, float | int):  # it is found, or a default
        planned = experiment.plan()[stage - 1].learning_rate
        now = planned if isinstance(planned, float | int) else usual
    rate = now / 10 if now <= MUCH * usual else usual
    key = f"train.stages.{stage - 1}.learning_rate" if own else "train.optimizer.learning_rate"
    return key, float(now), float(f"{rate:.1g}")


def usual_rate(train: Train) -> float:
    """The learning rate that the optimizer has where nobody sets one."""
    rate: Any = type(train.optimizer).model_fields["learning_rate"].default if train.optimizer else None
    return float(rate) if isinstance(rate, float | int) else 1e-3


def lacks_normalization(model: Architecture) -> bool:
    """Whether it is a network without normalisation that could have one."""
    return getattr(model, "normalization", None) == "none"


def numbered(steps: Sequence[str]) -> str:
    """Some things to try in a row: `(1) ...; (2) ...`."""
    return "; ".join(f"({number}) {step}" for number, step in enumerate(steps, start=1))
