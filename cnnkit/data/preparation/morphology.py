"""Erosion and dilation, and what the two make together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.lazy import cv2, np
from cnnkit.data.preparation.base import Preparation
from cnnkit.data.preparation.settings import KernelSize


class Morphology(Preparation):
    """Works with the darkest and the lightest pixel of what a shape covers, with its middle on each pixel.

    In black and white, grey and colour alike, in each channel by itself. What lies beyond the picture does not count.
    """

    kernel_size: KernelSize = 3
    """Height and width of the shape, in pixels; odd."""
    shape: Literal["square", "disk", "cross"] = "square"
    """Shape of what is looked at around each pixel; of 3 pixels, a disk is a cross."""
    iterations: Annotated[int, Field(ge=1, le=100)] = 1
    """How often; `open` and `close` do the one so often, then the other so often."""

    def __call__(self, image: Any) -> Any:
        """Each pixel from those that the shape covers there."""
        operation = getattr(cv2, f"MORPH_{self.name.upper()}")
        return cv2.morphologyEx(image, operation, self._element(), iterations=self.iterations).reshape(image.shape)

    def _element(self) -> Any:
        """uint8 (kernel_size, kernel_size), 1 in the shape."""
        radius = self.kernel_size // 2
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        if self.shape == "square":
            return np.ones_like(x, dtype=np.uint8)
        inside = x**2 + y**2 <= radius**2 if self.shape == "disk" else x * y == 0
        return inside.astype(np.uint8)


class Erode(Morphology):
    """Erosion: each pixel becomes the darkest around it, so light things become smaller."""

    name: Literal["erode"] = "erode"


class Dilate(Morphology):
    """Dilation: each pixel becomes the lightest around it, so light things become larger."""

    name: Literal["dilate"] = "dilate"


class Open(Morphology):
    """Opening: erosion, then dilation; light specks and bridges go that the shape does not fit into."""

    name: Literal["open"] = "open"


class Close(Morphology):
    """Closing: dilation, then erosion; dark holes and gaps go that the shape does not fit into."""

    name: Literal["close"] = "close"
