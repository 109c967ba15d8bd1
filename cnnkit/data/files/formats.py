"""Formats: which are read, by which endings files of them are found, and what all the others are called.

The content decides what a file is. Its ending alone decides whether it is looked at in a folder.
"""

from __future__ import annotations

import re

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""Pillow's names of what it reads here; its JPEG opener also reads MPO, the JPEG of many phones."""

HEIF = "HEIF"
"""What phones write as HEIC; the package pillow-heif reads it, which is an extra."""

ENDINGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), ("JPEG", "MPO")),
    **dict.fromkeys((".png", ".apng"), ("PNG",)),
    ".bmp": ("BMP",),
    ".gif": ("GIF",),
    ".webp": ("WEBP",),
    **dict.fromkeys((".tif", ".tiff"), ("TIFF",)),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), ("PPM",)),
    ".avif": ("AVIF",),
    **dict.fromkeys((".jp2", ".j2k", ".jpx"), ("JPEG2000",)),
    **dict.fromkeys((".heic", ".heif"), (HEIF,)),
}
"""From the ending of a name to the formats that it promises."""

EXTENSIONS = frozenset(ENDINGS)
"""File endings that are taken for images when a folder is searched."""

SHOWN = {"WEBP": "WebP", "JPEG2000": "JPEG 2000", HEIF: "HEIC"}
"""What formats are called where that is not Pillow's name."""

ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".7z", ".rar")

_PICTURES = {
    ".psd": "Photoshop's format",
    ".jxl": "JPEG XL",
    ".svg": "SVG, a drawing of lines",
    ".ico": "an icon",
    ".tga": "TGA",
    ".pcx": "PCX",
    ".eps": "EPS",
    ".pdf": "PDF",
    ".exr": "OpenEXR",
    ".hdr": "Radiance HDR",
    ".dcm": "DICOM",
    ".dicom": "DICOM",
    ".nii": "NIfTI",
    ".jxr": "JPEG XR",
    **dict.fromkeys(
        (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".raw"), "a camera's raw data"
    ),
}
"""Endings of pictures that are not read."""

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_SIGNS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(sign, re.IGNORECASE | re.DOTALL), name)
    for sign, name in (
        (rb"\s*(<!doctype html|<html|<head|<body)", "an HTML page, as a server sends in place of a picture"),
        (rb"(\s*<\?xml.*)?\s*<svg", "SVG, a drawing of lines, which is not read: convert it to PNG"),
        (rb"version https://git-lfs", "a pointer of Git LFS: fetch the picture with `git lfs pull`"),
        (rb"%PDF", "a PDF, which is not read: convert its pages to PNG"),
        (rb"8BPS", "Photoshop's format, which is not read: save it as PNG"),
        (rb"(\xff\x0a|\0\0\0\x0cJXL )", "JPEG XL, which is not read: convert it to PNG"),
        (rb".{128}DICM", "DICOM, which is not read: convert it to PNG"),
        (rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b", "an archive: unpack it"),
        (rb"\0\0\x01\0", "an icon, which is not read: convert it to PNG"),
        (rb".{4}ftyp", "a video, or a picture in a format of videos, which is not read: convert it to PNG"),
    )
)
"""How other contents begin that are found in place of a picture, and what each is."""

_BEGINNINGS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(sign, re.DOTALL), name)
    for sign, name in (
        (rb"\xff\xd8\xff", "JPEG"),
        (rb"\x89PNG\r\n\x1a\n", "PNG"),
        (rb"GIF8[79]a", "GIF"),
        (rb"BM.{12}[\x0c\x28\x40\x6c\x7c]\0\0\0", "BMP"),
        (rb"RIFF.{4}WEBP", "WEBP"),
        (rb"II[*+]\0|MM\0[*+]", "TIFF"),
        (rb"P[1-6]\s", "PPM"),
        (rb".{4}ftypavi[fs]", "AVIF"),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG2000"),
    )
)

BEGINNING = 256
"""Bytes by which formats are known."""


def format_of(beginning: bytes) -> str | None:
    """The format that is read of which a file is, by its first bytes; None if it is of none."""
    if is_heic(beginning):
        return HEIF
    return next((name for sign, name in _BEGINNINGS if sign.match(beginning)), None)


def is_heic(beginning: bytes) -> bool:
    """Whether a file is one that pillow-heif reads."""
    return beginning[4:8] == b"ftyp" and beginning[8:12] in _HEIC and b"avif" not in beginning[:64]


def shown(format: str) -> str:
    """What a format is called."""
    return SHOWN.get(format, format)


def what_it_is(content: bytes) -> str:
    """What a file holds that is no image which is read, and what to do about it if that is known."""
    beginning = content[:BEGINNING]
    if found := format_of(beginning):
        return f"damaged: it begins as {shown(found)} does, and is not so further on"
    if known := next((name for sign, name in _SIGNS if sign.match(beginning)), None):
        return known
    *names, last = (shown(name) for name in (*FORMATS, HEIF))
    return f"not a {', '.join(names)} or {last} image"


def is_picture(ending: str, beginning: bytes) -> bool:
    """Whether a file is a picture, of a format that is read or of another, by its ending or its first bytes."""
    return ending in EXTENSIONS or ending in _PICTURES or format_of(beginning) is not None


def why_not_by(ending: str, beginning: bytes) -> str:
    """Why a file is not taken for an image whose ending is none of `EXTENSIONS`, and what to do about it.

    Args:
        ending: That of its name, in small letters.
        beginning: Its first bytes, as many as `BEGINNING`.
    """
    if ending in _PICTURES:
        return f"{_PICTURES[ending]} is not read; convert it to PNG"
    if ending in ARCHIVES:
        return "an archive in the folder; unpack it, or name it as the path"
    if found := format_of(beginning):
        right = next(each for each, formats in ENDINGS.items() if found in formats)
        return f"{shown(found)} by its content, but not by its ending; give it the ending {right}"
    return "not an image by its ending"
