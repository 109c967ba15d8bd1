"""A config of pictures of two classes, which lie beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CONFIG = """\
data:
  source: {name: folder, path: photos}
  image_size: [8, 8]
model: {name: sequential, layers: [{name: flatten}]}
train: {epochs: 1}
"""


@pytest.fixture
def config_of(image_folder, monkeypatch) -> Callable[[int], Path]:
    """Makes so many pictures a class, and their config in what is now the working folder."""

    def make(images: int) -> Path:
        monkeypatch.chdir(image_folder({"cat": images, "dog": images}, name="photos").parent)
        Path("mine.yaml").write_text(CONFIG)
        return Path("mine.yaml")

    return make


@pytest.fixture
def bright_and_dark(tmp_path, monkeypatch) -> Path:
    """The config of 30 bright and 30 dark pictures, which a tiny network tells apart."""
    random = np.random.default_rng(0)
    for name, middle in (("bright", 200), ("dark", 50)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(30):
            pixels = np.clip(random.normal(middle, 30, (8, 8, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(CONFIG)
    return Path("mine.yaml")
