"""From the index of a source to batches: the one place that orders decode, cache, shuffle, augment, batch.

The order, and why:
1. decode and resize everything once, before the first epoch, so that a bad file costs no half-trained run;
2. keep the result in memory as uint8 (a quarter of float32), while it is not more than IN_MEMORY;
3. shuffle numbers, not images: the order of an epoch is a function of (seed, epoch), so that
   any step can be reached directly and nothing depends on timing;
4. gather a whole batch at once, which costs a tenth of gathering image by image;
5. augment each image with its own seed, a function of (seed, epoch, number) too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from cnnkit import decoding
from cnnkit.augmentations import Augmentation
from cnnkit.decoding import BadImage, Fit
from cnnkit.errors import DataError, Problem
from cnnkit.lazy import np, tf
from cnnkit.progress import Progress
from cnnkit.sources import Index, Unused

IN_MEMORY = 4 * 2**30
"""Decoded images of more bytes than this are decoded again for each batch."""

NAMED = 20
"""At most so many bad files are named in an error; all are counted."""


@dataclass(frozen=True)
class Images:
    """Decoded images in one size, those of `index` and in its order.

    Attributes:
        index: Which images.
        shape: Height, width and channels; or how many features, where these are kept in place of pixels.
        fit: How other proportions were brought to that size.
        pixels: uint8 tensor (images, height, width, channels), or None where they are decoded batch by batch; or
            features, float32 (images, c).
    """

    index: Index
    shape: tuple[int, ...]
    fit: Fit
    pixels: Any

    def batch(self, numbers: Any) -> Any:
        """The images with these numbers: an int64 tensor (B,) to a uint8 tensor (B, height, width, channels)."""
        if self.pixels is not None:
            return tf.gather(self.pixels, numbers)
        decoded = tf.numpy_function(self._decode, [numbers], tf.uint8)
        return tf.ensure_shape(decoded, (None, *self.shape))

    def _decode(self, numbers: Any) -> Any:
        height, width, channels = self.shape
        return np.stack(
            [decoding.fitted(self.index.open(int(i)), (height, width), channels, self.fit) for i in numbers]
        )


def load(
    index: Index,
    shape: tuple[int, int, int],
    fit: Fit,
    progress: Progress,
    skip_bad: bool = False,
    in_memory: int = IN_MEMORY,
) -> Images:
    """Decodes every image of an index.

    Args:
        index: The images; those that can't be decoded are not in the index of the result.
        shape: Height, width and channels to make.
        fit: How other proportions are brought to that size.
        progress: Is told how far it is.
        skip_bad: Leave out files that can't be decoded, and list them, instead of raising.
        in_memory: Bytes of decoded images that are kept.

    Raises:
        DataError: Files can't be decoded; they are counted, and the first NAMED of them named with the reason.
    """
    height, width, channels = shape
    keep = len(index) * height * width * channels <= in_memory
    pixels = np.empty((len(index) if keep else 0, height, width, channels), np.uint8)
    bad: dict[int, str] = {}

    def decode(i: int) -> None:
        try:
            image = decoding.fitted(index.open(i), (height, width), channels, fit)
        except BadImage as error:
            bad[i] = str(error)
        else:
            if keep:
                pixels[i] = image

    with progress.task("decoding images", len(index)) as advance, ThreadPoolExecutor() as pool:
        for _ in pool.map(decode, range(len(index))):
            advance(1)
    if bad and not skip_bad:
        raise DataError(*_bad_files(index, bad))
    if bad:
        good = [i for i in range(len(index)) if i not in bad]
        index = index.take(good, [Unused(index.names[i], reason) for i, reason in sorted(bad.items())])
        pixels = pixels[good] if keep else pixels
    # A tensor, so that TensorFlow gathers from it without Python. This is where TensorFlow is first needed.
    with progress.task("starting TensorFlow", 1):
        return Images(index, shape, fit, tf.convert_to_tensor(pixels) if keep else None)


def features(images: Images, numbers: Sequence[int], backbone: Any, batch_size: int, progress: Progress) -> Images:
    """What a network that does not change makes of some images, computed once.

    Args:
        images: Where from.
        numbers: Which are needed; the others have no features.
        backbone: Keras model from images (B, H, W, C) to features (B, c).
        batch_size: Images at a time.
        progress: Is told how far it is.
    """
    made = np.zeros((len(images.index), *backbone.output_shape[1:]), np.float32)
    with progress.task("computing features", len(numbers)) as advance:
        done = 0
        for pictures, _ in eval_batches(images, numbers, batch_size):
            which = np.asarray(numbers)[done : done + len(pictures)]
            made[which] = backbone.predict_on_batch(pictures)
            done += len(pictures)
            advance(len(pictures))
    return replace(images, shape=made.shape[1:], pixels=tf.convert_to_tensor(made))


def features_fit(images: Images, backbone: Any) -> bool:
    """Whether the features of all images may be kept in memory."""
    numbers_an_image = int(backbone.output_shape[-1])
    return 4 * numbers_an_image * len(images.index) <= IN_MEMORY


def _bad_files(index: Index, bad: dict[int, str]) -> Iterable[Problem]:
    for i in sorted(bad)[:NAMED]:
        yield Problem(bad[i], file=index.names[i])
    more = f"and {len(bad) - NAMED} more: " if len(bad) > NAMED else ""
    them = "this file" if len(bad) == 1 else f"these {len(bad)} files"
    yield Problem(f"{more}repair or remove {them}, or leave such files out with data.source.on_bad: skip")


def steps(images: int, batch_size: int) -> int:
    """Batches an epoch, the last one perhaps smaller."""
    return -(-images // batch_size)


def train_batches(
    images: Images,
    numbers: Sequence[int],
    augmentations: Sequence[Augmentation],
    batch_size: int,
    seed: int,
    epochs: int,
    first_step: int = 0,
) -> Any:
    """The batches of all epochs, one after the other.

    Args:
        images: Where from.
        numbers: The images that train, by their numbers in `images`.
        augmentations: What is done to each, in this order.
        batch_size: Images a batch; the last batch of an epoch has what is left.
        seed: Decides order and augmentation.
        epochs: How many.
        first_step: Counted from the beginning of the training; the batches from there on.

    Returns:
        `tf.data.Dataset` of (images, labels, weights): float32 (B, H, W, C) in 0..255, one-hot float32 (B, classes),
        and what each image counts for, float32 (B,), 1 in the mean of an epoch.
    """
    chosen = tf.constant(np.asarray(numbers), tf.int64)
    an_epoch = steps(len(numbers), batch_size)
    labels = _one_hot(images.index)
    weights = tf.constant(_weights(images.index, numbers), tf.float32)

    def order(epoch: Any) -> Any:
        # Not `index_shuffle`, though it needs no sorting: with keys that differ as little as two epochs do,
        # its orders are much alike (of 60,000 images, the places in two epochs correlate by 0.9).
        shuffled = tf.random.experimental.stateless_shuffle(chosen, tf.stack([tf.constant(seed, tf.int64), epoch]))
        batches = tf.data.Dataset.range(an_epoch)
        return batches.map(lambda step: (epoch, shuffled[step * batch_size : (step + 1) * batch_size]))

    def batch(epoch: Any, which: Any) -> tuple[Any, Any, Any]:
        pictures = tf.cast(images.batch(which), tf.float32)
        if augmentations:
            keys = epoch * len(images.index) + which

            def augment(pair: tuple[Any, Any]) -> Any:
                picture, key = pair
                for i, augmentation in enumerate(augmentations):
                    picture = augmentation(picture, tf.stack([tf.constant(seed + (i << 32), tf.int64), key]))
                return picture

            pictures = tf.map_fn(augment, (pictures, keys), fn_output_signature=tf.float32)
            pictures = tf.ensure_shape(pictures, (None, *images.shape))
        return pictures, tf.gather(labels, which), tf.gather(weights, which)

    dataset = tf.data.Dataset.range(first_step // an_epoch, epochs).flat_map(order).skip(first_step % an_epoch)
    return dataset.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def eval_batches(images: Images, numbers: Sequence[int], batch_size: int) -> Any:
    """The chosen images in their order, once, as (images, labels): what is reported counts every image the same."""
    chosen = tf.constant(np.asarray(numbers), tf.int64)
    labels = _one_hot(images.index)

    def batch(step: Any) -> tuple[Any, Any]:
        which = chosen[step * batch_size : (step + 1) * batch_size]
        return tf.cast(images.batch(which), tf.float32), tf.gather(labels, which)

    dataset = tf.data.Dataset.range(steps(len(numbers), batch_size))
    return dataset.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _weights(index: Index, numbers: Sequence[int]) -> Any:
    """What each image counts for, 1 in the mean of those that train: so weights never change the step as a whole."""
    if index.weights is None:
        return np.ones(len(index), np.float32)
    return index.weights / np.mean(index.weights[np.asarray(numbers)], dtype=np.float64)


def _one_hot(index: Index) -> Any:
    return tf.one_hot(index.labels, len(index.classes), dtype=tf.float32)
