"""Images resampled: what a matrix says about each pixel, done in the cheapest way that is exact.

Mirroring and moves by whole pixels copy pixels, a window of whole pixels is brought to size (a fourth of the time of a
general warp), and all else is warped.
"""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import cv2, np
from cnnkit.data.augmentations.base import Fill, Size

_WHOLE = 1e-6
"""Of a pixel: what is nearer to a whole number is one."""


class Warps:
    """The warps of some images, one for each, bilinear."""

    def __init__(self, matrices: Any, fill: Fill | None, size: Size):
        """Finds the cheapest way for each.

        Args:
            matrices: float64 (B, 3, 3), from homogeneous (x, y, 1) of a pixel of the result to that of the original,
                counted from the middle of the image.
            fill: What comes in from outside; None if nothing does.
            size: Of the images.
        """
        borders = {"edge": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT_101}
        self._border = borders[fill or "edge"]
        self._size = size
        self._boxes, self._mirrors = _boxes(matrices, size), _mirrors(matrices)
        if None in self._boxes:
            x, y = (size[0] - 1) / 2, (size[1] - 1) / 2
            matrices = [[1, 0, x], [0, 1, y], [0, 0, 1]] @ matrices @ [[1, 0, -x], [0, 1, -y], [0, 0, 1]]
        self._matrices = matrices

    def __call__(self, image: Any, i: int) -> Any:
        """Warps the image that is at a place: uint8 (height, width, C), not written to, to the same shape."""
        return self._warped(image, i).reshape(image.shape)

    def at_once(self, images: Any, first: int) -> None:
        """Warps images in their place.

        Args:
            images: uint8 (b, height, width, C).
            first: The place of the first of them.
        """
        mirrored: dict[int, list[int]] = {}
        for i in range(len(images)):
            mirror = self._mirrors[first + i]
            if self._boxes[first + i] != (0, 0, *self._size):
                images[i] = self(images[i], first + i)
            elif mirror is not None:
                mirrored.setdefault(mirror, []).append(i)
        for mirror, which in mirrored.items():
            images[which] = _mirrored(images[which], mirror)

    def _warped(self, image: Any, i: int) -> Any:
        box, matrix, mirror = self._boxes[i], self._matrices[i], self._mirrors[i]
        if box:
            image = _boxed(image, box, self._border)
            return image if mirror is None else cv2.flip(image, mirror)
        options = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": self._border}
        if matrix[2, 0] == matrix[2, 1] == 0:
            return cv2.warpAffine(image, matrix[:2] / matrix[2, 2], self._size, **options)
        return cv2.warpPerspective(image, matrix, self._size, **options)


def warped(image: Any, matrices: Any, fill: Fill | None) -> Any:
    """One image warped: uint8 (H, W, C), not written to, by matrices (1, 3, 3), to the same shape."""
    return Warps(matrices, fill, image.shape[1::-1])(image, 0)


def _mirrored(images: Any, mirror: int) -> Any:
    """Whole images mirrored, in as few calls as can be: all on top of each other are as one when turned sideways."""
    if mirror == _UPSIDE_DOWN:
        return images[:, ::-1]
    sideways = cv2.flip(images.reshape(-1, *images.shape[2:]), _SIDEWAYS).reshape(images.shape)
    return sideways if mirror == _SIDEWAYS else sideways[:, ::-1]


_UPSIDE_DOWN, _SIDEWAYS, _BOTH = 0, 1, -1
"""OpenCV's numbers: top with bottom, left with right."""


def _boxes(matrices: Any, size: Size) -> list[tuple[int, int, int, int] | None]:
    """Windows of whole pixels that the results are, mirroring aside: left, top, right and bottom.

    None where it is none: turned, between the pixels, or partly outside and of another size than the image.
    """
    sizes = np.array(size)
    spans = np.abs(matrices[:, (0, 1), (0, 1)]) * sizes
    first = (sizes - spans) / 2 + matrices[:, :2, 2]
    edges = np.stack([first, first + spans], axis=1)  # (B, 2, 2): left and top, right and bottom
    whole = np.rint(edges)
    spans = whole[:, 1] - whole[:, 0]
    straight = (matrices[:, (0, 1, 2, 2), (1, 0, 0, 1)] == 0).all(1) & (matrices[:, 2, 2] == 1)
    inside = ((whole >= 0) & (whole <= sizes)).all((1, 2))
    fits = straight & (spans > 0).all(1) & (inside | (spans == sizes).all(1))
    fits &= (np.abs(edges - whole) < _WHOLE).all((1, 2))
    boxes = whole.reshape(-1, 4).astype(int).tolist()
    return [tuple(box) if fit else None for box, fit in zip(boxes, fits.tolist(), strict=True)]


def _mirrors(matrices: Any) -> list[int | None]:
    """How each is mirrored; None if it is not."""
    codes = {(False, False): None, (True, False): _SIDEWAYS, (False, True): _UPSIDE_DOWN, (True, True): _BOTH}
    return [codes[x, y] for x, y in (matrices[:, (0, 1), (0, 1)] < 0).tolist()]


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
