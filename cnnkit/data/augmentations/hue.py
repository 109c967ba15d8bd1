"""Other colours."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

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
