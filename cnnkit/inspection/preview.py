"""Preview: a sheet of training images as the network will be shown them, before anything is trained.

What is on it is made by the code that trains, with the same seed, so it is what the network is shown, pixel by pixel.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from cnnkit.config.experiment import Experiment
from cnnkit.config.messages import in_words
from cnnkit.core import atomic, sheet
from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DataError, Problem, UsageError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.sheet import Box, Cell
from cnnkit.core.text import by
from cnnkit.data.augmentations.chain import Batch, Chain
from cnnkit.data.balancing.base import Pool, Training, training_of
from cnnkit.data.feeding import batches
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.index import Index, ranked
from cnnkit.runs import overwriting

IMAGES, VARIANTS = 20, 5
"""Rows of a sheet, and what each shows beside the original, if nobody says."""

MOST = 100
"""Rows that a sheet has room for; of large pictures, more would be too large for most viewers."""

VERSION = 1
"""Counts the ways in which sheets have looked: one in the cache that was drawn in another way is drawn anew."""


@dataclass(frozen=True)
class MixedImage:
    """An image that another one is mixed with: its name, its class, and its share."""

    image: str
    label: str
    share: float


@dataclass(frozen=True)
class Picture:
    """A picture on a sheet: a form of an image.

    Attributes:
        title: What its column shows.
        pixels: uint8 (H, W, C).
        description: What was done to the image, or how large it is now.
        mixed_of: The images that it is mixed of, itself first; none where it is not mixed.
        box: Where it lies on the sheet, once that is drawn.
    """

    title: str
    pixels: Any = field(repr=False, compare=False)
    description: tuple[str, ...] = ()
    mixed_of: tuple[MixedImage, ...] = ()
    box: Box = (0, 0, 0, 0)

    def words(self) -> list[str]:
        """What is said below it."""
        seen = [f"{part.share:.0%} {part.label}" for part in self.mixed_of if part.share >= 0.005]
        return [*self.description, *([" + ".join(seen)] if len(seen) > 1 else [])]

    def as_json(self) -> dict[str, Any]:
        """As the commands print it with `--json`."""
        mixed_of = [asdict(part) for part in self.mixed_of]
        return {"title": self.title, "told": self.description, "mixed_of": mixed_of, "box": self.box}


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
                {"image": row.image, "class": row.label, "pictures": [picture.as_json() for picture in row.pictures]}
                for row in self.rows
            ],
        }


def refuse(output: Path | None, force: bool, images: int | None = None) -> None:
    """Refuses a file for the sheet that is no PNG, can't be written, or is there already, and too many images for one.

    Raises:
        UsageError: It is one of these.
    """
    overwriting.refuse("--output", output, force, overwriting.Form("the sheet is a PNG", (".png",)))
    if images and images > MOST:
        raise UsageError(f"--images {images}: a sheet has room for {MOST}")


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
    preview = _Preview.of(experiment, progress)
    training = preview.balanced()
    places = preview.chosen(training, images)
    replay = _Replay(preview, training, {place: preview.pixels(number) for number, place in places.items()})
    rows = [[Picture("as it is", replay.originals[place])] for place in places.values()]
    with progress.task("augmenting", variants) as advance:
        for epoch in range(variants):
            for row, picture in zip(rows, replay.pictures(epoch, places.values()), strict=True):
                row.append(picture)
            advance(1)
    heading = f"{experiment.name}: training images as they are, and as training shows them (seed {experiment.seed})"
    return preview.drawn(list(places), heading, rows, output)


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
    preview = _Preview.of(experiment, progress)
    numbers = list(preview.chosen(preview.training, images))
    steps = [f"{k}. {in_words(step)}" for k, step in enumerate(experiment.data.prepare, start=1)]
    titles = ["as it is", *steps, f"in size: {experiment.data.fit}"]
    rows = []
    with progress.task("preparing", len(numbers)) as advance:
        for number in numbers:
            stages = zip(titles, preview.stages(number), strict=True)
            rows.append([Picture(title, stage, (by(reversed(stage.shape[:2])),)) for title, stage in stages])
            advance(1)
    return preview.drawn(numbers, f"{experiment.name}: data.prepare, step by step", rows, output)


@dataclass(frozen=True)
class _Preview:
    """What would be shown in a training.

    Attributes:
        experiment: What would be trained, complete.
        index: The images that it is about.
        preprocessing: What becomes of each before the network sees it.
        training: The images that train, before anything is done about the balance of their classes.
    """

    experiment: Experiment
    index: Index
    preprocessing: Preprocessing
    training: Training

    @classmethod
    def of(cls, experiment: Experiment, progress: Progress) -> Self:
        """Opens the source."""
        collection = experiment.data.source.open(progress)
        experiment = experiment.completed(collection)
        index = experiment.data.index(collection, progress)
        preprocessing = experiment.preprocessing(experiment.shape_with(collection))
        if collection.skip_bad:
            # Which images are divided, and their numbers, depends on which can be decoded.
            index = load(index, preprocessing, experiment.data.cache, progress, skip_bad=True).index
        splits = experiment.data.splits(index, progress)
        training = training_of(index, [i for i, split in enumerate(splits) if split == "train"])
        return cls(experiment, index, preprocessing, training)

    def balanced(self) -> Training:
        """What an epoch goes through, as in training."""

        def images() -> Any:
            return np.stack([self.pixels(number) for number in self.training.numbers.tolist()])

        first = len(self.index)
        return self.experiment.data.balance(
            self.training, Pool(self.index.classes, first, images), self.experiment.seed
        )

    def chosen(self, training: Training, count: int) -> dict[int, int]:
        """The numbers of some images and their places in the training: of each class as many, by content and seed."""
        index, places = self.index, dict[int, int]()
        for place, number in enumerate(training.numbers.tolist()):
            if number < len(index):
                places.setdefault(number, place)  # an image may be there several times
        ranks = {i: (ranked(index.digests[i], self.experiment.seed, "preview"), index.names[i]) for i in places}
        turns = Counter[int]()
        order = []
        for rank, i in enumerate(sorted(places, key=ranks.__getitem__)):
            label = int(index.labels[i])
            order.append((turns[label], rank, i))
            turns[label] += 1
        taken = [i for _, _, i in sorted(order)[:count]]
        return {i: places[i] for i in sorted(taken, key=lambda i: int(index.labels[i]))}

    def pixels(self, number: int) -> Any:
        """What the network is shown of an image, uint8 (H, W, C)."""
        with self._naming(number):
            return self.preprocessing.of_index(self.index, number)

    def stages(self, number: int) -> list[Any]:
        """An image as it is decoded and after each step of its preprocessing, uint8 (H, W, C) each."""
        with self._naming(number):
            first, path = self.preprocessing.first(self.index, number)
            return [first, *(result for _, result in self.preprocessing.steps(first, path))]

    @contextmanager
    def _naming(self, number: int) -> Iterator[None]:
        """What is wrong with an image is told with its name."""
        try:
            yield
        except BadImage as error:
            advice = "repair or remove it; `cnnkit data CONFIG` finds all such files"
            raise DataError(Problem(f"{error}; {advice}", file=self.index.names[number])) from None

    def drawn(
        self, numbers: Sequence[int], heading: str, rows: Sequence[Sequence[Picture]], output: Path | None
    ) -> Sheet:
        """Draws the sheet of some images in some forms, into a file that is whole or not there."""
        labels = [self.index.classes[self.index.labels[number]] for number in numbers]
        names = [self.index.names[number] for number in numbers]
        cells = [
            [Cell(first.pixels, [label, name, *first.words()])]
            + [Cell(picture.pixels, picture.words() or ["as it is"]) for picture in others]
            for label, name, (first, *others) in zip(labels, names, rows, strict=True)
        ]
        titles = [picture.title for picture in rows[0]]
        file = output or self._in_cache(heading, titles, len(rows))
        try:
            if not output:
                atomic.make_folder(file.parent, parents=True, exist_ok=True)
            boxes = sheet.draw(file, heading, titles, cells)
        except OSError as error:
            advice = "choose a file with --output" if not output else "choose another --output"
            # The file that could not be made may be a temporary one, which nobody knows.
            raise UsageError(f"{file} can't be written: {error.strerror or error}; {advice}") from None
        pictures = [
            tuple(replace(picture, box=box) for picture, box in zip(row, places, strict=True))
            for row, places in zip(rows, boxes, strict=True)
        ]
        return Sheet(file, tuple(map(ImageRow, names, labels, pictures)))

    def _in_cache(self, heading: str, titles: Sequence[str], images: int) -> Path:
        """A file in the cache, named by all that the sheet shows; so another one never takes its place."""
        settings = self.experiment.model_dump_json(include={"seed", "data", "augment"})
        content = json.dumps([VERSION, heading, titles, images, settings, self.index.fingerprint()])
        return cache_folder() / "preview" / f"{self.experiment.name}-{digest_of(content.encode())}.png"


@dataclass(frozen=True)
class _Replay:
    """Augments as training does.

    Attributes:
        preview: What training shows.
        training: What an epoch goes through.
        originals: Images by their place in it, uint8 (H, W, C); those of the sheet.
    """

    preview: _Preview
    training: Training
    originals: dict[int, Any]

    def pictures(self, epoch: int, places: Iterable[int]) -> Iterator[Picture]:
        """The images at places of the training, in an epoch."""
        order = batches.order_of(len(self.training), self._chain.seed, epoch).numpy() if self._chain.mixes else None
        size = self.preview.experiment.data.batch_size
        rows = dict(self.originals)  # the partners of this epoch are there for as long
        for place in places:
            key = int(self._keys[place])
            description = tuple(self._chain.descriptions(rows[place], epoch, key))
            parts: tuple[MixedImage, ...] = ()
            if order is None:
                pixels = self._chain.images([rows[place]], epoch, [key])[0]
            else:
                at = int(np.flatnonzero(order == place)[0])
                pixels, parts = self._mixed(epoch, order[at // size * size :][:size], at % size, rows)
            yield Picture(f"epoch {epoch + 1}", np.uint8(pixels), description, parts)

    def _mixed(self, epoch: int, batch: Any, at: int, rows: dict[int, Any]) -> tuple[Any, tuple[MixedImage, ...]]:
        """An image of a batch mixed as in training, and what of; only what is mixed with it is decoded."""
        images = np.zeros((len(batch), *self.preview.preprocessing.shape), np.float32)
        keys, weights = self._keys[batch], np.ones(len(batch), np.float32)
        # With itself as its label, and as much as any other, an image tells what pixels it is mixed of.
        selves = np.eye(len(batch), dtype=np.float32)
        shares = self._chain.mixed(Batch(images, selves, weights), epoch, keys).labels[at]
        needed = [at, *(i for i in np.flatnonzero(shares) if i != at)]
        for place in batch[needed].tolist():
            rows[place] = rows[place] if place in rows else self._row(place)
        images[needed] = self._chain.images([rows[place] for place in batch[needed].tolist()], epoch, keys[needed])
        mixed = self._chain.mixed(Batch(images, selves, weights), epoch, keys)
        parts = tuple(self._part(batch[i], float(shares[i])) for i in needed)
        return np.rint(mixed.images[at]), parts if len(parts) > 1 else ()

    def _part(self, place: int, share: float) -> MixedImage:
        """The image at a place of the training, as a part of another."""
        index, number = self.preview.index, int(self.training.numbers[place])
        name = index.names[number] if number < len(index) else "made by data.balance"
        return MixedImage(name, index.classes[self.training.labels[place]], share)

    @functools.cached_property
    def _chain(self) -> Chain:
        return Chain(self.preview.experiment.augment, self.preview.experiment.seed)

    @functools.cached_property
    def _keys(self) -> Any:
        return batches.keys_of(self.training.numbers)

    def _row(self, place: int) -> Any:
        """An image of the training before it is augmented: uint8 (H, W, C)."""
        number, real = int(self.training.numbers[place]), len(self.preview.index)
        return self.preview.pixels(number) if number < real else self.training.synthetic[number - real]
