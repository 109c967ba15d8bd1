from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from cnnkit.core.progress import Progress
from cnnkit.data.sources import Digits


def test_digits_are_those_of_scikit_learn():
    collection = Digits().open(Progress())
    index = collection.index(Progress())
    images, labels = load_digits().images, load_digits().target
    assert collection.classes == tuple("0123456789")
    assert collection.splits == frozenset()
    assert len(index) == len(images) == 1797
    assert index.labels.tolist() == labels.tolist()
    assert len(set(index.names)) == 1797
    for i in range(1797):
        pixels = np.asarray(index.open(i))
        assert pixels.dtype == np.uint8
        assert np.abs(pixels - images[i] * 255 / 16).max() <= 0.5  # its grey levels are 0..16


def test_digits_are_always_the_same():
    assert (
        Digits().open(Progress()).index(Progress()).fingerprint()
        == Digits().open(Progress()).index(Progress()).fingerprint()
    )
