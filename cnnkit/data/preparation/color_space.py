"""Colours in other coordinates."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from cnnkit.core.lazy import cv2
from cnnkit.data.preparation.base import Preparation, Unprepared


class ColorSpace(Preparation):
    """Converts red, green and blue to the three coordinates of another colour space, each as 0..255.

    hsv: hue (0..360 degrees become 0..256, so that 256 would be 0 again), saturation, value.
    hls: hue as there, lightness, saturation.
    lab: CIELAB with white D65, of sRGB: lightness (0..100 becomes 0..255), a + 128, b + 128.
    luv: CIELUV, likewise: lightness; u from -134..220 and v from -140..122 to 0..255.
    ycrcb: ITU-R BT.601: grey, 0.713 (red - grey) + 128, 0.564 (blue - grey) + 128.
    """

    needs_colour: ClassVar[bool] = True
    takes_colours: ClassVar[bool] = True

    name: Literal["color_space"] = "color_space"
    space: Literal["hsv", "hls", "lab", "luv", "ycrcb"]
    """The space to convert to."""

    @property
    def leaves_space(self) -> str:
        """The one that it converts to."""
        return self.space

    def __call__(self, image: Any) -> Any:
        """All coordinates in 0..255; with hsv and hls the whole circle of hues."""
        if image.shape[2] == 1:
            raise Unprepared("color_space needs a picture in colour, this one is grey; leave out what made it grey")
        codes = {
            "hsv": cv2.COLOR_RGB2HSV_FULL,
            "hls": cv2.COLOR_RGB2HLS_FULL,
            "lab": cv2.COLOR_RGB2LAB,
            "luv": cv2.COLOR_RGB2LUV,
            "ycrcb": cv2.COLOR_RGB2YCrCb,
        }
        return cv2.cvtColor(image, codes[self.space])
