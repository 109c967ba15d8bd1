"""Pictures in another size."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cnnkit.core.lazy import cv2
from cnnkit.data.files.decoding import MAX_PIXELS
from cnnkit.data.preparation.base import Preparation, Unprepared

Side = Annotated[int, Field(ge=1, le=16384)]


class Resize(Preparation):
    """Makes pictures smaller (each new pixel is the mean of the area it covers) or larger (bilinear).

    Say `height` and `width`, or `longest_side`, or `shortest_side`: the last two keep the proportions. A picture that
    is too small is enlarged, so that in the steps behind a size in pixels means the same in every picture.
    """

    moves: ClassVar[bool] = True

    name: Literal["resize"] = "resize"
    height: Side | None = None
    """Height to make, in pixels."""
    width: Side | None = None
    """Width to make, in pixels."""
    longest_side: Side | None = None
    """Pixels of the longer of height and width; the other follows."""
    shortest_side: Side | None = None
    """Pixels of the shorter of height and width; the other follows."""
    enlarge: bool = True
    """Whether a side that is shorter may become longer; if not, it stays as it is."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        sides = ("height", "width", "longest_side", "shortest_side")
        given = [side for side in sides if getattr(self, side) is not None]
        if given not in (["height", "width"], ["longest_side"], ["shortest_side"]):
            raise ValueError("needs height and width, or longest_side, or shortest_side, and no other of them")
        return self

    def __call__(self, image: Any) -> Any:
        """Resizes; first what becomes shorter, then what becomes longer, since a mean is of an area only there."""
        height, width = self.size(*image.shape[:2])
        if height * width > MAX_PIXELS:
            raise Unprepared(
                f"resize would make {height:,} x {width:,} pixels of its {image.shape[0]:,} x {image.shape[1]:,}, "
                f"which is more than {MAX_PIXELS:,}"
            )
        smaller = min(height, image.shape[0]), min(width, image.shape[1])
        for size, how in ((smaller, cv2.INTER_AREA), ((height, width), cv2.INTER_LINEAR)):
            if image.shape[:2] != size:
                image = cv2.resize(image, size[::-1], interpolation=how).reshape(*size, image.shape[2])
        return image

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that a picture of this height and width gets."""
        if self.height and self.width:
            wanted = self.height, self.width
        else:
            side, of = (self.longest_side, max) if self.longest_side else (self.shortest_side or 1, min)
            scale = side / of(height, width)
            wanted = max(1, round(scale * height)), max(1, round(scale * width))
        return wanted if self.enlarge else (min(wanted[0], height), min(wanted[1], width))
