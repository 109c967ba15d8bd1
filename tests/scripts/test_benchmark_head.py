"""The comparison of the fitted head with scikit-learn, in its smallest form."""

from __future__ import annotations

import re

import benchmark_head
import numpy as np
from PIL import Image

CONFIG = """
data: {source: {name: folder, path: images}, image_size: [8, 8]}
model: {name: sequential, layers: [{name: conv, filters: 6}, {name: global_avg_pool}]}
"""


def test_both_are_about_as_good_on_features_that_tell_the_classes_apart(tmp_path, capsys):
    random = np.random.default_rng(0)
    for name, red in (("a", 90), ("b", 150)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(24):
            pixels = random.normal((red, 120, 120), 60, (8, 8, 3)) + random.normal(0, 20, 3)
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(tmp_path / "images" / name / f"{i}.png")
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert benchmark_head.main([str(tmp_path / "config.yaml"), "--splits", "2"]) == 0
    first, *rows = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"6 features of 48 images in \d+ CPU seconds", first)
    found = {row.split("  ")[0].strip(): float(re.search(r"test (\S+)", row)[1]) for row in rows}
    ours, theirs = found["fitted head"], found["LogisticRegressionCV"]
    assert ours > 0.7 and ours >= theirs - 0.05
    assert all(float(row.split("at most ")[1].split()[0]) < 60 for row in rows)


def test_a_config_that_is_wrong_is_told(tmp_path, capsys):
    assert benchmark_head.main([str(tmp_path / "none.yaml")]) == 2
    assert "there is no such file" in capsys.readouterr().err
