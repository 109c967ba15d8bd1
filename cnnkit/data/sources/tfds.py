"""Sets of TensorFlow Datasets (https://www.tensorflow.org/datasets), the extra `tfds`.

A set that is prepared is read without TensorFlow: `tensorflow_datasets` itself loads it late, and not for this; so its
classes and splits may be looked at while a config is checked. What is read is the form `array_record`, of which single
pictures can be had. To prepare a set takes TensorFlow, and is done by a process of its own.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

from cnnkit.core.cache import cache_folder, note
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath, Text
from cnnkit.core.text import counted
from cnnkit.data.files import decoding
from cnnkit.data.files.file_facts import facts_of
from cnnkit.data.index import SPLITS, Collection, Index, Unused
from cnnkit.data.sources.base import Source

FORMAT = "array_record"

_PREPARE = f"""
import sys, tensorflow_datasets as tfds
tfds.builder(sys.argv[1], data_dir=sys.argv[2]).download_and_prepare(file_format="{FORMAT}")
"""


class Tfds(Source):
    """A set of TensorFlow Datasets with one label an image; its train, validation and test splits are kept."""

    name: Literal["tfds"] = "tfds"
    dataset: Text
    """Its name there, with a version if it should stay the same: `cats_vs_dogs`, `cifar10:3.0.2`."""
    data_dir: AbsolutePath | None = None
    """Folder of prepared sets; one in cnnkit's cache if left out. A set that is not there is fetched and prepared."""

    def open(self, progress: Progress) -> Collection:
        """Reads what is known of a set; one that is not prepared yet is fetched and prepared before."""
        builder = self._prepared(progress)
        image, label = self._features(builder.info)
        splits = _sizes(builder)
        if "train" not in splits:
            raise self._wrong(f"has no train split, but {', '.join(splits) or 'none at all'}")
        classes = tuple(str(name) for name in builder.info.features[label].names)
        if len(classes) < 2:
            raise self._wrong("has one class only; at least two are needed")
        height, width, channels = builder.info.features[image].shape
        shape = (height or 64, width or 64, 1 if channels == 1 else 3)
        index = partial(self._index, builder, image, label, classes)
        pictures = (height, width) if height and width else None
        return Collection(classes, frozenset(SPLITS[1:]) & splits.keys(), shape, index, pictures=pictures)

    def _prepared(self, progress: Progress) -> Any:
        """The builder of the set, which reads what it has prepared."""
        tfds = self._library()
        folder = self.data_dir or str(cache_folder().absolute() / "tfds")
        note(f"{folder}/{self.dataset.partition('/')[0]}")
        with self._refusing():
            builder = tfds.builder(self.dataset, data_dir=folder)
            prepared = builder.is_prepared()
        if not prepared:
            with progress.task(f"preparing {self.dataset}, which may take long", 1):
                done = subprocess.run([sys.executable, "-c", _PREPARE, self.dataset, folder], capture_output=True)
            if done.returncode:
                raise self._wrong(f"can't be fetched and prepared: {_last_line(done.stderr)}")
            with self._refusing():
                builder = tfds.builder(self.dataset, data_dir=folder)
        if FORMAT not in {form.value for form in builder.info.available_file_formats()}:
            message = f"is prepared in {folder}, but not as {FORMAT}, which alone is read; leave data_dir out"
            raise DataError(Problem(f"{self.dataset} {message}", key="data_dir"))
        return builder

    def _library(self) -> Any:
        try:
            import tensorflow_datasets
        except ModuleNotFoundError as error:
            needed = "" if error.name == "tensorflow_datasets" else f" ({error})"
            message = f"needs TensorFlow Datasets{needed}; install it in cnnkit's clone: pip install '.[tfds]'"
            raise DataError(Problem(message, key="name")) from None
        logging.getLogger("absl").setLevel(logging.ERROR)  # what it finds and where is told by its thousands
        return tensorflow_datasets

    def _features(self, info: Any) -> tuple[str, str]:
        """Names of the picture and of the label among all that an example has."""
        features = self._library().features
        found = []
        for kind in (features.Image, features.ClassLabel):
            names = [name for name, feature in info.features.items() if isinstance(feature, kind)]
            meant = [name for name in names if name in (info.supervised_keys or ())]
            found += meant if len(meant) == 1 else names if len(names) == 1 else []
        if len(found) != 2:
            held = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in info.features.items())
            raise self._wrong(f"should have an image and a label in each example; it has {held}")
        return found[0], found[1]

    def _index(self, builder: Any, image: str, label: str, classes: tuple[str, ...], progress: Progress) -> Index:
        sizes = _sizes(builder)
        encoded = {image: self._library().decode.SkipDecoding()}
        with self._refusing():
            parts = {split: builder.as_data_source(split, decoders=encoded) for split in SPLITS if split in sizes}
        unused = [
            Unused(f"{split} ({counted(count, 'image')})", "a split that is neither train, validation nor test")
            for split, count in sizes.items()
            if split not in SPLITS
        ]
        places, labels, digests = [], [], []
        with progress.task(f"reading {self.dataset}", sum(map(len, parts.values()))) as advance, self._refusing():
            for split, i in ((split, i) for split, part in parts.items() for i in range(len(part))):
                example = parts[split][i]
                if example[label] < 0:  # of a competition's test images the label is a secret
                    unused.append(Unused(_name(split, i), "without a label"))
                else:
                    places.append((split, i))
                    labels.append(int(example[label]))
                    digests.append(facts_of(example[image]).digest)
                advance(1)
        return Index(
            classes=classes,
            names=[_name(split, i) for split, i in places],
            labels=np.asarray(labels, dtype=np.int64),
            digests=digests,
            splits=[None if split == "train" else split for split, _ in places],
            open=lambda i: decoding.image_of(parts[places[i][0]][places[i][1]][image]),
            unused=tuple(unused),
        )

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Says what goes wrong in the library in one line; it raises all kinds, with texts of a page."""
        try:
            yield
        except Exception as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise self._wrong(f"can't be read: {reason}") from None

    def _wrong(self, what: str) -> DataError:
        return DataError(Problem(f"{self.dataset} {what}", key="dataset"))


def _sizes(builder: Any) -> dict[str, int]:
    """How many images are in each split that has any."""
    return {split: part.num_examples for split, part in builder.info.splits.items() if part.num_examples}


def _name(split: str, i: int) -> str:
    return f"{split}/{i:06d}"


def _last_line(output: bytes) -> str:
    """The last words of a process that has failed: the line of a traceback that tells the error."""
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if not line.startswith((" ", "\t")) and ": " in line]
    return (errors or lines or ["it has ended without a word"])[-1].strip()
