from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cnnkit.core.machine import cores
from cnnkit.core.progress import Progress
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.augmentations.flip import Flip
from cnnkit.data.augmentations.shift import Shift
from cnnkit.data.balancing.base import training_of
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.section import Cache

SHAPE = (4, 4, 1)
AUGMENT = (Flip(), Shift(fraction=0.5))


@pytest.fixture
def images_of(index_of):
    """Images of random pixels; the first pixel of each is its number."""

    def make(count, memory_gib=1, classes=3):
        pixels = np.random.default_rng(0).integers(0, 256, (count, 4, 4), dtype=np.uint8)
        pixels[:, 0, 0] = np.arange(count)
        index = index_of(pixels, [i % classes for i in range(count)], classes)
        return load(index, Preprocessing(SHAPE, "crop"), Cache(memory_gib=memory_gib, disk_gib=0), Progress())

    return make


def train_batches(images, chosen, augmentations, batch_size, seed, epochs, first_step=0):
    """The batches of a training on these images, each once."""
    training, chain = training_of(images.index, chosen), Chain(augmentations, seed)
    return feeding.TrainBatches(images, training, chain, batch_size).dataset(epochs, first_step)


def epochs_of(dataset, images, batch_size):
    """The batches of each epoch, as (pixels, labels)."""
    an_epoch = feeding.steps(images, batch_size)
    batches = [(pixels.numpy(), labels.numpy()) for pixels, labels, *_ in dataset]
    return [batches[i : i + an_epoch] for i in range(0, len(batches), an_epoch)]


def numbers_in(epoch):
    return [int(image[0, 0, 0]) for pixels, _ in epoch for image in pixels]


def same(one, other):
    one, other = list(one), list(other)
    return len(one) == len(other) and all(
        np.array_equal(a, b) for p, q in zip(one, other, strict=True) for a, b in zip(p, q, strict=True)
    )


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 33, 100])
@pytest.mark.parametrize("batch_size", [1, 8, 200])
def test_every_image_is_shown_once_an_epoch(images_of, count, batch_size):
    dataset = train_batches(images_of(count), range(count), (), batch_size, seed=0, epochs=3)
    epochs = epochs_of(dataset, count, batch_size)
    assert len(epochs) == 3
    for epoch in epochs:
        assert sorted(numbers_in(epoch)) == list(range(count))
        sizes = [len(pixels) for pixels, _ in epoch]
        assert sizes == [batch_size] * (count // batch_size) + [count % batch_size] * (count % batch_size > 0)


def test_only_the_chosen_images_are_shown(images_of):
    chosen = [19, 3, 7, 4, 11]
    (epoch,) = epochs_of(train_batches(images_of(20), chosen, (), 2, seed=0, epochs=1), 5, 2)
    assert sorted(numbers_in(epoch)) == sorted(chosen)


def test_each_epoch_and_each_seed_has_an_order_of_its_own(images_of):
    images = images_of(50)
    orders = [
        tuple(numbers_in(epoch))
        for seed in (0, 1, 2**31 - 1)
        for epoch in epochs_of(train_batches(images, range(50), (), 8, seed, epochs=4), 50, 8)
    ]
    assert len(set(orders)) == 12
    assert tuple(range(50)) not in orders


def test_every_place_of_an_epoch_is_as_likely(images_of):
    dataset = train_batches(images_of(5), range(5), (), 5, seed=0, epochs=1000)
    orders = np.array([numbers_in(epoch) for epoch in epochs_of(dataset, 5, 5)])
    for place in range(5):
        counts = np.bincount(orders[:, place], minlength=5)
        assert ((counts - 200) ** 2 / 200).sum() < 23.5  # the 99.99th percentile for 4 degrees of freedom


def test_an_order_tells_nothing_of_the_next(images_of):
    dataset = train_batches(images_of(20), range(20), (), 20, seed=0, epochs=400)
    orders = np.array([numbers_in(epoch) for epoch in epochs_of(dataset, 20, 20)])
    places = np.argsort(orders)
    correlations = [np.corrcoef(one, other)[0, 1] for one, other in pairwise(places)]
    assert abs(np.mean(correlations)) < 4 / np.sqrt(19 * 399)  # of independent orders each has a variance of 1/19
    assert np.std(correlations) == pytest.approx(1 / np.sqrt(19), rel=0.2)
    still = (orders[:-1] == orders[1:]).sum()
    assert still == pytest.approx(399, abs=4 * np.sqrt(399))  # on average one image keeps its place


@pytest.mark.parametrize("augmentations", [(), AUGMENT], ids=["plain", "augmented"])
def test_the_same_seed_shows_the_same_bits(images_of, augmentations):
    def batches(seed):
        return train_batches(images_of(20), range(20), augmentations, 8, seed, epochs=2)

    assert same(batches(3), batches(3))
    assert not same(batches(3), batches(4))


@pytest.mark.parametrize("first", [1, 2, 3, 5, 8])
def test_a_later_beginning_shows_the_same_bits(images_of, first):
    images = images_of(20)

    def batches(first_step):
        return list(train_batches(images, range(20), AUGMENT, 8, 0, epochs=3, first_step=first_step))

    assert same(batches(first), batches(0)[first:])
    assert batches(9) == []


@pytest.mark.parametrize("augmentations", [(), AUGMENT], ids=["plain", "augmented"])
def test_images_kept_in_memory_or_not_are_the_same_bits(images_of, augmentations):
    kept, decoded = images_of(20), images_of(20, memory_gib=0)
    assert kept.memory is not None
    assert decoded.memory is None
    chosen = [1, 4, 9, 16, 2, 3, 5]
    assert same(
        train_batches(kept, chosen, augmentations, 3, 0, epochs=2),
        train_batches(decoded, chosen, augmentations, 3, 0, epochs=2),
    )
    assert same(feeding.eval_batches(kept, chosen, 3), feeding.eval_batches(decoded, chosen, 3))


SHOWN = """
import hashlib, json, sys
from contextlib import ExitStack
import numpy as np
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding.batches import TrainBatches
from cnnkit.data.augmentations.brightness import Brightness
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.augmentations.flip import Flip
from cnnkit.data.augmentations.mix_up import MixUp
from cnnkit.data.augmentations.rotate import Rotate
from cnnkit.data.augmentations.shift import Shift
from cnnkit.data.section import Cache
from cnnkit.data.balancing.base import Training
from cnnkit.data.feeding.loading import load
from cnnkit.core.progress import Progress
from cnnkit.data.sources.folder import Folder
from cnnkit.data.feeding.preprocessing import Preprocessing

AUGMENT = (Flip(), Shift(), Rotate(), Brightness(), MixUp(alpha=1.0))
CACHES = {
    "memory": Cache(memory_gib=1, disk_gib=0),
    "disk, first": Cache(memory_gib=0, disk_gib=1),
    "disk, again": Cache(memory_gib=0, disk_gib=1),
    "off": Cache(memory_gib=0, disk_gib=0),
}
index = Folder(path=sys.argv[2]).open(Progress()).index(Progress())
numbers = np.concatenate([np.arange(len(index)), np.arange(0, len(index), 3)])  # every third one is there twice
labels = np.asarray(index.labels)[numbers]
training = Training(numbers, labels, np.linspace(0.5, 1.5, len(numbers)))
STEPS = -(-len(numbers) // 8)
everything = {}
if sys.argv[1] == "workers":
    workers = ExitStack()
    for name, cache in CACHES.items():
        images = load(index, Preprocessing((20, 24, 3), "crop"), cache, Progress())
        everything[name] = workers.enter_context(images.with_workers(Chain(AUGMENT, 3), 8, len(training), Progress()))
        assert (everything[name].workers is None) == (name == "memory")

import tensorflow as tf
threads = 2 if sys.argv[1] == "workers" else int(sys.argv[1])
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)

def shown(images, augmentations, first, count):
    batches = TrainBatches(images, training, Chain(augmentations, 3), 8).dataset(8, first_step=first)
    seen = hashlib.sha256()
    for batch in batches.take(count):
        for part in batch:
            seen.update(part.numpy().tobytes())
    return seen.hexdigest()

def after(images, augmentations, first):
    \"""The three batches from a step on, by a pipeline that began three steps before.\"""
    batches = TrainBatches(images, training, Chain(augmentations, 3), 8).dataset(8, first_step=first - 3)
    seen = hashlib.sha256()
    for batch in batches.skip(3).take(3):
        for part in batch:
            seen.update(part.numpy().tobytes())
    return seen.hexdigest()

told = {}
for name, cache in CACHES.items():
    images = everything.get(name) or load(index, Preprocessing((20, 24, 3), "crop"), cache, Progress())
    store = images.reader and images.reader.store
    assert (images.memory is not None, store is not None) == (name == "memory", "disk" in name)
    for kind, augmentations in (("plain", ()), ("augmented", AUGMENT)):
        told[f"{name}, {kind}"] = {
            "epoch 0": shown(images, augmentations, 0, 3),
            "epoch 7": shown(images, augmentations, 7 * STEPS, 3),
            "epoch 7, later": after(images, augmentations, 7 * STEPS),
        }
print(json.dumps(told))
"""


@pytest.fixture
def jpegs(tmp_path):
    """A folder of two classes of JPEGs, of many sizes."""
    chance = np.random.default_rng(0)
    for i in range(26):
        file = tmp_path / "jpegs" / "ab"[i % 2] / f"{i}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(chance.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((30 + i, 60 - i), Image.Resampling.BICUBIC).save(file)
    return tmp_path / "jpegs"


@pytest.mark.slow
def test_neither_threads_nor_workers_nor_caches_nor_where_it_begins_changes_a_bit(jpegs, tmp_path):
    """TensorFlow takes its number of threads only once, so each has a process of its own."""
    makers = ["1", "5", *(["workers"] if sys.platform == "linux" and cores() > 1 else [])]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SHOWN, threads, jpegs],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"CNNKIT_CACHE": str(tmp_path / threads)},
        )
        for threads in makers
    ]
    printed = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0 for _ in makers]
    one, *others = map(json.loads, printed)
    assert all(other == one for other in others)
    for kind in ("plain", "augmented"):
        alike = [seen for name, seen in one.items() if kind in name]
        assert len(alike) == 4
        assert all(seen == alike[0] for seen in alike)
        assert alike[0]["epoch 7"] == alike[0]["epoch 7, later"] != alike[0]["epoch 0"]
    assert one["off, plain"]["epoch 0"] != one["off, augmented"]["epoch 0"]


def test_an_image_that_is_there_twice_is_changed_in_two_ways(images_of):
    images = images_of(20)
    numbers = [7] * 30 + [3] * 30
    dataset = train_batches(images, numbers, (Shift(fraction=0.5),), 60, 0, epochs=1)
    ((batch, labels, *_),) = list(dataset)
    for number in (7, 3):
        seen = {
            pixels.tobytes() for pixels, label in zip(batch.numpy(), labels.numpy(), strict=True) if label[number % 3]
        }
        assert len(seen) > 12  # of 25 distances


def test_an_image_that_is_there_again_changes_nothing_for_its_first_time(images_of):
    images = images_of(20)

    def shown(numbers):
        return {
            i.tobytes() for b, *_ in train_batches(images, numbers, (Shift(fraction=0.5),), 50, 0, 1) for i in b.numpy()
        }

    assert shown(range(20)) <= shown([*range(20), 5, 5, 9])


def test_an_image_is_changed_in_the_same_way_whatever_is_in_its_batch(images_of):
    images = images_of(20, classes=10)

    def shown(batch_size, chosen):
        dataset = train_batches(images, chosen, (Shift(fraction=0.5),), batch_size, 0, epochs=1)
        return {pixels.tobytes() for batch, *_ in dataset for pixels in batch.numpy()}

    assert shown(3, range(20)) == shown(20, range(20)) == shown(7, range(20)[::-1])
    assert shown(4, range(10)) <= shown(4, range(20))


def test_an_image_is_changed_in_another_way_each_epoch(images_of):
    dataset = train_batches(images_of(1), [0], (Shift(fraction=0.5),), 1, 0, epochs=50)
    assert len({batch.numpy().tobytes() for batch, *_ in dataset}) > 15  # of 25 distances


def test_each_augmentation_of_a_list_has_its_own_chance(images_of):
    images = images_of(40)
    dataset = train_batches(images, range(40), (Flip(), Flip()), 40, 0, epochs=1)
    batch, *_ = next(iter(dataset))
    still = {image.tobytes() for image in batch.numpy()} & {
        image.tobytes() for image in images.memory.astype(np.float32)
    }
    assert 5 < len(still) < 35  # both or neither: half of them


def test_augmentations_come_in_their_order(images_of):
    move, mirror = Shift(fraction=0.5, fill="black"), Flip(probability=1.0)
    images = images_of(12)

    def shown(augmentations):
        return {i.tobytes() for b, _, _ in train_batches(images, range(12), augmentations, 12, 0, 1) for i in b.numpy()}

    moved = [np.frombuffer(image, np.float32).reshape(SHAPE) for image in shown((move,))]
    assert shown((move, mirror)) == {np.ascontiguousarray(image[:, ::-1]).tobytes() for image in moved}


@pytest.mark.parametrize("memory_gib", [0, 1])
def test_a_batch_is_float_pixels_and_one_hot_labels(images_of, memory_gib):
    images = images_of(10, memory_gib)
    for dataset in (
        train_batches(images, range(10), AUGMENT, 4, 0, epochs=1),
        feeding.eval_batches(images, range(10), 4),
    ):
        pixels, labels, *_ = dataset.element_spec
        assert (pixels.dtype, labels.dtype) == (tf.float32, tf.float32)
        assert pixels.shape.as_list() == [None, *SHAPE]
        assert labels.shape.as_list() == [None, 3]


def test_labels_go_with_their_images(images_of):
    images = images_of(30)
    for dataset in (
        train_batches(images, range(5, 30), (), 4, 0, epochs=2),
        feeding.eval_batches(images, range(5, 30), 4),
    ):
        for pixels, labels, *_ in dataset:
            assert np.array_equal(labels.numpy(), np.eye(3)[pixels.numpy()[:, 0, 0, 0].astype(int) % 3])


def test_pixels_are_those_of_the_files(images_of):
    images = images_of(10)
    for pixels, _, _ in train_batches(images, range(10), (), 4, 0, epochs=1):
        for image in pixels.numpy():
            assert np.array_equal(image[..., 0], np.asarray(images.index.open(int(image[0, 0, 0]))))


@pytest.mark.parametrize("chosen", [[0], [9, 2, 5, 5, 0], list(range(10))])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_evaluation_keeps_the_order(images_of, chosen, batch_size):
    batches = list(feeding.eval_batches(images_of(10), chosen, batch_size))
    assert numbers_in([(pixels.numpy(), None) for pixels, _ in batches]) == chosen
    assert len(batches) == feeding.steps(len(chosen), batch_size)


@pytest.mark.parametrize(
    ("images", "batch_size", "steps"), [(1, 1, 1), (1, 32, 1), (32, 32, 1), (33, 32, 2), (0, 8, 0)]
)
def test_the_last_batch_counts(images, batch_size, steps):
    assert feeding.steps(images, batch_size) == steps


def test_loading_brings_all_to_one_size_in_the_order_of_the_index(index_of):
    pixels = [np.full((8 + i, 12 - i), 10 * i, np.uint8) for i in range(6)]
    images = load(index_of(pixels, [0] * 6), Preprocessing((5, 7, 3), "pad"), Cache(), Progress())
    assert images.memory.shape == (6, 5, 7, 3)
    assert images.memory.dtype == np.uint8
    assert images.memory.max(axis=(1, 2, 3)).tolist() == [0, 10, 20, 30, 40, 50]


def test_colour_is_kept_and_grey_is_made(index_of):
    red = np.broadcast_to(np.array([255, 0, 0], np.uint8), (2, 4, 4, 3))
    index = index_of(np.ascontiguousarray(red), [0, 1])
    assert np.array_equal(load(index, Preprocessing((4, 4, 3), "crop"), Cache(), Progress()).memory, red)
    assert set(load(index, Preprocessing((4, 4, 1), "crop"), Cache(), Progress()).memory.ravel()) == {76}  # 0.299 * 255


def test_loading_tells_how_far_it_is(index_of):
    told = []

    class Watcher(Progress):
        def task(self, what, total):
            told.append(total)
            return super().task(what, total)

    index = index_of([np.zeros((4, 4), np.uint8)] * 3, [0, 1, 0])
    load(index, Preprocessing(SHAPE, "crop"), Cache(), Watcher())
    assert told[0] == 3
    assert isinstance(index.open(0), Image.Image)
