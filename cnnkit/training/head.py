"""The fitted head: a classifier on features that never change, put at the optimum of its loss without many steps.

The loss is that of multinomial logistic regression with a penalty on the kernel,

    C * sum of weight_i * cross-entropy_i  +  |kernel|^2 / 2,

on features that are brought to (weighted) mean 0 and deviation 1, and it has one optimum, which L-BFGS finds
(scikit-learn's LogisticRegression). How much the penalty counts is chosen by cross-validation within the training
images alone, so that the validation split stays what it is for stages behind this one: images that nothing was chosen
by.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import np
from cnnkit.core.text import counted, in_one_line
from cnnkit.data.index import ranked

STRENGTHS = tuple(10.0 ** (power / 2) for power in range(-8, 2))
"""Values of C that are tried, from the strongest penalty to the weakest: 1e-4, 3.2e-4 ... 1, 3.2."""

FOLDS = 5
"""Parts that the training images are dealt into."""

_LARGE = 10**8
"""Images times features times classes, beyond which a sample of the images chooses C: that takes some 20 seconds. C is
the variance that weights are expected to have, so it does not hang on how many images there are."""

_LEAST = 50
"""Images a class that such a sample has at least, in the mean."""

_PATIENCE = 2
"""So many worse values of C in a row, and weaker penalties are not tried; the loss over C has one valley."""

_MOST_STEPS = 2000
"""Steps of L-BFGS at most; a few hundred are usual where the penalty is weak."""

_ABSENT = 20.0
"""How far below all others the logit of a class without training images is."""


@dataclass(frozen=True)
class Head:
    """A fitted classifier.

    Attributes:
        kernel: float32 (c, K), for features as they come, not standardised.
        bias: float32 (K,).
        strength: The C that was chosen: the smaller, the more the penalty counts.
        losses: Of each C that was tried, the mean cross-entropy of the images of a fold by what the others taught.
        folds: Number of folds that were judged; 0 where there are too few images to choose by.
        sample: How many images these were dealt from.
        converged: Whether the optimum was reached.
    """

    kernel: Any
    bias: Any
    strength: float
    losses: dict[float, float]
    folds: int
    sample: int
    converged: bool

    def weights(self, logits: int) -> tuple[Any, Any]:
        """Kernel and bias for one logit a class, or for the one logit of the second of two classes."""
        if logits == self.kernel.shape[1]:
            return self.kernel, self.bias
        return self.kernel[:, 1:] - self.kernel[:, :1], self.bias[1:] - self.bias[:1]

    def line(self) -> str:
        """It in one sentence."""
        folds = ""
        if self.folds:
            folds = f", chosen by {counted(self.folds, 'fold')} of {self.sample:,} training images"
            folds += f" (loss {self.losses[self.strength]:.4f})"
        reached = "at the optimum of its loss" if self.converged else f"short of it after {_MOST_STEPS:,} steps"
        return f"fitted to {counted(len(self.kernel), 'feature')}, {reached}; penalty C {self.strength:.2g}{folds}"

    def facts(self) -> dict[str, Any]:
        """What the record of a run says of it."""
        losses = {f"{strength:.2g}": loss for strength, loss in self.losses.items()}
        chosen_by = {"folds": self.folds, "images": self.sample, "losses": losses}
        return {"C": self.strength, **chosen_by, "converged": self.converged}


def refuse_unless_finite(features: Any, names: Sequence[str]) -> None:
    """Tells that a backbone makes features of some images, of these names, that are no numbers.

    Raises:
        TrainingError: It does.
    """
    wrong = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(wrong):
        raise TrainingError(
            f"the backbone answers NaN or infinity for {len(wrong):,} of {counted(len(features), 'image')}, first "
            f"{in_one_line(names[wrong[0]])}: its weights are damaged, or made for pixels in another range"
        )


def fit(
    features: Any,
    labels: Any,
    weights: Any,
    groups: Sequence[str],
    classes: int,
    seed: int,
    advance: Callable[[int], None] = lambda done: None,
) -> Head:
    """Fits a classifier; equal arguments give equal bits, whatever the number of threads.

    Args:
        features: float32 (n, c) of the training images.
        labels: int64 (n,).
        weights: float64 (n,), what each image counts for, 1 in the mean.
        groups: Of each image; those of one group are in one fold.
        classes: How many there are; one that has no training images is never predicted.
        seed: Deals the groups into folds.
        advance: Is told after each of the `len(STRENGTHS)` values of C, and those that need not be tried.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums over threads come in another order each time
        mean, deviation = _moments(features, weights)
        scaled = (features - mean) / deviation
        parts = _parts(len(features), features.shape[1], classes)
        folds = dealt(labels, groups, seed, parts)
        losses, judged = _losses(scaled, labels, weights, folds, classes, advance)
        strength = min(losses, key=losses.__getitem__, default=STRENGTHS[len(STRENGTHS) // 2])
        model = _Logistic(classes, tolerance=1e-5)
        model.fit(scaled, labels, weights, strength)
        kernel = model.kernel / deviation[:, None]
        bias = model.bias - mean @ kernel
    sample = int(np.sum(folds < FOLDS))
    return Head(np.float32(kernel), np.float32(bias), strength, losses, judged, sample, model.converged)


def out_of_fold(
    features: Any,
    labels: Any,
    groups: Sequence[str],
    classes: int,
    seed: int,
    advance: Callable[[int], None] = lambda done: None,
) -> Any:
    """What classifiers say of images that they were not fitted to, by FOLDS-fold cross-validation.

    The mean, the deviation and the choice of C, few numbers in all, are those of all images.

    Args:
        features: float32 (n, c).
        labels: int64 (n,).
        groups: Of each image; those of one group are in one fold.
        classes: How many there are.
        seed: Deals the groups into folds.
        advance: Is told after each of `len(STRENGTHS) + FOLDS` parts of the work.

    Returns:
        float64 (n, classes), probabilities.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        weights = np.ones(len(features))
        mean, deviation = _moments(features, weights)
        scaled = (features - mean) / deviation
        sample = dealt(labels, groups, seed, _parts(len(features), features.shape[1], classes))
        losses, _ = _losses(scaled, labels, weights, sample, classes, advance)
        strength = min(losses, key=losses.__getitem__, default=STRENGTHS[len(STRENGTHS) // 2])
        folds = dealt(labels, groups, seed)
        found = np.full((len(features), classes), 1 / classes)
        for fold in range(FOLDS):
            outside = folds == fold
            if outside.any() and not outside.all():
                model = _Logistic(classes, tolerance=1e-4)
                model.fit(scaled[~outside], labels[~outside], weights[~outside], strength)
                found[outside] = np.exp(model.log_probabilities(scaled[outside]))
            advance(1)
    return found


def _moments(features: Any, weights: Any) -> tuple[Any, Any]:
    """The weighted mean and deviation of each feature, the latter 1 where a feature is the same of all images."""
    mean = np.average(features, axis=0, weights=weights)
    deviation = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    deviation[deviation <= np.maximum(1e-5 * np.abs(mean), 1e-30)] = 1.0  # the same, but for rounding
    return mean, deviation


def _parts(images: int, features: int, classes: int) -> int:
    """In how many parts images are dealt, of which the first are the folds: more than these where there are many."""
    needed = math.ceil(images * features * classes / _LARGE)
    return FOLDS * max(1, min(needed, images // (_LEAST * classes)))


def _losses(
    features: Any, labels: Any, weights: Any, folds: Any, classes: int, advance: Callable[[int], None]
) -> tuple[dict[float, float], int]:
    """Of each C that is worth trying, the loss of cross-validation, and the number of folds that are judged.

    None where the images are too few for it, and one where even a sample of them is large.
    """
    sampled = folds < FOLDS
    numbers = [fold for fold in range(FOLDS) if _can_be_judged(labels[sampled], folds[sampled] == fold)]
    if int(sampled.sum()) * features.shape[1] * classes > _LARGE:
        numbers = numbers[:1]
    losses: dict[float, float] = {}
    if not numbers:
        return losses, 0
    models = [_Logistic(classes, tolerance=1e-4) for _ in numbers]
    worse = 0
    for tried, strength in enumerate(STRENGTHS, start=1):
        total = 0.0
        for fold, model in zip(numbers, models, strict=True):
            inside, outside = sampled & (folds != fold), folds == fold
            model.fit(features[inside], labels[inside], weights[inside], strength)
            total += float(weights[outside] @ model.losses(features[outside], labels[outside]))
        loss = total / float(sum(weights[folds == fold].sum() for fold in numbers))
        worse = worse + 1 if loss >= min(losses.values(), default=math.inf) else 0
        losses[strength] = loss
        advance(1)
        if worse == _PATIENCE:
            advance(len(STRENGTHS) - tried)
            break
    return losses, len(numbers)


def _can_be_judged(labels: Any, outside: Any) -> bool:
    """Whether a fold has images, and the others have several classes."""
    return bool(outside.any()) and len(np.unique(labels[~outside])) > 1


class _Logistic:
    """Logistic regression of some classes, of which not all need have images; each fit begins where the last ended."""

    def __init__(self, classes: int, tolerance: float):
        from sklearn.linear_model import LogisticRegression

        self.classes, self.converged = classes, True
        self.model = LogisticRegression(max_iter=_MOST_STEPS, tol=tolerance, warm_start=True)
        self.kernel: Any = None
        self.bias: Any = None

    def fit(self, features: Any, labels: Any, weights: Any, strength: float) -> None:
        """Finds kernel (c, K) and bias (K,), float64."""
        present = np.unique(labels)
        self.kernel = np.zeros((features.shape[1], self.classes))
        self.bias = np.full(self.classes, -_ABSENT)
        if len(present) == 1:
            self.bias[present] = 0.0
            return
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            self.model.set_params(C=strength).fit(features, labels, weights)
        self.converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
        kernel, bias = self.model.coef_.T, self.model.intercept_
        if len(present) == 2:  # one logit, of the second class; half of it for this class, half against the other
            kernel, bias = np.hstack([-kernel, kernel]) / 2, np.concatenate([-bias, bias]) / 2
        self.kernel[:, present] = kernel
        self.bias += bias.min()
        self.bias[present] = bias

    def losses(self, features: Any, labels: Any) -> Any:
        """The cross-entropy of each image, float64 (n,)."""
        return -self.log_probabilities(features)[np.arange(len(labels)), labels]

    def log_probabilities(self, features: Any) -> Any:
        """The logarithm of the probability of each class, float64 (n, K)."""
        logits = features @ self.kernel + self.bias
        highest = logits.max(axis=1, keepdims=True)
        return logits - (highest + np.log(np.exp(logits - highest).sum(axis=1, keepdims=True)))


def dealt(labels: Any, groups: Sequence[str], seed: int, parts: int = FOLDS) -> Any:
    """The part that each image is dealt into, int64 (n,); those below FOLDS are the folds.

    Groups in the order of their hash, class by class, are dealt like cards; one of several classes goes with the first
    of them. So what a fold holds depends on what the images are, not on how they are called.
    """
    label_of: dict[str, int] = {}
    for label, group in zip(labels.tolist(), groups, strict=True):
        label_of[group] = min(label, label_of.get(group, label))
    order = sorted(label_of, key=lambda group: (label_of[group], ranked(group, seed, "fold")))
    fold_of = {group: number % parts for number, group in enumerate(order)}
    return np.asarray([fold_of[group] for group in groups], np.int64)
