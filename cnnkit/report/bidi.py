"""Names that are written from right to left, or steer how text runs, amid text that is written from left to right."""

from __future__ import annotations

import unicodedata

_ISOLATE, _END = "\u2068", "\u2069"

_STEERING = {"R", "AL", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""Kinds of signs (Unicode Standard Annex 9) that change where what stands beside them is shown."""


def isolated(name: str) -> str:
    """A name that leaves the text around it where it is."""
    if not any(unicodedata.bidirectional(sign) in _STEERING for sign in name):
        return name
    # What a name opens ends with it, but one that closes more than it has opened would end the isolation too.
    return f"{_ISOLATE}{name.replace(_END, '')}{_END}"
