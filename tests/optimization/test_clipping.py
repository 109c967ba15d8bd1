"""The norms of gradients after clipping."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from cnnkit.core.lazy import tf
from cnnkit.optimization.clipping import AnyClip, GlobalNorm, Norm, Value

RANDOM = np.random.default_rng(0)
GRADIENTS = [RANDOM.normal(0, size, shape).astype(np.float32) for size, shape in ((9, (3, 4)), (2, (4,)), (0.01, (5,)))]
CLIPS = get_args(get_args(AnyClip)[0])


def clipped(clip, gradients=GRADIENTS):
    return [gradient.numpy() for gradient in clip([tf.constant(gradient) for gradient in gradients])]


def norm(gradients):
    return np.sqrt(sum(np.sum(gradient.astype(np.float64) ** 2) for gradient in gradients))


@pytest.mark.parametrize("at", [0.5, 1.0, 3.0])
def test_all_gradients_together_have_the_norm_that_is_allowed_and_keep_their_direction(at):
    after = clipped(GlobalNorm(at=at))
    assert norm(after) == pytest.approx(at, rel=1e-5)
    for before, now in zip(GRADIENTS, after, strict=True):
        assert now == pytest.approx(before * at / norm(GRADIENTS), rel=1e-5)


@pytest.mark.parametrize("at", [0.5, 1.0, 3.0])
def test_the_gradient_of_each_weight_has_the_norm_that_is_allowed_and_keeps_its_direction(at):
    for before, now in zip(GRADIENTS, clipped(Norm(at=at)), strict=True):
        assert norm([now]) == pytest.approx(min(at, norm([before])), rel=1e-5)
        assert now / norm([now]) == pytest.approx(before / norm([before]), rel=1e-4)


@pytest.mark.parametrize("at", [0.5, 1.0, 3.0])
def test_each_number_lies_within_what_is_allowed(at):
    for before, now in zip(GRADIENTS, clipped(Value(at=at)), strict=True):
        assert np.array_equal(now, np.clip(before, -at, at))


@pytest.mark.parametrize("kind", CLIPS)
@pytest.mark.parametrize("at", [49.0, 100.0, 1e6])
def test_what_is_not_too_large_stays_as_it_is_to_the_bit(kind, at):
    for before, now in zip(GRADIENTS, clipped(kind(at=at)), strict=True):
        assert np.array_equal(before, now)


@pytest.mark.parametrize("kind", CLIPS)
def test_nothing_stays_nothing(kind):
    assert not np.any(clipped(kind(), [np.zeros((2, 2), np.float32), np.zeros(3, np.float32)])[0])


@pytest.mark.parametrize("kind", CLIPS)
@pytest.mark.parametrize("at", [0.0, -1.0, float("inf")])
def test_something_is_allowed(kind, at):
    with pytest.raises(ValueError, match="at"):
        kind(at=at)
