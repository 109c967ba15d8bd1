"""Draws a small set of images to try things on: circles, squares and triangles, in a folder for each shape.

    python scripts/draw_shapes.py shapes

Each picture has a light shape of any colour, size and place on a dark ground, turned a little, and noise over it, so
neither one pixel nor the colour gives the class away. The same pictures are drawn on every machine. `--faults` plants
what `cnnkit data` is there to find: a damaged file, a picture that lies in two classes, and one that lies there twice,
the second time as a smaller JPEG.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

SHAPES = ("circle", "square", "triangle")
SIDE = 64
FINE = 4
"""Points a pixel, across and down, that an edge is drawn with."""


def picture(shape: str, number: int) -> Image.Image:
    """A picture that no other shape or number has."""
    random = np.random.default_rng([SHAPES.index(shape), number])
    radius = random.uniform(10, 22)
    across, down = random.uniform(radius, SIDE - radius, 2)
    ground, colour = random.uniform(20, 110, 3), random.uniform(130, 236, 3)
    points = (np.arange(SIDE * FINE) + 0.5) / FINE
    x, y = points[None, :] - across, points[:, None] - down
    turn = random.uniform(-0.35, 0.35)
    x, y = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    if shape == "circle":
        inside = x**2 + y**2 < radius**2
    elif shape == "square":
        inside = np.maximum(np.abs(x), np.abs(y)) < radius * 0.8
    else:
        inside = (y < radius / 2) & (np.abs(x) * np.sqrt(3) < y + radius)
    covered = inside.reshape(SIDE, FINE, SIDE, FINE).mean((1, 3))[..., None]
    pixels = ground + covered * (colour - ground) + random.normal(0, 20, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def draw(folder: Path, images: int, first: int, faults: bool) -> None:
    """Draws so many images of each shape, from a number on."""
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
        for number in range(first, first + images):
            picture(shape, number).save(folder / shape / f"{number:03}.png")
    if faults:
        whole = (folder / "circle" / "001.png").read_bytes()
        (folder / "circle" / "001.png").write_bytes(whole[: len(whole) // 2])
        shutil.copy(folder / "square" / "002.png", folder / "triangle" / "copy_of_a_square.png")
        picture("triangle", 3).resize((48, 48)).save(folder / "triangle" / "003_small.jpg", quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws circles, squares and triangles, a folder a shape.")
    parser.add_argument("folder", type=Path, help="where; it must not exist")
    parser.add_argument("--images", type=int, default=100, help="how many of each shape (100)")
    parser.add_argument("--first", type=int, default=0, help="number of the first; others give other pictures (0)")
    parser.add_argument("--faults", action="store_true", help="plant a damaged file, a copy and a near-copy")
    chosen = parser.parse_args()
    if chosen.folder.exists():
        parser.error(f"{chosen.folder} is there already")
    draw(chosen.folder, chosen.images, chosen.first, chosen.faults)
    print(f"{len(SHAPES) * chosen.images} images of {len(SHAPES)} shapes in {chosen.folder}")


if __name__ == "__main__":
    main()
