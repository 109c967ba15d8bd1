"""The source tfds, against a small stand-in for TensorFlow Datasets that has the shapes of its release 4.9.10."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError
from cnnkit.core.progress import Progress
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.section import Cache
from cnnkit.data.sources import Tfds

# What is called of the library, and how it answers. Every set has the same pictures; its name tells what is odd in it.
STAND_IN = """
import enum, io, logging, types
from pathlib import Path

class FileFormat(enum.Enum):
    TFRECORD = "tfrecord"
    ARRAY_RECORD = "array_record"

class Image:
    def __init__(self, shape): self.shape = shape
class ClassLabel:
    def __init__(self, names): self.names = names
class Text: pass
class SkipDecoding: pass

features = types.SimpleNamespace(Image=Image, ClassLabel=ClassLabel)
decode = types.SimpleNamespace(SkipDecoding=SkipDecoding)
SPLITS = {"train": range(0, 8), "test": range(8, 12), "extra": range(12, 14), "validation": range(0)}

class DataSource:
    def __init__(self, numbers, odd): self.numbers, self.odd = numbers, odd
    def __len__(self): return len(self.numbers)
    def __getitem__(self, i):
        import numpy as np
        from PIL import Image
        i = self.numbers[i]
        file = io.BytesIO()
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (9, 7, 3), dtype=np.uint8)).save(file, "PNG")
        content = b"damaged" if self.odd == "damaged" and i == 3 else file.getvalue()
        return {"image": content, "label": -1 if self.odd == "secret" and i in SPLITS["test"] else i % 2, "id": b"x"}

class Builder:
    def __init__(self, name, data_dir):
        self.odd, self.file = name, Path(data_dir) / name / "format"
    @property
    def info(self):
        held = {"image": Image((None, None, 3)), "label": ClassLabel(["round", "square"]), "id": Text()}
        if self.odd == "detection": del held["label"]
        if self.odd == "two": held["mask"] = Image((9, 7, 1))
        if self.odd == "grey": held["image"] = Image((9, 7, 1))
        splits = {k: types.SimpleNamespace(num_examples=len(v)) for k, v in SPLITS.items() if self.is_prepared()}
        if self.odd == "testing": del splits["train"]
        formats = {FileFormat(self.file.read_text())} if self.is_prepared() else set()
        return types.SimpleNamespace(features=held, splits=splits, supervised_keys=("image", "label"),
                                     available_file_formats=lambda: formats)
    def is_prepared(self): return self.file.is_file()
    def download_and_prepare(self, *, file_format=None):
        import tensorflow
        if self.odd == "offline": raise ConnectionError("Failed to get url https://x.org.\\nAnd a page of more.")
        self.file.parent.mkdir(parents=True)
        self.file.write_text(file_format or "tfrecord")
    def as_data_source(self, split=None, *, decoders=None):
        assert FileFormat.ARRAY_RECORD in self.info.available_file_formats()
        assert isinstance(decoders["image"], SkipDecoding)
        return DataSource(SPLITS[split], self.odd)

def builder(name, *, data_dir=None):
    if name == "unknown": raise ValueError("Dataset unknown not found.\\nAvailable datasets:\\n\\t- abstract_reasoning")
    logging.getLogger("absl").warning("No builder could be found in the directory")
    return Builder(name, data_dir)
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """The stand-in in the place of the library, here and in new processes; TensorFlow is an empty module there."""
    folder = tmp_path / "library"
    for name, content in (("tensorflow_datasets", STAND_IN), ("tensorflow", "")):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(content)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delitem(sys.modules, "tensorflow_datasets", raising=False)
    yield folder
    sys.modules.pop("tensorflow_datasets", None)


def prepared(tmp_path, name, form="array_record"):
    (tmp_path / "sets" / name).mkdir(parents=True)
    (tmp_path / "sets" / name / "format").write_text(form)
    return Tfds(dataset=name, data_dir=str(tmp_path / "sets"))


def problem_of(source):
    with pytest.raises(DataError) as caught:
        source.open(Progress()).index(Progress())
    [problem] = caught.value.problems
    assert "\n" not in problem.message
    return problem


@pytest.mark.usefixtures("library")
def test_a_prepared_set_is_read_with_its_own_splits(tmp_path):
    collection = prepared(tmp_path, "tiny").open(Progress())
    assert collection.classes == ("round", "square")
    assert collection.splits == {"test"}
    assert collection.shape == (64, 64, 3)
    index = collection.index(Progress())
    assert index.labels.tolist() == [i % 2 for i in range(12)]
    assert index.splits == [None] * 8 + ["test"] * 4
    assert len(set(index.names)) == len(set(index.digests)) == 12
    for i in range(12):
        expected = np.random.default_rng(i).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        assert np.array_equal(np.asarray(index.open(i)), expected)
    [unused] = index.unused
    assert "extra" in unused.name and "split" in unused.reason


@pytest.mark.usefixtures("library")
def test_a_set_that_is_not_there_is_prepared_in_the_cache_once(monkeypatch):
    source = Tfds(dataset="tiny")
    assert len(source.open(Progress()).index(Progress())) == 12
    assert (cache_folder() / "tfds" / "tiny" / "format").read_text() == "array_record"
    monkeypatch.setattr(subprocess, "run", None)
    assert len(source.open(Progress()).index(Progress())) == 12


def test_neither_a_look_nor_the_preparing_brings_tensorflow_here(library):
    program = (
        "import sys; from cnnkit.data.sources import Tfds; from cnnkit.core.progress import Progress\n"
        "assert 'tensorflow_datasets' not in sys.modules\n"
        "Tfds(dataset='tiny').open(Progress())\n"
        "assert 'tensorflow_datasets' in sys.modules and 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_without_the_library_the_command_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    problem = problem_of(Tfds(dataset="cifar10"))
    assert problem.key == "name"
    assert "pip install '.[tfds]'" in problem.message


def test_a_library_that_lacks_another_tells_which(library):
    (library / "tensorflow_datasets" / "__init__.py").write_text("import nothing_of_this_name")
    problem = problem_of(Tfds(dataset="cifar10"))
    assert "nothing_of_this_name" in problem.message and "pip install '.[tfds]'" in problem.message


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unknown", "unknown can't be read: Dataset unknown not found."),
        ("offline", "can't be fetched and prepared: ConnectionError: Failed to get url https://x.org."),
        ("detection", "should have an image and a label in each example; it has image (Image), id (Text)"),
        ("testing", "has no train split, but test, extra"),
    ],
)
def test_a_set_that_can_not_be_read_is_told_in_a_line(name, words):
    problem = problem_of(Tfds(dataset=name))
    assert problem.key == "dataset"
    assert words in problem.message


@pytest.mark.usefixtures("library")
def test_a_set_in_another_form_is_told_with_what_to_do(tmp_path):
    problem = problem_of(prepared(tmp_path, "tiny", "tfrecord"))
    assert problem.key == "data_dir"
    assert str(tmp_path / "sets") in problem.message and "array_record" in problem.message


@pytest.mark.usefixtures("library")
def test_of_two_pictures_the_one_that_is_meant_is_taken(tmp_path):
    assert len(prepared(tmp_path, "two").open(Progress()).index(Progress())) == 12


@pytest.mark.usefixtures("library")
def test_a_set_of_one_size_suggests_it(tmp_path):
    assert prepared(tmp_path, "grey").open(Progress()).shape == (9, 7, 1)


@pytest.mark.usefixtures("library")
def test_images_whose_label_is_secret_are_left_out_and_listed(tmp_path):
    index = prepared(tmp_path, "secret").open(Progress()).index(Progress())
    assert index.names == [f"train/{i:06d}" for i in range(8)]
    assert [entry.name for entry in index.unused if entry.reason == "without a label"] == [
        f"test/{i:06d}" for i in range(4)
    ]


@pytest.mark.usefixtures("library")
def test_a_damaged_picture_is_named(tmp_path):
    collection = prepared(tmp_path, "damaged").open(Progress())
    with pytest.raises(DataError, match="train/000003"):
        load(collection.index(Progress()), Preprocessing((8, 8, 3), "crop"), Cache(), Progress())


def test_the_extra_is_told_in_the_project():
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert "\ntfds = [" in text
