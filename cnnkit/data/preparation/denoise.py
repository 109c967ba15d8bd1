"""Pictures without noise."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cnnkit.core.lazy import cv2, np
from cnnkit.data.preparation.base import Preparation
from cnnkit.data.preparation.settings import Odd


class Denoise(Preparation):
    """Non-local means (Buades, Coll and Morel 2005): each pixel becomes the mean of those in alike surroundings.

    In a colour picture lightness and colours (CIELAB) are each looked at by themselves.
    """

    takes_colours: ClassVar[bool] = True

    name: Literal["denoise"] = "denoise"
    strength: Annotated[float, Field(gt=0, le=1)] = 0.04
    """How much noise goes: about its standard deviation, as a fraction of full white. More takes fine detail too."""
    patch_size: Annotated[int, Field(ge=3, le=31), Odd] = 7
    """Height and width of the surroundings that are compared, in pixels; odd."""
    search_size: Annotated[int, Field(ge=3, le=63), Odd] = 21
    """Height and width of the square around a pixel in which alike ones are looked for, in pixels; odd."""

    def __call__(self, image: Any) -> Any:
        """As OpenCV does it: of a colour picture with the same strength for lightness and colours."""
        strength, sizes = 255 * self.strength, (self.patch_size, self.search_size)
        if image.shape[2] == 1:
            return cv2.fastNlMeansDenoising(image, None, strength, *sizes).reshape(image.shape)
        # The function takes blue first.
        clean = cv2.fastNlMeansDenoisingColored(image[:, :, ::-1].copy(), None, strength, strength, *sizes)
        return np.ascontiguousarray(clean[:, :, ::-1])
