"""Pillow, asked for once, and quiet: what is wrong with a picture is told by who decodes it."""

from __future__ import annotations

import functools
import warnings
from contextlib import suppress
from typing import Any


@functools.cache
def pillow() -> Any:
    """The module `PIL.Image`, which neither warns nor has libtiff write to stderr."""
    from PIL import Image

    # Between 89 and 179 million pixels Pillow warns; here the one bound is `decoding.MAX_PIXELS`.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    # Damaged notes beside the pixels (EXIF) do not make a picture bad.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\b")
    _silence_libtiff()
    return Image


def _silence_libtiff() -> None:
    """Of damage libtiff writes a line to stderr by itself, without the name of the file; Pillow raises as well."""
    import ctypes

    from PIL import _imaging

    library = ctypes.CDLL(_imaging.__file__)
    for name in ("TIFFSetErrorHandler", "TIFFSetErrorHandlerExt"):
        with suppress(AttributeError):  # linked so that nobody can reach it, as on Windows, or not at all
            handler = getattr(library, name)
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)
