"""The learning rate: too high where the loss jumps, too low where it falls in a straight slow line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.core.text import counted, enumerated
from cnnkit.optimization.optimizers.base import Optimizer
from cnnkit.training.verdict.course import LITTLE, Course, Part, Remark

FINE_TUNING = 1 / 30
"""Of the usual rate, for features that were learnt already."""

UNNORMALISED = 0.1
"""Of the usual rate of SGD, which is for networks with batch normalisation, without it."""

JUMP, OF_A_GUESS = 1.5, 0.1
"""The loss has jumped where it is so many times what it was, and higher by this share of the loss of a guess."""

BY_CHANCE = 5.0
"""And higher by so many standard errors of the difference of two means over the images of an epoch, where the loss of
one deviates by as much as the mean: images that augmentation changes, dropout and the statistics of small batches bring
it up and down. Of 200 images and more that is less than JUMP; of a dozen it is three times what it was."""

RAISED = 1.2
"""A rate that is so many times what it was may well bring the loss up; then nothing has jumped."""

BLOWN_UP = 2.0
"""From so many times the loss of a guess on, the weights were thrown far away by a step."""

FAR_FROM_USUAL = 10.0
"""A rate by so many times above or below the usual one is the first suspect."""

SHAKY = 0.25
"""Noise of the loss of validation, of its height, that makes the best epoch one of luck."""

FEW, ENOUGH = 5, 8
"""Epochs from which on a line can be seen to be straight, and noise be told."""

STRAIGHT = 0.6
"""The slope of the second half of a line by that of the first, both over what the learning rates add up to. A loss that
learns falls fast at first: one that halves over the whole has 0.7, one that falls to a third 0.58."""

STEADY = -0.8
"""Kendall's tau of a loss that falls epoch after epoch."""

FAR = 0.6
"""Of the loss of a guess: so much is still to be learnt at the end of a slow line."""

LOW = 1 / 3
"""Of the usual rate: from here down a slow line may be the rate's fault, and not that of a hard task."""


def usual_rate(course: Course, part: Part) -> float:
    """What is usual for the optimizer, and for features that were learnt already where these learn on."""
    optimizer = course.experiment.train.optimizer
    assert optimizer  # what takes steps has one
    fine_tuned = course.experiment.model.pretrained and not part.stage.freezes_backbone
    return usual_for(optimizer, course.normalised, fine_tuned)


def usual_for(optimizer: Optimizer, normalised: bool, fine_tuned: bool) -> float:
    """What is usual for an optimizer.

    Args:
        optimizer: It.
        normalised: Whether the network has batch normalisation.
        fine_tuned: Whether features that were learnt already learn on.
    """
    usual = float(type(optimizer).model_fields["learning_rate"].default)
    if optimizer.name == "sgd" and not normalised:
        usual *= UNNORMALISED
    return usual * FINE_TUNING if fine_tuned else usual


def far_above_usual(course: Course, part: Part) -> bool:
    """Whether the rate is many times the usual one."""
    return bool(part.rate >= FAR_FROM_USUAL * usual_rate(course, part))


def jump_of(course: Course) -> float:
    """From so many times what it was on a loss has jumped: more of few images, as theirs goes up and down by chance."""
    least: float = max(JUMP, 1 + BY_CHANCE * (2 / course.trained.images) ** 0.5)
    return least


def too_high(course: Course) -> Iterator[Remark]:
    """The loss is worse than a guess's, jumps more than once or at the end or very high; or validation is all noise."""
    for part in course.parts:
        if blown_up(course, part) and part.loss.last > course.trained.loss:
            message = (
                f"{course.in_stage(part)}the loss went up to {max(part.loss.values):.3g} and is "
                f"{part.loss.last:.3g} at the end, worse than that of a guess, {course.trained.loss:.3g}: the "
                f"learning rate, {course.rate_of(part)}, is too high"
            )
            yield _lower(course, part, "rate_too_high", message, "try a tenth of it", part.rate / 10)
            continue
        jumps = list(_jumps(course, part))
        if len(jumps) > 1 or (jumps and jumps[-1] >= len(part) - 2):
            seen = [
                f"in epoch {part.at(place)} from {part.loss.values[place - 1]:.3g} to {part.loss.values[place]:.3g}"
                for place in jumps[:3]
            ]
            more = f", {len(jumps) - 3} times more" if len(jumps) > 3 else ""
            message = f"{course.in_stage(part)}the loss jumps, {enumerated(seen, 'and')}{more}"
            yield _lower(course, part, "rate_too_high", f"{message}: the learning rate is too high")
        elif blown_up(course, part) and max(part.loss.values) > part.loss.values[0]:
            # One jump that is made good may be chance, as more may be of few images; but not one to this height.
            message = (
                f"{course.in_stage(part)}the loss went up from {part.loss.values[0]:.3g} to "
                f"{max(part.loss.values):.3g}, where a guess has {course.trained.loss:.3g}"
            )
            yield _lower(
                course, part, "rate_too_high", f"{message}: the learning rate, {course.rate_of(part)}, is too high"
            )
        elif _shaky(course, part):
            last = part.val_loss.values[-len(part) // 3 :]
            message = (
                f"{course.in_stage(part)}the loss of validation goes up and down to the end, from {min(last):.3g} to "
                f"{max(last):.3g} in the last {counted(len(last), 'epoch')}, so that the best epoch is one of luck"
            )
            yield _calmer(course, part, message)


def blown_up(course: Course, part: Part) -> bool:
    """Whether a step threw the weights far away; with a penalty in the loss that can't be told."""
    return not course.experiment.model.l2 and bool(max(part.loss.values) >= BLOWN_UP * course.trained.loss)


def _jumps(course: Course, part: Part) -> Iterator[int]:
    """Places of epochs in which the loss of training is far higher than in the one before."""
    loss, rates = part.loss.values, part.rates
    jump = jump_of(course)
    for place in range(1, len(part)):
        before = loss[place - 1]
        if rates[place] > RAISED * rates[place - 1]:
            continue
        if loss[place] > jump * before and loss[place] - before > OF_A_GUESS * course.trained.loss:
            yield place


def _shaky(course: Course, part: Part) -> bool:
    """Whether noise hides the course of validation at the end, when training goes its way."""
    if len(part) < ENOUGH:
        return False
    end = part.val_loss.from_place(-max(ENOUGH - 1, len(part) // 3))
    calm = part.loss.from_place(-len(end))
    middle = float(np.median(end.values))
    return (
        middle > 2 * LITTLE * course.validated.loss
        and end.noise > SHAKY * middle
        and abs(end.tendency()) < 0.5
        and calm.noise < SHAKY / 3 * float(np.median(calm.values))
    )


def _lower(course: Course, part: Part, kind: str, message: str, words: str = "", less: float = 0.0) -> Remark:
    """Advice to lower the rate: to the usual one if that is far below, else as told, or to a third of it."""
    if far_above_usual(course, part):
        words, less = "try a usual one", usual_rate(course, part)
    elif not words:
        clip = "" if course.experiment.train.clip else "clip the gradients (train.clip), or "
        words, less = f"{clip}try a third of it", part.rate / 3
    return Remark(kind, message, words, (course.rate_setting(part, less),))


def _calmer(course: Course, part: Part, message: str) -> Remark:
    if part.rates[-1] > 0.5 * max(part.rates) and not part.stopped:
        return Remark("shaky", message, "let the learning rate fall to the end", ("train.schedule={name: cosine}",))
    return _lower(course, part, "shaky", message)


def too_low(course: Course) -> Iterator[Remark]:
    """The loss of training falls all the time, in a straight line, and has hardly come anywhere at the end."""
    if not course.parts:
        return
    part = course.parts[-1]
    rate, usual = part.rate, usual_rate(course, part)
    if len(part) < FEW or rate > LOW * usual or not _straight(part):
        return
    loss = part.loss.values
    if loss[-1] < FAR * course.trained.loss:
        return
    message = (
        f"{course.in_stage(part)}the loss falls in a straight slow line, from {loss[0]:.3g} to {loss[-1]:.3g} (a guess "
        f"has {course.trained.loss:.3g}): the learning rate, {course.rate_of(part)}, is too low"
    )
    better = min(usual, 10 * rate)
    yield Remark("rate_too_low", message, "try a higher one", (course.rate_setting(part, better),))


def _straight(part: Part) -> bool:
    loss: Any = part.loss.smooth
    if part.loss.tendency() > STEADY:
        return False
    way = np.cumsum(part.rates)
    middle = min(int(np.searchsorted(way, (way[0] + way[-1]) / 2)), len(way) - 2)
    if middle < 1 or way[middle] == way[-1]:
        return False
    first = (loss[0] - loss[middle]) / (way[middle] - way[0])
    second = (loss[middle] - loss[-1]) / (way[-1] - way[middle])
    return bool(first > 0 and second >= STRAIGHT * first)
