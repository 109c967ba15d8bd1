"""Colours as a person sees them: any mode of Pillow's becomes grey or red, green and blue, on white paper."""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import np
from cnnkit.data.files.pixel_range import pixel_range


def on_white(image: Any, mode: str) -> Any:
    """Converts any mode to grey or colour, as a person sees the picture on white paper.

    Args:
        image: A `PIL.Image.Image`, decoded.
        mode: L or RGB.

    Raises:
        DataError: It holds numbers of which nobody can tell what is white.
    """
    if image.mode.startswith(("I", "F")):
        return _levels(image).convert(mode)
    if image.mode == "LAB":
        return _from_lab(image).convert(mode)
    if image.has_transparency_data:
        return _on_paper(image).convert(mode)
    return image if image.mode == mode else image.convert(mode)


def _levels(image: Any) -> Any:
    """Grey of 16 or 32 bits in 8 (Pillow's own conversion clips at 255); of a transparent grey nothing is left."""
    from PIL import Image

    numbers = np.asarray(image)
    if image.mode.startswith("I;16") or image.format != "TIFF":
        # The full range becomes 0..255.
        levels = np.clip(np.rint(numbers.astype(np.float64) / 257), 0, 255).astype(np.uint8)
        if _white_is_zero(image):
            levels = 255 - levels
    else:
        if numbers.dtype.kind == "i" and numbers.min() >= 0 and numbers.max() <= 65535:
            numbers = numbers.astype(np.uint16)
        levels = pixel_range([numbers[None]], lambda *_: "it").convert(numbers)
    clear = image.info.get("transparency")
    return Image.fromarray(levels if clear is None else np.where(numbers == clear, np.uint8(255), levels))


def _white_is_zero(image: Any) -> bool:
    """Whether a TIFF counts from white, which Pillow knows of 8 bits alone."""
    return bool(image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0)


_PHOTOMETRIC = 262
"""TIFF's tag of what its numbers mean."""


def _from_lab(image: Any) -> Any:
    """From CIE Lab, of which TIFFs may be, to the colours of screens."""
    from PIL import ImageCms

    lab, screen = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.applyTransform(image, ImageCms.buildTransform(lab, screen, "LAB", "RGB"))


def _on_paper(image: Any) -> Any:
    """What shows where a picture is transparent, in part or in one colour, is white."""
    from PIL import Image

    clear = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(clear, tuple) and max(clear) > 255:
        # A colour of 16 bits; of these, as of the picture's own, Pillow keeps the upper 8.
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    image = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
    paper = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(paper, image)
