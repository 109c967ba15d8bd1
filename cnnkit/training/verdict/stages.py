"""How its stages ended: early stopping that came too early, and stages that brought nothing."""

from __future__ import annotations

from collections.abc import Iterator

from cnnkit.core.lazy import np
from cnnkit.core.text import counted
from cnnkit.optimization.training_metrics import metric_of
from cnnkit.training.verdict.course import LITTLE, Course, Part, Remark

NOISY = 0.05
"""Noise of the loss of validation, of its height, that makes a patience of a few epochs a matter of luck."""


def stopped_too_early(course: Course) -> Iterator[Remark]:
    """Early stopping ended a stage whose course still went down, under noise."""
    stopping = course.experiment.train.early_stopping
    if stopping is None:
        return
    for part in course.parts:
        if not part.stopped or len(part) < 2 * stopping.patience or len(part) < 6:
            continue
        window, curve = max(stopping.patience, 3), part.val_loss
        before, after = curve.values[-2 * window : -window], curve.values[-window:]
        noisy = curve.noise > NOISY * curve.last and curve.last > LITTLE * course.validated.loss
        if not noisy or not len(before) or np.median(after) >= np.median(before) - curve.noise / 2:
            continue
        if part.loss.from_place(-window).slope() >= 0:
            continue
        message = (
            f"{course.in_stage(part)}early stopping may have come too early, after epoch {part.at(-1)} of a course "
            f"that goes up and down: in the middle of the last {window} epochs the loss of validation was "
            f"{np.median(after):.4f}, {np.median(before):.4f} in those before, and that of training still fell"
        )
        yield Remark("stopped_too_early", message, "be more patient", (_patience(stopping.patience),))


def _patience(patience: int) -> str:
    return f"train.early_stopping.patience={max(2 * patience, 8)}"


def stage_without_gain(course: Course) -> Iterator[Remark]:
    """A stage that is not better than what came before it."""
    metric = course.experiment.train.checkpoint.monitor
    for part in course.parts:
        before = [e[metric] for e in course.epochs if e.get("stage", 1) < part.number and e[metric] is not None]
        if not before:
            continue
        of = metric_of(metric)
        best = max if of.more_is_better else min
        was, came = best(before), best(part.curve(metric).values)
        if of.better(came, was):
            continue
        message = (
            f"stage {part.number} brought nothing: {metric} was {was:{of.format}} before it, and at best "
            f"{came:{of.format}} in it"
        )
        yield Remark("stage_without_gain", message, *_gentler(course, part, was))


def _gentler(course: Course, part: Part, was: float) -> tuple[str, tuple[str, ...]]:
    """What to do: a lower rate where the first epoch threw the network back, else a longer or no stage."""
    earlier = [e["val_loss"] for e in course.epochs if e.get("stage", 1) < part.number and e["val_loss"] is not None]
    if earlier and part.val_loss.values[0] > 1.2 * earlier[-1]:
        words = f"its first epoch took the loss of validation from {earlier[-1]:.4f} to {part.val_loss.values[0]:.4f}"
        setting = course.rate_setting(part, part.rate / 10)
        return f"{words}: a lower learning rate keeps what is learnt", (setting,)
    return f"{counted(len(part), 'epoch')} can be saved, or another learning rate be tried", ()
