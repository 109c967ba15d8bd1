"""Chance without a state: numbers that follow from what they are for, not from how many were asked for before.

So any image of any epoch gets its numbers directly, in any process, with any number of threads. The numbers are those
of SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195), a counter behind a mixing function; here the
counter begins where (seed, purpose, epoch, number) mixed in turn lead.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from cnnkit.core.lazy import np

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64


def uniform(keys: Sequence[int], numbers: Any, count: int) -> Any:
    """Random numbers for many things at once.

    Args:
        keys: What they are for, for example (seed, place in the list of augmentations, epoch).
        numbers: int64 (B,), which images.
        count: How many each needs.

    Returns:
        float64 (B, count), each uniform in [0, 1).
    """
    state = _mixed(np.asarray(numbers).astype(np.uint64) + _start(tuple(keys)))
    return (_mixed(state[:, None] + _steps(count)) >> np.uint64(11)) * 2.0**-53


def generator(chance: float) -> Any:
    """A `numpy.random.Generator` for something that needs many numbers, from one uniform number.

    Args:
        chance: In [0, 1), from `uniform`.
    """
    return np.random.Generator(np.random.Philox(key=int(chance * 2**53)))


def random_bytes(chance: float, count: int) -> Any:
    """Random bytes, each of the 256 as likely, from one uniform number.

    Args:
        chance: In [0, 1), from `uniform`.
        count: How many.

    Returns:
        uint8 (count,).
    """
    return generator(chance).bit_generator.random_raw(-(-count // 8)).view(np.uint8)[:count]


# The same for all batches of an epoch, so they are kept.
@functools.lru_cache(maxsize=256)
def _start(keys: tuple[int, ...]) -> Any:
    """Where the counter begins, uint64."""
    start = 0
    for key in keys:
        start = int(_mixed(np.asarray([(start + _GOLDEN + key) % _WORD], np.uint64))[0])
    return np.uint64((start + _GOLDEN) % _WORD)


@functools.lru_cache(maxsize=256)
def _steps(count: int) -> Any:
    """The first values of the counter, uint64 (1, count)."""
    return np.asarray([[(k + 1) * _GOLDEN % _WORD for k in range(count)]], np.uint64)


def _mixed(z: Any) -> Any:
    """The mixing function of SplitMix64: each bit of the result hangs on each bit of `z`; uint64 wraps around."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
