"""Contrast, evened out over the whole picture."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from cnnkit.core.lazy import cv2
from cnnkit.data.preparation.base import Preparation
from cnnkit.data.preparation.light import on_lightness


class Equalize(Preparation):
    """Histogram equalisation: all values from black to white become about as frequent.

    Colours stay: in a colour picture it works on the lightness (L of CIELAB). A picture of one colour stays as it is.
    """

    takes_colours: ClassVar[bool] = True

    name: Literal["equalize"] = "equalize"

    def __call__(self, image: Any) -> Any:
        """With the histogram of the whole picture, of its lightness if it has colours."""
        return on_lightness(image, cv2.equalizeHist)
