"""The one decoder: from the bytes of a file to pixels, or to the reason why not.

It reads JPEG, PNG, BMP, GIF (first frame) and WebP in every mode, whatever the file is called, honours the
EXIF orientation, and calls a file bad when it is cut short. Pillow decodes: unlike OpenCV and TensorFlow it does
not return half a picture for a truncated file, and it turns pictures upright. What it can't see is a file that
was cut and then closed again by its format's rules: a JPEG with an end marker put behind half of its data.

Most pictures of most data sets are plain upright JPEGs that end as they should. These are decoded by OpenCV, by the
same library as in Pillow (libjpeg-turbo) in less than half of the time: see `pixels`.
"""

from __future__ import annotations

import functools
import io
import os
import re
import stat
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cnnkit.core.lazy import cv2, np
from cnnkit.core.locks import Turn

Fit = Literal["crop", "pad", "stretch"]

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
"""Pillow's names of what is read; its JPEG opener also reads MPO, the JPEG of many phones."""

EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp"})
"""File endings that are taken for images when a folder is searched; the content decides the format."""

MAX_PIXELS = 178_956_970
"""Pictures beyond this many pixels are refused as decompression bombs (Pillow's own bound for an error)."""


LARGE = 2**24
"""Pictures of more pixels are decoded and prepared one at a time, however many threads there are: each takes as much
memory as thousands of others."""


class BadImage(Exception):
    """A file that can't be decoded; the text is the reason."""


class Unreadable(BadImage):
    """The same for a reason that is not in the file's content, so that another try may go better."""


class Header(NamedTuple):
    """What an image says of itself before its pixels.

    Attributes:
        format: Pillow's name of the format: JPEG, MPO, PNG, BMP, GIF or WEBP.
        mode: Pillow's mode: L (grey), RGB, RGBA, P (palette), CMYK and others.
        width: Pixels, as stored.
        height: Pixels, as stored.
        orientation: EXIF's number: 1 is upright, 3 on its head, 6 and 8 on its side, even ones up to 4 mirrored.
        frames: Pictures in the file.
        bits: Bits a channel.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int
    frames: int
    bits: int


def read_file(path: Path | str) -> Any:
    """Opens a file as a `PIL.Image.Image`, not yet decoded.

    Raises:
        BadImage: It can't be read, is not an image, is damaged or is too large.
    """
    return open_bytes(read_bytes(path))


def read_bytes(path: Path | str) -> bytes:
    """The content of a file.

    Raises:
        Unreadable: It can't be read.
    """
    try:
        # As directly as can be, for this is done for every image of every batch; without waiting, should it be a pipe.
        file = os.open(path, os.O_RDONLY | _AT_ONCE)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                raise Unreadable("a pipe or a device, not a file")
            content = os.read(file, status.st_size + 1)
            if len(content) != status.st_size:  # it has grown, or did not come whole
                while more := os.read(file, _REST):
                    content += more
            return content
        finally:
            os.close(file)
    except OSError as error:
        raise Unreadable(f"can't be read: {error.strerror or error}") from None


_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_REST = 2**20
"""Bytes that are read at once of a file that has grown, or that no call gives whole."""


def header(content: bytes) -> Header:
    """What an encoded image says of itself.

    Raises:
        BadImage: It is not an image, or damaged so far in front that it does not say.
    """
    image = open_bytes(content)
    orientation = _orientation_of(image)
    try:
        frames = int(getattr(image, "n_frames", 1))
    except Exception as error:  # as in `open_bytes`
        raise _bad(error) from error
    width, height = image.size
    deep = image.mode.startswith("I") or (image.format == "PNG" and content[24:25] == b"\x10")
    return Header(image.format, image.mode, width, height, orientation, frames, 16 if deep else 8)


def plain_image(content: bytes, header: Header) -> Any:
    """The picture, decoded, if it is stored as its pixels are, else None.

    Returns:
        A `PIL.Image.Image` of mode L or RGB from an upright PNG or BMP, grey or colour, of 8 bits a channel and nothing
        transparent; None for all others.

    Raises:
        BadImage: The pixels are damaged or cut short.
    """
    if header.format not in ("PNG", "BMP") or header.mode not in ("L", "RGB"):
        return None
    if header.bits != 8 or header.frames > 1 or header.orientation != 1:
        return None
    image = open_bytes(content)
    if "transparency" in image.info:
        return None
    try:
        image.load()
    except Exception as error:  # a decoder may raise anything on damaged content
        raise _bad(error) from error
    return image


def in_turn(width: int, height: int) -> AbstractContextManager[Any]:
    """What to decode and prepare a picture of this size in: of the `LARGE` ones, one at a time."""
    return ONE_LARGE if width * height > LARGE else nullcontext()


ONE_LARGE = Turn()


def _bad(error: Exception) -> BadImage:
    """What a decoder has raised, which may be anything; that memory ran out tells nothing about the content."""
    if isinstance(error, MemoryError):
        return Unreadable("there is not enough memory to decode it")
    return BadImage(f"damaged: {error}")


def _orientation_of(image: Any) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # notes beside the pixels, which may be damaged in any way and do not make a picture bad
        return 1


_ORIENTATION = 0x0112
"""EXIF's tag of the orientation."""


def open_bytes(content: bytes) -> Any:
    """Opens an encoded image; its pixels are decoded by `decoded` and `fitted`.

    Raises:
        BadImage: It is empty, not an image, or too large.
    """
    if not content:
        raise BadImage("the file is empty")
    pil = _pillow()
    try:
        return pil.open(io.BytesIO(content), formats=FORMATS)
    except pil.DecompressionBombError:
        raise BadImage(f"more than {MAX_PIXELS:,} pixels") from None
    except pil.UnidentifiedImageError:
        raise BadImage("not a JPEG, PNG, BMP, GIF or WebP image") from None
    except Exception as error:  # Pillow's parsers raise many kinds on damaged headers
        raise _bad(error) from error


@functools.cache
def _pillow() -> Any:
    from PIL import Image

    # Between 89 and 179 million pixels Pillow warns; here the one bound is MAX_PIXELS.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    # Damaged notes beside the pixels (EXIF) do not make a picture bad.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\b")
    return Image


def fitted(image: Any, size: tuple[int, int], channels: int, fit: Fit) -> Any:
    """Decodes and resizes: the pixels that a network is shown.

    Args:
        image: A `PIL.Image.Image`, for example from `open_bytes`.
        size: Height and width to make.
        channels: 1 for grey, 3 for red, green and blue.
        fit: `crop` keeps the proportions and cuts what is over at the longer side, equally at both ends;
            `pad` keeps them and fills with black; `stretch` does not keep them.

    Returns:
        uint8 array of shape (height, width, channels).

    Raises:
        BadImage: The pixels are damaged or cut short.
    """
    return fit_to(_as_array(decoded(image, 2 * max(size), channels), channels), size, fit)


def pixels(content: bytes, channels: int, side: int, header: Header | None = None) -> Any:
    """Decodes, and turns upright: what `decoded` does, as numbers and fast.

    Args:
        content: An encoded image.
        channels: 1 for grey, 3 for red, green and blue.
        side: As `decoded` takes it.
        header: What is known of it already, from the same content.

    Returns:
        uint8 array (H, W, channels), perhaps read-only.

    Raises:
        BadImage: It is not an image, or damaged or cut short.
    """
    image: Any = None
    if header is None:
        image = open_bytes(content)
        header = Header(image.format, image.mode, image.width, image.height, _orientation_of(image), 1, 8)
    found = _found_by_opencv(content, header, side) if _plain_jpeg(content, header) else None
    if found is None:
        image = decoded(image or open_bytes(content), side, channels)
    elif channels == (1 if header.mode == "L" else 3):
        return found.reshape(*found.shape[:2], channels)
    else:
        from PIL import Image

        image = Image.fromarray(found).convert("L" if channels == 1 else "RGB")
    return _as_array(image, channels)


def _as_array(image: Any, channels: int) -> Any:
    return np.asarray(image, dtype=np.uint8).reshape(image.height, image.width, channels)


def fit_to(image: Any, size: tuple[int, int], fit: Fit) -> Any:
    """Brings decoded pixels to a size, as `fitted` does.

    Args:
        image: uint8 (H, W, 1) or (H, W, 3).
        size: Height and width to make.
        fit: What is done about other proportions.

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
    return _as_array(image, channels)


def _found_by_opencv(content: bytes, header: Header, side: int) -> Any:
    """The pixels of a plain JPEG, uint8 (H, W) or (H, W, 3); None if it is damaged: then Pillow tells how."""
    try:
        with in_turn(header.width, header.height):
            times = min(header.width, header.height) // side
            return cv2.imdecode(np.frombuffer(content, np.uint8), _jpeg_flags(header.mode, times))
    except cv2.error:
        return None


def _plain_jpeg(content: bytes, header: Header) -> bool:
    """Whether it is an upright JPEG, grey or colour, that ends with its end marker.

    The marker can't be within the data of a JPEG, so one that has it at the end has not been cut short.
    """
    plain = header.format == "JPEG" and header.mode in ("L", "RGB") and header.orientation == 1
    return plain and content.rfind(_END_OF_JPEG, -_PADDING) >= 0 and _in_one_piece(content)


def _in_one_piece(content: bytes) -> bool:
    """Whether nothing but its end comes behind the data of a JPEG's scan.

    What else is there, in a damaged file, libjpeg meets only behind the last row, and OpenCV has its picture by then
    and says nothing. Of a progressive JPEG all scans are read before the first row, and OpenCV gives no picture.
    """
    place, progressive = 2, False
    while content[place : place + 1] == b"\xff" and (kind := content[place + 1 : place + 2]) != _SCAN:
        progressive = progressive or kind == _PROGRESSIVE
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    if progressive:
        return True
    behind = _MARKER.search(content, place + 2)
    return behind is not None and behind.group() == _END_OF_JPEG


_END_OF_JPEG = b"\xff\xd9"
_SCAN = b"\xda"
_PROGRESSIVE = b"\xc2"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""A marker, other than the restarts within the data of a scan; a byte of 255 is followed by 0 there."""
_PADDING = 64
"""Bytes that some cameras and editors put behind the end."""


@functools.cache
def _jpeg_flags(mode: str, times: int) -> int:
    """How OpenCV is asked for a JPEG: in its own mode, and as much smaller as Pillow's `draft` would make it.

    Args:
        mode: Pillow's mode, L or RGB.
        times: How many times as large as it is asked for it is.
    """
    smaller = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2}
    scale = next((flag for scale, flag in smaller.items() if times >= scale), 0)
    colour = cv2.IMREAD_GRAYSCALE if mode == "L" else cv2.IMREAD_COLOR_RGB
    return int(scale | colour | cv2.IMREAD_IGNORE_ORIENTATION)


def decoded(image: Any, side: int, channels: int) -> Any:
    """Decodes, and turns upright: the picture as a person sees it, in any size.

    Args:
        image: A `PIL.Image.Image`, for example from `open_bytes`.
        side: A JPEG far larger than that is decoded at 1/2, 1/4 or 1/8 of its size, never below `side` in either
            direction, so that resizing it further still averages.
        channels: 1 for grey, 3 for red, green and blue.

    Returns:
        A `PIL.Image.Image` of mode L or RGB.

    Raises:
        BadImage: The pixels are damaged or cut short.
    """
    from PIL import ImageOps

    try:
        if image.format in ("JPEG", "MPO"):
            image.draft(None, (side, side))
        with in_turn(*image.size):
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _converted(image, "L" if channels == 1 else "RGB")
    except Exception as error:  # a decoder may raise anything on damaged content
        raise _bad(error) from error


def _converted(image: Any, mode: str) -> Any:
    """Converts any mode to grey or colour, as a person sees the picture on white paper."""
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
