"""Sharper pictures."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.lazy import cv2, np
from cnnkit.data.preparation.base import Preparation


class Sharpen(Preparation):
    """Unsharp mask: adds what a blurred picture lacks, amount * (picture - blurred), in each channel.

    A picture goes on beyond its edge with the pixels of its edge.
    """

    name: Literal["sharpen"] = "sharpen"
    amount: Annotated[float, Field(gt=0, le=10)] = 1.0
    """How much is added."""
    sigma: Annotated[float, Field(gt=0, le=50)] = 1.0
    """Standard deviation of the Gaussian that blurs, in pixels: details about so large are raised."""

    def __call__(self, image: Any) -> Any:
        """Sharpens; rounded and cut off at 0 and 255 at the very end."""
        exact = image.astype(np.float32)
        size = 2 * math.ceil(4 * self.sigma) + 1
        blurred = cv2.GaussianBlur(exact, (size, size), self.sigma, borderType=cv2.BORDER_REPLICATE)
        sharp = exact + self.amount * (exact - blurred.reshape(image.shape))
        return np.clip(np.rint(sharp), 0, 255).astype(np.uint8)
