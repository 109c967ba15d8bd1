"""What is right in a config, and yet hardly meant so: the rules of all its sections, and those between sections.

A rule about one section stands in its class, as `careful`; here is what asks them, and what spans sections.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from cnnkit.config.experiment import Experiment
from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.spec import Spec
from cnnkit.core.text import by, counted
from cnnkit.data.augmentations.base import Mixing
from cnnkit.data.augmentations.policies import Policy
from cnnkit.data.index import Collection
from cnnkit.models.sequential import Sequential

SMALL_BATCH = 4
"""Images of a batch up to which their mean and deviation tell little of all."""

HANDFUL = 32
"""Of fewer images that train the usual batches, of 16 and more, make a step or two an epoch: small ones are right."""


def expected(experiment: Experiment, collection: Collection) -> Iterator[Problem]:
    """What to be careful about, as far as a quick look at the source tells.

    Args:
        experiment: It is complete.
        collection: What the source tells at first.

    Yields:
        Problems with the key of a setting.
    """
    counts = experiment.data.expected(collection.counts()) if collection.counts else None
    yield from of(experiment, collection.classes, counts, collection.pictures)


def of(
    experiment: Experiment,
    classes: Sequence[str],
    counts: Mapping[str, Sequence[int]] | None,
    pictures: tuple[int, int] | None,
) -> Iterator[Problem]:
    """What to be careful about.

    Args:
        experiment: It is complete.
        classes: Names of the classes.
        counts: Images of each class by split; None where that is not known.
        pictures: Height and width of the pictures as they are; None where that is not known.

    Yields:
        Problems with the key of a setting.
    """
    shape = experiment.shape()
    if shape is None:
        raise ValueError("the experiment should be complete")
    by_steps = any(not stage.fitted for stage in experiment.plan())
    scale = experiment.train.rate_scale(experiment.data.batch_size)
    given = Given(shape, classes, counts, pictures, experiment.model.pretrained, by_steps, scale)
    yield from _within(experiment, given, "")
    for rule in _BETWEEN:
        yield from rule(experiment, given)


def _within(section: Spec, given: Given, key: str) -> Iterator[Problem]:
    """What a section and those in it say."""
    for problem in section.careful(given):
        yield replace(problem, key=".".join(part for part in (key, problem.key) if part))
    for name in type(section).model_fields:
        value = getattr(section, name)
        below = f"{key}.{name}" if key else name
        if isinstance(value, Spec):
            yield from _within(value, given, below)
        elif isinstance(value, tuple):
            for i, item in enumerate(value):
                if isinstance(item, Spec):
                    yield from _within(item, given, f"{below}.{i}")


def _augmentations_come_once(experiment: Experiment, given: Given) -> Iterator[Problem]:
    names = Counter(augmentation.name for augmentation in experiment.augment)
    seen: set[str] = set()
    for i, augmentation in enumerate(experiment.augment):
        if augmentation.name in seen:
            times = "twice" if names[augmentation.name] == 2 else f"{names[augmentation.name]} times"
            yield Problem(f"{augmentation.name} is listed {times}, and done as often; keep one", key=f"augment.{i}")
        seen.add(augmentation.name)
    for kind, what in ((Mixing, "mixes images"), (Policy, "does changes of all kinds")):
        before: str | None = None
        for i, augmentation in enumerate(experiment.augment):
            if isinstance(augmentation, kind) and augmentation.probability == 1:
                if before and augmentation.name != before:
                    message = f"{what}, as {before} before it does, and both is done to every image; keep one"
                    yield Problem(message, key=f"augment.{i}")
                before = augmentation.name


def _preparation_is_done_once(experiment: Experiment, given: Given) -> Iterator[Problem]:
    steps = experiment.data.prepare
    for i, step in enumerate(steps[1:], start=1):
        if step == steps[i - 1]:
            yield Problem(f"is {step.name} again, with the same settings; keep one", key=f"data.prepare.{i}")


def _features_are_computed_once(experiment: Experiment, given: Given) -> Iterator[Problem]:
    frozen = experiment.model.pretrained and experiment.train.freezes_backbone(experiment.model.pretrained)
    if frozen and any(augmentation.probability for augmentation in experiment.augment):
        message = "only the classifier learns, and features of images that change are computed anew in every epoch"
        yield Problem(f"{message}, which takes many times as long; leave this out unless it pays", key="augment")


def _features_suit_the_size(experiment: Experiment, given: Given) -> Iterator[Problem]:
    learnt = experiment.model.learnt_with
    if learnt is None or not experiment.model.pretrained:
        return
    size, side, usual = by(given.shape[:2]), min(given.shape[:2]), min(learnt[:2])
    if side < usual / 3 or side > usual * 3:
        smaller = "smaller" if side < usual else "larger"
        message = f"the features were learnt on images of {by(learnt[:2])}; {size} shows all much {smaller}"
        yield Problem(message, key="data.image_size")


def _batches_suit_the_normalisation(experiment: Experiment, given: Given) -> Iterator[Problem]:
    model, devices = experiment.model, experiment.train.devices
    batch = experiment.data.batch_size // (devices if isinstance(devices, int) else 1)
    normalised = model.style.normalization == "batch" and "normalization" in type(model).model_fields
    if isinstance(model, Sequential):
        normalised = any(layer.name == "batch_norm" for layer in model.layers)
    by_batches = any(stage.batch_norm == "batch" and not stage.freezes_backbone for stage in experiment.plan())
    handful = (images := given.images("train")) is not None and images < HANDFUL
    if normalised and batch <= SMALL_BATCH and by_batches and not handful:
        message = f"batch normalisation takes mean and deviation from {counted(batch, 'image')}, which tell little"
        message += " of all; 16 or more is usual" + (" on each device" if batch < experiment.data.batch_size else "")
        yield Problem(message, key="data.batch_size")


def _an_epoch_has_the_batches_of_an_update(experiment: Experiment, given: Given) -> Iterator[Problem]:
    images, accumulated = given.images("train"), experiment.train.gradient_accumulation
    if not images or not experiment.data.balance.changes_nothing:
        return
    batches = -(-images // experiment.data.batch_size)
    if accumulated > batches:
        message = f"an update ends with its epoch, which has {counted(batches, 'batch', 'batches')}; lower it"
        if experiment.train.scale_learning_rate_with_batch:
            message += ", as learning rates are scaled by it"
        yield Problem(message, key="train.gradient_accumulation")


def _weights_are_kept_small_once(experiment: Experiment, given: Given) -> Iterator[Problem]:
    optimizer = experiment.train.optimizer
    if experiment.model.l2 and optimizer and optimizer.weight_decay:
        message = "keeps weights small, as train.optimizer.weight_decay does; one of them is enough"
        yield Problem(message, key="model.l2")


def _states_are_saved_before_the_end(experiment: Experiment, given: Given) -> Iterator[Problem]:
    checkpoint, images, plan = experiment.train.checkpoint, given.images("train"), experiment.plan()
    lengths = [stage.epochs for stage in plan if stage.epochs]
    epochs, passed = sum(lengths), sum(stage.lines for stage in plan)  # as a training counts: over all its stages
    saved = "states are saved at the ends of stages only" if len(lengths) > 1 else "no state is saved until then"
    if epochs and (checkpoint.every_epochs or 0) > passed:
        message = f"training ends after {counted(epochs, 'epoch')}, so {saved}; lower it"
        yield Problem(message, key="train.checkpoint.every_epochs")
    if not epochs or not images or not experiment.data.balance.changes_nothing:
        return
    batches = -(-images // experiment.data.batch_size)
    updates = -(-batches // experiment.train.gradient_accumulation)
    if (checkpoint.every_steps or 0) > updates * passed:
        message = f"training ends after {counted(updates * epochs, 'update')}, so {saved}; lower it"
        yield Problem(message, key="train.checkpoint.every_steps")


_BETWEEN: tuple[Callable[[Experiment, Given], Iterator[Problem]], ...] = (
    _augmentations_come_once,
    _preparation_is_done_once,
    _features_are_computed_once,
    _features_suit_the_size,
    _batches_suit_the_normalisation,
    _an_epoch_has_the_batches_of_an_update,
    _weights_are_kept_small_once,
    _states_are_saved_before_the_end,
)
