"""Pictures that are nearly the same everywhere: values of 0 to 1 that were saved as whole numbers, or scaled twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.data.feeding.images import Images
from cnnkit.inspection.doctor.base import Finding, Patient

KIND = "faint"

DEVIATION = 2.0
"""Standard deviation of all values, of 255, up to which there is nearly nothing to see: what a network is shown spans
less than a hundredth of what it is made for. Values of 0 and 1 have at most 0.5; white strokes on black, of one pixel
in a thousand, 8."""

SAMPLE = 32
"""Images that are looked at before a training."""


def check(patient: Patient) -> Iterator[Finding]:
    """A warning where all pictures together are so."""
    if patient.pixels:
        yield from _finding(*patient.pixels.moments())


def before_training(images: Images, numbers: Sequence[int]) -> Iterator[Finding]:
    """The same of images as the network is shown them, from some of those of these numbers."""
    chosen = np.unique(np.linspace(0, len(numbers) - 1, SAMPLE).astype(np.int64))
    pixels: Any = np.float64(images.rows([numbers[place] for place in chosen]))
    yield from _finding(pixels.mean(axis=(0, 1, 2)).tolist(), pixels.std(axis=(0, 1, 2)).tolist())


def _finding(mean: Sequence[float] | None, deviation: Sequence[float] | None) -> Iterator[Finding]:
    if mean and deviation and max(deviation) <= DEVIATION:
        level, spread = max(mean), max(deviation)
        message = (
            f"the images are nearly the same everywhere (mean {level:.2g} of 255, standard deviation {spread:.2g}), as "
            "where values of 0 to 1 were saved as whole numbers, or divided by 255 twice"
        )
        yield Finding(KIND, "warning", message, "make them anew, with values from 0 to 255")
