"""Contrast, evened out locally."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cnnkit.core.lazy import cv2
from cnnkit.core.spec import Positive
from cnnkit.data.preparation.base import Preparation
from cnnkit.data.preparation.light import on_lightness


class Clahe(Preparation):
    """Contrast limited adaptive histogram equalisation (Zuiderveld 1994): each part of the picture has its full range.

    Colours stay: in a colour picture it works on the lightness (L of CIELAB).
    """

    takes_colours: ClassVar[bool] = True

    name: Literal["clahe"] = "clahe"
    clip_limit: Positive = 2.0
    """How much contrast may be raised; more shows more, noise too."""
    tiles: Annotated[int, Field(ge=1, le=64)] = 8
    """Parts of the picture in each direction that are evened out by themselves."""

    def __call__(self, image: Any) -> Any:
        """On a grid of tiles by tiles, whatever the size of the picture."""
        return on_lightness(image, cv2.createCLAHE(self.clip_limit, (self.tiles, self.tiles)).apply)
