"""What an epoch goes through: the images that train, as `data.balance` makes them.

What is done to pixels, weights and numbers is done once, before there is a run, so that what can't be done costs no
half-made run. Where features of large images are mixed, these have to be computed first, which is done in the training;
what can be told before is told before.
"""

from __future__ import annotations

from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.lazy import np
from cnnkit.core.text import some
from cnnkit.data.balancing.base import Pool, Training
from cnnkit.data.feeding import pixel_store
from cnnkit.data.feeding.images import AnyInputs, Images, with_synthetic


def balanced(experiment: Experiment, images: Images, training: Training) -> tuple[Images, Training]:
    """The images and what of them trains; where features are to be mixed, what trains is not balanced yet.

    Args:
        experiment: What to do.
        images: All images.
        training: Those that train.

    Raises:
        DataError: It can't be done, or not in the memory that is allowed.
    """
    balance, classes = experiment.data.balance, images.index.classes
    height, width, channels = shape = images.shape
    frozen = experiment.train.freezes_backbone(experiment.model.pretrained)
    if problems := list(balance.problems((height, width, channels), frozen, augmented=bool(experiment.augment))):
        raise DataError(*(Problem(problem.message, key="data.balance.name") for problem in problems))
    balance.check(training.counts(len(classes)), classes)
    if balance.on_features(shape):
        return images, training
    size = pixel_store.bytes_of(len(images.index), (height, width, channels))
    _refuse_too_large(experiment, images, training, shape, "images", size)
    return with_balance(experiment, images, training)


def refuse_large_features(experiment: Experiment, images: Images, training: Training, backbone: Any) -> None:
    """Tells that the features that are to be mixed take more memory than is allowed, before they are computed.

    Raises:
        DataError: They do.
    """
    if experiment.data.balance.on_features(images.shape):
        shape = backbone.output_shape[1:]
        size = 4 * int(np.prod(shape)) * len(images.index)
        _refuse_too_large(experiment, images, training, shape, "features", size)


def with_balance(experiment: Experiment, inputs: AnyInputs, training: Training) -> tuple[AnyInputs, Training]:
    """Images, or features of images, and what of them trains, balanced."""
    index = inputs.index
    pool = Pool(index.classes, len(index), lambda: inputs.rows(training.numbers))
    after = experiment.data.balance(training, pool, experiment.seed)
    return (inputs if after.synthetic is None else with_synthetic(inputs, after.synthetic)), after


def balance_line(experiment: Experiment, images: Images, before: Training, after: Training) -> str | None:
    """What the balance has done, in a line; None where none is asked for."""
    balance, classes = experiment.data.balance, images.index.classes
    if balance.name == "none":
        return None
    counts, balanced = before.counts(len(classes)), after.counts(len(classes))
    if not np.array_equal(counts, balanced):
        changed = [f"{name} {n} to {m}" for name, n, m in zip(classes, counts, balanced, strict=True) if n != m]
        of = " of features" if balance.on_features(images.shape) else ""
        return f"balanced by {balance.name}{of}: {len(before):,} training images to {len(after):,} ({some(changed)})"
    there = np.flatnonzero(counts)
    if not np.allclose(before.weights, after.weights):
        # An image may have a weight of its own, so this is what those of a class count for in the mean.
        mean = np.bincount(after.labels, after.weights, len(classes)) / np.maximum(counts, 1)
        weights = [f"{mean[label]:.3g} ({classes[label]})" for label in there]
        return f"balanced by {balance.name}: an image counts for {some(weights)}"
    least, most = there[np.argmin(counts[there])], there[np.argmax(counts[there])]
    return (
        f"balance: {balance.name} changes nothing, for the classes are as even as it makes them: `{classes[least]}` "
        f"has {counts[least]:,} training images, `{classes[most]}` {counts[most]:,}"
    )


def _refuse_too_large(
    experiment: Experiment, images: Images, training: Training, shape: tuple[int, ...], what: str, size: int
) -> None:
    """Tells that mixing takes more memory than is allowed, with the size of what is mixed."""
    balance, allowed = experiment.data.balance, experiment.data.cache.memory_gib
    counts = training.counts(len(images.index.classes))
    more = balance.memory(counts, int(np.prod(shape)), bytes_each=1 if what == "images" else 4)
    if more and more + size > allowed * 2**30:
        message = (
            f"{balance.name} takes up to {_gib(more)} GiB for a while, and the {what} {_gib(size)} GiB, more than the "
            f"{allowed:g} that are set; set {_gib(more + size)}, a smaller data.balance.ratio, or use oversample"
        )
        raise DataError(Problem(message, key="data.cache.memory_gib"))


def _gib(size: int) -> str:
    """Bytes in GiB, rounded up to three digits, so that it is enough."""
    step = 10.0 ** (np.floor(np.log10(size / 2**30)) - 2)
    return f"{np.ceil(size / 2**30 / step) * step:.3g}"
