"""Pictures of which only the object is left."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from cnnkit.core.lazy import cv2, np
from cnnkit.data.preparation.base import Preparation
from cnnkit.data.preparation.foreground import Foreground, components, cut_out, foreground
from cnnkit.data.preparation.settings import only_for


class Segment(Preparation):
    """Cuts the object out; what is behind it becomes black. A picture in which no object is found stays as it is.

    grabcut (Rother, Kolmogorov and Blake 2004) takes a frame around the picture for background, learns the colours of
    both from there, and cuts where neighbours differ most. It takes seconds for large pictures: put `resize` before it.
    watershed (Meyer 1992) floods the picture from the hearts of the parts that Otsu's method tells apart; waters meet
    where neighbours differ most.
    """

    takes_colours: ClassVar[bool] = True

    name: Literal["segment"] = "segment"
    method: Literal["grabcut", "watershed"] = "grabcut"
    """How the object is found."""
    margin: Annotated[Annotated[float, Field(gt=0, lt=0.5)] | None, only_for("method", "grabcut")] = None
    """Of grabcut: width of the frame, as a fraction of height and width, a pixel at least. Left out: 0.05."""
    iterations: Annotated[Annotated[int, Field(ge=1, le=50)] | None, only_for("method", "grabcut")] = None
    """Of grabcut: how often it learns and cuts. Left out: 5."""
    foreground: Annotated[Foreground | None, only_for("method", "watershed")] = None
    """Of watershed: whether objects are light or dark. Left out: light."""

    def __call__(self, image: Any) -> Any:
        """A grey picture is looked at as one with three equal channels."""
        colour = image if image.shape[2] == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
        return cut_out(image, self._grabcut(colour) if self.method == "grabcut" else self._watershed(colour))

    def _grabcut(self, colour: Any) -> Any:
        height, width = colour.shape[:2]
        margin = self.margin or 0.05
        down, right = max(1, round(margin * height)), max(1, round(margin * width))
        mask = np.full((height, width), cv2.GC_BGD, dtype=np.uint8)
        mask[down : height - down, right : width - right] = cv2.GC_PR_FGD
        if not mask.any():  # too small to have a frame and something in it; the number of background is 0
            return mask > 0
        # It begins with clusters that are drawn by chance. The generator is that of this thread; with the same seed
        # before each picture the result does not depend on pictures before, or on threads.
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(colour, mask, None, *models, self.iterations or 5, cv2.GC_INIT_WITH_MASK)
        return (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)

    def _watershed(self, colour: Any) -> Any:
        objects = foreground(colour, self.foreground or "light")
        found = components(objects)
        # The heart of a piece: what is at least half as far from the outside as any of its pixels.
        depth = cv2.distanceTransform(np.pad(objects, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        deepest = np.zeros(len(found.areas), dtype=depth.dtype)
        np.maximum.at(deepest, found.labels, depth)
        outside = cv2.distanceTransform(1 - objects, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        behind = 2 * outside >= outside.max()
        markers = np.where((objects > 0) & (2 * depth >= deepest[found.labels]), 2, np.where(behind, 1, 0))
        # Watershed calls the edge of a picture a border between waters, so it gets an edge that is taken away again.
        wide = cv2.copyMakeBorder(colour, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        markers = np.pad(markers.astype(np.int32), 1, mode="edge")
        cv2.watershed(wide, markers)
        return markers[1:-1, 1:-1] == 2
