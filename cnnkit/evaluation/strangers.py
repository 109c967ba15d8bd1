"""Strangers: images unlike those of a training, made by a program, to measure how well they are told from these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnnkit.core.lazy import np

TILES = 4
"""Tiles along each side of an image that is cut up."""


def noise(random: Any, images: Any) -> Any:
    """Each pixel drawn by chance."""
    return random.integers(0, 256, images.shape, np.uint8)


def blank(random: Any, images: Any) -> Any:
    """One colour each."""
    return np.broadcast_to(random.integers(0, 256, (len(images), 1, 1, images.shape[-1]), np.uint8), images.shape)


def gratings(random: Any, images: Any) -> Any:
    """Waves of two colours in any direction, from one across the image to one in four pixels."""
    count, height, width, channels = images.shape
    longer = max(height, width)
    y, x = np.mgrid[:height, :width] / longer
    angle, phase = (random.uniform(0, turn * np.pi, (count, 1, 1)) for turn in (1, 2))
    waves = np.exp(random.uniform(0, np.log(max(longer / 4, 1)), (count, 1, 1)))
    height_of = (1 + np.sin(2 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)) + phase)) / 2
    one, other = random.uniform(0, 255, (2, count, 1, 1, channels))
    return np.uint8(one + (other - one) * height_of[..., None])


def shuffled(random: Any, images: Any) -> Any:
    """The images themselves, cut into tiles that have changed places: they show something else in their own colours.

    Where tiles meet are new edges, which statistics of the pixels tell.
    """
    made = np.array(images)
    height, width = (max(side // TILES, 1) for side in made.shape[1:3])
    places = [
        (slice(top, top + height), slice(left, left + width))
        for top in range(0, made.shape[1] - height + 1, height)
        for left in range(0, made.shape[2] - width + 1, width)
    ]
    for image, of in zip(made, images, strict=True):
        for place, other in zip(places, random.permutation(len(places)), strict=True):
            image[place] = of[places[other]]
    return made


CONTENT = "its own images in shuffled tiles"
"""The kind that is there for what it shows. Its seams would give it away, so the features alone are asked."""

KINDS: Mapping[str, Callable[[Any, Any], Any]] = {
    "noise": noise,
    "plain areas": blank,
    "gratings": gratings,
    CONTENT: shuffled,
}
"""Each kind: from a generator of random numbers and uint8 (n, H, W, C), its own images, to as many of that shape."""
