"""Measure how well the doctor finds near-duplicates in a folder of images.

Usage: python scripts/measure_near_duplicates.py FOLDER [SHEET.png] [--first-half | --second-half]

It changes 200 pictures in every way that near-duplicates are meant to be found in spite of, and counts how many are
found; counts the near-duplicates among 100,000 random pairs; and looks for near-duplicates in the whole folder.
SHEET.png shows the groups it finds there, the least alike first, to judge by eye. Thresholds are chosen on the first
half of the pictures (a random one, always the same), and judged on the second.
"""

from __future__ import annotations

import argparse
import io
import itertools
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnkit.core.progress import Progress
from cnnkit.core.text import counted
from cnnkit.data.index import Index
from cnnkit.data.likeness import near_duplicates, overlay, pixels
from cnnkit.data.sources import recognised

IMAGES = 200
PAIRS = 100_000

Change = Callable[[Any, Any], Any]


def resize(image: Any, rng: Any) -> Any:
    scale = rng.uniform(0.5, 1.5)
    kind = rng.choice([Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), int(kind))


def recompress(image: Any, rng: Any) -> Any:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=60)
    return Image.open(content).convert("RGB")


def crop_each_edge(image: Any, rng: Any) -> Any:
    right, down = round(0.03 * image.width), round(0.03 * image.height)
    return image.crop((right, down, image.width - right, image.height - down))


def crop_somewhere(image: Any, rng: Any) -> Any:
    width, height = round(0.97 * image.width), round(0.97 * image.height)
    left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
    return image.crop((left, top, left + width, top + height))


def brighten(image: Any, rng: Any) -> Any:
    return image.point(lambda value: min(255, round(value * 1.1)))


CHANGES: dict[str, Change] = {
    "resized to 50-150 %": resize,
    "recompressed at quality 60": recompress,
    "cropped by 3 % at each edge": crop_each_edge,
    "cropped by 3 %, off centre": crop_somewhere,
    "brightened by 10 %": brighten,
}


def found(index: Index, chosen: list[int], seen: Any, steps: tuple[Change, ...]) -> int:
    """How many of the chosen pictures are found when their changed copies lie beside all pictures."""
    copies = []
    for i in chosen:
        rng = np.random.default_rng(i)
        image = Image.fromarray(index.decode(i, 3).pixels)
        for step in steps:
            image = step(image, rng)
        copies.append(image)
    both = Index(
        classes=index.classes,
        names=[*index.names, *(f"changed {i}" for i in chosen)],
        labels=np.concatenate([index.labels, index.labels[chosen]]),
        digests=[*index.digests, *(f"changed {i}" for i in chosen)],
        splits=[None] * (len(index) + len(chosen)),
        open=lambda i: index.open(i) if i < len(index) else copies[i - len(index)].copy(),
    )
    grey = [np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BILINEAR)) for image in copies]
    return len(set(pairs_of(both, np.concatenate([seen, grey]))) & {(i, len(index) + k) for k, i in enumerate(chosen)})


def pairs_of(index: Index, seen: Any) -> Iterator[tuple[int, int]]:
    """The pictures that are called near-duplicates of one another, the lower number first."""
    for group in near_duplicates.near_duplicates(index, seen, Progress()).groups:
        yield from itertools.combinations(sorted(group), 2)


def draw(index: Index, groups: list[list[int]], path: Path) -> None:
    def difference(group: list[int]) -> float:
        one, other = (overlay.Picture(index.decode(i, 3, 2 * overlay.SIDE).pixels) for i in (group[0], group[-1]))
        return overlay.difference(one, other, [0.0] * 4)

    side, columns = 110, 5
    ordered = sorted(groups, key=difference, reverse=True)
    sheet = Image.new("RGB", (columns * (2 * side + 14), -(-len(ordered) // columns) * (side + 6)), "white")
    for k, group in enumerate(ordered):
        for place, i in enumerate((group[0], group[-1])):
            image = Image.fromarray(index.decode(i, 3, side).pixels).resize((side, side))
            sheet.paste(image, (k % columns * (2 * side + 14) + place * side, k // columns * (side + 6)))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sheet", type=Path, nargs="?", help="a PNG of the groups that are found")
    halves = parser.add_mutually_exclusive_group()
    halves.add_argument("--first-half", action="store_true", help="to choose thresholds on")
    halves.add_argument("--second-half", action="store_true", help="to judge them on")
    options = parser.parse_args()
    index = recognised(options.folder).open(Progress()).index(Progress())
    looked = pixels.look(index, str(options.folder), Progress())
    good = np.asarray([i for i in range(len(index)) if i not in looked.bad])
    if options.first_half or options.second_half:
        first = np.random.default_rng(7).permutation(len(good)) < len(good) // 2
        good = good[first if options.first_half else ~first]
    index, seen = index.take(good), looked.thumbnails[good]
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(index))[:IMAGES].tolist()
    ways = [(name, (change,)) for name, change in CHANGES.items()] + [
        (f"{one}, {other}", (CHANGES[one], CHANGES[other])) for one, other in itertools.permutations(CHANGES, 2)
    ]
    for name, steps in ways:
        print(f"{name:<58} {found(index, chosen, seen, steps):>4} of {len(chosen)} found", flush=True)

    start = time.perf_counter()
    groups, _, complete, _ = near_duplicates.near_duplicates(index, seen, Progress())
    seconds = time.perf_counter() - start
    group_of = {i: number for number, group in enumerate(groups) for i in group}
    called = 0
    for i, j in rng.integers(len(index), size=(PAIRS, 2)).tolist():
        called += index.digests[i] != index.digests[j] and group_of.get(i, -1) == group_of.get(j, -2)
    print(f"{called} of {PAIRS:,} random pairs called near-duplicates")
    print(f"{counted(len(groups), 'group')} of different files in all {len(index):,} pictures, {seconds:.1f} s")
    print("all that seemed to be the same was compared" if complete else "only the most alike were compared")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")
    if options.sheet and groups:
        draw(index, groups, options.sheet)


if __name__ == "__main__":
    main()
