"""Pictures of the report: images as the network is shown them, small, within the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.evaluation.exam import Shown

SIDE = 112
"""Pixels of the longer side of a picture; a larger one is made smaller."""

_AS_THEY_ARE = 64
"""Up to this side pictures are kept exactly: JPEG would smear what has few pixels."""

ROOM = 4_000_000
"""Characters that all pictures of a page may take."""


@dataclass(frozen=True)
class Picture:
    """A picture with what is said of it.

    Attributes:
        source: It, as a `data:` address.
        name: What the image is called.
        told: What is said below it.
    """

    source: str
    name: str
    told: str = ""

    def as_json(self) -> list[str]:
        """As the script of the page reads it."""
        return [self.source, self.name, self.told]


@dataclass
class Album:
    """Makes pictures of images until the page has no room for more.

    Attributes:
        room: Characters that are left.
        left_out: How many pictures had no room.
    """

    room: int = ROOM
    left_out: int = 0
    _made: dict[tuple[int, int], str] = field(default_factory=dict)

    def of(self, shown: Shown, places: Iterable[int], told: Sequence[str]) -> list[Picture]:
        """Pictures of some of the images.

        Args:
            shown: The images.
            places: Which of them.
            told: What is said below each.

        Raises:
            DataError: One can't be read any more.
        """
        pictures = []
        for place, words in zip(places, told, strict=True):
            key = (id(shown.images), number := int(shown.numbers[place]))
            if key not in self._made:
                self._made[key] = self.address(shown.images.rows([number])[0])
            if source := self._room_for(self._made[key]):
                pictures.append(Picture(source, shown.images.index.names[number], words))
        return pictures

    def of_pixels(self, pixels: Any, name: str, told: str) -> list[Picture]:
        """A picture of pixels, uint8 (H, W, C); none where there is no room."""
        source = self._room_for(self.address(pixels))
        return [Picture(source, name, told)] if source else []

    def _room_for(self, source: str) -> str:
        if len(source) > self.room:
            self.left_out += 1
            return ""
        self.room -= len(source)
        return source

    @staticmethod
    def address(pixels: Any) -> str:
        """Pixels, uint8 (H, W, 1) or (H, W, 3), as a `data:` address."""
        from PIL import Image

        pixels = np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        picture, content = Image.fromarray(pixels), io.BytesIO()
        exact = max(picture.size) <= _AS_THEY_ARE
        if exact:
            picture.save(content, "PNG")
        else:
            picture.thumbnail((SIDE, SIDE))
            picture.save(content, "JPEG", quality=80)
        return f"data:image/{'png' if exact else 'jpeg'};base64,{base64.b64encode(content.getbuffer()).decode()}"
