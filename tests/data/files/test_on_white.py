"""Every mode, depth and kind of transparency against one reference: NumPy's composite over white, by hand."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from cnnkit.data.files import decoding
from cnnkit.data.files.decoding import BadImage

SHAPE = (9, 11)
CHANCE = np.random.default_rng(0)
GREY = CHANCE.integers(0, 256, SHAPE, dtype=np.uint8)
COLOUR = CHANCE.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
ALPHA = CHANCE.integers(0, 256, SHAPE, dtype=np.uint8)
DEEP = CHANCE.integers(0, 65536, SHAPE, dtype=np.uint16)
DEEP_COLOUR = CHANCE.integers(0, 65536, (*SHAPE, 3), dtype=np.uint16)
DEEP_ALPHA = CHANCE.integers(0, 65536, SHAPE, dtype=np.uint16)
PALETTE = CHANCE.integers(0, 256, (16, 3), dtype=np.uint8)
PLACES = CHANCE.integers(0, 16, SHAPE, dtype=np.uint8)
BITS = CHANCE.integers(0, 2, SHAPE).astype(bool)
for content in (GREY, DEEP, COLOUR, DEEP_COLOUR):
    content[2:4, 3:6] = content[0, 0]  # what is made transparent lies in one place at least


def on_white(values, alpha, most=255):
    """The reference: (H, W, 3) in 0..255."""
    values = np.asarray(values, np.float64).reshape(*SHAPE, -1) * (255 / most)
    share = np.asarray(alpha, np.float64).reshape(*SHAPE, 1)
    return np.broadcast_to(values * share + 255 * (1 - share), (*SHAPE, 3))


def is_not(values, clear):
    """Alpha where one value is transparent."""
    return (np.asarray(values).reshape(*SHAPE, -1) != clear).any(axis=2)


def saved(image, format, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def by_opencv(ending, array):
    """An array (H, W, C) of red, green, blue and perhaps alpha, as OpenCV writes it."""
    order = [2, 1, 0, 3][: array.shape[2]]
    return cv2.imencode(ending, np.ascontiguousarray(array[:, :, order]))[1].tobytes()


def with_palette(mode="P"):
    image = Image.fromarray(PLACES, "P")
    image.putpalette(PALETTE.ravel().tolist())
    return image


def png(depth, colours, samples, clear=None):
    """A PNG byte by byte, for what neither Pillow nor OpenCV writes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", *SHAPE[::-1], depth, colours, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    if clear is not None:
        parts.insert(1, chunk(b"tRNS", np.atleast_1d(clear).astype(">u2").tobytes()))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def joined(colours, alpha):
    return np.dstack([colours, alpha])


LAYERED = joined(COLOUR, ALPHA)
ONE = np.ones(SHAPE)
FEW = bytes(CHANCE.integers(0, 256, 16, dtype=np.uint8))
EXTRA = struct.pack("<HHI", 338, 3, 1)  # TIFF's tag that tells what is beside colours: 2 alpha, 1 alpha in them already
MANY = joined(np.rint(COLOUR * (ALPHA[..., None] / 255.0)).astype(np.uint8), ALPHA)

CASES = {
    "PNG 1": (saved(Image.fromarray(BITS), "PNG"), on_white(BITS, ONE, 1)),
    "PNG 1, white transparent": (saved(Image.fromarray(BITS), "PNG", transparency=255), on_white(BITS, ONE, 1)),
    "PNG 1, black transparent": (saved(Image.fromarray(BITS), "PNG", transparency=0), on_white(BITS, BITS, 1)),
    "PNG L": (saved(Image.fromarray(GREY), "PNG"), on_white(GREY, ONE)),
    "PNG L, one transparent": (png(8, 0, GREY, GREY[0, 0]), on_white(GREY, is_not(GREY, GREY[0, 0]))),
    "PNG LA": (saved(Image.fromarray(joined(GREY, ALPHA), "LA"), "PNG"), on_white(GREY, ALPHA / 255)),
    "PNG P": (saved(with_palette(), "PNG"), on_white(PALETTE[PLACES], ONE)),
    "PNG P, one transparent": (saved(with_palette(), "PNG", transparency=5), on_white(PALETTE[PLACES], PLACES != 5)),
    "PNG P, an alpha each": (
        saved(with_palette(), "PNG", transparency=FEW),
        on_white(PALETTE[PLACES], np.frombuffer(FEW, np.uint8)[PLACES] / 255),
    ),
    "PNG RGB": (saved(Image.fromarray(COLOUR), "PNG"), on_white(COLOUR, ONE)),
    "PNG RGB, one transparent": (png(8, 2, COLOUR, COLOUR[0, 0]), on_white(COLOUR, is_not(COLOUR, COLOUR[0, 0]))),
    "PNG RGBA": (saved(Image.fromarray(LAYERED), "PNG"), on_white(COLOUR, ALPHA / 255)),
    "PNG 16 bits": (png(16, 0, DEEP), on_white(DEEP, ONE, 65535)),
    "PNG 16 bits, one transparent": (
        png(16, 0, DEEP, DEEP[0, 0]),
        on_white(DEEP, is_not(DEEP, DEEP[0, 0]), 65535),
    ),
    "PNG LA of 16 bits": (png(16, 4, joined(DEEP, DEEP_ALPHA)), on_white(DEEP, DEEP_ALPHA / 65535, 65535)),
    "PNG RGB of 16 bits": (png(16, 2, DEEP_COLOUR), on_white(DEEP_COLOUR, ONE, 65535)),
    "PNG RGB of 16 bits, one transparent": (
        png(16, 2, DEEP_COLOUR, DEEP_COLOUR[0, 0]),
        on_white(DEEP_COLOUR, is_not(DEEP_COLOUR, DEEP_COLOUR[0, 0]), 65535),
    ),
    "PNG RGBA of 16 bits": (
        png(16, 6, joined(DEEP_COLOUR, DEEP_ALPHA)),
        on_white(DEEP_COLOUR, DEEP_ALPHA / 65535, 65535),
    ),
    "GIF": (saved(with_palette(), "GIF"), on_white(PALETTE[PLACES], ONE)),
    "GIF, one transparent": (saved(with_palette(), "GIF", transparency=3), on_white(PALETTE[PLACES], PLACES != 3)),
    "BMP L": (saved(Image.fromarray(GREY), "BMP"), on_white(GREY, ONE)),
    "WebP RGBA": (saved(Image.fromarray(LAYERED), "WEBP", lossless=True, exact=True), on_white(COLOUR, ALPHA / 255)),
    "TIFF 1": (saved(Image.fromarray(BITS), "TIFF"), on_white(BITS, ONE, 1)),
    "TIFF L": (saved(Image.fromarray(GREY), "TIFF", compression="tiff_lzw"), on_white(GREY, ONE)),
    "TIFF P": (saved(with_palette(), "TIFF", compression="packbits"), on_white(PALETTE[PLACES], ONE)),
    "TIFF RGB": (saved(Image.fromarray(COLOUR), "TIFF", compression="tiff_adobe_deflate"), on_white(COLOUR, ONE)),
    "TIFF RGBA": (saved(Image.fromarray(LAYERED), "TIFF"), on_white(COLOUR, ALPHA / 255)),
    "TIFF premultiplied": (
        saved(Image.fromarray(MANY, "RGBA"), "TIFF").replace(EXTRA + b"\2", EXTRA + b"\1"),
        on_white(MANY[..., :3], ONE) + (255 - ALPHA[..., None].astype(float)),
    ),
    "TIFF LA": (saved(Image.fromarray(joined(GREY, ALPHA), "LA"), "TIFF"), on_white(GREY, ALPHA / 255)),
    "TIFF 16 bits": (saved(Image.fromarray(DEEP), "TIFF", compression="tiff_lzw"), on_white(DEEP, ONE, 65535)),
    "TIFF 16 bits, from white": (
        saved(Image.fromarray(DEEP), "TIFF", tiffinfo={262: 0}),
        on_white(65535 - DEEP, ONE, 65535),
    ),
    "TIFF RGB of 16 bits": (by_opencv(".tif", DEEP_COLOUR), on_white(DEEP_COLOUR, ONE, 65535)),
    "TIFF RGBA of 16 bits": (
        by_opencv(".tif", joined(DEEP_COLOUR, DEEP_ALPHA)),
        on_white(DEEP_COLOUR, DEEP_ALPHA / 65535, 65535),
    ),
    "TIFF floats to 1": (saved(Image.fromarray((GREY / 255).astype(np.float32)), "TIFF"), on_white(GREY, ONE)),
    "TIFF floats to 255": (saved(Image.fromarray(GREY.astype(np.float32)), "TIFF"), on_white(GREY, ONE)),
    "TIFF 32 bits to 255": (saved(Image.fromarray(GREY.astype(np.int32)), "TIFF"), on_white(GREY, ONE)),
    "TIFF 32 bits to 65535": (saved(Image.fromarray(DEEP.astype(np.int32)), "TIFF"), on_white(DEEP, ONE, 65535)),
    "TIFF CMYK": (
        saved(Image.fromarray(joined(COLOUR, np.zeros(SHAPE, np.uint8)), "CMYK"), "TIFF"),
        on_white(255 - COLOUR, ONE),
    ),
    "PBM": (saved(Image.fromarray(BITS), "PPM"), on_white(BITS, ONE, 1)),
    "PGM": (saved(Image.fromarray(GREY), "PPM"), on_white(GREY, ONE)),
    "PGM of 16 bits": (saved(Image.fromarray(DEEP), "PPM"), on_white(DEEP, ONE, 65535)),
    "PPM": (saved(Image.fromarray(COLOUR), "PPM"), on_white(COLOUR, ONE)),
    "PPM of 16 bits": (by_opencv(".ppm", DEEP_COLOUR), on_white(DEEP_COLOUR, ONE, 65535)),
    "JPEG 2000": (saved(Image.fromarray(COLOUR), "JPEG2000"), on_white(COLOUR, ONE)),
    "JPEG 2000 RGBA": (saved(Image.fromarray(LAYERED), "JPEG2000"), on_white(COLOUR, ALPHA / 255)),
    "JPEG 2000 of 16 bits": (saved(Image.fromarray(DEEP), "JPEG2000"), on_white(DEEP, ONE, 65535)),
}


@pytest.mark.parametrize("name", CASES)
def test_every_mode_and_depth_is_as_on_white_paper(name):
    content, expected = CASES[name]
    # Of colours of 16 bits Pillow keeps the upper 8, rounded down, and then puts them on white.
    assert np.abs(decoding.pixels(content, 3).astype(float) - expected).max() <= (2 if "of 16" in name else 1)
    luma = expected @ (0.299, 0.587, 0.114)  # ITU-R BT.601
    assert np.abs(decoding.pixels(content, 1)[..., 0] - luma).max() <= 2


def test_lab_is_seen_in_the_colours_of_a_screen():
    lab = np.zeros((*SHAPE, 3), np.uint8)
    lab[..., 0] = [0, 255, 128, 255, 128, 0, 64, 200, 100, 50, 255]  # L alone: greys
    content = saved(Image.fromarray(lab, "LAB"), "TIFF")
    seen = decoding.pixels(content, 3).astype(int)
    assert np.ptp(seen, axis=2).max() <= 2
    lightness = lab[0, :, 0] / 255 * 100
    luminance = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)  # CIE 15
    light = np.where(luminance <= 0.0031308, 12.92 * luminance, 1.055 * luminance ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    assert np.abs(seen[0, :, 1] - 255 * light).max() <= 2


@pytest.mark.parametrize("numbers", [DEEP.astype(np.float32), DEEP.astype(np.int32) * 100, GREY.astype(np.int32) - 9])
def test_numbers_of_which_nobody_can_tell_what_is_white_are_refused(numbers):
    content = saved(Image.fromarray(numbers), "TIFF")
    assert decoding.header(content).bits == 32
    with pytest.raises(BadImage, match=r"^it holds .*should be in 0\.\.") as raised:
        decoding.pixels(content, 3)
    assert "damaged" not in str(raised.value)
