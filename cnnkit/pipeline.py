"""From images to batches: the one place that orders decode, cache, shuffle, augment, mix, batch.

The order, and why:
1. `images.load` decodes and prepares everything once, before the first epoch, and keeps what fits;
2. shuffle numbers, not images: the order of an epoch is a function of (seed, epoch), so that
   any step can be reached directly and nothing depends on timing;
3. make whole batches at once, in worker processes or threads: gathered where nothing is augmented, else changed in
   uint8 by `Chain`, each image with chance of its own, a function of (seed, epoch, image);
4. mix the images of a batch with each other, last;
5. a few batches ahead, no more: memory is bounded whatever the number of images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cnnkit.augmentations import Augmentation, Batch, Chain
from cnnkit.balancing import Training
from cnnkit.experiment import Cache
from cnnkit.images import Images, allocated
from cnnkit.lazy import np, tf
from cnnkit.machine import cores
from cnnkit.progress import Progress
from cnnkit.sources import Index


def features(images: Images, numbers: Sequence[int], backbone: Any, batch_size: int, progress: Progress) -> Images:
    """What a network that does not change makes of some images, computed once.

    Args:
        images: Where from.
        numbers: Which are needed; the others have no features.
        backbone: Keras model from images (B, H, W, C) to features (B, c).
        batch_size: Images at a time.
        progress: Is told how far it is.
    """
    made = allocated((len(images.index), *backbone.output_shape[1:]), np.float32)
    made[:] = 0
    with progress.task("computing features", len(numbers)) as advance:
        done = 0
        batches = eval_batches(images, numbers, batch_size)
        for pictures, _ in told(batches, images):
            which = np.asarray(numbers)[done : done + len(pictures)]
            made[which] = backbone.predict_on_batch(pictures)
            done += len(pictures)
            advance(len(pictures))
    return Images(images.index, made.shape[1:], memory=made)


def features_fit(images: Images, backbone: Any, cache: Cache) -> bool:
    """Whether the features of all images may be kept in memory."""
    numbers_an_image = int(backbone.output_shape[-1])
    return 4 * numbers_an_image * len(images.index) <= cache.memory_gib * 2**30


def steps(images: int, batch_size: int) -> int:
    """Batches an epoch, the last one perhaps smaller."""
    return -(-images // batch_size)


def training_of(index: Index, numbers: Sequence[int]) -> Training:
    """The images that train, each once, with the weights of the source.

    Weights are 1 in the mean of those that train: so they never change the step as a whole.
    """
    chosen = np.asarray(numbers, np.int64)
    weights = np.ones(len(chosen)) if index.weights is None else np.float64(index.weights[chosen])
    return Training(chosen, np.asarray(index.labels)[chosen], weights / np.mean(weights))


@contextmanager
def with_workers(
    images: Images,
    training: Training,
    augmentations: Sequence[Augmentation],
    batch_size: int,
    seed: int,
    progress: Progress,
) -> Iterator[Images]:
    """The images with processes that make the batches of `train_batches`, where these have enough to do.

    They have where images are not kept in memory. What is made is the same bits, with them or without.
    """
    if images.memory is not None:
        yield images
        return
    most = min(_at_once(images, batch_size) * batch_size, max(len(training), len(images.index)))
    with images.with_workers(Chain(augmentations, seed), most, progress) as images:
        yield images


def train_batches(
    images: Images,
    training: Training,
    augmentations: Sequence[Augmentation],
    batch_size: int,
    seed: int,
    epochs: int,
    first_step: int = 0,
) -> Any:
    """The batches of all epochs, one after the other.

    Args:
        images: Where from.
        training: Which of them train, with their labels and weights.
        augmentations: What is done to each, in this order.
        batch_size: Images a batch; the last batch of an epoch has what is left.
        seed: Decides order and augmentation.
        epochs: How many.
        first_step: Counted from the beginning of the training; the batches from there on.

    Returns:
        `tf.data.Dataset` of (images, labels, weights): float32 (B, H, W, C) in 0..255, one-hot float32 (B, classes),
        which mixing makes shares of classes, and what each image counts for, float32 (B,), 1 in the mean of an epoch.
    """
    count = len(training)
    numbers = tf.constant(training.numbers, tf.int64)
    keys = tf.constant(keys_of(training.numbers), tf.int64)
    an_epoch = steps(count, batch_size)
    labels = tf.constant(training.labels, tf.int64)
    classes = len(images.index.classes)
    weights = tf.constant(training.weights, tf.float32)
    chain = Chain(augmentations, seed)

    some = _at_once(images, batch_size) if augmentations else 1

    def order(epoch: Any) -> Any:
        shuffled, size = order_of(count, seed, epoch), some * batch_size
        parts = tf.data.Dataset.range(steps(count, size))
        return parts.map(lambda part: (epoch, shuffled[part * size : (part + 1) * size]))

    def augmented(epoch: Any, keys: Any, numbers: Any) -> Any:
        return images.pixels(numbers, chain, int(epoch), keys)

    def pixels(epoch: Any, which: Any) -> tuple[Any, Any, Any]:
        chosen = tf.gather(numbers, which)
        if not augmentations:
            return images.batch(chosen), epoch, which
        made = tf.numpy_function(augmented, [epoch, tf.gather(keys, which), chosen], tf.uint8)
        return tf.ensure_shape(made, (None, *images.shape)), epoch, which

    def mixed(epoch: Any, keys: Any, *parts: Any) -> tuple[Any, Any, Any]:
        made = chain.mixed(Batch(*parts), int(epoch), keys)
        return made.images, made.labels, made.weights

    def batch(made: Any, epoch: Any, which: Any) -> tuple[Any, ...]:
        of_labels = tf.one_hot(tf.gather(labels, which), classes, dtype=tf.float32)
        parts = tf.cast(made, tf.float32), of_labels, tf.gather(weights, which)
        if not chain.mixes:
            return parts
        result = tf.numpy_function(mixed, [epoch, tf.gather(keys, which), *parts], [tf.float32] * 3)
        return tuple(tf.ensure_shape(made, part.shape) for made, part in zip(result, parts, strict=True))

    def batches(made: Any, epoch: Any, which: Any) -> Any:
        starts = tf.data.Dataset.range(0, tf.size(which, tf.int64), batch_size)
        return starts.map(lambda at: batch(made[at : at + batch_size], epoch, which[at : at + batch_size]))

    epoch, step = divmod(first_step, an_epoch)
    dataset = tf.data.Dataset.range(epoch, epochs).flat_map(order).skip(step // some)
    # To float in a step of its own, while the next pixels are made.
    return _made(dataset, pixels, images).flat_map(batches).skip(step % some).prefetch(AHEAD)


def _at_once(images: Images, batch_size: int) -> int:
    """Batches whose pixels are made in one call, so that its price does not count where images are small."""
    return min(max(1, _CALL // (batch_size * int(np.prod(images.shape)))), _MOST)


def eval_batches(images: Images, numbers: Sequence[int], batch_size: int) -> Any:
    """The chosen images in their order, once, as (images, labels): what is reported counts every image the same."""
    chosen = tf.constant(np.asarray(numbers), tf.int64)
    labels = tf.constant(images.index.labels, tf.int64)
    classes = len(images.index.classes)

    def batch(step: Any) -> tuple[Any, Any]:
        which = chosen[step * batch_size : (step + 1) * batch_size]
        return tf.cast(images.batch(which), tf.float32), tf.one_hot(tf.gather(labels, which), classes, dtype=tf.float32)

    return _made(tf.data.Dataset.range(steps(len(numbers), batch_size)), batch, images)


def order_of(count: int, seed: int, epoch: Any) -> Any:
    """The order that an epoch goes through its images in: an int64 tensor (count,) of their places."""
    # Not `index_shuffle`, though it needs no sorting: with keys that differ as little as two epochs do,
    # its orders are much alike (of 60,000 images, the places in two epochs correlate by 0.9).
    keys = tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), keys)


def keys_of(numbers: Any) -> Any:
    """What chance knows each image of an epoch by: its number, and another one each time that it comes again."""
    order = np.argsort(numbers, kind="stable")
    ranked = numbers[order]
    first = np.searchsorted(ranked, ranked)
    keys = np.empty_like(ranked)
    keys[order] = ranked + (np.arange(len(ranked)) - first) * (ranked[-1] + 1)
    return keys


def told(batches: Any, images: Images) -> Iterator[Any]:
    """The batches of a dataset, one by one; what goes wrong with an image is a DataError."""
    with images.telling():
        yield from batches


def _made(dataset: Any, batch: Any, images: Images) -> Any:
    """The batches, some of them at a time; their order does not depend on who is done first."""
    return dataset.map(batch, num_parallel_calls=_threads(images), deterministic=True).prefetch(AHEAD)


def _threads(images: Images) -> int:
    """How many batches are made at a time.

    Python lets only one thread work at a time, but for what OpenCV and Pillow do. With small pictures that is so short
    that threads cost more for handing over than they gain: at 128 px two make 3,600 images a second, and one 4,300.
    """
    if images.workers:
        return images.workers.count + 1
    facts = images.index.facts
    stored = [fact.header.width * fact.header.height for fact in facts or () if fact.header]
    if max([*stored[:_ASKED], images.shape[0] * images.shape[1]] if images.view else [0]) <= _SMALL:
        return 1
    return cores()


_SMALL = 160 * 160
"""Pixels of a picture up to which one thread is faster than several."""

_ASKED = 1000
"""Pictures that are asked for their size, at most."""


_CALL = 2**21
"""Bytes of pixels that are made in one call."""

_MOST = 16
"""Batches that are made in one call."""

AHEAD = 2
"""Batches that wait to be trained on."""
