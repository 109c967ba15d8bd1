"""What images are like once they are decoded."""

from __future__ import annotations

from cnnkit.decoding import BadImage, fitted
from cnnkit.doctor.base import THUMBNAIL, Pixels
from cnnkit.lazy import np
from cnnkit.progress import Progress
from cnnkit.sources import Index


def look(index: Index, home: str, progress: Progress) -> Pixels:
    """Decodes every image."""
    bad: dict[int, str] = {}
    thumbnails = np.zeros((len(index), THUMBNAIL, THUMBNAIL), np.uint8)
    means = np.full((len(index), 3), np.nan)
    squares = np.full((len(index), 3), np.nan)
    with progress.task("decoding images", len(index)) as advance:
        for i in range(len(index)):
            try:
                image = index.open(i)
                image.load()
                picture = fitted(image, (image.height, image.width), 3, "stretch").astype(np.float64)
                thumbnails[i] = fitted(index.open(i), (THUMBNAIL, THUMBNAIL), 1, "stretch")[..., 0]
            except BadImage as error:
                bad[i] = str(error)
            except Exception as error:
                bad[i] = f"damaged: {error}"
            else:
                means[i] = picture.mean(axis=(0, 1))
                squares[i] = (picture**2).mean(axis=(0, 1))
            advance(1)
    return Pixels(bad, thumbnails, means, squares)
