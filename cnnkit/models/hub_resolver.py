"""Downloads from TF Hub, kept for the next time. Importing this module imports TensorFlow Hub, and with it Keras 2."""

from __future__ import annotations

import os
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from cnnkit.core.cache import cache_folder, note
from cnnkit.core.disk import disk_errors
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.lazy import keras, tf

keras.config.backend()  # TensorFlow Hub imports TensorFlow: first, and quietly, by our own way
with warnings.catch_warnings():
    # It still asks pkg_resources for a version; setuptools is held below the version that dropped it.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
    from tensorflow_hub.compressed_module_resolver import HttpCompressedFileResolver

SECONDS = 60
"""So long a server may be silent, and so long another process's download may stand still."""


def fetched(url: str) -> Path:
    """The folder of the SavedModel of that address, downloaded unless it was before.

    Raises:
        DataError: It can't be had.
        DiskError: There is no room for it in the cache.
    """
    cache = cache_folder() / "hub"
    try:
        with _cached_in(cache), disk_errors(cache):
            folder = Path(_Resolver()(url))
            note(folder)
            return folder
    except (OSError, ValueError, HTTPException, tf.errors.OpError) as error:
        # What urllib wraps tells more than its wrapping; an answer of the server is no such wrapping.
        inner = error.reason if isinstance(error, URLError) and not isinstance(error, HTTPError) else error
        reason = " ".join(str(inner).split()) or type(error).__name__
        message = (
            f"{url} can't be downloaded ({reason}), and {cache} holds no copy of it; where the address is "
            "right, download its archive elsewhere, unpack it, and give the folder as the handle"
        )
        raise DataError(Problem(message, key="model.handle")) from error


class _Resolver(HttpCompressedFileResolver):  # type: ignore[misc, unused-ignore]
    """TensorFlow Hub's own, but a server that falls silent, or ends before the end, is an error.

    What is downloaded lies in a folder beside until it is whole. An archive that is cut off between two of its
    files would count as whole, though; so what arrives is held against the length that was announced.
    """

    def _call_urlopen(self, request: Any) -> Any:
        return _Whole(urllib.request.urlopen(request, context=self._context, timeout=SECONDS))

    def _lock_file_timeout_sec(self) -> int:
        return SECONDS


class _Whole:
    """An answer of a server that can't end before its announced end."""

    def __init__(self, answer: Any):
        self._answer = answer

    def read(self, count: int) -> bytes:
        content: bytes = self._answer.read(count)
        missing = self._answer.length  # what is still to come, where that was announced
        if count and not content and missing:
            raise OSError(f"the connection ended {missing:,} bytes before the end")
        return content


@contextmanager
def _cached_in(folder: Path) -> Iterator[None]:
    """Lets TensorFlow Hub keep its downloads there: its own choice is lost when the machine starts anew."""
    before = os.environ.get("TFHUB_CACHE_DIR")
    os.environ["TFHUB_CACHE_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TFHUB_CACHE_DIR"]
        else:
            os.environ["TFHUB_CACHE_DIR"] = before
