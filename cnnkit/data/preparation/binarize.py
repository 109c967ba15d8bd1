"""Pictures in black and white."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cnnkit.core.lazy import cv2, np
from cnnkit.core.spec import Fraction
from cnnkit.data.preparation.base import Preparation
from cnnkit.data.preparation.foreground import foreground
from cnnkit.data.preparation.light import grey
from cnnkit.data.preparation.settings import KernelSize, only_for


class Binarize(Preparation):
    """Makes each pixel white (255) if it is lighter than a threshold, else black (0); colours become grey before.

    fixed: one threshold for all pictures. otsu: one for each picture, which parts light and dark as well as can be
    (Otsu 1979); a picture of one value becomes black. adaptive: one for each pixel, the mean of the square around it
    less an offset, for uneven light; beyond its edge a picture goes on with the pixels of its edge.
    """

    takes_colours: ClassVar[bool] = True
    leaves_grey: ClassVar[bool] = True

    name: Literal["binarize"] = "binarize"
    method: Literal["fixed", "otsu", "adaptive"] = "otsu"
    """Where the threshold comes from."""
    threshold: Annotated[Fraction | None, only_for("method", "fixed")] = None
    """Of fixed, and needed there: what is lighter becomes white; a fraction of full white."""
    block_size: Annotated[KernelSize | None, only_for("method", "adaptive")] = None
    """Of adaptive, and needed there: height and width of the square around each pixel, in pixels; odd."""
    offset: Annotated[Annotated[float, Field(ge=-1, le=1)] | None, only_for("method", "adaptive")] = None
    """Of adaptive: is taken from the mean of the square, as a fraction of full white. Left out: 0. Where a picture is
    even, more than 0 makes it white, 0 and less make it black."""
    invert: bool = False
    """Whether black and white change places, so that dark things become white."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.method == "fixed" and self.threshold is None:
            raise ValueError("needs a threshold with method fixed, for example 0.5")
        if self.method == "adaptive" and self.block_size is None:
            raise ValueError("needs a block_size with method adaptive, for example 35")
        return self

    def __call__(self, image: Any) -> Any:
        """255 where it is lighter than the threshold, or is not with `invert`, else 0: (H, W, 1)."""
        white = self._light(image) != self.invert
        return (255 * white[:, :, None]).astype(np.uint8)

    def _light(self, image: Any) -> Any:
        if self.method == "otsu":
            return foreground(image, "light") > 0
        light = grey(image)
        if self.threshold is not None:
            return light > 255 * self.threshold
        mean = cv2.blur(light.astype(np.float32), (self.block_size,) * 2, borderType=cv2.BORDER_REPLICATE)
        return light > mean - 255 * (self.offset or 0.0)
