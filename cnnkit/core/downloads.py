"""Files from the net: fetched whole or not at all, and checked before they are used."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from cnnkit.core.atomic import make_folder, replacing
from cnnkit.core.cache import note
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress

TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as silent."""

BLOCK = 1 << 20
"""Bytes that are read at a time."""


class _Unusable(Exception):
    """What came is not what was asked for; the text says why."""


def fetch(url: str, path: Path, digest: str | None, progress: Progress, hint: str) -> Path:
    """Downloads a file, unless it is there already, whole and with the right checksum.

    Args:
        url: Where it lies.
        path: Where it comes to lie; nothing is ever there but the whole file.
        digest: Its MD5 or SHA-256 in hexadecimal digits; None if nobody has published one, then only its length is
            checked, and a file that is there already is taken as it is.
        progress: Is told of each block.
        hint: What to do instead, where it can't be had.

    Returns:
        The path.

    Raises:
        DataError: It can't be had; the text says why and where to put it by hand.
        DiskError: There is no room for it.
    """
    note(path)
    try:
        if path.is_file() and (digest is None or _digest_of(path, digest) == digest.lower()):
            return path
        make_folder(path.parent, parents=True, exist_ok=True)
        _download(url, path, digest, progress)
    except (_Unusable, OSError, http.client.HTTPException, ValueError) as error:
        wrong = "; the file that is there has another checksum" if path.is_file() and digest else ""
        put = f"put the file at {path} by hand" + (f" ({_algorithm(digest)} {digest})" if digest else "")
        raise DataError(f"{url} can't be fetched: {_reason(error)}{wrong}; {put}, or {hint}") from None
    return path


def _download(url: str, path: Path, digest: str | None, progress: Progress) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        total = int(response.headers.get("Content-Length") or 0)
        checksum = _checksum(digest) if digest else None
        size = 0
        with replacing(path, total or None) as file, progress.task(f"downloading {path.name}", total) as done:
            while block := response.read(BLOCK):
                file.write(block)
                if checksum:
                    checksum.update(block)
                size += len(block)
                done(len(block))
            if total and size != total:
                raise _Unusable(f"the connection broke after {size:,} of {total:,} bytes")
            if checksum and digest and checksum.hexdigest() != digest.lower():
                raise _Unusable(
                    f"what came has the {_algorithm(digest)} {checksum.hexdigest()}, which is not the published one"
                )


def _algorithm(digest: str) -> str:
    return "MD5" if len(digest) == 32 else "SHA-256"


def _checksum(digest: str) -> hashlib._Hash:
    """An empty checksum of the kind of `digest`; where only MD5 was published, it still tells of damage."""
    return hashlib.md5(usedforsecurity=False) if _algorithm(digest) == "MD5" else hashlib.sha256()


def _digest_of(path: Path, digest: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: _checksum(digest)).hexdigest()


def _reason(error: Exception) -> str:
    """Why it failed, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}".rstrip()
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return _reason(error.reason)
    if isinstance(error, TimeoutError):
        return f"the server says nothing for {TIMEOUT:g} seconds"
    if isinstance(error, http.client.HTTPException):
        return "the connection broke"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
