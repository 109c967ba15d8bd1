"""JPEG: decoded by libjpeg-turbo through simplejpeg, and refused where it calls the data corrupt or ended early.

libjpeg decodes on after most faults, with grey or garbled blocks for what is missing, and says so in a warning, of
which only the first is known. Pillow, OpenCV and TensorFlow show that picture without a word; here such a warning is
an error.

Some warnings are no more than remarks on how a file was written, for example that there are too many bytes before a
marker, as some cameras leave them. Then what libjpeg has skipped is taken out, and it is asked again, for the first
warning tells nothing of what may come behind it.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from cnnkit.core.lazy import simplejpeg

Colours = Literal["Gray", "RGB", "CMYK"]
"""How pixels are given: in one of these; CMYK as stored, which is 255 for no ink."""


class Damaged(Exception):
    """libjpeg calls it corrupt, or ended early; the text is what it says."""


class NotForThis(Exception):
    """It is subsampled in a way that TurboJPEG, the part of libjpeg-turbo that simplejpeg calls, does not know."""


class Decoded(NamedTuple):
    """A picture, and what libjpeg remarks on it.

    Attributes:
        pixels: uint8 (H, W, 1), (H, W, 3) or (H, W, 4), as stored, not turned.
        remark: What is odd in the file and does not matter; None if nothing is.
    """

    pixels: Any
    remark: str | None


def decode(content: bytes, colours: Colours, size: tuple[int, int]) -> Decoded:
    """Decodes a JPEG, whole.

    Args:
        content: The file; what stands behind its end marker does not matter.
        colours: What is made of it.
        size: Height and width: its own, or 1/2, 1/4 or 1/8 of them, rounded up.

    Raises:
        Damaged: Some of it is missing or garbled.
        NotForThis: Pillow alone can decode it.
        MemoryError: There is not enough memory for it.
    """
    remark = None
    for _ in range(_REMARKS):
        try:
            return Decoded(_strictly(content, colours, size), remark)
        except ValueError as error:
            message = _MEANT.sub("", str(error))
        if "subsampling level" in message:
            raise NotForThis
        if "memory" in message:
            raise MemoryError
        without = _without(content, message)
        if without is None or without == content:
            break
        content, remark = without, remark or message
    raise Damaged(message)


def _strictly(content: bytes, colours: Colours, size: tuple[int, int]) -> Any:
    height, width = size
    return simplejpeg.decode_jpeg(content, colours, min_height=height, min_width=width, min_factor=2, strict=True)


_REMARKS = 8
"""So often a file may be remarked on; each may be about many places."""

_MEANT = re.compile(r"^\w+\(\): |^Corrupt JPEG data: |^Warning: ")
"""Before what libjpeg has to say."""

_EXTRA = re.compile(r"(\d+) extraneous bytes before marker 0x(\w\w)")
_HEADERS = ("unknown JFIF revision number", "Invalid SOS parameters for sequential JPEG")


def _without(content: bytes, message: str) -> bytes | None:
    """The file without what libjpeg remarks on; None if that is no remark, or more than one.

    What it skips in the midst of a picture's data is no remark: there it has lost its place. Nor is it
    where there is a stretch of zeros before the last bytes, as a lost block of a disk leaves it: that has brought it to
    the end too early.
    """
    extra = _EXTRA.search(message)
    if not extra and not message.startswith(_HEADERS):
        return None
    tidy, data = _tidied(content)
    if tidy != content or not extra:
        return tidy
    end = content.find(_END, data)
    if extra[2] != "d9" or end < data:
        return None
    scan = content[data:end].rstrip(b"\0")
    if _LOST in scan and _NEXT_SCAN not in scan:  # those that refine a progressive one may be zeros
        return None
    return content[: end - int(extra[1])] + content[end:]


def _tidied(content: bytes) -> tuple[bytes, int]:
    """The file with a header as it should be, up to the first scan, and where that one's data begins."""
    parts = [content[:2]]
    place = 2
    sequential = True
    while found := _MARKER.search(content, place):
        place = found.start()
        segment = bytearray(content[place : place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")])
        place += len(segment)
        sequential = sequential and segment[1] not in _PROGRESSIVE
        if segment[1] == _APP0 and segment[4:9] == b"JFIF\0" and segment[9] != 1:
            segment[9] = 1
        if segment[1] == _SCAN and sequential:
            segment[-3:] = b"\0\x3f\0"
        parts.append(bytes(segment))
        if segment[1] == _SCAN:
            break
    header = b"".join(parts)
    return header + content[place:], len(header)


_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_END = b"\xff\xd9"
_LOST = bytes(64)
_NEXT_SCAN = b"\xff\xda"
_SCAN = 0xDA
_APP0 = 0xE0
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
