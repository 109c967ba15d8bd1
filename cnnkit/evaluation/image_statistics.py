"""Image statistics: what images are like before any network has seen them, in a few numbers.

How much neighbouring pixels differ, at each size of detail, is much the same in all pictures of a kind (Field 1987,
"Relations between the statistics of natural images and the response properties of cortical cells", Journal of the
Optical Society of America A 4, 2379-2394), and other in scans, drawings and noise.
"""

from __future__ import annotations

from typing import Any

from cnnkit.core.lazy import keras

LARGEST, SMALLEST = 64, 4
"""Pixels of the shorter side: larger images are made smaller first, which takes less time and tells as much (areas in
docs/results.md), and smaller ones are not halved any further."""


def image_statistics(images: Any) -> Any:
    """The statistics of images, as a part of a Keras model, or of tensors.

    They are the mean of each channel; the logarithm of the standard deviation of brightness, and in colour of the
    differences of red and of blue from green; and the logarithm of the mean difference of brightness between
    neighbours, to the right and below, of the image as it is and halved again and again.

    Args:
        images: (B, H, W, C), pixels 0..255; C is 1 or 3.

    Returns:
        float32 (B, s).
    """
    ops = keras.ops
    times = 1
    while min(images.shape[1:3]) // times > LARGEST:
        times *= 2
    pixels = _smaller(images, times) if times > 1 else images
    pixels = pixels / 255.0
    bright = ops.mean(pixels, axis=-1)
    parts = [bright]
    if images.shape[-1] == 3:
        parts += [pixels[..., 0] - pixels[..., 1], pixels[..., 2] - pixels[..., 1]]
    spreads = [ops.expand_dims(_logarithm(ops.std(part, axis=(1, 2))), -1) for part in parts]
    found = [ops.mean(pixels, axis=(1, 2)), *spreads]
    while min(bright.shape[1:3]) >= SMALLEST:
        for difference in (bright[:, :, 1:] - bright[:, :, :-1], bright[:, 1:] - bright[:, :-1]):
            found.append(ops.expand_dims(_logarithm(ops.mean(ops.abs(difference), axis=(1, 2))), -1))
        bright = _smaller(bright[..., None], 2)[..., 0]
    return ops.concatenate(found, axis=-1)


def _smaller(images: Any, times: int) -> Any:
    return keras.ops.average_pool(images, times, data_format="channels_last")


def _logarithm(spread: Any) -> Any:
    """What is less than a step between grey values is nothing."""
    return keras.ops.log(spread + 1 / 255)
