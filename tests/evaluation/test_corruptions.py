from __future__ import annotations

import cv2
import numpy as np
import pytest

from cnnkit.evaluation.corruptions import LARGE, SMALL, Corruptions, corrupted


def chance():
    return np.random.default_rng(0)


def test_amounts_are_those_that_are_told():
    grey = np.full((40, 40, 1), 100, np.uint8)
    assert (corrupted(grey, "brightness", 0.2, chance()) == 151).all()
    noisy = corrupted(grey, "noise", 0.1, chance()).astype(float)
    assert noisy.std() == pytest.approx(25.5, rel=0.1)
    halves = np.repeat(np.uint8([[50, 150]]), 20, axis=1)[..., None].repeat(40, axis=0)
    flat = corrupted(halves, "contrast", 0.5, chance())
    assert sorted(set(flat.ravel().tolist())) == [75, 125]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [32, 64])
def test_each_keeps_type_and_shape_and_hurts_more_the_stronger_it_is(side, channels):
    coarse = chance().integers(0, 256, (side // 8, side // 8, channels), dtype=np.uint8)
    image = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).reshape(side, side, channels)
    for kind, levels in (SMALL if side < 64 else LARGE).items():
        made = [corrupted(image, kind, level, chance()) for level in (levels[0], levels[-1])]
        assert all(one.shape == image.shape and one.dtype == np.uint8 for one in made)
        weak, strong = (np.abs(one.astype(float) - image).mean() for one in made)
        assert strong > weak, kind


def test_a_network_that_sees_brightness_only_suffers_from_that(shown, exam_of):
    levels = np.uint8([100, 100, 220, 220])
    pixels = np.broadcast_to(levels[:, None, None, None], (4, 8, 8, 1))

    def network(batch):
        bright = batch.mean(axis=(1, 2, 3)) > 150
        return np.stack([~bright, bright], axis=1).astype(np.float64)

    exam = exam_of(shown(pixels, [0, 0, 1, 1]), network)
    found = Corruptions().answered(exam)
    # 100 becomes 113, 126, 138, 151 and 177.
    assert found["accuracy"]["brightness"] == [1.0, 1.0, 1.0, 0.5, 0.5]
    assert found["mean_accuracy"] == pytest.approx(29 / 30)
    assert Corruptions().answered(exam) == found
    last = list(Corruptions().lines(found))[-1]
    assert last == ("corrupted: mean accuracy 0.9667, 1.0000 as they are (4 images); worst under brightness: 0.8000")
