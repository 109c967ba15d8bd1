"""What is asked of a course, and in which order; where an answer explains others, these are not given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cnnkit.evaluation import verdict
from cnnkit.training.verdict import chance, fitting, rate, stages
from cnnkit.training.verdict.course import Course, Remark

Question = Callable[[Course], Iterator[Remark]]

FIRST: tuple[Question, ...] = (chance.at_chance, chance.learns_by_heart_alone)
"""Where one of them has an answer, nothing else is worth a word."""

THEN: tuple[tuple[Question, ...], ...] = (
    (rate.too_high,),
    (
        fitting.overfits,
        fitting.by_heart,
        rate.too_low,
        stages.stopped_too_early,
        fitting.still_improving,
        fitting.underfits,
    ),
    (stages.stage_without_gain,),
)
"""Of those in a row the first that has an answer speaks for the others, which say the contrary or the same."""

NOT_BESIDE_TOO_HIGH = {"rate_too_low", "still_improving", "underfits"}
"""What is not said where a rate is too high: the way down from where it led is no progress that goes on."""

SHORT = 4
"""Of fewer epochs, in which nothing is seen, nothing is said."""


def remarks(course: Course) -> list[Remark]:
    """What the curves of a training tell; where that is nothing, that they are sound."""
    for question in FIRST:
        if found := list(question(course)):
            return found
    found = [remark for row in THEN for remark in _first(row, course)]
    if any(remark.kind == "rate_too_high" for remark in found):
        found = [remark for remark in found if remark.kind not in NOT_BESIDE_TOO_HIGH]
    return found or list(_sound(course))


def _first(row: tuple[Question, ...], course: Course) -> list[Remark]:
    return next((found for question in row if (found := list(question(course)))), [])


def _sound(course: Course) -> Iterator[Remark]:
    if not course.parts:
        return
    part = course.parts[-1]
    epochs = sum(map(len, course.parts))
    if epochs < SHORT:
        return
    if found := list(fitting.perhaps_by_heart(course)):
        yield from found
        return
    message = (
        f"the curves are sound: the loss fell to {part.loss.values[-1]:.4f}, that of validation was "
        f"{part.val_loss.values[-1]:.4f} at the end"
    )
    if course.test is not None and (short := list(verdict.shortcomings(course.test))):
        message += f"; yet the network falls short on the {course.test['images']:,} test images: {'; '.join(short)}"
        yield Remark("falls_short", message, *fitting.to_do_better(course, part))
        return
    further = fitting.more_to_learn(course, part)
    if further and (little := fitting.little_known(course, part)):
        message += f"; {little}"
    if course.test is not None and (unknown := verdict.too_few_to_tell(course.test)):
        message += f"; {unknown}"
    elif not further:
        message += ", and nothing speaks for other settings"
    yield Remark("sound", message, *(further or ()))
