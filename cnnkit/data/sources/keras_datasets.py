"""The sets of `keras.datasets`: MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100, fetched when they are first used.

From where Keras fetches them, and to where it would put them, but not by its own loaders: these need TensorFlow, and
unpickle CIFAR; what is unpickled may run any program. So the CIFARs come in the binary version of the same page, and
nothing here is ever unpickled.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition (1998),
https://doi.org/10.1109/5.726791; H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST (2017), https://arxiv.org/abs/1708.07747;
A. Krizhevsky: Learning multiple layers of features from tiny images (2009), https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.data.files.archives import unpacked
from cnnkit.data.index import Collection, ImageStack, Index
from cnnkit.data.sources.base import Source, reworded
from cnnkit.data.sources.idx import Idx

STORAGE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
CIFAR = "https://www.cs.toronto.edu/~kriz/"

MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


@dataclass(frozen=True)
class _Cifar:
    """One of the two CIFARs in its binary version: files of records of `labels` bytes and a picture, plane by plane.

    Attributes:
        archive: Its name on the page of CIFAR.
        md5: As published there.
        folder: The folder in the archive.
        train: Files of training pictures.
        test: File of test pictures.
        labels: Bytes of labels before each picture; the last is the class, one before it a group of classes.
    """

    archive: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: str
    labels: int


CIFARS = {
    "cifar10": _Cifar(
        "cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
        "cifar-10-batches-bin",
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test_batch.bin",
        1,
    ),
    "cifar100": _Cifar(
        "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", "cifar-100-binary", ("train.bin",), "test.bin", 2
    ),
}

# Images of each class to train and to test with, where all classes have as many.
EACH = {"fashion_mnist": (6000, 1000), "cifar10": (5000, 1000), "cifar100": (500, 100)}

# Names of the classes, in the order of their labels.
CLASSES = {
    "mnist": "0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
    "fashion_mnist": "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot",
    "cifar10": "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck",
    "cifar100": (
        "apple, aquarium_fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus, "
        "butterfly, camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch, crab, "
        "crocodile, cup, dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, keyboard, "
        "lamp, lawn_mower, leopard, lion, lizard, lobster, man, maple_tree, motorcycle, mountain, mouse, mushroom, "
        "oak_tree, orange, orchid, otter, palm_tree, pear, pickup_truck, pine_tree, plain, plate, poppy, porcupine, "
        "possum, rabbit, raccoon, ray, road, rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, snail, snake, "
        "spider, squirrel, streetcar, sunflower, sweet_pepper, table, tank, telephone, television, tiger, tractor, "
        "train, trout, tulip, turtle, wardrobe, whale, willow_tree, wolf, woman, worm"
    ),
}


class KerasDataset(Source):
    """MNIST, Fashion-MNIST, CIFAR-10 or CIFAR-100, fetched from the net once; the test images are the test split."""

    name: Literal["keras"] = "keras"
    dataset: Literal["mnist", "fashion_mnist", "cifar10", "cifar100"]
    """Which set: digits, pieces of clothing, or small photographs of 10 or 100 classes."""

    def open(self, progress: Progress) -> Collection:
        """What is known of it without fetching it."""
        classes = tuple(CLASSES[self.dataset].split(", "))
        shape = (32, 32, 3) if self.dataset in CIFARS else (28, 28, 1)
        each = EACH.get(self.dataset)
        counts = {split: [images] * len(classes) for split, images in zip((None, "test"), each or (), strict=False)}
        return Collection(
            classes,
            frozenset({"test"}),
            shape,
            lambda progress: self._index(classes, progress),
            counts=(lambda: counts) if each else None,
            pictures=shape[:2],
        )

    def _index(self, classes: tuple[str, ...], progress: Progress) -> Index:
        home = cache_folder() / "keras" / "datasets"
        with reworded(lambda problem: replace(problem, key="dataset")):
            if self.dataset == "fashion_mnist":
                return _fashion_mnist(home / "fashion-mnist", classes, progress)
            mnist = self.dataset == "mnist"
            stacks = _mnist(home, progress) if mnist else _cifar(home, CIFARS[self.dataset], progress)
            return Index.of_stacks(classes, stacks, Progress())


def _fetched(url: str, path: Path, digest: str | None, progress: Progress) -> Path:
    from cnnkit.core.downloads import fetch  # brings all of HTTP, which a look at a config needs not

    return fetch(url, path, digest, progress, "take images that you have, with the source folder, idx or archive")


def _mnist(home: Path, progress: Progress) -> list[ImageStack]:
    path = _fetched(f"{STORAGE}mnist.npz", home / "mnist.npz", MNIST_SHA256, progress)
    with np.load(path, allow_pickle=False) as arrays:
        return _stacks((arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"]))


def _fashion_mnist(folder: Path, classes: tuple[str, ...], progress: Progress) -> Index:
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            name = f"{part}-{kind}-ubyte.gz"
            _fetched(STORAGE + name, folder / name, None, progress)  # Keras knows no checksum of them either
    advice = "; remove the file, and it is fetched again"
    with reworded(lambda problem: replace(problem, message=problem.message + advice)):
        return Idx(path=str(folder), classes=classes).open(progress).index(progress)


def _cifar(home: Path, cifar: _Cifar, progress: Progress) -> list[ImageStack]:
    archive = _fetched(CIFAR + cifar.archive, home / cifar.archive, cifar.md5, progress)
    folder = unpacked(archive, progress) / cifar.folder
    train = zip(*(_records(folder / name, cifar.labels) for name in cifar.train), strict=True)
    return _stacks(tuple(map(np.concatenate, train)), _records(folder / cifar.test, cifar.labels))


def _stacks(train: tuple[Any, ...], test: tuple[Any, ...]) -> list[ImageStack]:
    """What trains and what tests, each given as pixels, uint8 (n, height, width) or (..., 3), and labels (n,)."""
    return [ImageStack("train", None, *train), ImageStack("test", "test", *test)]


def _records(path: Path, labels: int) -> tuple[Any, Any]:
    """Pixels (images, 32, 32, 3) and classes (images,) of a file of the binary version."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from None
    size = labels + 3 * 32 * 32
    if not content or len(content) % size:
        raise DataError(f"{path} is damaged: {len(content):,} bytes are no number of records of {size:,}")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    planes = records[:, labels:].reshape(-1, 3, 32, 32)  # (images, channels, height, width)
    return planes.transpose(0, 2, 3, 1).copy(), records[:, labels - 1]
