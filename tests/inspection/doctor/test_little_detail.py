"""Pictures that were enlarged are noted, others are not."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cnnkit.core.progress import Progress
from cnnkit.data.section import Data
from cnnkit.data.sources import Folder
from cnnkit.inspection.doctor.examine import examine


@pytest.fixture
def folder(tmp_path):
    """Two classes of pictures of random pixels, enlarged from one size to another."""

    def make(small: int, large: int, way: Image.Resampling = Image.Resampling.BICUBIC):
        for label in "ab":
            (tmp_path / label).mkdir()
            for i in range(6):
                pixels = np.random.default_rng([i, ord(label)]).integers(0, 256, (small, small, 3), dtype=np.uint8)
                picture = Image.fromarray(pixels).resize((large, large), way)
                picture.save(tmp_path / label / f"{i}.png")
        return Data(source=Folder(path=str(tmp_path)))

    return make


def notes(data: Data) -> list[str]:
    return [finding.message for finding in examine(data, Progress()).findings if finding.kind == "little_detail"]


@pytest.mark.parametrize("way", [Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.NEAREST])
def test_enlarged_pictures_are_noted_with_what_they_show(folder, way):
    [note] = notes(folder(24, 96, way))
    assert "96 pixels at the shorter side" in note
    assert "detail than 24" in note or "detail than 32" in note or "detail than 48" in note


@pytest.mark.parametrize(("small", "large"), [(96, 96), (96, 120), (16, 64)])
def test_those_that_are_what_they_seem_or_small_anyway_are_not(folder, small, large):
    assert notes(folder(small, large)) == []
