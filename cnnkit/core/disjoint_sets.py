"""Disjoint sets: what belongs together, directly or from one to another (union-find; Galler and Fischer 1964)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def joined(count: int, sets: Iterable[Sequence[int]]) -> list[int]:
    """Which of so many things belong together.

    Args:
        count: How many there are.
        sets: Numbers of things that belong together; what is in two of them joins both.

    Returns:
        A number for each, the same for those that belong together: that of the first of them.
    """
    first = list(range(count))

    def home(i: int) -> int:
        while first[i] != i:
            first[i] = i = first[first[i]]
        return i

    for numbers in sets:
        for i in numbers[1:]:
            low, high = sorted((home(numbers[0]), home(i)))
            first[high] = low
    return [home(i) for i in range(count)]
