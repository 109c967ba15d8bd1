"""Artefacts of JPEG."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import cv2, np
from cnnkit.data.augmentations.base import Pixelwise


class Jpeg(Pixelwise):
    """Compresses the image as JPEG and decodes it again, with a random quality."""

    says = "jpeg quality {0:.0f}"
    adds_colour = True
    neutral = 100.0

    name: Literal["jpeg"] = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100)] = 50
    """Lowest quality, 1 to 100; 100 stands for no compression at all and leaves an image as it is."""

    def odd_amounts(self, given: Given) -> Iterator[Problem]:
        """A quality that nobody tells from the original, and one that leaves blocks."""
        if 97 < self.quality < 100:
            yield Problem("changes next to nothing; 30 to 70 is usual", key="quality")
        if self.quality < 10:
            yield Problem("leaves blocks of 8 x 8 pixels of some images; 30 to 70 is usual", key="quality")

    def amounts(self, chance: Any) -> Any:
        """The quality, each whole number from the lowest to 100 as likely."""
        return 100 - np.floor((101 - self.quality) * chance)

    def __call__(self, image: Any, amount: Any) -> Any:
        """Encodes it as its colours are, three or one, and decodes it; quality 100 leaves it alone."""
        if amount[0] == 100:
            return image
        colour = image.shape[2] == 3
        # OpenCV takes blue for the first channel, and JPEG treats the channels differently.
        pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if colour else image
        _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(amount[0])])
        decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE)
        return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB) if colour else decoded.reshape(image.shape)

    def weaker(self, share: float) -> Self:
        """A quality that lacks only a share of what it lacks of 100."""
        return self.model_copy(update={"quality": round(100 - share * (100 - self.quality))})
