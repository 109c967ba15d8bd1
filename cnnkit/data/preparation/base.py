"""Preparation: what is done to every picture before the network sees it, in training and ever after.

A step is a function of the picture alone, without chance, so it is done once and kept. It works on the picture as it
is, in its own size, before it is brought to the size of the network; so sizes in a step are pixels of the picture as
the steps before have left it, and a `resize` in front makes them mean the same in every picture.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from cnnkit.core.errors import Problem
from cnnkit.core.spec import Spec
from cnnkit.data.files.decoding import BadImage


class Unprepared(BadImage):
    """A picture that a step can't be done to; the text is the reason."""


class Preparation(Spec):
    """A step of preparation."""

    needs_colour: ClassVar[bool] = False
    """Whether it can't be done to a grey picture; then files are decoded in colour for it."""
    leaves_grey: ClassVar[bool] = False
    """Whether its result has one channel, whatever it is done to."""
    moves: ClassVar[bool] = False
    """Whether a pixel may be at another place afterwards; a mask from a file fits only before."""

    name: str

    @property
    def takes_colours(self) -> bool:
        """Whether it takes three channels for red, green and blue, most often to know how light a picture is.

        The other steps do the same to each channel, whatever it is.
        """
        return False

    @property
    def leaves_space(self) -> str | None:
        """The colour space whose channels it leaves in place of red, green and blue; None if it leaves these."""
        return None

    def in_space(self, space: str, before: str) -> Problem:
        """What is wrong with a step that takes colours behind one that has left other channels.

        Args:
            space: The colour space of these channels.
            before: Name of the step that has left them.

        Returns:
            With the key of the setting that is to blame, if it is one.
        """
        return Problem(
            f"takes the {space} of {before} for red, green and blue; put it before {before}, or a channel, by number, "
            "between them"
        )

    def channels(self, before: int) -> int:
        """How many channels the result has, 1 or 3, from how many the picture has."""
        return 1 if self.leaves_grey else before

    def beside(self, path: Path) -> Path | None:
        """A second file that the step reads for the image file `path`; None if it reads none."""
        return None

    @property
    def reads_a_file(self) -> bool:
        """Whether it reads a second file for each image."""
        return self.beside(AN_IMAGE) is not None

    def of_file(self, image: Any, path: Path) -> Any:
        """Does the step to an image that is the file `path`, beside which it may read a second one."""
        return self(image)

    @abstractmethod
    def __call__(self, image: Any) -> Any:
        """Does the step.

        Args:
            image: uint8 (H, W, C), not to be written to.

        Returns:
            uint8 (H', W', C').

        Raises:
            Unprepared: It can't be done to this picture.
        """


AN_IMAGE = Path("/folder/name.type")
"""An image of which nothing else has the name or the folder."""


def decoded_channels(steps: Iterable[Preparation], channels: int) -> int:
    """How many channels pictures are decoded to, for these steps and a network that takes `channels`."""
    return 3 if any(step.needs_colour for step in steps) else channels


def files_beside(steps: Iterable[Preparation], path: Path) -> list[Path]:
    """The files that these steps read for the image file `path`."""
    return [file for step in steps if (file := step.beside(path))]
