"""Colours to grey."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from cnnkit.data.preparation.base import Preparation
from cnnkit.data.preparation.light import grey


class Grayscale(Preparation):
    """Takes the colours away: 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601)."""

    takes_colours: ClassVar[bool] = True
    leaves_grey: ClassVar[bool] = True

    name: Literal["grayscale"] = "grayscale"

    def __call__(self, image: Any) -> Any:
        """The weighted sum of the colours; a grey picture as it is."""
        return grey(image)[:, :, None]
