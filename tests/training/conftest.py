"""Fixtures that tests of the training share."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def begin(run, index_of):
    """What `train` writes first, into the `run` of the test file."""

    def begin():
        index = index_of(np.zeros((4, 6, 5, 3), np.uint8), [0, 1, 0, 1])
        run.write_split(index, ["train", "train", "validation", "test"], [""] * 4)
        run.write_provenance(data={"classes": ["a", "b"]}, state="training", files=run.hashes())

    return begin
