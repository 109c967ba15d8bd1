"""Plants what `cnnkit data` and `train` should see in made-up pictures, and tells what they say and how long it takes.

Usage: python scripts/measure_doctor.py faults|majority|speed [--folder NEW_FOLDER] [--images N]

faults: 200 pictures of two classes, beside each a second one, black and white, that says where its things are; and 60
    things, each shot 4 times with another exposure, which the split tears apart.
majority: two classes that can't be told apart, nine tenths of one; trained for ten epochs.
speed: 2,700 pictures, slight changes of 60: the CPU seconds of the first examination.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 128
CONFIG = """data: {{source: {{name: folder, path: {folder}}}}}
model: {{name: sequential, layers: [{{name: conv, filters: 4}}, {{name: global_avg_pool}}]}}
train: {{epochs: 10, optimizer: {{name: adam, learning_rate: 0.02}}}}
"""


def scene(number: int, side: int = SIDE) -> Any:
    """Things of any colour and size on a ground that changes slowly, float (side, side, 3) in 0..255; and where."""
    random = np.random.default_rng([12, number])
    y, x = np.mgrid[:side, :side] / side
    ground = (
        random.uniform(40, 160, 3)
        + random.uniform(-50, 50, 3) * x[..., None]
        + random.uniform(-50, 50, 3) * (y[..., None])
    )
    things = np.zeros((side, side), bool)
    for _ in range(12):
        (right, down), (wide, high) = random.uniform(0, 1, 2), random.uniform(0.03, 0.2, 2)
        turn = random.uniform(0, np.pi)
        across = (x - right) * np.cos(turn) + (y - down) * np.sin(turn)
        along = (y - down) * np.cos(turn) - (x - right) * np.sin(turn)
        round_ = random.random() < 0.5
        inside = (
            (across / wide) ** 2 + (along / high) ** 2 < 1 if round_ else (abs(across) < wide) & (abs(along) < high)
        )
        ground[inside] = random.uniform(0, 255, 3)
        things |= inside
    return ground, things


def exposed(pixels: Any, number: int) -> bytes:
    """A picture of the same, lighter or darker, cut a little, with other noise, as a JPEG."""
    random = np.random.default_rng([13, number])
    lighter = 1 + random.uniform(-0.08, 0.08)
    noisy = pixels * lighter + random.normal(0, 2, pixels.shape)
    image = Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    left, top, right, bottom = (random.uniform(0, 0.01, 4) * image.width).tolist()
    box = left, top, image.width - right, image.height - bottom
    content = io.BytesIO()
    image.resize(image.size, Image.Resampling.BICUBIC, box=box).save(
        content, "JPEG", quality=int(random.integers(75, 96))
    )
    return content.getvalue()


def draw_masks(folder: Path, images: int) -> None:
    """Pictures of two classes, and beside each a mask of the same name."""
    for number in range(images):
        pixels, things = scene(number)
        place = folder / ("ill" if number % 2 else "well")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:04}.jpg").write_bytes(exposed(pixels, number))
        Image.fromarray(things.astype(np.uint8) * 255).save(place / f"{number:04}.png")


def draw_series(folder: Path, images: int, each: int) -> None:
    """So many shots of each thing, under names that tell nothing."""
    for number in range(images):
        pixels, _ = scene(10_000 + number // each)
        place = folder / ("ill" if number // each % 2 else "well")
        place.mkdir(parents=True, exist_ok=True)
        name = f"{np.random.default_rng([14, number]).integers(10**9):09}.jpg"
        (place / name).write_bytes(exposed(pixels, number))


def draw_majority(folder: Path, images: int) -> None:
    """Nine tenths of one class, which nothing tells from the other."""
    for number in range(images):
        place = folder / ("rare" if number % 10 == 0 else "common")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:04}.jpg").write_bytes(exposed(scene(number, 32)[0], number))


def drawn(what: str, folder: Path, images: int | None) -> list[str]:
    """Draws a set, and gives the words of the command that is to see what is in it."""
    if what == "faults":
        draw_masks(folder / "images", images or 200)
        draw_series(folder / "images", 240 if images is None else 4 * (images // 4), 4)
    elif what == "majority":
        draw_majority(folder / "images", images or 200)
    else:
        draw_series(folder / "images", images or 2700, 45)
    (folder / "config.yaml").write_text(CONFIG.format(folder=folder / "images"), encoding="utf-8")
    config = str(folder / "config.yaml")
    return ["train", config, "--run", str(folder / "run")] if what == "majority" else ["data", config]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["faults", "majority", "speed"])
    parser.add_argument("--folder", type=Path, help="where to draw them (a temporary folder)")
    parser.add_argument("--images", type=int, help="how many (as many as said above)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        os.environ.setdefault("CNNKIT_CACHE", str(Path(temporary) / "cache"))
        words = drawn(chosen.what, folder, chosen.images)
        start = time.perf_counter()
        code = subprocess.run([sys.executable, "-m", "cnnkit", *words], check=False).returncode
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu, seconds = used.ru_utime + used.ru_stime, time.perf_counter() - start
        print(f"exit {code}, {cpu:.1f} CPU seconds, {seconds:.1f} s, {used.ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
