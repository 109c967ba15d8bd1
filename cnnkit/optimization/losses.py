"""Losses: how far the network's answer is from the label. The union below is what `train.loss` may name.

A loss also decides how many logits the network ends in and how they become probabilities.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem, TrainingError
from cnnkit.core.lazy import keras, np
from cnnkit.core.spec import ByName, Spec
from cnnkit.core.text import counted, percent

# What is left of probability 1 for a wrong class, at least.
_LEAST = 1e-7

MUCH_SMOOTHING = 0.3
"""Label smoothing from which on labels say too little; papers have 0.1, seldom 0.2."""

STRONG_FOCUS = 5
"""The largest gamma that the paper of the focal loss tried."""

Smoothing = Annotated[float, Field(ge=0, lt=1)]


class Loss(Spec):
    """From one-hot labels (B, classes) and logits (B, logits) to a loss an image (B,)."""

    two_classes: ClassVar[bool] = False
    """Whether it is for two classes and no more."""

    flat: ClassVar[bool] = False
    """Whether nothing is learnt from an image that the network is sure of and wrong about."""

    label_smoothing: Smoothing

    def careful(self, given: Given) -> Iterator[Problem]:
        """Smoothing that leaves little of the labels."""
        if self.label_smoothing > MUCH_SMOOTHING:
            message = f"leaves {percent(1 - self.label_smoothing)} of each label and spreads the rest; 0.1 is usual"
            yield Problem(message, key="label_smoothing")

    def logits(self, classes: int) -> int:
        """How many logits the network ends in."""
        return classes

    def probabilities(self, logits: Any, names: Sequence[str] = ()) -> Any:
        """From logits (B, logits) to probabilities (B, classes), NumPy float64.

        Args:
            logits: What a network answers.
            names: What its images are called, for the error.

        Raises:
            TrainingError: A logit is NaN or infinite: a class that came of it would be no answer.
        """
        logits = np.asarray(logits, np.float64)
        _refuse_unless_finite(logits, names)
        return self._probabilities(logits)

    def _probabilities(self, logits: Any) -> Any:
        """The same of finite logits, float64: the softmax."""
        shifted = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
        return shifted / np.sum(shifted, axis=-1, keepdims=True)

    def accuracy(self, labels: Any, logits: Any) -> Any:
        """1.0 for each image whose likeliest class is the label's, else 0.0; shape (B,)."""
        ops = keras.ops
        return ops.cast(ops.equal(ops.argmax(labels, axis=-1), ops.argmax(logits, axis=-1)), "float32")

    @abstractmethod
    def __call__(self, labels: Any, logits: Any) -> Any:
        """The loss of each image."""


class CrossEntropy(Loss):
    """Softmax cross-entropy, one logit a class."""

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Smoothing = 0.0
    """Share of each label that is spread over all classes (Szegedy et al. 2016, arXiv:1512.00567, section 7)."""

    def __call__(self, labels: Any, logits: Any) -> Any:
        """Mean negative log-likelihood of the smoothed labels."""
        return keras.losses.categorical_crossentropy(
            labels, logits, from_logits=True, label_smoothing=self.label_smoothing
        )


class Focal(Loss):
    """Cross-entropy in which images that are right already count for little (Lin et al. 2017, arXiv:1708.02002)."""

    name: Literal["focal"] = "focal"
    gamma: Annotated[float, Field(ge=0, le=10)] = 2.0
    """How much less: the loss is times (1 - p)^gamma where the label has the probability p; 0 is cross-entropy.
    The paper tried 0 to 5."""
    label_smoothing: Smoothing = 0.0
    """Share of each label that is spread over all classes (Szegedy et al. 2016, arXiv:1512.00567, section 7)."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A gamma with which nearly no image counts."""
        yield from super().careful(given)
        if self.gamma > STRONG_FOCUS:
            message = f"leaves only the worst images to learn from; the paper tried 0 to {STRONG_FOCUS}"
            yield Problem(message, key="gamma")

    def __call__(self, labels: Any, logits: Any) -> Any:
        """The sum of -(1 - p)^gamma log p over the classes, each times its share of the smoothed label."""
        ops = keras.ops
        logits = ops.convert_to_tensor(logits)
        smoothed = (1 - self.label_smoothing) * ops.cast(labels, logits.dtype) + self.label_smoothing / logits.shape[-1]
        log_p = ops.log_softmax(logits)
        # 1 - p without cancellation. The bound is below what float32 tells from 0; a power of 0 has no gradient.
        rest = ops.maximum(-ops.expm1(log_p), _LEAST)
        return -ops.sum(smoothed * rest**self.gamma * log_p, axis=-1)


class BinaryCrossEntropy(Loss):
    """Sigmoid cross-entropy for two classes: one logit, for the second class."""

    two_classes: ClassVar[bool] = True

    name: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    label_smoothing: Smoothing = 0.0
    """Share of each label that is moved to one half."""

    def logits(self, classes: int) -> int:
        """One: the logit of the second class."""
        return 1

    def _probabilities(self, logits: Any) -> Any:
        """The sigmoid, and what is left of 1 for the first class."""
        return np.exp(-np.logaddexp(0, np.concatenate([logits, -logits], axis=-1)))

    def accuracy(self, labels: Any, logits: Any) -> Any:
        """1.0 where the sign of the logit is right."""
        return keras.ops.cast(keras.ops.equal(labels[:, 1] > 0.5, logits[:, 0] > 0), "float32")

    def __call__(self, labels: Any, logits: Any) -> Any:
        """Mean negative log-likelihood of the smoothed label."""
        return keras.losses.binary_crossentropy(
            labels[:, 1:], logits, from_logits=True, label_smoothing=self.label_smoothing
        )


class MeanSquaredError(Loss):
    """Mean squared error of the probabilities, over the classes (Brier 1950); begin with a warm-up."""

    flat: ClassVar[bool] = True

    name: Literal["mean_squared_error"] = "mean_squared_error"
    label_smoothing: Smoothing = 0.0
    """Share of each label that is spread over all classes (Szegedy et al. 2016, arXiv:1512.00567, section 7)."""

    def __call__(self, labels: Any, logits: Any) -> Any:
        """The mean of (p - y)^2 over the classes."""
        return keras.ops.mean(keras.ops.square(_errors(labels, logits, self.label_smoothing)), axis=-1)


class MeanAbsoluteError(Loss):
    """Mean absolute error of the probabilities, over the classes (Ghosh et al. 2017, arXiv:1712.09482).

    Wrong labels among those of training bend it less than other losses. It learns slowly; begin with a warm-up.
    """

    flat: ClassVar[bool] = True

    name: Literal["mean_absolute_error"] = "mean_absolute_error"
    label_smoothing: Smoothing = 0.0
    """Share of each label that is spread over all classes (Szegedy et al. 2016, arXiv:1512.00567, section 7)."""

    def __call__(self, labels: Any, logits: Any) -> Any:
        """The mean of |p - y| over the classes."""
        return keras.ops.mean(keras.ops.absolute(_errors(labels, logits, self.label_smoothing)), axis=-1)


def _errors(labels: Any, logits: Any, smoothing: float) -> Any:
    """The probabilities (B, classes) less the smoothed labels."""
    probabilities = keras.ops.softmax(keras.ops.convert_to_tensor(logits))
    classes = probabilities.shape[-1]
    return probabilities - (1 - smoothing) * keras.ops.cast(labels, probabilities.dtype) - smoothing / classes


def _refuse_unless_finite(logits: Any, names: Sequence[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=-1))
    if not len(bad):
        return
    first = f", first to {names[bad[0]]}" if len(names) else ""
    raise TrainingError(
        f"the network answers NaN or infinity to {len(bad):,} of {counted(len(logits), 'image')}{first}: its weights "
        "are of no use, as after a training that diverged; train again with a learning rate ten times smaller "
        "(train.optimizer.learning_rate), and where it starts from weights, check these"
    )


FITTING = ("cross_entropy", "binary_cross_entropy")
"""Names of those by which a classifier can be fitted."""

AnyLoss: TypeAlias = Annotated[
    CrossEntropy | Focal | BinaryCrossEntropy | MeanSquaredError | MeanAbsoluteError, ByName()
]
