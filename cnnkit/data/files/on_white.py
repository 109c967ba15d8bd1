"""Colours as a person sees them: any mode of Pillow's becomes grey or red, green and blue, on white paper."""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import np


def on_white(image: Any, mode: str) -> Any:
    """Converts any mode to grey or colour, as a person sees the picture on white paper.

    Args:
        image: A `PIL.Image.Image`, decoded.
        mode: L or RGB.
    """
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode == "I":
        # 16-bit grey: its full range becomes 0..255 (Pillow's own conversion clips at 255).
        wide = np.asarray(image, dtype=np.float64)
        return Image.fromarray(np.clip(np.rint(wide / 257), 0, 255).astype(np.uint8)).convert(mode)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(paper, image).convert(mode)
    return image if image.mode == mode else image.convert(mode)
