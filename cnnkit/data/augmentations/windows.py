"""Windows of random area and proportions, which crops and erased parts share."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field

from cnnkit.core.lazy import np
from cnnkit.core.spec import Fraction

Range: TypeAlias = tuple[float, float]


def _ascending(bounds: Range) -> Range:
    if bounds[0] > bounds[1]:
        raise ValueError(f"should go from the smallest to the largest: [{bounds[1]:g}, {bounds[0]:g}]")
    return bounds


def _about_one(bounds: Range) -> Range:
    if not bounds[0] <= 1 <= bounds[1]:
        raise ValueError(
            f"should hold 1, the proportions of the image, so that every area fits; "
            f"[{bounds[0]:g}, {bounds[1]:g}] does not"
        )
    return bounds


Areas = Annotated[tuple[Fraction, Fraction], AfterValidator(_ascending)]
"""Smallest and largest area, as fractions of that of the image."""

Ratio = Annotated[float, Field(ge=0.01, le=100)]

Ratios = Annotated[tuple[Ratio, Ratio], AfterValidator(_ascending), AfterValidator(_about_one)]
"""Narrowest and widest proportions, width by height, where 1 are those of the image."""


def sides(chance: Any, other: Any, areas: Range, ratios: Range) -> Any:
    """Sizes of random windows that fit into the image.

    Args:
        chance: float64 (B,), uniform in [0, 1), for the area.
        other: The same, for the proportions.
        areas: Smallest and largest area, as fractions of that of the image.
        ratios: Narrowest and widest proportions; a window of much area can't be as narrow or wide, so for it the range
            is cut off where it no longer fits.

    Returns:
        float64 (B, 2), widths and heights as fractions of those of the image. Areas are uniform, proportions uniform on
        a logarithmic scale.
    """
    area = areas[0] + (areas[1] - areas[0]) * chance
    with np.errstate(divide="ignore"):
        narrowest, widest = np.maximum(ratios[0], area), np.minimum(ratios[1], 1 / area)
    ratio = narrowest * (widest / narrowest) ** other
    return np.sqrt(np.stack([area * ratio, area / ratio], axis=1))


def toned_ratios(ratios: Range, share: float) -> Range:
    """Proportions nearer to 1: a share of the way on a logarithmic scale."""
    return ratios[0] ** share, ratios[1] ** share
