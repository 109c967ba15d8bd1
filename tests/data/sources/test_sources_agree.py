"""The same pictures are the same data set, whatever source they come from."""

from __future__ import annotations

import csv
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from cnnkit.config.catalogue import KINDS, title
from cnnkit.core.progress import Progress
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.balancing.base import training_of
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.section import Cache, Data
from cnnkit.data.sources import AnySource
from cnnkit.data.sources.base import Source, in_order

CLASSES = ("apple", "pear", "plum")
LABELS = [0] * 17 + [1] * 12 + [2] * 11  # in the order in which a folder is read
IMAGES = np.random.default_rng(5).integers(0, 256, (len(LABELS), 9, 14), dtype=np.uint8)

Maker = Callable[[Path], dict[str, Any]]
"""Writes the pictures below a folder; returns the `data.source` that reads them."""


def files_of(root: Path) -> list[str]:
    """Writes a folder of PNGs; the path of each picture below it."""
    names = [f"{CLASSES[label]}/{i:03d}.png" for i, label in enumerate(LABELS)]
    for name, image in zip(names, IMAGES, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / name)
    return names


def folder(where: Path) -> dict[str, Any]:
    files_of(where / "fruit")
    return {"name": "folder", "path": str(where / "fruit")}


def table(file: Path, column: str, names: list[str]) -> str:
    """Writes a CSV of names and labels."""
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([(column, "label"), *zip(names, (CLASSES[i] for i in LABELS), strict=True)])
    return str(file)


def manifest(where: Path) -> dict[str, Any]:
    names = files_of(where / "fruit")
    return {"name": "manifest", "path": table(where / "x.csv", "path", [f"fruit/{name}" for name in names])}


def kaggle(where: Path) -> dict[str, Any]:
    """A table of ids, and an archive of images that are called so."""
    names = [f"{i:03d}" for i in range(len(LABELS))]
    with zipfile.ZipFile(where / "train.zip", "w") as packed:
        for name, file in zip(names, files_of(where / "fruit"), strict=True):
            packed.write(where / "fruit" / file, f"{name}.png")
    ids = table(where / "train.csv", "id", names)
    source = {"name": "manifest", "path": ids, "path_column": "id"}
    return source | {"folder": str(where / "train.zip"), "extension": ".png"}


def arrays(where: Path) -> dict[str, Any]:
    np.savez(where / "x.npz", images=IMAGES, labels=np.array(CLASSES)[LABELS])
    return {"name": "arrays", "path": str(where / "x.npz")}


def numbered_arrays(where: Path) -> dict[str, Any]:
    np.savez_compressed(where / "x.npz", images=IMAGES[..., None], labels=np.array(LABELS))
    return {"name": "arrays", "path": str(where / "x.npz"), "classes": CLASSES}


def archive(where: Path) -> dict[str, Any]:
    with zipfile.ZipFile(where / "x.zip", "w") as packed:
        for name in files_of(where / "fruit"):
            packed.write(where / "fruit" / name, name)
    return {"name": "archive", "path": str(where / "x.zip")}


def tar(where: Path) -> dict[str, Any]:
    with tarfile.open(where / "x.tar.gz", "w:gz") as packed:
        for name in reversed(files_of(where / "fruit")):
            packed.add(where / "fruit" / name, name)
    return {"name": "archive", "path": str(where / "x.tar.gz")}


@pytest.fixture
def makers(write_idx: Callable[..., bytes]) -> dict[str, Maker]:
    def idx(where: Path) -> dict[str, Any]:
        write_idx(where / "train-images-idx3-ubyte.gz", IMAGES)
        write_idx(where / "train-labels-idx1-ubyte.gz", np.array(LABELS))
        return {"name": "idx", "path": str(where), "classes": CLASSES}

    return {
        "folder": folder,
        "idx": idx,
        "manifest": manifest,
        "manifest.kaggle": kaggle,
        "arrays": arrays,
        "arrays.numbers": numbered_arrays,
        "archive": archive,
        "archive.tar": tar,
    }


FORMS = ("folder", "idx", "manifest", "manifest.kaggle", "arrays", "arrays.numbers", "archive", "archive.tar")
"""The keys of `makers`: the name of a source, and behind a dot what else it may look like."""

WITH_THEIR_OWN_IMAGES = {"digits", "keras", "tfds"}
"""Sources that can't hold these pictures."""


def folder_of_numbers(where: Path, labels: list[str]) -> dict[str, Any]:
    for i, label in enumerate(labels):
        (where / label).mkdir(exist_ok=True)
        Image.fromarray(IMAGES[i]).save(where / label / f"{i}.png")
    return {"name": "folder", "path": str(where)}


def manifest_of_numbers(where: Path, labels: list[str]) -> dict[str, Any]:
    folder_of_numbers(where, labels)
    rows = "".join(f"{label}/{i}.png, {label}\n" for i, label in enumerate(labels))
    (where / "x.csv").write_text(f"path,label\n{rows}")
    return {"name": "manifest", "path": str(where / "x.csv")}


def arrays_of_numbers(where: Path, labels: list[str]) -> dict[str, Any]:
    np.savez(where / "x.npz", images=IMAGES[: len(labels)], labels=np.array(labels, int))
    return {"name": "arrays", "path": str(where / "x.npz")}


def arrays_of_texts(where: Path, labels: list[str]) -> dict[str, Any]:
    np.savez(where / "x.npz", images=IMAGES[: len(labels)], labels=np.array(labels))
    return {"name": "arrays", "path": str(where / "x.npz")}


@pytest.mark.parametrize("maker", [folder_of_numbers, manifest_of_numbers, arrays_of_numbers, arrays_of_texts])
def test_classes_that_are_numbers_are_in_the_order_of_numbers(
    maker: Callable[[Path, list[str]], dict[str, Any]], tmp_path: Path
) -> None:
    settings = maker(tmp_path, [str(i % 11) for i in range(22)])
    source: Source = TypeAdapter(AnySource).validate_python(settings)
    index = source.open(Progress()).index(Progress())
    assert index.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
    for i in range(22):
        (number,) = (n for n in range(22) if np.array_equal(np.asarray(index.open(i)), IMAGES[n]))
        assert index.labels[i] == number % 11


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([f"{i}.0" for i in range(12)], [f"{i}.0" for i in range(12)]),
        (["10", "9.5", "-1"], ["-1", "9.5", "10"]),
        (["1e1", "9", "10"], ["10", "1e1", "9"]),
        (["10.0", "9.0", "v1.0"], ["10.0", "9.0", "v1.0"]),
    ],
)
def test_classes_are_in_the_order_of_numbers_where_all_are_numbers(labels: list[str], expected: list[str]) -> None:
    assert list(in_order(labels)) == expected


def source_of(form: str, makers: dict[str, Maker], where: Path) -> Source:
    where.mkdir()
    source: Source = TypeAdapter(AnySource).validate_python(makers[form](where))
    return source


def test_every_source_is_here_or_brings_its_own_pictures(makers: dict[str, Maker]) -> None:
    (kind,) = (kind for kind in KINDS if kind.name == "sources")
    assert set(FORMS) == makers.keys()
    assert {title(section) for section in kind.sections} == {
        *(form.split(".")[0] for form in FORMS),
        *WITH_THEIR_OWN_IMAGES,
    }


def test_sources_that_bring_their_own_pictures_have_no_files() -> None:
    (kind,) = (kind for kind in KINDS if kind.name == "sources")
    assert not any(section.of_files for section in kind.sections if title(section) in WITH_THEIR_OWN_IMAGES)


@pytest.mark.parametrize("form", FORMS)
def test_the_pictures_are_read_as_they_were_written(form: str, makers: dict[str, Maker], tmp_path: Path) -> None:
    source = source_of(form, makers, tmp_path / "data")
    assert source.name == form.split(".")[0]
    collection = source.open(Progress())
    assert collection.classes == CLASSES
    assert collection.splits == frozenset()
    index = collection.index(Progress())
    assert index.classes == CLASSES
    assert index.labels.tolist() == LABELS
    assert index.splits == [None] * len(LABELS)
    assert index.unused == ()
    assert source.of_files == (index.path is not None)
    for i, image in enumerate(IMAGES):
        assert np.array_equal(np.asarray(index.open(i)), image)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "folder"])
def test_digests_splits_and_the_first_batch_are_those_of_a_folder(
    form: str, makers: dict[str, Maker], tmp_path: Path
) -> None:
    results = []
    for name in ("folder", form):
        data = Data(source=source_of(name, makers, tmp_path / name), batch_size=8)
        index = data.index(data.source.open(Progress()), Progress())
        splits = data.splits(index)
        images = load(index, Preprocessing((12, 10, 3), data.fit), Cache(), Progress())
        training = [i for i, split in enumerate(splits) if split == "train"]
        batches = feeding.TrainBatches(images, training_of(index, training), Chain((), 3), data.batch_size).dataset(1)
        results.append((index.digests, splits, [part.numpy() for part in next(iter(batches))]))
    (digests, splits, batch), (other_digests, other_splits, other_batch) = results
    assert other_digests == digests
    assert len(set(digests)) == len(LABELS)
    assert other_splits == splits
    assert set(splits) == {"train", "validation", "test"}
    for part, other in zip(batch, other_batch, strict=True):
        assert len(other) == 8
        assert other.dtype == part.dtype
        assert other.tobytes() == part.tobytes()


def jpegs_of(where: Path) -> list[str]:
    """Writes a folder of JPEGs; the path of each picture below it."""
    names = [f"{CLASSES[label]}/{i:03d}.jpg" for i, label in enumerate(LABELS)]
    for name, image in zip(names, IMAGES, strict=True):
        (where / "fruit" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(where / "fruit" / name, quality=80)
    return names


def jpegs_in_a_folder(where: Path) -> dict[str, Any]:
    jpegs_of(where)
    return {"name": "folder", "path": str(where / "fruit")}


def jpegs_in_a_manifest(where: Path) -> dict[str, Any]:
    names = jpegs_of(where)
    return {"name": "manifest", "path": table(where / "x.csv", "path", [f"fruit/{name}" for name in names])}


def jpegs_in_an_archive(where: Path) -> dict[str, Any]:
    with zipfile.ZipFile(where / "x.zip", "w") as packed:
        for name in jpegs_of(where):
            packed.write(where / "fruit" / name, name)
    return {"name": "archive", "path": str(where / "x.zip")}


def decoded_jpegs(where: Path) -> dict[str, Any]:
    pixels = []
    for name in jpegs_of(where):
        with Image.open(where / "fruit" / name) as image:
            pixels.append(np.asarray(image))
    np.savez(where / "x.npz", images=np.stack(pixels), labels=np.array(CLASSES)[LABELS])
    return {"name": "arrays", "path": str(where / "x.npz")}


def test_jpegs_are_the_same_by_their_bytes_and_other_ones_once_they_are_decoded(tmp_path: Path) -> None:
    results = {}
    for maker in (jpegs_in_a_folder, jpegs_in_a_manifest, jpegs_in_an_archive, decoded_jpegs):
        (where := tmp_path / maker.__name__).mkdir()
        data = Data(source=TypeAdapter(AnySource).validate_python(maker(where)))
        index = data.index(data.source.open(Progress()), Progress())
        results[maker] = index.digests, data.splits(index)
    digests, splits = results[jpegs_in_a_folder]
    assert results[jpegs_in_a_manifest] == (digests, splits)
    assert results[jpegs_in_an_archive] == (digests, splits)
    # How a JPEG is decoded differs between libraries and their versions, so its bytes are its content; arrays have
    # nothing but pixels. The content decides on the split, which so is another one.
    other_digests, other_splits = results[decoded_jpegs]
    assert not set(other_digests) & set(digests)
    assert other_splits != splits
