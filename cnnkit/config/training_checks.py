"""What is wrong between `train` and the other sections of a config, though each is right by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnnkit.config.context import Check, Context
from cnnkit.core.errors import Problem
from cnnkit.core.spec import AUTO, Spec
from cnnkit.core.text import counted, enumerated
from cnnkit.models.freezing import BACKBONE, Stage
from cnnkit.optimization.losses import FITTING
from cnnkit.optimization.section import Checkpoint
from cnnkit.optimization.training_metrics import MONITORS


def _binary_loss_has_two_classes(context: Context) -> Iterator[Problem]:
    if context.train and context.collection:
        classes = len(context.collection.classes)
        if context.train.loss.two_classes and classes != 2:
            yield Problem(f"is for two classes; the data has {classes}: use cross_entropy", key="train.loss.name")


def _warmup_ends(context: Context) -> Iterator[Problem]:
    if context.train and context.train.schedule:
        warmup = context.train.schedule.warmup_epochs
        shortest = min((stage.epochs for stage in context.plan if stage.epochs), default=None)
        if shortest and warmup >= shortest:
            length = f"{warmup:g} epoch" if warmup == 1 else f"{warmup:g} epochs"
            message = f"a warm-up of {length} never ends in {counted(shortest, 'epoch')}"
            yield Problem(message, key="train.schedule.warmup_epochs")


def _stages_or_epochs(context: Context) -> Iterator[Problem]:
    if not context.train or not context.train.stages or context.train.epochs is None:
        return
    stages = context.train.stages
    message = "the stages have epochs of their own; leave this out"
    if lacking := sum(_lacks_epochs(stage, context) for stage in stages):
        where = "the stage that needs them" if lacking == 1 else "the stages that need them"
        message = f"the stages have epochs of their own; move these into {where}"
    elif all(stage.epochs is None for stage in stages):
        message = "the classifier is fitted, which has no epochs; leave this out"
    yield Problem(message, key="train.epochs")


def _lacks_epochs(stage: Stage, context: Context) -> bool:
    """Whether a stage has no epochs, and is none that fits a classifier, which needs none."""
    return stage.epochs is None and not (stage.freezes_backbone and context.unchanging)


_BY_STEPS = "to train it by steps name an optimizer, such as train.optimizer: {name: adam, learning_rate: 3e-3}"


def _stages_have_epochs_or_are_fitted(context: Context) -> Iterator[Problem]:
    train = context.train
    for i, stage in enumerate(train.stages or () if train else ()):
        key = f"train.stages.{i}"
        if stage.epochs is None and not stage.freezes_backbone:
            yield Problem("needs epochs; only a classifier is fitted without them, with freeze: backbone", key=key)
        elif stage.epochs is None and not context.unchanging:
            why = "augmented" if context.augment else f"made by {context.data.balance.name}" if context.data else ""
            message = f"needs epochs: a classifier is fitted on features that never change, and images are {why}"
            yield Problem(message, key=key)
        elif train and stage.freezes_backbone and stage.epochs and context.unchanging and train.optimizer is None:
            yield Problem(
                f"a classifier is fitted, without epochs; leave this out, or {_BY_STEPS}", key=f"{key}.epochs"
            )
        for name, value in (("learning_rate", stage.learning_rate), ("batch_norm", stage.batch_norm)):
            if value is not None and stage.fitted:
                message = "a fitted classifier takes no steps; leave this out, or give the stage epochs"
                yield Problem(message, key=f"{key}.{name}")
            elif name == "batch_norm" and value is not None and stage.freezes_backbone:
                yield Problem("is for what learns of the backbone, which is nothing here", key=f"{key}.{name}")


def _fitting_takes_no_settings_of_steps(context: Context) -> Iterator[Problem]:
    train, model = context.train, context.model
    if not train or not model:
        return
    if train.epochs and not train.stages and model.pretrained and context.unchanging and train.optimizer is None:
        yield Problem(f"a classifier is fitted, without epochs; leave this out, or {_BY_STEPS}", key="train.epochs")
    # Also those that would be, but for epochs that are told to be left out: all is told at once.
    by_default = context.unchanging and train.optimizer is None
    fitted = [stage.fitted or (stage.freezes_backbone and by_default) for stage in context.plan]
    if not any(fitted):
        return
    unfit = {}
    if train.loss.label_smoothing:
        unfit["train.loss.label_smoothing"] = "a fitted classifier is the optimum of the loss without smoothing"
    if train.loss.name not in FITTING:
        unfit["train.loss.name"] = f"a classifier is fitted by {enumerated(FITTING, 'or')}"
    if model.l2:
        unfit["model.l2"] = "the penalty on the kernel of a fitted classifier is chosen by folds"
    if all(fitted):
        none = "a classifier is fitted, without steps and epochs"
        by_steps = (
            *("schedule", "clip", "ema", "sam", "gradient_accumulation", "scale_learning_rate_with_batch"),
            *("early_stopping", "optimizer"),
        )
        unfit |= {f"train.{name}": none for name in by_steps if getattr(train, name) != _default(train, name)}
        for setting, usual in Checkpoint():
            if getattr(train.checkpoint, setting) not in (usual, None):
                unfit[f"train.checkpoint.{setting}"] = none
        unfit |= {"train.jit": none} if train.jit != AUTO else {}
        unfit |= {"train.steps_per_execution": none} if train.steps_per_execution != AUTO else {}
        unfit |= {"train.devices": f"{none}, on one device"} if train.several_devices else {}
        if (dropout := getattr(model, "dropout", None)) and dropout == model.classifier_dropout:
            unfit["model.dropout"] = "nothing is dropped where a classifier is fitted"
    for key, why in unfit.items():
        advice = "give the stage epochs" if key == "train.optimizer" else _BY_STEPS
        yield Problem(f"{why}; leave this out, or {advice}", key=key)


def _default(section: Spec, name: str) -> Any:
    return type(section).model_fields[name].default


def _a_rate_that_is_found_is_used(context: Context) -> Iterator[Problem]:
    optimizer = context.train.optimizer if context.train else None
    rates = [stage.learning_rate for stage in context.plan if not stage.fitted]
    if optimizer and optimizer.learning_rate == AUTO and rates and AUTO not in rates:
        message = "every stage has a rate of its own, so none is looked for; leave one of theirs out, or this"
        yield Problem(message, key="train.optimizer.learning_rate")


def _devices_share_the_steps(context: Context) -> Iterator[Problem]:
    train = context.train
    if not train or not train.several_devices:
        return
    if train.jit is True:
        message = "XLA does not compile steps that several devices share; leave this out, or set train.devices to auto"
        yield Problem(message, key="train.jit")
    if context.data and train.devices != "all" and context.data.batch_size < int(train.devices):
        images = counted(context.data.batch_size, "image")
        message = f"{train.devices} devices divide a batch, and data.batch_size gives them {images}; make it larger"
        yield Problem(message, key="train.devices")


def _precision_reaches_the_network(context: Context) -> Iterator[Problem]:
    if context.train and context.model and context.model.in_float32 and context.train.precision != "float32":
        message = "a SavedModel computes as it was saved for, in float32; leave this out"
        yield Problem(message, key="train.precision")


def _stages_are_compared_by_what_they_share(context: Context) -> Iterator[Problem]:
    train = context.train
    if train and len(train.stages or ()) > 1 and train.checkpoint.monitor == "loss":
        others = enumerated((name for name in MONITORS if name != "loss"), "or")
        message = f"in each stage the loss of training has other parts; monitor {others}"
        yield Problem(message, key="train.checkpoint.monitor")


def _stages_are_of_the_network(context: Context) -> Iterator[Problem]:
    model = context.model
    for i, stage in enumerate(context.train.stages or () if context.train else ()):
        key = f"train.stages.{i}"
        if stage.freeze and stage.unfreeze_from:
            yield Problem("freeze and unfreeze_from say the same from two sides; leave one out", key=key)
        if stage.unfreeze_from == BACKBONE:
            yield Problem("trains everything, as a stage without it does; leave it out", key=f"{key}.unfreeze_from")
        if stage.freeze == BACKBONE and stage.layer_decay < 1:
            message = "decays from stage to stage of the backbone, of which nothing learns here; leave this out"
            yield Problem(message, key=f"{key}.layer_decay")
        for name in ("freeze", "unfreeze_from"):
            part = getattr(stage, name)
            if model and part and part != BACKBONE and not model.may_have(part):
                names = dict.fromkeys([*([BACKBONE] if name == "freeze" else []), *model.stages()])
                may_be = enumerated(names, "or")
                message = f"{model.title} has no stage `{part}`; it may be {may_be}, or a layer of these"
                yield Problem(message, key=f"{key}.{name}")


CHECKS: tuple[Check, ...] = (
    _binary_loss_has_two_classes,
    _warmup_ends,
    _stages_or_epochs,
    _stages_are_of_the_network,
    _stages_have_epochs_or_are_fitted,
    _fitting_takes_no_settings_of_steps,
    _a_rate_that_is_found_is_used,
    _devices_share_the_steps,
    _precision_reaches_the_network,
    _stages_are_compared_by_what_they_share,
)
