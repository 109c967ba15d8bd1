"""The time of a trial, and of the training that it proposes: who gets how much of it. Pure, but for the clock.

Both together are to take no longer than a person has said, so all that is not known is taken as slower than it was
seen to be.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cnnkit.training.pace import CLOSING

SHARE_OF_FEATURES = 0.25
"""Of all the time: so much may computing features take in the trial."""

SHARE_OF_TRIAL = 0.35
"""Of the time that is left: so much may trying a training take; the training that is proposed gets the rest."""

CAUTION = 1.1
"""A step, or an image, is taken to cost so much more than it did."""

MOST_EPOCHS = 60
"""More gain hardly anything where the rate falls to 0."""

BUSY = 2.0
"""Times what a training needs for its end with nothing else to do; that is not tried, and so not known for sure."""


@dataclass(frozen=True)
class Budget:
    """How much time there is.

    Attributes:
        seconds: For all.
        began: When it began, by the clock.
        clock: Tells the time in seconds.
    """

    seconds: float
    began: float
    clock: Callable[[], float] = field(default=time.perf_counter)

    @property
    def used(self) -> float:
        """Seconds since it began."""
        return self.clock() - self.began

    @property
    def left(self) -> float:
        """Seconds that are left; below 0 where it was overdrawn."""
        return self.seconds - self.used


@dataclass(frozen=True)
class Pace:
    """How fast a training was seen to be.

    Attributes:
        starting: Seconds before the first step, and for it.
        preparing: Seconds to decode all images, training, validation and test.
        epoch: Seconds of an epoch with its validation.
        evaluating: Seconds for what follows the last epoch and grows with the images: to judge validation and test, for
            the baseline, and to learn which images are familiar.
    """

    starting: float
    preparing: float
    epoch: float
    evaluating: float

    def seconds(self, epochs: int) -> float:
        """What a training of so many epochs takes."""
        return self.starting + self.preparing + CAUTION * (self.epoch * epochs + self.evaluating) + BUSY * CLOSING

    def epochs_in(self, seconds: float) -> int:
        """How many epochs a training may have to be over in that time; 0 where not even one fits."""
        room = seconds - self.seconds(0)
        return max(0, min(MOST_EPOCHS, math.floor(room / (CAUTION * self.epoch))))


def tried_epochs(pace: Pace, left: float) -> int:
    """How many epochs are tried: no more than the training would have, and no more than its share of the time allows.

    Args:
        pace: How fast an epoch is.
        left: Seconds that are left for the trial and the training.
    """
    share = SHARE_OF_TRIAL * (left - pace.seconds(0))
    affordable = math.floor(share / (CAUTION * pace.epoch))
    return max(1, min(MOST_EPOCHS, affordable))
