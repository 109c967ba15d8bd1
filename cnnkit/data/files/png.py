"""PNG: whether a file is as it was written, which Pillow alone does not tell.

Pillow holds the chunks before the pixels to their checksums, but not the pixels' own, needs no end, and leaves black
what there are no pixels for.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

MAGIC = b"\x89PNG\r\n\x1a\n"

_HEAD = struct.Struct(">I4s")
_CHECKSUM = struct.Struct(">I")
_FORM = struct.Struct(">IIBBxxB")

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""From the type of colour to values a pixel."""

_ADAM7 = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))
"""Of each pass of an interlaced picture the first column and the step between its columns, and the same of rows."""


def damage(content: bytes) -> str | None:
    """What is wrong with a PNG; None if every chunk up to its end is whole."""
    view = memoryview(content)
    place = len(MAGIC)
    while place + _HEAD.size <= len(content):
        length, kind = _HEAD.unpack_from(content, place)
        end = place + _HEAD.size + length
        if end + _CHECKSUM.size > len(content):
            return f"it ends early (within its {_shown(kind)} chunk)"
        if zlib.crc32(view[place + 4 : end]) != _CHECKSUM.unpack_from(content, end)[0]:
            return f"a checksum is wrong (that of its {_shown(kind)} chunk)"
        if kind == b"IEND":
            return None
        place = end + _CHECKSUM.size
    return "it ends early (without its end chunk)"


def _shown(kind: bytes) -> str:
    return kind.decode() if kind.isalpha() and kind.isascii() else "next"


def ends_early(content: bytes, image: Any) -> bool:
    """Whether a PNG without `damage` holds fewer pixels than it says.

    Args:
        content: The file.
        image: What Pillow has decoded of it, a `PIL.Image.Image`.
    """
    width, height, depth, colours, interlaced = _FORM.unpack_from(content, len(MAGIC) + _HEAD.size)
    if not interlaced and image.crop((0, height - 1, width, height)).tobytes().strip(b"\0"):
        return False  # there is something in the last row
    passes = _ADAM7 if interlaced else ((0, 1, 0, 1),)
    expected = 0
    for left, across, top, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * depth * _CHANNELS[colours] + 7) // 8)
    stream = zlib.decompressobj()
    for data in _pixel_data(content):
        while data and expected > 0:
            expected -= len(stream.decompress(data, _BLOCK))
            data = stream.unconsumed_tail
    return expected > 0


_BLOCK = 2**20


def _pixel_data(content: bytes) -> Iterator[bytes]:
    place = len(MAGIC)
    while True:
        length, kind = _HEAD.unpack_from(content, place)
        place += _HEAD.size
        if kind == b"IDAT":
            yield content[place : place + length]
        if kind == b"IEND":
            return
        place += length + _CHECKSUM.size
