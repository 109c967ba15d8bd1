"""One of three channels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import field_validator

from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.data.preparation.base import Preparation, Unprepared

COLOURS = ("red", "green", "blue")


class Channel(Preparation):
    """Picks one channel; the picture is grey then.

    Lesions and vessels often stand out in green; behind `color_space` the channels have numbers only.
    """

    needs_colour: ClassVar[bool] = True
    leaves_grey: ClassVar[bool] = True

    name: Literal["channel"] = "channel"
    channel: Literal["red", "green", "blue", 0, 1, 2]
    """The channel, by colour, or by number from 0: behind `color_space` with hsv, 0 is the hue."""

    @field_validator("channel", mode="before")
    @classmethod
    def _is_no_truth(cls, value: Any) -> Any:
        if isinstance(value, bool | float):  # which Python takes for equal to 0 and 1
            raise ValueError(f"should be red, green, blue, 0, 1 or 2, not {str(value).lower()}")
        return value

    @property
    def takes_colours(self) -> bool:
        """Where it is chosen by colour."""
        return isinstance(self.channel, str)

    def in_space(self, space: str, before: str) -> Problem:
        """A number would be right in any space."""
        message = f"{before} has left other channels than red, green and blue; choose by number, 0 to 2"
        return Problem(message, key="channel")

    def __call__(self, image: Any) -> Any:
        """A copy of the one channel, (H, W, 1)."""
        if image.shape[2] == 1:
            raise Unprepared("channel needs a picture in colour, this one is grey; leave out what made it grey")
        number = COLOURS.index(self.channel) if isinstance(self.channel, str) else self.channel
        return np.ascontiguousarray(image[:, :, number, None])
