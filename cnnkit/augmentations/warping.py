"""Images resampled: what a matrix says about each pixel, done in the cheapest way that is exact.

Mirroring and moves by whole pixels copy pixels, a window of whole pixels is brought to size (a fourth of the time of a
general warp), and all else is warped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnkit.augmentations.base import Fill
from cnnkit.lazy import cv2, np

_WHOLE = 1e-6
"""Of a pixel: what is nearer to a whole number is one."""


def warps(matrices: Any, fill: Fill | None, height: int, width: int) -> Callable[[Any, int], Any]:
    """How images are resampled, bilinear.

    Args:
        matrices: float64 (B, 3, 3), from homogeneous (x, y, 1) of a pixel of the result to that of the original,
            counted from the middle of the image.
        fill: What comes in from outside; None if nothing does.
        height: Of the images, pixels.
        width: Of the images, pixels.

    Returns:
        A function of an image, uint8 (height, width, C), and its place in the batch, to uint8 (height, width, C).
    """
    borders = {"edge": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT_101}
    border = borders[fill or "edge"]
    boxes, mirrors = _boxes(matrices, height, width), _mirrors(matrices)
    x, y = (width - 1) / 2, (height - 1) / 2
    matrices = [[1, 0, x], [0, 1, y], [0, 0, 1]] @ matrices @ [[1, 0, -x], [0, 1, -y], [0, 0, 1]]
    options = {"dsize": (width, height), "flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": border}

    def warped(image: Any, i: int) -> Any:
        box, matrix = boxes[i], matrices[i]
        if box:
            image = _boxed(image, box, border)
            if mirrors[i] is not None:
                image = cv2.flip(image, mirrors[i])
        elif matrix[2, 0] == matrix[2, 1] == 0:
            image = cv2.warpAffine(image, matrix[:2] / matrix[2, 2], **options)
        else:
            image = cv2.warpPerspective(image, matrix, **options)
        return image.reshape(height, width, -1)

    return warped


def _boxes(matrices: Any, height: int, width: int) -> list[tuple[int, int, int, int] | None]:
    """Windows of whole pixels that the results are, mirroring aside: left, top, right and bottom.

    None where it is none: turned, between the pixels, or partly outside and of another size than the image.
    """
    sizes = np.array([width, height])
    spans = np.abs(matrices[:, [0, 1], [0, 1]]) * sizes
    first = (sizes - spans) / 2 + matrices[:, :2, 2]
    edges = np.concatenate([first, first + spans], axis=1)
    whole = np.rint(edges)
    straight = (matrices[:, [0, 1, 2, 2], [1, 0, 0, 1]] == 0).all(1) & (matrices[:, 2, 2] == 1)
    inside = ((whole >= 0) & (whole <= np.tile(sizes, 2))).all(1)
    whole_size = (whole[:, 2:] - whole[:, :2] == sizes).all(1)
    some = (whole[:, 2:] > whole[:, :2]).all(1)
    fits = straight & some & (inside | whole_size) & (np.abs(edges - whole) < _WHOLE).all(1)
    return [tuple(box) if fit else None for box, fit in zip(whole.astype(int).tolist(), fits.tolist(), strict=True)]


def _mirrors(matrices: Any) -> list[int | None]:
    """How each is mirrored, in OpenCV's numbers: 1 left with right, 0 top with bottom, -1 both; None if it is not."""
    codes = {(False, False): None, (True, False): 1, (False, True): 0, (True, True): -1}
    return [codes[x, y] for x, y in (matrices[:, [0, 1], [0, 1]] < 0).tolist()]


def _boxed(image: Any, box: tuple[int, int, int, int], border: int) -> Any:
    """A window of an image in the size of the image; what is outside is filled."""
    height, width, _ = image.shape
    left, top, right, bottom = box
    if (left, top, right, bottom) == (0, 0, width, height):
        return image
    before, above = max(-left, 0), max(-top, 0)
    beyond, below = max(right - width, 0), max(bottom - height, 0)
    if before or above or beyond or below:
        image = cv2.copyMakeBorder(image, above, below, before, beyond, border)
    image = image[top + above : bottom + above, left + before : right + before]
    if (right - left, bottom - top) == (width, height):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
