"""From images to batches: the one place that orders decode, cache, shuffle, augment, mix, batch.

The order, and why:
1. `loading.load` decodes and prepares everything once, before the first epoch, and keeps what fits;
2. shuffle numbers, not images: the order of an epoch is a function of (seed, epoch), so that
   any step can be reached directly and nothing depends on timing;
3. make whole batches at once, in worker processes or threads: gathered where nothing is augmented, else changed in
   uint8 by `Chain`, each image with chance of its own, a function of (seed, epoch, image);
4. mix the images of a batch with each other, last;
5. a few batches ahead, no more: memory is bounded whatever the number of images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cnnkit.core.lazy import np, tf
from cnnkit.core.progress import Progress
from cnnkit.data.augmentations.chain import Batch, Chain
from cnnkit.data.balancing.base import Training
from cnnkit.data.feeding.images import Features, Images, Inputs, allocated, at_once
from cnnkit.data.section import Cache


def features(images: Images, numbers: Sequence[int], backbone: Any, batch_size: int, progress: Progress) -> Features:
    """What a network that does not change makes of some images, computed once.

    Args:
        images: Where from.
        numbers: Which are needed; the others have no features.
        backbone: Keras model from images (B, H, W, C) to features (B, c).
        batch_size: Images at a time.
        progress: Is told how far it is.
    """
    memory = allocated((len(images.index), *backbone.output_shape[1:]), np.float32)
    memory[:] = 0
    with progress.task("computing features", len(numbers)) as advance:
        starts = range(0, len(numbers), batch_size)
        for start, computed in zip(starts, outputs(backbone, images, numbers, batch_size, advance), strict=True):
            memory[np.asarray(numbers[start : start + batch_size])] = computed
    return Features(images.index, memory)


def outputs(
    model: Any, inputs: Inputs, numbers: Sequence[int], batch_size: int, advance: Callable[[int], None]
) -> Iterator[Any]:
    """What a network makes of the chosen images, batch by batch, NumPy (B, c).

    Args:
        model: Keras model.
        inputs: Where the images are from.
        numbers: Which, in this order.
        batch_size: Images at a time.
        advance: Is told of how many more there are outputs.

    Raises:
        DataError: An image can't be read any more.
    """
    with inputs.errors_as_raised():
        for batch, _ in eval_batches(inputs, numbers, batch_size):
            yield model.predict_on_batch(batch)
            advance(len(batch))


def features_fit(images: Images, backbone: Any, cache: Cache) -> bool:
    """Whether the features of all images may be kept in memory."""
    numbers_an_image = int(backbone.output_shape[-1])
    return 4 * numbers_an_image * len(images.index) <= cache.memory_gib * 2**30


def steps(images: int, batch_size: int) -> int:
    """Batches an epoch, the last one perhaps smaller."""
    return -(-images // batch_size)


class TrainBatches:
    """The batches of a training: `dataset` is the story, each other method a step of it within tf.data.

    An image is known by its place in the training, for it may be there several times. Each place has a number, which
    image it is, and a key, by which chance knows it.
    """

    def __init__(self, images: Inputs, training: Training, chain: Chain, batch_size: int):
        """Prepares what all batches need.

        Args:
            images: Where from.
            training: Which of them train, with their labels and weights.
            chain: What is done to each; its seed decides the order too.
            batch_size: Images a batch; the last batch of an epoch has what is left.
        """
        self.images, self.chain, self.batch_size = images, chain, batch_size
        self.count = len(training)
        self.classes = len(images.index.classes)
        self.numbers = tf.constant(training.numbers, tf.int64)
        self.keys = tf.constant(keys_of(training.numbers), tf.int64)
        self.labels = tf.constant(training.labels, tf.int64)
        self.weights = tf.constant(training.weights, tf.float32)
        self.at_once = at_once(images.shape, batch_size) if chain.augmentations else 1

    def dataset(self, epochs: int, first_step: int = 0) -> Any:
        """The batches of all epochs, one after the other.

        Args:
            epochs: How many.
            first_step: Counted from the beginning of the training; the batches from there on.

        Returns:
            `tf.data.Dataset` of (images, labels, weights): float32 (B, H, W, C) in 0..255, one-hot float32
            (B, classes), which mixing makes shares of classes, and what each image counts for, float32 (B,), 1 in the
            mean of an epoch.
        """
        epoch, step = divmod(first_step, steps(self.count, self.batch_size))
        parts = tf.data.Dataset.range(epoch, epochs).flat_map(_as_it_is(self.order)).skip(step // self.at_once)
        # To float in a step of its own, while the next pixels are made.
        batches = _in_parallel(parts, self.pixels, self.images).flat_map(_as_it_is(self.batches))
        return batches.skip(step % self.at_once).prefetch(AHEAD)

    def order(self, epoch: Any) -> Any:
        """A dataset of the parts of an epoch: its number, and the places of the batches that are made at once."""
        shuffled, size = order_of(self.count, self.chain.seed, epoch), self.at_once * self.batch_size
        parts = tf.data.Dataset.range(steps(self.count, size))
        return parts.map(_as_it_is(lambda part: (epoch, shuffled[part * size : (part + 1) * size])))

    def names(self, epoch: int, step: int) -> list[str]:
        """What the images of a batch are called, in its order.

        Args:
            epoch: Counted from 0.
            step: Which batch of it, counted from 0.
        """
        places = order_of(self.count, self.chain.seed, epoch)[step * self.batch_size : (step + 1) * self.batch_size]
        known = self.images.index.names
        numbers = tf.gather(self.numbers, places).numpy().tolist()
        return [known[n] if n < len(known) else f"synthetic image {n - len(known) + 1}" for n in numbers]

    def pixels(self, epoch: Any, places: Any) -> tuple[Any, Any, Any]:
        """The images of a part of an epoch, augmented, uint8; and the part."""
        numbers = tf.gather(self.numbers, places)
        if not self.chain.augmentations:
            return self.images.batch(numbers), epoch, places
        assert isinstance(self.images, Images)  # features are computed once, of images that are not augmented
        return self.images.augmented(self.chain, numbers, epoch, tf.gather(self.keys, places)), epoch, places

    def batches(self, pixels: Any, epoch: Any, places: Any) -> Any:
        """A dataset of the batches in a part of an epoch."""
        size = self.batch_size
        starts = tf.data.Dataset.range(0, tf.size(places, tf.int64), size)
        return starts.map(_as_it_is(lambda at: self.batch(pixels[at : at + size], epoch, places[at : at + size])))

    def batch(self, pixels: Any, epoch: Any, places: Any) -> tuple[Any, ...]:
        """Images, labels and weights, mixed."""
        labels = tf.one_hot(tf.gather(self.labels, places), self.classes, dtype=tf.float32)
        parts = tf.cast(pixels, tf.float32), labels, tf.gather(self.weights, places)
        if not self.chain.mixes:
            return parts
        keys = tf.gather(self.keys, places)
        mixed = tf.numpy_function(self.mixed, [epoch, keys, *parts], [tf.float32] * 3)
        return tuple(tf.ensure_shape(after, before.shape) for after, before in zip(mixed, parts, strict=True))

    def mixed(self, epoch: Any, keys: Any, *parts: Any) -> tuple[Any, Any, Any]:
        """The parts of a batch mixed, in NumPy."""
        batch = self.chain.mixed(Batch(*parts), int(epoch), keys)
        return batch.images, batch.labels, batch.weights


def eval_batches(images: Inputs, numbers: Sequence[int], batch_size: int) -> Any:
    """The chosen images in their order, once, as (images, labels): what is reported counts every image the same."""
    chosen = tf.constant(np.asarray(numbers), tf.int64)
    labels = tf.constant(images.index.labels, tf.int64)
    classes = len(images.index.classes)

    def batch(step: Any) -> tuple[Any, Any]:
        some = chosen[step * batch_size : (step + 1) * batch_size]
        return tf.cast(images.batch(some), tf.float32), tf.one_hot(tf.gather(labels, some), classes, dtype=tf.float32)

    return _in_parallel(tf.data.Dataset.range(steps(len(numbers), batch_size)), batch, images)


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


def _in_parallel(dataset: Any, work: Any, images: Inputs) -> Any:
    """What work makes of a dataset, some of it at a time; the order does not depend on what is done first."""
    return dataset.map(_as_it_is(work), num_parallel_calls=images.threads, deterministic=True).prefetch(AHEAD)


def _as_it_is(work: Any) -> Any:
    """Work for tf.data without AutoGraph, which it needs not, and which writes each function to a temporary file."""
    return tf.autograph.experimental.do_not_convert(work)


AHEAD = 2
"""Batches that wait to be trained on."""
