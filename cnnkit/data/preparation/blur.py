"""Blurred pictures."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.lazy import cv2
from cnnkit.data.preparation.base import Preparation
from cnnkit.data.preparation.settings import KernelSize, only_for


class Blur(Preparation):
    """Blurs: each pixel becomes a mean, or the median, of those around it.

    gaussian weighs near ones more; box weighs all alike; median keeps edges and takes single wrong pixels away;
    bilateral (Tomasi and Manduchi 1998) weighs near and alike ones more, and keeps edges. Beyond its edge a picture
    goes on with the pixels of its edge.
    """

    name: Literal["blur"] = "blur"
    kind: Literal["gaussian", "median", "box", "bilateral"] = "gaussian"
    """What a pixel becomes."""
    kernel_size: KernelSize = 5
    """Height and width of what is looked at around each pixel, in pixels; odd."""
    sigma: Annotated[Annotated[float, Field(gt=0, le=255)] | None, only_for("kind", "gaussian", "bilateral")] = None
    """Of gaussian and bilateral: standard deviation of the weights by distance, in pixels. Left out: a sixth of the
    kernel's size."""
    sigma_color: Annotated[Annotated[float, Field(gt=0, le=1)] | None, only_for("kind", "bilateral")] = None
    """Of bilateral: standard deviation of the weights by difference, as a fraction of full white. Left out: 0.1."""

    def __call__(self, image: Any) -> Any:
        """Blurs each channel; bilateral all at once."""
        size, border = self.kernel_size, cv2.BORDER_REPLICATE
        sigma = self.sigma or size / 6
        if self.kind == "median":
            blurred = cv2.medianBlur(image, size)  # which knows this border alone
        elif self.kind == "box":
            blurred = cv2.blur(image, (size, size), borderType=border)
        elif self.kind == "gaussian":
            blurred = cv2.GaussianBlur(image, (size, size), sigma, borderType=border)
        else:
            blurred = cv2.bilateralFilter(image, size, 255 * (self.sigma_color or 0.1), sigma, borderType=border)
        return blurred.reshape(image.shape)
