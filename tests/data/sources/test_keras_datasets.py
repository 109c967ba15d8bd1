"""The sets of keras.datasets, from a server of our own with a few made-up pictures in the forms of the true ones."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.sources import KerasDataset, keras_datasets

RANDOM = np.random.default_rng(0)
GREY = {part: RANDOM.integers(0, 256, (count, 28, 28), dtype=np.uint8) for part, count in (("train", 12), ("test", 5))}
COLOUR = {
    part: RANDOM.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8) for part, count in (("train", 10), ("test", 4))
}
LABELS = {"train": np.arange(12) % 10, "test": np.array([9, 0, 3, 3, 1])}
FINE = {"train": np.arange(10) * 11, "test": np.array([99, 0, 51, 7])}


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path[1:])
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of what lies in its folder, in the place of the true ones."""
    folder = tmp_path / "served"
    folder.mkdir()
    running = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    running.folder, running.asked = folder, []
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for name in ("STORAGE", "CIFAR"):
        monkeypatch.setattr(keras_datasets, name, f"http://127.0.0.1:{running.server_port}/")
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def mnist(server, monkeypatch):
    arrays = {f"x_{part}": GREY[part] for part in GREY} | {f"y_{part}": LABELS[part].astype(np.uint8) for part in GREY}
    np.savez_compressed(server.folder / "mnist.npz", **arrays)
    monkeypatch.setattr(
        keras_datasets, "MNIST_SHA256", hashlib.sha256((server.folder / "mnist.npz").read_bytes()).hexdigest()
    )


@pytest.fixture
def fashion_mnist(server, write_idx):
    for part, prefix in (("train", "train"), ("test", "t10k")):
        write_idx(server.folder / f"{prefix}-images-idx3-ubyte.gz", GREY[part])
        write_idx(server.folder / f"{prefix}-labels-idx1-ubyte.gz", LABELS[part])


def records(images, *labels):
    """As the page of CIFAR has it: the labels, 1,024 red values row by row, 1,024 green, 1,024 blue."""
    content = b""
    for i, image in enumerate(images):
        content += bytes(int(label[i]) for label in labels)
        content += b"".join(bytes(int(image[y, x, c]) for y in range(32) for x in range(32)) for c in range(3))
    return content


@pytest.fixture
def cifar(server, monkeypatch):
    """Both CIFARs; `changed` replaces files of the archives."""

    def make(**changed):
        halves = np.array_split(COLOUR["train"], 5), np.array_split(LABELS["train"][:10], 5)
        ten = {f"data_batch_{i}.bin": records(*part) for i, part in enumerate(zip(*halves, strict=True), start=1)}
        ten |= {"test_batch.bin": records(COLOUR["test"], LABELS["test"][:4]), "batches.meta.txt": b"airplane\n"}
        groups = np.zeros(10)
        hundred = {f"{part}.bin": records(COLOUR[part], groups, FINE[part]) for part in COLOUR}
        for name, files in (("cifar10", ten), ("cifar100", hundred)):
            published = keras_datasets.CIFARS[name]
            with tarfile.open(server.folder / published.archive, "w:gz") as archive:
                for file, content in (files | changed).items():
                    info = tarfile.TarInfo(f"{published.folder}/{file}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
            updated = replace(published, md5=md5(server.folder / published.archive))
            monkeypatch.setitem(keras_datasets.CIFARS, name, updated)

    make()
    return make


def index_of(name):
    return KerasDataset(dataset=name).open(Progress()).index(Progress())


@pytest.mark.parametrize(
    ("name", "images", "labels"),
    [("mnist", GREY, LABELS), ("fashion_mnist", GREY, LABELS), ("cifar10", COLOUR, LABELS), ("cifar100", COLOUR, FINE)],
)
def test_every_picture_comes_with_its_label_and_the_test_split_is_kept(request, server, name, images, labels):
    request.getfixturevalue(name.rstrip("0123456789"))
    collection = KerasDataset(dataset=name).open(Progress())
    assert collection.splits == {"test"}
    assert collection.shape == (
        *images["train"].shape[1:3],
        images["train"].shape[3] if name in ("cifar10", "cifar100") else 1,
    )
    assert server.asked == []
    index = collection.index(Progress())
    train, test = len(images["train"]), len(images["test"])
    assert index.splits == [None] * train + ["test"] * test
    assert index.labels.dtype == np.int64
    assert index.labels.tolist() == [*labels["train"][:train], *labels["test"][:test]]
    assert len(set(index.names)) == len(set(index.digests)) == train + test
    for i, expected in enumerate([*images["train"], *images["test"]]):
        assert np.array_equal(np.asarray(index.open(i)), expected)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_each_file_is_fetched_once_and_lies_where_keras_has_it(request, server, name):
    request.getfixturevalue(name.rstrip("0123456789"))
    first = index_of(name)
    asked = list(server.asked)
    assert len(asked) == len(set(asked)) == (4 if name == "fashion_mnist" else 1)
    assert index_of(name).fingerprint() == first.fingerprint()
    assert server.asked == asked
    assert [
        path
        for path in cache_folder().rglob(asked[0])
        if path.parts[-3:-1] in (("keras", "datasets"), ("datasets", "fashion-mnist"))
    ]


def test_the_names_of_the_classes_are_those_of_the_publishers():
    classes = {name: KerasDataset(dataset=name).open(Progress()).classes for name in keras_datasets.CLASSES}
    assert {name: len(names) for name, names in classes.items()} == {
        "mnist": 10,
        "fashion_mnist": 10,
        "cifar10": 10,
        "cifar100": 100,
    }
    # From the README of Fashion-MNIST and the page of CIFAR, where those of CIFAR are in the order of the alphabet.
    assert (classes["fashion_mnist"][0], classes["fashion_mnist"][6:]) == (
        "T-shirt/top",
        ("Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
    assert list(classes["cifar10"]) == sorted(classes["cifar10"]) and classes["cifar10"][5] == "dog"
    assert list(classes["cifar100"]) == sorted(set(classes["cifar100"]))
    assert [classes["cifar100"][i] for i in (0, 19, 49, 99)] == ["apple", "cattle", "mountain", "worm"]


def test_a_look_needs_neither_the_net_nor_numpy_nor_tensorflow():
    program = (
        "import socket, sys; socket.socket = None\n"
        "from cnnkit.data.sources import KerasDataset; from cnnkit.core.progress import Progress\n"
        "KerasDataset(dataset='cifar100').open(Progress())\n"
        "assert not {'numpy', 'tensorflow', 'keras', 'PIL'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def message_of(name):
    with pytest.raises(DataError) as caught:
        index_of(name)
    [problem] = caught.value.problems
    assert problem.key == "dataset" and "\n" not in problem.message
    return problem.message


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_without_the_net_it_is_told_what_to_do(server, name):
    message = message_of(name)
    assert "404" in message and "by hand" in message and "source folder" in message


@pytest.mark.usefixtures("mnist", "cifar")
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_another_file_than_the_published_one_is_not_taken(server, name):
    for path in server.folder.iterdir():
        path.write_bytes(path.read_bytes() + b"x")
    assert "which is not the published one" in message_of(name)


@pytest.mark.usefixtures("fashion_mnist")
def test_a_damaged_file_without_a_checksum_is_told_with_what_to_do(server):
    path = server.folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    message = message_of("fashion_mnist")
    assert "t10k-images-idx3-ubyte.gz" in message and "remove the file" in message


def test_records_that_are_cut_are_told(cifar):
    cifar(**{"test_batch.bin": bytes(3072)})
    assert "3,072 bytes are no number of records of 3,073" in message_of("cifar10")


def test_a_file_that_the_archive_lacks_is_told(cifar, server, monkeypatch):
    monkeypatch.setitem(keras_datasets.CIFARS, "cifar10", replace(keras_datasets.CIFARS["cifar10"], test="gone.bin"))
    assert "gone.bin can't be read" in message_of("cifar10")


def test_pickled_objects_are_never_loaded(server, monkeypatch):
    class Evil:
        def __reduce__(self):
            return exec, ("raise SystemExit('unpickled')",)

    path = server.folder / "mnist.npz"
    evil = np.empty(1, object)
    evil[0] = Evil()
    np.savez(path, x_train=evil, y_train=evil, x_test=evil, y_test=evil)
    monkeypatch.setattr(keras_datasets, "MNIST_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ValueError, match="allow_pickle=False"):
        index_of("mnist")
