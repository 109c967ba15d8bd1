"""A closer look at pictures that seem to be the same: which are, with as few comparisons as can be.

Pictures that seem to be the same as the most others come first. Such a picture is compared with each of these, and
those that are the same make a group with it and need no further comparison; so a series of a hundred shots takes a
hundred comparisons, not five thousand. Between two groups the most alike pair is compared, too: a chain of such links,
as from one frame of a film to the next, makes no larger group, but what is linked belongs together where images are
divided.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

from cnnkit.core.disjoint_sets import joined
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.machine import cores
from cnnkit.core.progress import Progress
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.index import Index
from cnnkit.data.likeness import overlay

DIFFERENT_SOMEWHERE = 0.95
"""What may differ between larger pictures in the window where they differ most. It was chosen with made-up pictures:
copies of a screenshot have up to 0.4, screenshots with another text 1.6 and more, forms with another number 2.2 and
more."""

IN_VAIN = 500
"""So many comparisons may end in a difference, or as many as there are pictures."""

AT_HAND = 30
"""Decoded pictures that are held for further comparisons; each has up to 5 MB."""


class Confirmed(NamedTuple):
    """What a closer look has found.

    Attributes:
        groups: The numbers of pictures that are the same as the first of them.
        links: Pairs of pictures of different groups, or of none, that are the same as one another.
        rejected: How many pairs seemed to be the same, and differ somewhere.
        complete: Whether all was compared that could belong together.
    """

    groups: list[list[int]]
    links: list[tuple[int, int]]
    rejected: int
    complete: bool


def confirmed(index: Index, candidates: Any, progress: Progress) -> Confirmed:
    """Takes a closer look at pairs of pictures.

    Args:
        index: The pictures.
        candidates: float64 (pairs, 6): the lower number, the higher one, and how the second lies against the first,
            as `overlay.difference` takes it; the most alike pair first.
        progress: Is told how far it is.

    Raises:
        DataError: A file can't be decoded any more.
    """
    from threadpoolctl import threadpool_limits

    pairs = {(int(i), int(j)): move for i, j, *move in candidates.tolist()}
    homes = joined(len(index), pairs)
    clusters: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for pair in pairs:
        clusters[homes[pair[0]]].append(pair)

    @lru_cache(AT_HAND)
    def picture_of(i: int) -> overlay.Picture:
        with still_there(index, i):
            return overlay.Picture(index.decode(i, 3, 2 * overlay.SIDE).pixels)

    def same(i: int, j: int) -> bool:
        i, j = sorted((i, j))
        return overlay.difference(picture_of(i), picture_of(j), pairs[i, j]) <= DIFFERENT_SOMEWHERE

    sizes = Counter(homes)
    allowed = max(IN_VAIN, len(index)) / max(1, len(pairs))
    with (
        progress.task("comparing near-duplicates closely", len(pairs)) as advance,
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(cores()) as pool,
    ):
        looks = [_Look(each, same, max(sizes[home], int(allowed * len(each)))) for home, each in clusters.items()]
        for look in pool.map(_Look.done, looks):
            advance(len(look.pairs))
    return Confirmed(
        [group for look in looks for group in look.groups],
        [link for look in looks for link in look.links],
        sum(look.rejected for look in looks),
        all(look.complete for look in looks),
    )


class _Look:
    """The closer look at a cluster: pairs that hang together.

    Attributes:
        allowed: How many comparisons may end in a difference.
    """

    def __init__(self, pairs: Sequence[tuple[int, int]], same: Any, allowed: int):
        self.pairs = pairs
        self.same = same
        self.allowed = allowed
        self.groups: list[list[int]] = []
        self.links: list[tuple[int, int]] = []
        self.rejected = 0
        self.complete = True
        self.compared: set[tuple[int, int]] = set()

    def done(self) -> _Look:
        """The same, once it has looked."""
        self._group()
        self._link()
        return self

    def _group(self) -> None:
        others: dict[int, list[int]] = defaultdict(list)  # the most alike first, as the pairs are
        for i, j in self.pairs:
            others[i].append(j)
            others[j].append(i)
        settled: set[int] = set()
        for i in sorted(others, key=lambda i: (-len(others[i]), i)):
            if i in settled:
                continue
            settled.add(i)
            members = [j for j in others[i] if j not in settled and self._same(i, j)]
            settled.update(members)
            if members:
                self.groups.append([i, *sorted(members)])

    def _link(self) -> None:
        home = {i: group[0] for group in self.groups for i in group}
        tried: set[tuple[int, int]] = set()
        for i, j in self.pairs:
            one, other = sorted((home.get(i, i), home.get(j, j)))
            if one == other or (one, other) in tried or (i, j) in self.compared:
                continue
            tried.add((one, other))
            if self._same(i, j):
                self.links.append((i, j))

    def _same(self, i: int, j: int) -> bool:
        if self.rejected >= self.allowed:
            self.complete = False
            return False
        self.compared.add((min(i, j), max(i, j)))
        if self.same(i, j):
            return True
        self.rejected += 1
        return False


@contextmanager
def still_there(index: Index, i: int) -> Iterator[None]:
    """What is wrong with an image that could be decoded before is told with its name."""
    try:
        yield
    except BadImage as error:
        message = f"{index.names[i]}: {error}; it could be decoded a moment ago, so run it again"
        raise DataError(Problem(message)) from None
