"""Pictures without empty margins."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from cnnkit.core.lazy import np
from cnnkit.core.spec import Fraction
from cnnkit.data.preparation.base import Preparation
from cnnkit.data.preparation.foreground import Foreground, components, foreground
from cnnkit.data.preparation.light import grey
from cnnkit.data.preparation.settings import only_for


class CropToContent(Preparation):
    """Cuts away what is empty around the content: what is left is the bounding box of what is not background.

    Pieces that are too small to be content do not count: the specks in the black of a JPEG, a letter in a corner. A
    picture without content, or all of one value, stays as it is.
    """

    takes_colours: ClassVar[bool] = True
    moves: ClassVar[bool] = True

    name: Literal["crop_to_content"] = "crop_to_content"
    method: Literal["fixed", "otsu"] = "fixed"
    """Where the threshold between content and background comes from; otsu: found in each picture (Otsu 1979)."""
    threshold: Annotated[Fraction | None, only_for("method", "fixed")] = None
    """Of fixed: how much lighter than black content is, or darker than white, as a fraction of full white. Left out:
    0.1."""
    foreground: Foreground = "light"
    """Whether content is light before black, or dark before white."""
    min_area: Fraction = 0.01
    """Least area of a piece of content, as a fraction of the picture's."""
    margin: Fraction = 0.0
    """What is left around the content, as a fraction of its height and width, on each side and as far as there is
    any."""

    def __call__(self, image: Any) -> Any:
        """A copy of the box around all pieces that are large enough, with its margin."""
        found = components(self._content(image))
        boxes = found.boxes[1:][found.areas[1:] >= self.min_area * found.labels.size]
        if not len(boxes):
            return image
        start, end = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
        margin = np.rint(self.margin * (end - start)).astype(int)
        left, top = np.maximum(start - margin, 0)
        right, bottom = end + margin
        return np.ascontiguousarray(image[top:bottom, left:right])

    def _content(self, image: Any) -> Any:
        """uint8 (H, W): 1 where there is content."""
        if self.method == "otsu":
            return foreground(image, self.foreground)
        light = grey(image) if self.foreground == "light" else 255 - grey(image)
        return (light > 255 * (0.1 if self.threshold is None else self.threshold)).astype(np.uint8)
