"""Preview: a sheet of training images as the network will be shown them, before anything is trained.

What is on it is made by the code that trains, with the same seed, so it is what the network is shown, pixel by pixel.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.config.messages import in_words
from cnnkit.core import atomic, sheet
from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError, Problem, UsageError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.sheet import Box, Cell
from cnnkit.data.augmentations.chain import Batch, Chain
from cnnkit.data.balancing.base import Pool, Training, training_of
from cnnkit.data.feeding import batches
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.index import Index, ranked

IMAGES, VARIANTS = 20, 5
"""Rows of a sheet, and what each shows beside the original, if nobody says."""

MOST = 100
"""Rows that a sheet has room for; of large pictures, more would be too large for most viewers."""

VERSION = 1
"""Of how a sheet looks."""


@dataclass(frozen=True)
class Part:
    """An image that another one is mixed with: its name, its class, and its share."""

    image: str
    label: str
    share: float


@dataclass(frozen=True)
class Picture:
    """A picture on a sheet.

    Attributes:
        title: What its column shows.
        told: What was done to the image, or how large it is now.
        mixed_of: The images that it is mixed of, itself first; none where it is not mixed.
        box: Where it lies on the sheet.
    """

    title: str
    told: tuple[str, ...]
    mixed_of: tuple[Part, ...]
    box: Box


@dataclass(frozen=True)
class ImageRow:
    """An image on a sheet: its name, its class, and the pictures of it."""

    image: str
    label: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Sheet:
    """A sheet that was drawn."""

    file: Path
    rows: tuple[ImageRow, ...]

    def as_json(self) -> dict[str, Any]:
        """What the commands print with `--json`."""
        return {
            "sheet": str(self.file),
            "images": [
                {"image": row.image, "class": row.label, "pictures": [asdict(picture) for picture in row.pictures]}
                for row in self.rows
            ],
        }


@dataclass(frozen=True)
class _Shown:
    """Pixels, uint8 (H, W, C), and what is said of them."""

    pixels: Any
    told: tuple[str, ...] = ()
    mixed_of: tuple[Part, ...] = ()

    def words(self) -> list[str]:
        seen = [f"{part.share:.0%} {part.label}" for part in self.mixed_of if part.share >= 0.005]
        return [*self.told, *([" + ".join(seen)] if len(seen) > 1 else [])]


def refuse(output: Path | None, force: bool) -> None:
    """Refuses a file for the sheet that is no PNG, can't be written, or is there already.

    Raises:
        UsageError: It is one of these.
    """
    if output and output.suffix.lower() != ".png":
        raise UsageError(f"--output {output}: the sheet is a PNG; give it a name that ends in .png")
    atomic.refuse("--output", output, force)


def refuse_unaugmented(experiment: Experiment, config: Path) -> None:
    """Refuses a config that augments nothing: there is nothing to see.

    Raises:
        UsageError: It is one.
    """
    if not experiment.augment:
        raise UsageError(
            f"{config} has nothing under augment: training shows every image as it is. For a try: "
            "--set 'augment=[{name: flip}, {name: rotate, degrees: 15}]'; `cnnkit list augmentations` tells all of them"
        )


def augmented(
    experiment: Experiment,
    progress: Progress,
    output: Path | None = None,
    images: int = IMAGES,
    variants: int = VARIANTS,
) -> Sheet:
    """Draws training images as they are, and as the first epochs will show them.

    Args:
        experiment: What would be trained.
        progress: Is told how far it is.
        output: The sheet's file; in the cache by default.
        images: How many, of each class as many if that can be.
        variants: How many epochs.

    Raises:
        DataError: The images are not what they should be.
        UsageError: The file can't be written.
    """
    experiment, index, preprocessing = _opened(experiment, progress)
    training = _training(experiment, index, preprocessing)
    places = _chosen(index, training, experiment.seed, images)
    numbers = [int(training.numbers[place]) for place in places]
    originals = {place: _pixels(preprocessing, index, number) for place, number in zip(places, numbers, strict=True)}
    shower = _Shower(experiment, index, preprocessing, training, originals)
    shown = [[_Shown(originals[place])] for place in places]
    with progress.task("augmenting", variants) as advance:
        for epoch in range(variants):
            for row, one in zip(shown, shower.shown(epoch, places), strict=True):
                row.append(one)
            advance(1)
    titles = ["as it is", *(f"epoch {epoch + 1}" for epoch in range(variants))]
    heading = f"{experiment.name}: training images as they are, and as training shows them (seed {experiment.seed})"
    return _drawn(experiment, index, numbers, heading, titles, shown, output)


def prepared(experiment: Experiment, progress: Progress, output: Path | None = None, images: int = IMAGES) -> Sheet:
    """Draws training images as they are decoded, and after each step of `data.prepare`.

    Args:
        experiment: What would be trained.
        progress: Is told how far it is.
        output: The sheet's file; in the cache by default.
        images: How many, of each class as many if that can be.

    Raises:
        DataError: The images are not what they should be.
        UsageError: There is no step, or the file can't be written.
    """
    if not experiment.data.prepare:
        raise UsageError(
            "data.prepare has no step: the network is shown the images as they are, brought to size. For a try: "
            "--set 'data.prepare=[{name: clahe}]'; `cnnkit list preparations` tells all of them"
        )
    experiment, index, preprocessing = _opened(experiment, progress)
    training = training_of(index, _split(experiment, index))
    numbers = [int(training.numbers[place]) for place in _chosen(index, training, experiment.seed, images)]
    shown = []
    with progress.task("preparing", len(numbers)) as advance:
        for number in numbers:
            with _naming(index, number):
                first, path = preprocessing.first(index, number)
                stages = [first, *(result for _, result in preprocessing.steps(first, path))]
            shown.append([_Shown(stage, (f"{stage.shape[1]} x {stage.shape[0]}",)) for stage in stages])
            advance(1)
    steps = [f"{k}. {in_words(step)}" for k, step in enumerate(experiment.data.prepare, start=1)]
    titles = ["as it is", *steps, f"in size: {preprocessing.fit}"]
    return _drawn(experiment, index, numbers, f"{experiment.name}: data.prepare, step by step", titles, shown, output)


def _opened(experiment: Experiment, progress: Progress) -> tuple[Experiment, Index, Preprocessing]:
    """The experiment complete, the images that it is about, and how they are shown."""
    collection = experiment.data.source.open(progress)
    experiment = experiment.completed(collection)
    index = experiment.data.index(collection, experiment.seed, progress)
    preprocessing = experiment.preprocessing(experiment.shape(collection) or collection.shape)
    if collection.skip_bad:
        # Which images are divided, and their numbers, depends on which can be decoded.
        index = load(index, preprocessing, experiment.data.cache, progress, skip_bad=True).index
    return experiment, index, preprocessing


def _split(experiment: Experiment, index: Index) -> list[int]:
    return [i for i, split in enumerate(experiment.data.splits(index, experiment.seed)) if split == "train"]


def _training(experiment: Experiment, index: Index, preprocessing: Preprocessing) -> Training:
    """What an epoch goes through, as in training."""
    every = training_of(index, _split(experiment, index))

    def images() -> Any:
        return np.stack([_pixels(preprocessing, index, int(number)) for number in every.numbers])

    return experiment.data.balance(every, Pool(index.classes, len(index), images), experiment.seed)


def _chosen(index: Index, training: Training, seed: int, count: int) -> list[int]:
    """The places in the training of some images: of each class the same number, chosen by content and seed."""
    first: dict[int, int] = {}  # an image may be there several times
    for place, number in enumerate(training.numbers.tolist()):
        if number < len(index):
            first.setdefault(number, place)
    order = sorted(first, key=lambda i: (ranked(index.digests[i], seed, "preview"), index.names[i]))
    seen: dict[int, int] = {}
    turns = []
    for rank, i in enumerate(order):
        label = int(index.labels[i])
        turns.append((seen.get(label, 0), rank, i))
        seen[label] = seen.get(label, 0) + 1
    taken = [i for _, _, i in sorted(turns)[:count]]
    return [first[i] for i in sorted(taken, key=lambda i: int(index.labels[i]))]


@dataclass(frozen=True)
class _Shower:
    """Shows what training shows.

    Attributes:
        rows: Images by their place in the training, uint8 (H, W, C); those of the sheet.
    """

    experiment: Experiment
    index: Index
    preprocessing: Preprocessing
    training: Training
    rows: dict[int, Any]

    def shown(self, epoch: int, places: Sequence[int]) -> Iterator[_Shown]:
        """The images at places of the training, in an epoch."""
        chain = Chain(self.experiment.augment, self.experiment.seed)
        order = batches.order_of(len(self.training), chain.seed, epoch).numpy() if chain.mixes else None
        size = self.experiment.data.batch_size
        rows = dict(self.rows)  # the partners of this epoch are kept for as long
        for place in places:
            key = int(self._keys[place])
            told = tuple(chain.descriptions(rows[place], epoch, key))
            if order is None:
                yield _Shown(np.uint8(chain.images([rows[place]], epoch, [key])[0]), told)
                continue
            at = int(np.flatnonzero(order == place)[0])
            yield self._mixed(chain, epoch, order[at // size * size :][:size], at % size, told, rows)

    def _mixed(
        self, chain: Chain, epoch: int, batch: Any, at: int, told: tuple[str, ...], rows: dict[int, Any]
    ) -> _Shown:
        """An image of a batch, mixed as in training; only what is mixed with it is decoded."""
        pictures = np.zeros((len(batch), *self.preprocessing.shape), np.float32)
        keys, weights = self._keys[batch], np.ones(len(batch), np.float32)
        # With itself as its label, and as much as any other, an image tells what pixels it is mixed of.
        selves = np.eye(len(batch), dtype=np.float32)
        shares = chain.mixed(Batch(pictures, selves, weights), epoch, keys).labels[at]
        needed = [at, *(i for i in np.flatnonzero(shares) if i != at)]
        for place in batch[needed].tolist():
            rows[place] = rows[place] if place in rows else self._row(place)
        pictures[needed] = chain.images([rows[place] for place in batch[needed].tolist()], epoch, keys[needed])
        mixed = chain.mixed(Batch(pictures, selves, weights), epoch, keys)
        parts = tuple(Part(*self._told(batch[i]), float(shares[i])) for i in needed)
        return _Shown(np.uint8(np.rint(mixed.images[at])), told, parts if len(parts) > 1 else ())

    def _told(self, place: int) -> tuple[str, str]:
        """Name and class of the image at a place of the training."""
        number = int(self.training.numbers[place])
        name = self.index.names[number] if number < len(self.index) else "made by data.balance"
        return name, self.index.classes[self.training.labels[place]]

    @functools.cached_property
    def _keys(self) -> Any:
        return batches.keys_of(self.training.numbers)

    def _row(self, place: int) -> Any:
        """An image of the training before it is augmented: uint8 (H, W, C)."""
        number = int(self.training.numbers[place])
        made = number - len(self.index)
        return self.training.synthetic[made] if made >= 0 else _pixels(self.preprocessing, self.index, number)


def _pixels(preprocessing: Preprocessing, index: Index, number: int) -> Any:
    """What the network is shown of an image, uint8 (H, W, C)."""
    with _naming(index, number):
        return preprocessing.of_index(index, number)


@contextmanager
def _naming(index: Index, number: int) -> Iterator[None]:
    """What is wrong with an image is told with its name."""
    try:
        yield
    except BadImage as error:
        advice = "repair or remove it; `cnnkit data CONFIG` finds all such files"
        raise DataError(Problem(f"{error}; {advice}", file=index.names[number])) from None


def _drawn(
    experiment: Experiment,
    index: Index,
    numbers: Sequence[int],
    heading: str,
    titles: Sequence[str],
    shown: Sequence[Sequence[_Shown]],
    output: Path | None,
) -> Sheet:
    """Draws the sheet, into a file that is whole or not there."""
    labels = [index.classes[index.labels[number]] for number in numbers]
    names = [index.names[number] for number in numbers]
    cells = [
        [
            Cell(one.pixels, [label, name, *one.words()] if k == 0 else one.words() or ["as it is"])
            for k, one in enumerate(row)
        ]
        for label, name, row in zip(labels, names, shown, strict=True)
    ]
    file = output or _in_cache(experiment, index, heading, titles, len(shown))
    try:
        if not output:
            file.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(file) as temporary:
            boxes = sheet.draw(temporary, heading, titles, cells)
    except OSError as error:
        advice = "choose a file with --output" if not output else "choose another --output"
        # The file that could not be made may be a temporary one, which nobody knows.
        raise UsageError(f"{file} can't be written: {error.strerror or error}; {advice}") from None
    pictures = [
        tuple(Picture(title, one.told, one.mixed_of, box) for title, one, box in zip(titles, row, places, strict=True))
        for row, places in zip(shown, boxes, strict=True)
    ]
    return Sheet(file, tuple(map(ImageRow, names, labels, pictures)))


def _in_cache(experiment: Experiment, index: Index, heading: str, titles: Sequence[str], images: int) -> Path:
    """A file in the cache, named by all that the sheet shows; so another one never takes its place."""
    settings = experiment.model_dump_json(include={"seed", "data", "augment"})
    told = json.dumps([VERSION, heading, titles, images, settings, index.fingerprint()])
    return cache_folder() / "preview" / f"{experiment.name}-{digest_of(told.encode())}.png"
