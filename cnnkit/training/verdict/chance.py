"""Nothing is learnt: neither of the images that train, nor for those of validation; with probable reasons in order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from cnnkit.core.text import counted, enumerated, percent
from cnnkit.evaluation.intervals import CONFIDENCE, interval
from cnnkit.evaluation.verdict import LARGEST, LARGEST_OF_TWO
from cnnkit.training import advice
from cnnkit.training.verdict.course import Course, Part, Remark, option_of
from cnnkit.training.verdict.rate import FAR_FROM_USUAL, STEADY, blown_up, far_above_usual, usual_rate

TOO_SOON = 3, 500
"""In fewer epochs and fewer updates than these a training that learns nothing may just not have begun to."""

EARLY = 8, 500
"""In fewer epochs and fewer updates than these what is learnt first need not hold yet."""

PERHAPS = 2.5
"""Standard deviations above a guess from which on an epoch may have learnt something, though it is not sure."""

ONE_IN_SIX = 1 / 6
"""A guess is a standard deviation above its mean, or more, so often: what is rarer may be more than chance."""

BY_HEART = 0.15
"""By so much the accuracy in training must be above a guess, to be called learnt."""

SMALL_CLASS = 30
"""Of fewer training images of a class that these are too few is more probable than labels of other images."""

FADED = 5e-4
"""Share of the gradient of the strongest part of the network from which down the first one has lost it."""

DEEP = 10
"""Layers with kernels from which on gradients may get lost on their way where nothing is normalised."""

CATCHES_UP = 3.0
"""Times 1 / (1 - momentum) updates until the moving statistics of batch normalisation are those of the present weights:
what they began with counts for a twentieth then."""


@dataclass(frozen=True)
class Reason:
    """Why nothing may be learnt, and what to set to see whether it is that."""

    words: str
    setting: str = ""


def at_chance(course: Course) -> Iterator[Remark]:
    """No better than a guess in validation, and hardly so in training."""
    if not (part := _at_a_loss(course)) or _learnt(course, part):
        return
    message = (
        f"next to nothing was learnt in {counted(len(course.epochs), 'epoch')}: accuracy is "
        f"{part.accuracy.last:.4f} in training and {part.val_accuracy.last:.4f} in validation, where always saying the "
        f"same class would reach {course.validated.accuracy:.4f}; the loss of validation is "
        f"{part.val_loss.last:.4f}, that of a guess {course.validated.loss:.4f}"
    )
    yield _remark("at_chance", message, [*_few(course), *_late(course, part), *_reasons(course, part)])


def learns_by_heart_alone(course: Course) -> Iterator[Remark]:
    """Learns the training images, and is no better than a guess on those of validation."""
    if not (part := _at_a_loss(course)) or not _learnt(course, part):
        return
    sure = _surely_little(course, part)
    holds = "does not hold for" if sure else "is not surely more than a guess on"
    message = (
        f"what is learnt of the training images, accuracy {part.accuracy.last:.4f}, {holds} those of validation: "
        f"{part.val_accuracy.last:.4f}, and always saying the same class would reach {course.validated.accuracy:.4f}"
    )
    others = (
        f"too few images to find out what those of a class have in common: {course.trained.images:,} train"
        if course.experiment.data.split.validation is not None
        else "images or labels of validation that are of another kind than those of training"
    )
    short = [*_late(course, part)] or [*_early(course, part)]
    high = [*_too_high(course, part)] if far_above_usual(course, part) else []
    few = [*_few(course, sure)]
    may_hold = _best_may_be_more(course) or (not sure and _by_chance(course) <= ONE_IN_SIX)
    if may_hold or course.trained.images < SMALL_CLASS * course.trained.classes:
        reasons = [*few, *short, Reason(others), *_labels(course)]
    else:
        reasons = [*short, *_labels(course), *few, Reason(others)]
    yield _remark("by_heart_alone", message, [*high, *reasons])


def _at_a_loss(course: Course) -> Part | None:
    """The last stage, where validation was never better than a guess, neither by its accuracy nor by its loss.

    That of a classifier that was fitted before it counts, too.
    """
    parts, guess = course.parts, course.validated
    if not parts or not _long_enough(parts):
        return None
    measured = [epoch for epoch in course.epochs if None not in (epoch["val_accuracy"], epoch["val_loss"])]
    if any(guess.beaten_by(epoch["val_accuracy"]) or guess.beaten_by_loss(epoch["val_loss"]) for epoch in measured):
        return None
    part = parts[-1]
    return part if _surely_little(course, part) or _by_chance(course) > 1 - CONFIDENCE else None


@dataclass(frozen=True)
class _Judged:
    """The images that judge, of validation and of the test split, where that is known.

    Attributes:
        right: How many are answered rightly.
        guessed: How many a guess would answer rightly.
        images: How many there are.
    """

    right: float
    guessed: float
    images: int

    @classmethod
    def of(cls, course: Course) -> _Judged:
        """By the median of the later epochs in validation, as the best would be a lucky one, and the test split."""
        guess, test = course.validated, course.test
        accuracies = [epoch["val_accuracy"] for epoch in course.epochs if epoch["val_accuracy"] is not None]
        later = median(accuracies[len(accuracies) // 2 :])
        found = cls(later * guess.images, guess.accuracy * guess.images, guess.images)
        if test is None:
            return found
        right, guessed = (share * test["images"] for share in (test["accuracy"], test["majority_class"]["accuracy"]))
        return cls(found.right + right, found.guessed + guessed, found.images + test["images"])


def _by_chance(course: Course) -> float:
    """How probable it is that a guess has so many right answers or more (exact binomial test, one-sided)."""
    from scipy.stats import binom

    judged = _Judged.of(course)
    return float(binom.sf(math.floor(judged.right + 1e-6) - 1, judged.images, judged.guessed / judged.images))


def _surely_little(course: Course, part: Part) -> bool:
    """Whether less than half holds of what training images are known by more than a guess, few images or not."""
    judged = _Judged.of(course)
    _, most = interval(judged.right / judged.images, judged.images)
    above = max(part.accuracy.last - course.trained.accuracy, BY_HEART)
    return most < judged.guessed / judged.images + above / 2


def _learnt(course: Course, part: Part) -> bool:
    """Whether training images are known by more than chance."""
    learnt, guess = part.accuracy.last, course.trained
    beyond_chance = guess.beaten_by(learnt) or guess.beaten_by_loss(part.loss.last)
    return beyond_chance and learnt >= guess.accuracy + BY_HEART


def _long_enough(parts: tuple[Part, ...]) -> bool:
    epochs, updates = TOO_SOON
    return sum(map(len, parts)) >= epochs or parts[-1].epochs[-1]["step"] >= updates


def _remark(kind: str, message: str, reasons: list[Reason]) -> Remark:
    words = [f"{reason.words}: {option_of(reason.setting)}" if reason.setting else reason.words for reason in reasons]
    numbered = "; ".join(f"({number}) {each}" for number, each in enumerate(words, start=1))
    settings = tuple(reason.setting for reason in reasons if reason.setting)
    return Remark(kind, message, f"probable reasons, in order: {numbered}", settings)


LABELS = Reason(
    "labels that do not belong to the images, as when one of the two was shuffled or sorted alone: "
    "`cnnkit data CONFIG` draws sheets of each class"
)


def _labels(course: Course) -> Iterator[Reason]:
    """That they are not the images' own, unless something simpler has learnt them."""
    if course.simpler:
        yield Reason(f"a training that is too short or a network that does not suit, as {course.simpler}")
    else:
        yield LABELS


def _reasons(course: Course, part: Part) -> Iterator[Reason]:
    """From the most probable one on."""
    if course.faint:
        yield Reason(course.faint)
    rate, usual, high = part.rate, usual_rate(course, part), [*_too_high(course, part)]
    low = rate <= usual / FAR_FROM_USUAL and not high
    yield from high
    fading = [] if blown_up(course, part) else list(_fading(course, part))  # what was thrown far away has none either
    yield from fading
    if low:
        first, last = part.loss.values[[0, -1]]
        falls = f", with a loss that falls all the time, from {first:.4f} to {last:.4f}"
        seen = falls if part.loss.tendency() <= STEADY else ""
        yield Reason(f"a learning rate that is too low, {course.rate_of(part)}{seen}", course.rate_setting(part, usual))
    yield from _labels(course)
    if not high and not low:
        yield Reason("a learning rate that does not suit", course.rate_setting(part, rate / 10))
    if course.trained.accuracy >= (LARGEST_OF_TWO if course.trained.classes == 2 else LARGEST):
        words = f"one class that has {percent(course.trained.accuracy)} of the training images"
        yield Reason(words, "data.balance.name=class_weight" if course.experiment.data.balance.changes_nothing else "")
    if not fading and not course.normalised and course.depth >= DEEP:
        yield Reason(f"gradients that get lost in {course.depth} layers without batch normalisation")


def _too_high(course: Course, part: Part) -> Iterator[Reason]:
    """That a step threw the weights far away, or that the rate is far above the usual one."""
    if blown_up(course, part) or far_above_usual(course, part):
        usual, rate = usual_rate(course, part), part.rate
        seen = f", with a loss of up to {max(part.loss.values):.3g}" if blown_up(course, part) else ""
        less = usual if rate > usual else rate / FAR_FROM_USUAL
        yield Reason(f"a learning rate that is too high, {course.rate_of(part)}{seen}", course.rate_setting(part, less))


def _fading(course: Course, part: Part) -> Iterator[Reason]:
    """That hardly any of the gradient comes back to the first part of the network, from the first epoch on."""
    norms = part.epochs[0].get("gradient_norms") or {}
    if len(norms) < 2:
        return
    (first, weakest), *_ = norms.items()
    strongest = max(norms, key=norms.__getitem__)
    if weakest < FADED * norms[strongest]:
        words = (
            f"gradients that vanish on their way back, {norms[strongest]:.2g} in {strongest}, {weakest:.2g} in {first}"
        )
        lacks = ["normalisation"] * (not course.normalised) + ["shortcuts"]
        lacks += ["rectifiers"] * bool(advice.flattening_in(course.experiment.model))
        yield Reason(f"{words}, which {enumerated(lacks, 'and')} let pass")


def _few(course: Course, sure: bool = True) -> Iterator[Reason]:
    """That validation has too few images to tell, where these are not sure or the best epoch may be beyond chance."""
    if not sure or _best_may_be_more(course):
        best = _best(course)
        words = f"too few images of validation to tell, {course.validated.images:,}"
        above = ", which is above a guess, but may be chance" if best > course.validated.accuracy else ""
        yield Reason(f"{words}: the best epoch reaches {best:.4f} on them{above}")


def _best(course: Course) -> float:
    return float(max(epoch["val_accuracy"] for epoch in course.epochs if epoch["val_accuracy"] is not None))


def _best_may_be_more(course: Course) -> bool:
    return course.validated.beaten_by(_best(course), PERHAPS)


def _early(course: Course, part: Part) -> Iterator[Reason]:
    """That it has only just begun, if no simple method shows that more could be learnt, which is told as well."""
    epochs, updates = len(part), part.epochs[-1]["step"]
    if epochs < EARLY[0] and updates < EARLY[1] and not course.simpler:
        words = f"a training that is too short to tell, {counted(updates, 'update')} in {counted(epochs, 'epoch')}"
        yield Reason(words, course.epochs_setting(part, 2 * EARLY[0]))


def _late(course: Course, part: Part) -> Iterator[Reason]:
    """What is used in validation, and follows the training too slowly."""
    updates = part.epochs[-1]["step"]
    in_batches = part.stage.batch_norm == "batch" and not part.stage.freezes_backbone
    if in_batches and course.momentum is not None and updates < CATCHES_UP / (1 - course.momentum):
        words = f"batch normalisation, whose moving statistics have not caught up in {counted(updates, 'update')}"
        yield Reason(words, course.epochs_setting(part, 2 * (part.stage.epochs or 1)))
