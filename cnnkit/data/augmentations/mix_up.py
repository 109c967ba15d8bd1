"""MixUp: two images, one over the other (Zhang et al. 2018, arXiv:1710.09412)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.core.spec import Positive
from cnnkit.data.augmentations.base import Mixing


class MixUp(Mixing):
    """Lays two images over each other, one fainter than the other, and mixes their labels alike."""

    says = "mixup, own share {0:.1%}"
    neutral = 1.0

    name: Literal["mixup"] = "mixup"
    alpha: Positive = 0.2
    """Both parameters of the Beta distribution of the shares: small ones leave most images nearly alone, 1 makes every
    share as likely."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """Shares that leave images alone, and such that are always a half."""
        if self.alpha < 0.02:
            yield Problem("leaves nearly every image alone; 0.1 to 0.4 is usual", key="alpha")
        if self.alpha > 4:
            yield Problem("mixes nearly all images half and half; 0.1 to 0.4 is usual", key="alpha")

    def amounts(self, chance: Any) -> Any:
        """The share of an image itself; the larger of the two, so that an image stays what it mostly shows."""
        from scipy.special import betaincinv

        share = betaincinv(self.alpha, self.alpha, chance)
        return np.maximum(share, 1 - share)

    def effect(self, amount: Any, image: Any) -> Any:
        """Its own share; all of it where the other image would change no pixel by half a value."""
        return np.where(255 * (1 - amount) >= 0.5, amount, 1.0)

    def __call__(self, images: Any, partners: Any, amounts: Any) -> tuple[Any, Any]:
        """The weighted mean of both."""
        own = amounts[:, 0].astype(np.float32)
        mixed = images - partners  # the mean, as a way from one to the other, never leaves their range
        mixed *= own[:, None, None, None]
        mixed += partners
        return mixed, own.astype(np.float64)
