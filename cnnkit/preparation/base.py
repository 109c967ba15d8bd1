"""Preparation: what is done to every picture before the network sees it, in training and ever after.

A step is a function of the picture alone, without chance, so it is done once and kept. It works on the picture as it
is, in its own size, before it is brought to the size of the network; so sizes in a step are pixels of the picture as
the steps before have left it, and a `resize` in front makes them mean the same in every picture.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from cnnkit.decoding import BadImage
from cnnkit.spec import Spec


class Unprepared(BadImage):
    """A picture that a step can't be done to; the text is the reason."""


class Preparation(Spec):
    """A step of preparation."""

    for_colour: ClassVar[bool] = False
    """Whether it needs a picture in red, green and blue; then files are decoded in colour for it."""
    moves: ClassVar[bool] = False
    """Whether a pixel may be at another place afterwards; a mask from a file fits only before."""

    def channels(self, before: int) -> int:
        """How many channels the result has, 1 or 3, from how many the picture has."""
        return before

    def beside(self, path: Path) -> Path | None:
        """A second file that the step reads for the image file `path`; None if it reads none."""
        return None

    @abstractmethod
    def __call__(self, image: Any, path: Path | None) -> Any:
        """Does the step.

        Args:
            image: uint8 (H, W, C), not to be written to.
            path: The file of the image; None where images are no files.

        Returns:
            uint8 (H', W', C').

        Raises:
            Unprepared: It can't be done to this picture.
        """
