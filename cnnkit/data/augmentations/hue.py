"""Other colours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import cv2, np
from cnnkit.data.augmentations.base import Pixelwise

_STEPS = 256
"""So many colours are on the circle."""


class Hue(Pixelwise):
    """Turns every colour on the colour circle (hue of HSV), where green is 120 degrees from red and from blue.

    By steps of 360 / 256 degrees. Greys stay as they are.
    """

    says = "hue {0:+.0f} deg"  # from red to green
    for_colour = True

    name: Literal["hue"] = "hue"
    degrees: Annotated[float, Field(ge=0, le=180)] = 10.0
    """Largest angle, in degrees."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """A turn of less than half a step, and one that makes any colour of any other."""
        if self.degrees and not _steps(self.degrees):
            message = f"is less than half a step of {360 / _STEPS:.2g} degrees, so no colour changes; 5 to 20 is usual"
            yield Problem(message, key="degrees")
        if self.degrees > 90:
            message = "makes green and violet of red, so colours say nothing any more; 5 to 20 is usual"
            yield Problem(message, key="degrees")

    def effect(self, amount: Any, image: Any) -> Any:
        """The angle, by whole steps."""
        return np.array([_steps(amount[0]) * 360 / _STEPS])

    def __call__(self, image: Any, amount: Any) -> Any:
        """Adds to the hue, around the circle."""
        steps = _steps(amount[0]) % _STEPS
        if not steps or image.shape[2] == 1:
            return image
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
        hsv[:, :, 0] += np.uint8(steps)  # wraps around, as the circle does
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def _steps(degrees: float) -> int:
    """The nearest whole step."""
    return round(degrees / 360 * _STEPS)
