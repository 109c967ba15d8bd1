"""Too much or too little is learnt: overfitting, a training that ends too soon, a network that can't do more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from cnnkit.core.lazy import np
from cnnkit.core.text import counted
from cnnkit.evaluation.intervals import CONFIDENCE, interval
from cnnkit.training.verdict.course import LITTLE, Course, Part, Remark, option_of
from cnnkit.training.verdict.rate import JUMP, LOW, far_above_usual, jump_of, usual_rate

RISE = 0.1
"""Share by which the loss of validation must be above its valley at the end."""

BEYOND_NOISE, LONG = (4.0, 3.5), 20
"""Standard deviations of an epoch by which it must, too: of few epochs, and from LONG epochs on, which smooth more. The
valley is the least of many, and so lower by chance."""

RISING = 0.4
"""Kendall's tau from the valley to the end of what rises all the time. What rises fast and then stays up has less, even
below 0 where it first goes beyond its level: there the later half must be above the valley, every epoch of it."""

FEW_UPDATES = 50
"""What has had fewer has not shown what it can learn."""

MOVED = 0.1
"""By this share the loss fell in the second half of what the learning rates add up to, where it was on its way."""

FEWEST, BEHIND = 6, 3
"""Epochs in which a rise can be told, and those of them behind the valley."""

ROSE, BY_IMAGES = 0.01, 2
"""A gain in the accuracy of validation that is one: this share of the images, and so many of them."""

LAST = 4
"""The last quarter of the epochs tells whether it still gets better."""

STILL = 0.05
"""Share by which the loss of validation falls in that quarter where it still gets better. A loss that goes with a power
of the epochs, as those of networks do, then falls by another 12 % in twice as many."""

SOON, AT_FIRST = 8, 0.1
"""In fewer epochs than that, of which noise can hardly be told, it must be this share."""

OF_NOISE = 3.0
"""And so many standard deviations of an epoch."""

ALL_KNOWN = 0.98
"""Accuracy in training from which on more epochs show nothing new; what falls then falls with the learning rate."""

FLAT = 0.03
"""Share by which the loss of training falls in the last quarter at least, where more is to come."""

LOW_ACCURACY, HIGH_LOSS = 0.9, 0.25
"""Accuracy below which, and share of the loss of a guess above which, little is learnt."""

FAR_ABOVE = 0.1
"""So much better in training than in validation is far above it, if it is more than chance, too."""

FEW_IMAGES = 30
"""Of fewer validation images it is never said without "or it is chance": of so few two mistakes make a wide gap."""

SMALL = 250_000, 96
"""Parameters, and pixels of a side, up to which a ResNet-20 is the next larger network."""


def overfits(course: Course) -> Iterator[Remark]:
    """The loss of validation rises from a valley on while that of training falls."""
    for part in course.parts:
        valley = _valley(course, part)
        if valley is None:
            continue
        loss, validation, accuracy = part.loss, part.val_loss, part.val_accuracy
        message = (
            f"{course.of_stage(part)}overfits from epoch {part.at(valley) + 1} on: the loss of validation rises from "
            f"{validation.values[valley]:.4f} to {validation.last:.4f}, while that of training falls from "
            f"{loss.smooth[valley]:.4f} to {loss.last:.4f}"
        )
        if accuracy.last >= accuracy.smooth[valley] + max(ROSE, BY_IMAGES / course.validated.images):
            message += (
                f"; accuracy rose all the same, from {accuracy.smooth[valley]:.4f} to {accuracy.last:.4f}: it is of "
                "wrong answers that the network gets too sure"
            )
            words, settings = _against_certainty(course)
            if gap := _learnt_by_heart(course):
                words += f"; and {gap}: more images help most against that"
            yield Remark("overfits", message, words, settings)
        else:
            yield Remark("overfits", message, *_against_learning_by_heart(course))


def _valley(course: Course, part: Part) -> int | None:
    """The place from which on a stage overfits; None if it does not."""
    loss, validation = part.loss, part.val_loss
    if len(part) < FEWEST:
        return None
    valley = validation.lowest()
    behind = validation.from_place(valley)
    if len(behind) <= BEHIND:
        return None
    risen = validation.smooth[valley:] - validation.smooth[valley]
    noise = max(validation.noise, behind.noise) * BEYOND_NOISE[len(part) >= LONG]
    least = max(RISE * validation.smooth[valley], LITTLE * course.validated.loss, noise)
    if risen[-1] < least or (behind.tendency() < RISING and risen[len(behind) // 2 :].min() < least):
        return None
    falls = loss.last < (1 - STILL) * loss.smooth[valley]
    return valley if validation.last > validation.values[valley] and falls else None


def _against_certainty(course: Course) -> tuple[str, tuple[str, ...]]:
    """What helps; each setting behind its own clause, as at the end of the line it would read as one for the last."""
    clauses: list[str] = []
    settings: list[str] = []

    def add(clause: str, setting: str) -> None:
        clauses.append(f"{clause}: {option_of(setting)}")
        settings.append(setting)

    monitor, best = course.experiment.train.checkpoint.monitor, "val_accuracy"
    least = f"epoch {course.kept}, which is kept, has the least loss of validation"
    if getattr(course.experiment.train.loss, "label_smoothing", None) == 0:
        add("label smoothing holds that down", "train.loss.label_smoothing=0.1")
    if course.keeps_least_loss and monitor != best:
        # Accuracy rose behind that epoch: who keeps it for its loss may not know what that costs.
        words = "where right answers matter more than probabilities, keep the epoch of the best accuracy"
        add(f"{least}; {words}", f"train.checkpoint.monitor={best}")
    elif not clauses and course.keeps_least_loss:
        clauses.append(least)
    elif not clauses:
        add("where probabilities matter, keep the epoch of the least loss", "train.checkpoint.monitor=val_loss")
    return "; ".join(clauses), tuple(settings)


def _against_learning_by_heart(course: Course) -> tuple[str, tuple[str, ...]]:
    """What helps, and the first of it that is not done yet."""
    experiment = course.experiment
    what = "more images help most"
    if experiment.train.optimizer is None:
        return f"{what}; how much is learnt by heart was weighed by folds already", ()
    if course.only_classifier:
        decay = getattr(experiment.train.optimizer, "weight_decay", 0.0)
        return f"{what}, and weight decay", (f"train.optimizer.weight_decay={max(10 * decay, 0.01):g}",)
    if not experiment.augment:
        moved = "augment=[{name: shift, fraction: 0.1}, {name: rotate, degrees: 10}]"
        return f"{what}, and augmentation makes more of those that there are", (moved,)
    network = "a smaller network" if experiment.model.pretrained else "a pretrained or a smaller network"
    if not course.mixes:
        return f"{what}; {network} may help too, and so may stronger augmentation", (f"augment={_with_mixup(course)}",)
    return f"{what}; {network} may help too", ()


def _with_mixup(course: Course) -> str:
    from cnnkit.config import yaml12

    steps = [step.model_dump(mode="json", exclude_unset=True) for step in course.experiment.augment]
    return yaml12.line([*steps, {"name": "mixup", "alpha": 0.2}])


@dataclass(frozen=True)
class Gap:
    """Accuracy in training, and in validation.

    Attributes:
        training: Accuracy on the images that train, in 0..1.
        validation: Accuracy on the images of validation, in 0..1.
        when: In which epochs, in words that begin a sentence.
    """

    training: float
    validation: float
    when: str

    @property
    def wide(self) -> bool:
        """Whether that in training is far above that in validation."""
        return self.training - self.validation >= FAR_ABOVE

    def beyond_chance(self, course: Course, looks: int) -> bool:
        """Whether the images of validation being harder by chance, those that train easier, does not explain it.

        The interval of a difference of proportions that were measured on different images does not hold 0 (Newcombe
        1998, Interval estimation for the difference between independent proportions, Statistics in Medicine 17,
        873-890, method 10), at the confidence that all the looks together have (Bonferroni).
        """
        sure = 1 - (1 - CONFIDENCE) / looks
        low, _ = interval(self.training, course.trained.images, sure)
        _, high = interval(self.validation, course.validated.images, sure)
        return self.training - self.validation > math.hypot(self.training - low, high - self.validation)

    def __str__(self) -> str:
        return f"{self.when} accuracy is {self.training:.4f} in training and {self.validation:.4f} in validation"


def _gaps(course: Course) -> Iterator[Gap]:
    """At the end, in the middle of the last quarter of the epochs, and where the weights are kept.

    An early epoch may be kept by luck, before images were learnt by heart, and a late one by luck may hide a gap.
    """
    if course.parts:
        part = course.parts[-1]
        quarter = _quarter(part)
        when = f"in the middle of the last {quarter} epochs" if quarter > 1 else "in the last epoch"
        known, validated = (curve.values[-quarter:] for curve in (part.accuracy, part.val_accuracy))
        yield Gap(float(np.median(known)), float(np.median(validated)), when)
    epoch = next((epoch for epoch in course.epochs if epoch["epoch"] == course.kept), None)
    if course.validation is not None and epoch is not None and epoch.get("accuracy") is not None:
        yield Gap(epoch["accuracy"], course.validation["accuracy"], f"in epoch {course.kept}, which is kept,")


def by_heart(course: Course) -> Iterator[Remark]:
    """Accuracy in training is far above that in validation, and not by chance."""
    if gap := _learnt_by_heart(course):
        yield Remark("by_heart", f"{gap}: images were learnt by heart", *_against_learning_by_heart(course))


def _learnt_by_heart(course: Course) -> Gap | None:
    """The gap that shows it; None where there is none, or so few validation images that nothing is certain."""
    if course.validated.images < FEW_IMAGES:
        return None
    gaps = list(_gaps(course))
    return next((gap for gap in gaps if gap.wide and gap.beyond_chance(course, len(gaps))), None)


def perhaps_by_heart(course: Course) -> Iterator[Remark]:
    """The same, but validation has too few images to tell."""
    for gap in _gaps(course):
        if gap.wide:
            few = counted(course.validated.images, "validation image")
            message = f"{gap}: images were learnt by heart, or it is chance, which {few} can't tell"
            yield Remark("perhaps_by_heart", message, "more of them tell, or folds: cnnkit train CONFIG --folds 5")
            return


def still_improving(course: Course) -> Iterator[Remark]:
    """The loss of validation still falls at the end, and training images still have something to teach."""
    if not course.parts:
        return
    part = course.parts[-1]
    if part.stopped or part.number != len(course.experiment.plan()) or len(part) < 2:
        return
    fall = _fall(part)
    if fall is None or part.val_loss.last < LITTLE * course.validated.loss:
        return
    if _known(course, part) >= ALL_KNOWN or part.val_accuracy.last < part.val_accuracy.smooth.max() - ROSE:
        return
    quarter, values = _quarter(part), part.val_loss.values
    when = f"last {counted(quarter, 'epoch')}" if quarter > 1 else "last epoch"
    message = (
        f"{course.of_stage(part)}still gets better at the end: the loss of validation went from "
        f"{values[-quarter - 1]:.4f} to {values[-1]:.4f} in the {when}"
    )
    setting = course.epochs_setting(part, 2 * len(part))
    yield Remark("still_improving", message, "give it more epochs", (setting,))


def _quarter(part: Part) -> int:
    return max(1, round(len(part) / LAST))


def _fall(part: Part) -> float | None:
    """By how much the loss of validation fell in the last quarter; None where it did not, or that may be noise."""
    quarter, validation = _quarter(part), part.val_loss
    end = validation.from_place(-max(quarter + 1, min(3, len(part))))
    fall = -end.slope() * quarter
    level = validation.last
    # Of a course that has no step up noise can not be told, and needs not be.
    noise = 0.0 if validation.tendency() == -1 and len(part) >= LAST else validation.noise
    if fall < _share(part) * level or fall < OF_NOISE * noise or end.tendency() > -0.6:
        return None
    lowest = validation.values[-1] <= float(np.min(validation.smooth)) + validation.noise
    told = validation.values[-1] < (1 - _share(part)) * validation.values[-quarter - 1]  # what is told shows it, too
    training = -part.loss.from_place(-len(end)).slope() * quarter
    return fall if lowest and told and training >= FLAT * part.loss.last else None


def _share(part: Part) -> float:
    return STILL if len(part) >= SOON else AT_FIRST


def underfits(course: Course) -> Iterator[Remark]:
    """Little is learnt even of the training images, and no more is to come."""
    if not course.parts:
        return
    part = course.parts[-1]
    if len(part) < FEWEST or part.stopped:
        return
    loss, guess = part.loss, course.trained.loss
    best = max(part.accuracy.last, part.val_accuracy.last)
    end = loss.from_place(-max(3, _quarter(part) + 1))
    flat = -end.slope() * _quarter(part) < FLAT * loss.last
    if course.mixes or best >= LOW_ACCURACY or loss.last < HIGH_LOSS * guess or not flat:
        return
    if part.accuracy.last - part.val_accuracy.last > FAR_ABOVE / 2:
        return
    message = (
        f"{course.of_stage(part)}underfits: accuracy is {part.accuracy.last:.4f} even in training, and no longer rises"
    )
    yield Remark("underfits", message, *(_to_go_further(course, part) or _to_learn_more(course)))


def _to_go_further(course: Course, part: Part) -> tuple[str, tuple[str, ...]] | None:
    """What to do where it is not the network that ended the way down; None where it may be."""
    usual = usual_rate(course, part)
    if part.rate <= LOW * usual:
        words = f"the learning rate, {course.rate_of(part)}, is low: before a larger network, try a usual one"
        return words, (course.rate_setting(part, usual),)
    if far_above_usual(course, part):
        words = f"the learning rate, {course.rate_of(part)}, is far above the usual one: try that first"
        return words, (course.rate_setting(part, usual),)
    updates = int(part.epochs[-1]["step"])
    if updates < FEW_UPDATES:
        words = f"but there were {counted(updates, 'update')} only: give it smaller batches, or more epochs"
        return words, (course.epochs_setting(part, 2 * len(part)),)
    way, loss = np.cumsum(part.rates), part.loss.smooth
    middle = int(np.searchsorted(way, way[-1] / 2))
    if loss[middle] - loss[-1] > MOVED * loss[-1]:
        words = "but it is the falling learning rate that brought it to rest: before a larger network, "
        return f"{words}give it a higher one, or more epochs", (course.epochs_setting(part, 2 * len(part)),)
    return None


def _known(course: Course, part: Part) -> float:
    """Accuracy on images that train; where these are mixed, on those of validation."""
    return part.val_accuracy.last if course.mixes else part.accuracy.last


def little_known(course: Course, part: Part) -> str:
    """The accuracy that shows that training images are not known yet, in words; empty where they are."""
    known, of = _known(course, part), "validation" if course.mixes else "training"
    return f"accuracy is {known:.4f} in {of}" if known < LOW_ACCURACY else ""


def more_to_learn(course: Course, part: Part) -> tuple[str, tuple[str, ...]] | None:
    """What to do where training images are not known yet, though all is sound; None where that is not known.

    Where few images can't show that a rate is too high, one far above the usual is enough to name that.
    """
    few_and_high = jump_of(course) > JUMP and far_above_usual(course, part)
    if part.stopped or not (few_and_high or little_known(course, part)):
        return None
    found = _to_go_further(course, part)
    return (found[0].removeprefix("but "), found[1]) if found else None


def to_do_better(course: Course, part: Part) -> tuple[str, tuple[str, ...]]:
    """What to do where the curves are sound, but simpler methods are better, or classes are never predicted."""
    if further := more_to_learn(course, part):
        return further
    if not little_known(course, part):
        return _against_learning_by_heart(course)
    if part.stopped:
        return "another learning rate or network may suit better", ()
    return "give it more epochs", (course.epochs_setting(part, 2 * len(part)),)


def _to_learn_more(course: Course) -> tuple[str, tuple[str, ...]]:
    experiment = course.experiment
    if experiment.train.loss.name.startswith("mean_"):
        return "errors of probabilities teach little where an answer is surely wrong", (
            "train.loss={name: cross_entropy}",
        )
    if course.only_classifier:
        last = "let some of the network learn too (train.stages)"
        return f"the features may not suit these images: {last}", ()
    if experiment.augment:
        return "take a larger network, but first see whether augmentation makes it too hard", ("augment=[]",)
    most, side = SMALL
    if course.parameters <= most and max(experiment.shape() or (side + 1,)) <= side:
        return "a larger network can learn more", ("model={name: resnet, depth: 20}",)
    return "a larger network can learn more, or a pretrained one; or the images do not tell more", ()
