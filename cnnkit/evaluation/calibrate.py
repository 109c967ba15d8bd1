"""Calibrate: a temperature that makes a network as sure as it is right, fitted on its validation images.

All logits are divided by one number, the temperature, that makes the log loss smallest (Guo et al. 2017,
arXiv:1706.04599, section 4.2). No answer changes, only how sure it is: a network that was trained long is too sure, and
has a temperature above 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import np
from cnnkit.core.text import enumerated, listed, percent, typed
from cnnkit.evaluation.abstain import threshold_for
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.intervals import CONFIDENCE
from cnnkit.evaluation.metrics import computed
from cnnkit.optimization.losses import Loss
from cnnkit.runs.run import Run

_CONFIDENT = f"{percent(CONFIDENCE)} confidence"

LOWEST, HIGHEST = 1 / 20, 20.0
"""Temperatures that are looked at."""

SURE = 0.95
"""An answer is called unsure below the probability from which on answers are right so often."""

NOTHING_FOLLOWS = "the {images} are answered so well that they do not tell how sure the network should be"

MORE_WOULD_TELL = "more validation images (data.split.validation) would tell"

CONSEQUENCES = ("as_before", "renewed", "folds", "report")
"""What is told of what was found before: true of that moment only, and so not kept with what is found."""


FIGURES = (
    *("temperature", "images", "unsure", "right_above"),
    *(f"{when}.{figure}" for when in ("before", "after") for figure in ("log_loss", "ece", "ece_by_chance")),
)
"""The figures of what is found, by the names that a gate has for them."""


@dataclass(frozen=True)
class Fitted:
    """A temperature that was looked for.

    Attributes:
        temperature: The one to use.
        at: The end of the range that the log loss falls up to, `lowest` or `highest`; None where it is smallest within.
        surely_right: How often answers are right at the least, with a confidence of CONFIDENCE; None where the
            temperature does not come from that.
    """

    temperature: float
    at: str | None = None
    surely_right: float | None = None

    @property
    def tells(self) -> bool:
        """Whether the images tell a temperature."""
        return self.at != "lowest" or self.surely_right is not None


def fitted(loss: Loss, logits: Any, labels: Any) -> Fitted:
    """The temperature with the smallest log loss.

    That is convex in 1 / temperature, so there is one. Where the log loss falls to the lowest temperature, as it does
    if every image is answered rightly, it would make the network ever surer. How often it is right at the least is
    known all the same, by the exact bound of Clopper and Pearson (1934): a network that is less sure than that in the
    mean, as smoothed labels make it, becomes as sure; another one stays as it is.

    Args:
        loss: Which makes probabilities of logits.
        logits: float (images, logits).
        labels: int64 (images,), the right classes.
    """
    from scipy.optimize import minimize_scalar

    logits, images = np.asarray(logits, np.float64), np.arange(len(labels))
    tiny = np.finfo(np.float64).tiny

    def log_loss(logarithm: float) -> float:
        right = loss.probabilities(logits / math.exp(logarithm))[images, labels]
        return -float(np.mean(np.log(np.maximum(right, tiny))))

    ends = (math.log(LOWEST), math.log(HIGHEST))
    found = float(minimize_scalar(log_loss, bounds=ends, method="bounded", options={"xatol": 1e-6}).x)
    least = log_loss(found)
    if log_loss(ends[0]) <= least:
        return _surely_right(loss, logits, labels)
    return Fitted(HIGHEST, "highest") if log_loss(ends[1]) <= least else Fitted(math.exp(found))


def _surely_right(loss: Loss, logits: Any, labels: Any) -> Fitted:
    from scipy.optimize import brentq
    from scipy.stats import beta

    def sureness(logarithm: float) -> float:
        return float(np.mean(loss.probabilities(logits / math.exp(logarithm)).max(axis=1)))

    right = int(np.sum(loss.probabilities(logits).argmax(axis=1) == labels))
    least = float(beta.ppf(1 - CONFIDENCE, right, len(labels) - right + 1)) if right else 0.0
    if not sureness(0.0) < least < sureness(math.log(LOWEST)):
        return Fitted(1.0, "lowest")
    found = brentq(lambda logarithm: sureness(logarithm) - least, math.log(LOWEST), 0.0)
    return Fitted(math.exp(found), "lowest", least)


def tells(run: Run) -> bool:
    """Whether a calibration of a run would tell more than that nothing follows; True where it can't be said."""
    try:
        answers = Answers.read(run, "validation")
    except TrainingError:
        return True
    return answers is None or fitted(run.experiment.train.loss, answers.logits, answers.labels).tells


def calibrated(run: Run, answers: Answers) -> tuple[Run, dict[str, Any]]:
    """Fits temperature and threshold: the run as if it had them, and what was found; nothing is recorded.

    Args:
        run: The run.
        answers: Those to its validation images, with logits.
    """
    found = fitted(run.experiment.train.loss, answers.logits, answers.labels)
    plain, warm = (run.with_calibration(temperature=temperature) for temperature in (1.0, found.temperature))
    before, after = (Answers.of(each, answers.labels, answers.logits, answers.names) for each in (plain, warm))
    threshold = threshold_for(after, SURE)
    run = warm.with_calibration(unsure=threshold)
    facts = {"temperature": found.temperature, "at_bound": found.at, "surely_right": found.surely_right}
    facts |= {"images": len(answers.labels), "unsure": threshold, "right_above": SURE}
    return run, facts | {"before": _told(before), "after": _told(after)}


def _told(answers: Answers) -> dict[str, float]:
    figures = computed(answers)
    ece = {name: figures["calibration"][name] for name in ("ece", "ece_by_chance")}
    return {"log_loss": figures["log_loss"], **ece}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What was found, in sentences."""
    before, after, images = found["before"], found["after"], f"{found['images']:,} validation images"
    sure = found.get("surely_right")
    if found["at_bound"] == "lowest" and sure is None:
        yield f"calibrated: {NOTHING_FOLLOWS.format(images=images)}, and the temperature stays 1; {MORE_WOULD_TELL}"
    else:
        why = ""
        if sure is not None:
            why = f", which makes it as sure as it is right at the least, {percent(sure, 1)} ({_CONFIDENT})"
        elif found["at_bound"]:
            why = ", the largest that is tried: the network is sure of what it does not know"
        yield (
            f"calibrated: temperature {found['temperature']:.4f}{why}; on the {images} log loss "
            f"{before['log_loss']:.4f} became {after['log_loss']:.4f}, calibration error (ECE) {before['ece']:.4f} "
            f"became {after['ece']:.4f}"
        )
        if after["ece"] >= before["ece"]:
            # What was found by an earlier version lacks it.
            by_chance = after.get("ece_by_chance")
            made = "" if by_chance is None else f", of which chance alone makes {by_chance:.4f} with so few images"
            yield f"  careful: nothing is surely gained by it, as that error did not fall{made}; {MORE_WOULD_TELL}"
    share = f"are right at least {percent(found['right_above'])} of the time ({_CONFIDENT})"
    if found["unsure"] is None:
        yield (
            f"unsure: no threshold was found above which answers {share}; with more validation images "
            "(data.split.validation) there may be one"
        )
    elif found["unsure"] == 0:
        yield f"unsure: no answer is called so, as all of them together {share}"
    else:
        yield f"unsure: answers below probability {found['unsure']:.4f}; those above {share}"


def consequences(found: Mapping[str, Any]) -> Iterator[str]:
    """What follows for what was found before, in sentences."""
    renewed = found.get("renewed") or {}
    if found.get("as_before") and not renewed:
        yield "the run had this calibration already; the results of its splits stay as they are"
        return
    if renewed:
        yield f"brought up to date: the figures of the {enumerated(renewed, 'and')} images, in the run's folder"
    for split, how in renewed.items():
        if names := how["left_out"]:
            yield f"  without {listed(names)} of {split}, for which the network has to be asked again"
    if folds := found.get("folds"):
        yield f"the summary of the folds is from before; cnnkit train --resume {typed(Path(folds))} writes it again"
    if report := found.get("report"):
        yield f"{report} is from before; cnnkit report {typed(Path(report).parent)} writes it again"
