from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cnnkit.core import cache_contents
from cnnkit.core.progress import Progress
from cnnkit.data.likeness import remembered
from cnnkit.data.section import Data
from cnnkit.data.sources import Folder
from cnnkit.data.splitting import Split


def shot(thing, exposure):
    """Blocks of colour by chance, lighter each time."""
    colours = np.random.default_rng(thing).integers(20, 200, (6, 6, 3)).astype(np.uint8)
    picture = Image.fromarray(colours).resize((48, 48), Image.Resampling.BICUBIC)
    content = io.BytesIO()
    picture.point(lambda value: min(255, round(value * (1 + 0.03 * exposure)))).save(content, "JPEG", quality=90)
    return content.getvalue()


@pytest.fixture
def series(tmp_path):
    """Four shots of each of sixteen things, under names that tell nothing."""
    for number in range(64):
        folder = tmp_path / "images" / ("new", "old")[number // 4 % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number * 37 % 64:02d}.jpg").write_bytes(shot(number // 4, number % 4))
    return tmp_path / "images"


def whereabouts(root, **split):
    """The splits of the shots of each thing."""
    data = Data(source=Folder(path=str(root)), split=Split(**split))
    index = data.index(data.source.open(Progress()), Progress())
    thing = {number * 37 % 64: number // 4 for number in range(64)}
    found: dict[int, set[str]] = {}
    for name, where in zip(index.names, data.splits(index), strict=True):
        found.setdefault(thing[int(name[-6:-4])], set()).add(where)
    return found


def test_near_duplicates_are_kept_together_where_the_split_is_asked_to(series):
    assert any(len(splits) > 1 for splits in whereabouts(series).values())
    for seed in range(3):
        found = whereabouts(series, seed=seed, keep_together="near")
        assert all(len(splits) == 1 for splits in found.values())
        assert set().union(*found.values()) == {"train", "validation", "test"}


def test_the_same_pictures_are_not_compared_twice(series, monkeypatch):
    calls = []
    search = remembered.near_duplicates
    monkeypatch.setattr(remembered, "near_duplicates", lambda *words: calls.append(words) or search(*words))
    assert whereabouts(series, keep_together="near") == whereabouts(series, keep_together="near")
    assert len(calls) == 1
    contents = cache_contents.look()
    assert contents.strangers == () and "near" in {entry.kind.name for entry in contents.entries}
    next(series.rglob("*.jpg")).write_bytes(shot(99, 0))
    whereabouts(series, keep_together="near")
    assert len(calls) == 2
