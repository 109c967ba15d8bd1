"""The one decoder: from the bytes of a file to pixels, or to the reason why not.

It reads the formats of `formats` in every mode, whatever the file is called, of several pictures the first, and honours
the EXIF orientation. Whoever asks, for training, prediction or a look at the data, gets the same pixels or the same
reason: what the format's own library calls corrupt or ended early is damage, and a bad picture.

libjpeg-turbo decodes JPEGs, strictly (see `jpeg`); all else Pillow, which unlike OpenCV and TensorFlow does not return
half a picture for a truncated file. PNGs are held to their checksums before. What no library can see is damage to a
format that has no checksum, where what is left can be decoded.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from cnnkit.core.errors import DataError
from cnnkit.core.lazy import np
from cnnkit.core.locks import Turn
from cnnkit.data.files import formats, jpeg, png
from cnnkit.data.files.on_white import on_white
from cnnkit.data.files.orientation import ON_ITS_SIDE, orientation_of, turned
from cnnkit.data.files.pillow import pillow

MAX_PIXELS = 178_956_970
"""Pictures beyond this many pixels are refused as decompression bombs (Pillow's own bound for an error)."""

MAX_BYTES = 2**31
"""Files of more bytes are not read: no one picture of `MAX_PIXELS` takes so many, with four channels of 16 bits. A TIFF
of many pages may, of which the first would be used."""

LARGE = 2**24
"""Pictures of more pixels are decoded and prepared one at a time, however many threads there are: each takes as much
memory as thousands of others."""

WHOLE = 2**30
"""A side that no JPEG is larger than: it is decoded in full."""

HASHED_BY_PIXELS = ("PNG", "BMP")
"""Formats without loss, of which the same pixels may lie in many files."""


class BadImage(Exception):
    """A file that can't be decoded; the text is the reason."""


class Unreadable(BadImage):
    """The same for a reason that is not in the file's content, so that another try may go better."""


class Header(NamedTuple):
    """What an image says of itself.

    Attributes:
        format: Pillow's name of the format, one of `formats.FORMATS`, MPO or HEIF.
        mode: Pillow's mode: L (grey), RGB, RGBA, P (palette), CMYK and others.
        width: Pixels, as stored.
        height: Pixels, as stored.
        orientation: EXIF's number: 1 is upright, 3 on its head, 6 and 8 on its side, even ones up to 4 mirrored.
        frames: Pictures in the file; 2 where those behind the first are damaged.
        bits: Bits a channel.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int
    frames: int
    bits: int


class Decoded(NamedTuple):
    """A decoded picture.

    Attributes:
        pixels: uint8 (H, W, channels), upright, perhaps read-only.
        remark: What is odd in its file and does not matter, in the words of the format's library; None if nothing is.
    """

    pixels: Any
    remark: str | None


def read_bytes(path: Path | str) -> bytes:
    """The content of a file.

    Raises:
        Unreadable: It can't be read, or is larger than any one picture that is decoded.
    """
    try:
        # As directly as can be, for this is done for every image of every batch; without waiting, should it be a pipe.
        file = os.open(path, os.O_RDONLY | _AT_ONCE)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                raise Unreadable("a pipe or a device, not a file")
            if status.st_size > MAX_BYTES:
                raise Unreadable(
                    f"more than {MAX_BYTES:,} bytes, which is larger than any one picture; of a file of several pages "
                    "save the first alone"
                )
            content = os.read(file, status.st_size + 1)
            if len(content) == status.st_size:
                return content
            # It has grown, or did not come whole.
            return b"".join([content, *iter(lambda: os.read(file, _REST), b"")])
        finally:
            os.close(file)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and os.path.islink(path):  # noqa: PTH114
            raise Unreadable(LEADS_NOWHERE) from None
        raise Unreadable(f"can't be read: {error.strerror or error}") from None


LEADS_NOWHERE = "a link that leads nowhere"
"""Why such a link, which lies where a file should, can't be read."""

_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_REST = 2**20
"""Bytes that are read at once of a file that has grown, or that no call gives whole."""


def header(content: bytes) -> Header:
    """What an encoded image says of itself.

    Raises:
        BadImage: It is not an image, or damaged as far as it had to be read for this: PNGs whole, others in front.
    """
    return _header_of(_opened(content), content)


@contextmanager
def looking_at(content: bytes) -> Iterator[tuple[Header, Any]]:
    """The same, and the picture, decoded, if it is stored as its pixels are, else None; large ones in turn.

    Yields:
        The header, and a `PIL.Image.Image` of mode L or RGB from an upright picture in one of `HASHED_BY_PIXELS`, grey
        or colour, of 8 bits a channel and nothing transparent; None for all others.

    Raises:
        BadImage: It is not an image, or damaged as far as it had to be read for this.
    """
    image = _opened(content)
    with in_turn(*image.size):
        head = _header_of(image, content)
        simple = head.mode in ("L", "RGB") and "transparency" not in image.info and head.bits == 8
        plain = simple and head.format in HASHED_BY_PIXELS and head.frames == 1 and head.orientation == 1
        yield head, _first_of(image, head, content) if plain else None


def decode(content: bytes, channels: int, side: int = WHOLE, header: Header | None = None) -> Decoded:
    """Decodes, and turns upright: the picture as a person sees it, in any size.

    Args:
        content: An encoded image.
        channels: 1 for grey, 3 for red, green and blue.
        side: A JPEG far larger than that is decoded at 1/2, 1/4 or 1/8 of its size, never below `side` in either
            direction, so that resizing it further still averages.
        header: What is known of it already, from the same content.

    Raises:
        BadImage: It is not an image, or damaged or cut short.
    """
    with decoded(content, channels, side, header) as found:
        return found


@contextmanager
def decoded(content: bytes, channels: int, side: int = WHOLE, header: Header | None = None) -> Iterator[Decoded]:
    """The same, for what is done to it next: if it is a large one, that is done in its turn too."""
    image: Any = None if header else _opened(content)
    with in_turn(*((header.width, header.height) if header else image.size)):
        header = header or _header_of(image, content)
        if header.format in _JPEGS:
            found, remark = _of_jpeg(content, header, channels, side)
        else:
            found, remark = as_pixels(_first_of(image, header, content), channels), None
        yield Decoded(upright(found, header), remark)


def pixels(content: bytes, channels: int, side: int = WHOLE, header: Header | None = None) -> Any:
    """The pixels alone of what `decode` gives: uint8 (H, W, channels), perhaps read-only.

    Raises:
        BadImage: It is not an image, or damaged or cut short.
    """
    return decode(content, channels, side, header).pixels


def as_stored(content: bytes) -> tuple[Any, Header]:
    """A picture decoded, but neither turned nor put on white: for what is no picture to look at, such as a mask.

    Returns:
        A `PIL.Image.Image` in the mode that it is stored in (a JPEG in L or RGB), and its header.

    Raises:
        BadImage: It is not an image, or damaged or cut short.
    """
    from PIL import Image

    image = _opened(content)
    head = _header_of(image, content)
    if head.format not in _JPEGS:
        return _first_of(image, head, content), head
    found = _of_jpeg(content, head, 1 if is_grey(head) else 3, WHOLE).pixels
    return Image.fromarray(found[:, :, 0] if is_grey(head) else found), head


def upright(pixels: Any, header: Header) -> Any:
    """Turns an array (H, W, ...) from a picture with this header; TIFFs Pillow has turned itself."""
    return pixels if header.format == "TIFF" else turned(pixels, header.orientation)


def image_of(content: bytes) -> Any:
    """The same as a `PIL.Image.Image`, in full: of mode L if it is stored in grey, else RGB.

    Raises:
        BadImage: It is not an image, or damaged or cut short.
    """
    from PIL import Image

    head = header(content)
    found = pixels(content, 1 if is_grey(head) else 3, WHOLE, head)
    return Image.fromarray(found[:, :, 0] if found.shape[2] == 1 else found)


def as_pixels(image: Any, channels: int) -> Any:
    """The pixels of a `PIL.Image.Image` as a person sees them on white paper: uint8 (H, W, channels).

    Raises:
        BadImage: It is not decoded yet and damaged, or nobody can tell its colours.
    """
    try:
        seen = on_white(image, "L" if channels == 1 else "RGB")
    except Exception as error:
        raise _bad(error) from error
    return np.asarray(seen, dtype=np.uint8).reshape(seen.height, seen.width, channels)


def is_grey(header: Header) -> bool:
    """Whether a picture is stored without colours."""
    return header.mode in _GREY or header.mode.startswith("I;16")


_GREY = ("1", "L", "LA", "La", "I", "F")


def in_turn(width: int, height: int) -> AbstractContextManager[Any]:
    """What to decode and prepare a picture of this size in: of the `LARGE` ones, one at a time."""
    return ONE_LARGE if width * height > LARGE else nullcontext()


ONE_LARGE = Turn()


def _opened(content: bytes) -> Any:
    """A `PIL.Image.Image`, not yet decoded, from what has passed for whole as far as that shows without decoding.

    Raises:
        BadImage: It is empty, not an image, too large or damaged.
    """
    if not content:
        raise BadImage("the file is empty")
    if content.startswith(png.MAGIC) and (damage := png.damage(content)):
        raise BadImage(f"damaged: {damage}")
    pil = pillow()
    try:
        if formats.is_heic(content[: formats.BEGINNING]):
            return _opened_heic(content)
        return pil.open(io.BytesIO(content), formats=formats.FORMATS)
    except pil.DecompressionBombError:
        raise BadImage(f"more than {MAX_PIXELS:,} pixels") from None
    except pil.UnidentifiedImageError:
        raise BadImage(formats.what_it_is(content)) from None
    except BadImage:
        raise
    except Exception as error:  # Pillow's parsers raise many kinds on damaged headers
        raise _bad(error) from error


def _opened_heic(content: bytes) -> Any:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        # In the file nothing is wrong, so another try may go better.
        there = "install it in cnnkit's clone: pip install '.[heic]'; or convert the pictures to JPEG"
        raise Unreadable(f"HEIC, which the package pillow-heif reads; {there}") from None
    image: Any = HeifImageFile(io.BytesIO(content))  # type: ignore[no-untyped-call]
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(f"more than {MAX_PIXELS:,} pixels")
    return image


def _header_of(image: Any, content: bytes) -> Header:
    """What an image says of itself; it is decoded where Pillow has to decode it to know all that."""
    if image.format == "PNG":
        # What else may stand behind the pixels, such as the orientation, Pillow reads with them. It is not to do so
        # unasked: of an error on the way nobody would hear, and what was decoded so far would pass for the picture.
        _loaded(image, content)
    orientation = orientation_of(image)
    try:
        frames = int(getattr(image, "n_frames", 1))
    except Exception:  # the first is not damaged by what comes behind it, and no other is used
        frames = 2
    width, height = image.size
    if image.format == "TIFF":
        # Pillow turns these itself, and says beforehand how large they will be.
        width, height = (height, width) if orientation in ON_ITS_SIDE else (width, height)
    return Header(image.format, image.mode, width, height, orientation, frames, _bits(image, content))


def _first_of(image: Any, header: Header, content: bytes) -> Any:
    """The first picture, decoded; `image` is what the header was read from, None if it was known before."""
    if image is None or header.frames != 1:  # to count them it has gone on from the first
        return _loaded(_opened(content), content)
    return image if header.format == "PNG" else _loaded(image, content)


def _loaded(image: Any, content: bytes) -> Any:
    """The same, decoded.

    Raises:
        BadImage: The pixels are damaged or cut short.
    """
    try:
        with in_turn(*image.size):
            image.load()
            early = image.format == "PNG" and png.ends_early(content, image)
    except Exception as error:  # a decoder may raise anything on damaged content
        raise _bad(error) from error
    if early:
        raise BadImage("damaged: its pixels end early")
    return image


def _of_jpeg(content: bytes, header: Header, channels: int, side: int) -> Decoded:
    """A JPEG, not turned."""
    times = next((times for times in (8, 4, 2) if min(header.width, header.height) // side >= times), 1)
    colours: jpeg.Colours = "Gray" if header.mode == "L" else "CMYK" if header.mode == "CMYK" else "RGB"
    try:
        found, remark = jpeg.decode(content, colours, (-(-header.height // times), -(-header.width // times)))
    except jpeg.Damaged as error:
        raise BadImage(f"damaged: {error}") from None
    except jpeg.NotForThis:
        image = _opened(content)
        image.draft(None, (side, side))
        return Decoded(as_pixels(_loaded(image, content), channels), None)
    except MemoryError as error:
        raise _bad(error) from None
    if found.shape[2] == channels:
        return Decoded(found, remark)
    from PIL import Image

    found = 255 - found if colours == "CMYK" else found  # Pillow counts ink
    image = Image.fromarray(found[:, :, 0] if colours == "Gray" else found, header.mode)
    return Decoded(as_pixels(image, channels), remark)


_JPEGS = ("JPEG", "MPO")


def _bad(error: Exception) -> BadImage:
    """What a decoder has raised, which may be anything; that memory ran out tells nothing about the content."""
    if isinstance(error, MemoryError):
        return Unreadable("there is not enough memory to decode it")
    if isinstance(error, DataError):  # it is whole, but nobody can tell what it shows
        return BadImage(str(error))
    if re.fullmatch(r"decoder error -?\d+", str(error)):  # all that Pillow tells of what libtiff has found
        return BadImage("damaged: its pixels can't be decoded")
    return BadImage(f"damaged: {error}")


def _bits(image: Any, content: bytes) -> int:
    """Bits a channel, 8 or more, as far as Pillow tells."""
    if image.format == "PNG":
        return max(8, content[24])
    if image.format == "TIFF":
        return int(max(8, *image.tag_v2.get(_BITS_PER_SAMPLE, (1,))))
    return 16 if image.mode.startswith("I") else 32 if image.mode == "F" else 8


_BITS_PER_SAMPLE = 258
"""TIFF's tag."""
