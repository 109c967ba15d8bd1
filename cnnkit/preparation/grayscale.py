"""Colours to grey."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from cnnkit.preparation.base import Preparation
from cnnkit.preparation.light import grey


class Grayscale(Preparation):
    """Takes the colours away: 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601)."""

    name: Literal["grayscale"] = "grayscale"

    def channels(self, before: int) -> int:
        """One."""
        return 1

    def __call__(self, image: Any, path: Path | None) -> Any:
        """The weighted sum of the colours; a grey picture as it is."""
        return grey(image)[:, :, None]
