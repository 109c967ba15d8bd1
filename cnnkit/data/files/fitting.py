"""Fitting: how decoded pixels are brought to the size that a network takes."""

from __future__ import annotations

from typing import Any, Literal

from cnnkit.core.lazy import np

Fit = Literal["crop", "pad", "stretch"]


def fit_to(image: Any, size: tuple[int, int], fit: Fit) -> Any:
    """Brings decoded pixels to a size.

    Args:
        image: uint8 (H, W, 1) or (H, W, 3).
        size: Height and width to make.
        fit: `crop` keeps the proportions and cuts what is over at the longer side, equally at both ends;
            `pad` keeps them and fills with black; `stretch` does not keep them.

    Returns:
        uint8 (height, width, C).
    """
    if image.shape[:2] == tuple(size):
        return image
    from PIL import Image, ImageOps

    height, width = size
    channels = image.shape[2]
    resample = Image.Resampling.BILINEAR  # averages over the area when it makes smaller
    image = Image.fromarray(image[:, :, 0] if channels == 1 else image)
    if fit == "crop":
        image = ImageOps.fit(image, (width, height), resample)
    elif fit == "pad":
        # Not ImageOps.pad, which rounds the short side of a very long picture to nothing.
        scale = min(width / image.width, height / image.height)
        inner = max(1, round(scale * image.width)), max(1, round(scale * image.height))
        resized = image.resize(inner, resample)
        image = Image.new(image.mode, (width, height))  # black
        image.paste(resized, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    else:
        image = image.resize((width, height), resample)
    return np.asarray(image, dtype=np.uint8).reshape(height, width, channels)
