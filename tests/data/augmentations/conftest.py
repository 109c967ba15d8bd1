"""Pictures and augmentations whose amounts are known, for all tests of augmentations."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from cnnkit.data.augmentations.base import Augmentation
from cnnkit.data.augmentations.chain import Chain


def _smooth(height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    rough = np.random.default_rng(seed).normal(128, 700, (height, width, channels))
    return np.clip(cv2.GaussianBlur(rough, (0, 0), 4).reshape(rough.shape), 5, 250).astype(np.uint8)


def _rough(height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def _fixed(augmentation: Augmentation, *amount: float) -> Any:
    """The same, but that it always does this."""
    kind = type(augmentation)
    members = {
        "amounts": lambda self, chance: np.tile(np.array(amount, float), (len(chance), 1)),
        "__module__": __name__,
    }
    return type(f"Fixed{kind.__name__}", (kind,), members)(**augmentation.model_dump() | {"probability": 1.0})


def _done(image: np.ndarray, *augmentations: Augmentation) -> np.ndarray:
    """An image after a chain, as whole numbers."""
    (result,) = Chain(augmentations, 0).images([image], 0, np.array([0]))
    assert (result == np.rint(result)).all()
    return result.astype(np.uint8)


@pytest.fixture
def smooth() -> Any:
    """Makes a picture without sharp edges: height, width and channels."""
    return _smooth


@pytest.fixture
def rough() -> Any:
    """Makes a picture of random values: height, width and channels."""
    return _rough


@pytest.fixture
def fixed() -> Any:
    """Makes an augmentation do what is said in place of something random."""
    return _fixed


@pytest.fixture
def done() -> Any:
    """What augmentations make of a picture."""
    return _done
