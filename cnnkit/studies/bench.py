"""Where candidates are tried: on the images that train and choose, never on those that judge.

Each attempt is a training as any other, into a folder that is thrown away, or for a fitted classifier the fit alone, on
as many features as the time allows.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from cnnkit.config import yaml12
from cnnkit.config.experiment import Experiment
from cnnkit.core.lazy import np
from cnnkit.core.machine import cores
from cnnkit.core.progress import Live, Progress
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding.images import Images
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.pixel_store import bytes_of
from cnnkit.data.index import Collection, Index, ranked
from cnnkit.data.section import Cache
from cnnkit.evaluation import familiarity
from cnnkit.evaluation.baseline import Baseline
from cnnkit.inspection.first_config.base import SEED, Suggestion
from cnnkit.inspection.first_config.duration import USEFUL_CORES, speed
from cnnkit.inspection.first_config.start import Subject
from cnnkit.runs.run import Run
from cnnkit.studies.budget import Pace
from cnnkit.studies.material import as_they_are
from cnnkit.training import head
from cnnkit.training.data import TrainingData
from cnnkit.training.train import network_of

CHUNK = 256
"""Images of which features are computed at a time, before the clock is asked."""

MOST_FITTED = 6_000
"""Images that a classifier is tried with: with more it gets a little better, and fitting takes long."""

PILOT = 24
"""Steps of an epoch by which the speed of a training is measured."""

ONE_CORE = 1 / 3
"""Share of the speed of small products of matrices on a core that the baseline has: on 10,000 images of Fashion-MNIST
0.34 for the nearest neighbour, 0.65 for logistic regression."""

FOLLOWING = 1 / 3
"""What looking at an image costs against a step of training with it."""


@dataclass(frozen=True)
class Tried:
    """What came of trying a candidate.

    Attributes:
        names: The validation images that it was judged on.
        right: Of each, whether its class was told right; bool (n,).
        epochs: How many it trained; 0 for a fitted classifier.
        training: How many images it learnt from.
    """

    names: tuple[str, ...]
    right: Any
    epochs: int
    training: int

    @property
    def accuracy(self) -> float:
        """The share of the validation images that were told right."""
        return float(np.mean(self.right))


class Bench:
    """Tries suggestions for the images of a subject.

    Args:
        subject: The images.
        folder: Where attempts may write; it is thrown away by whoever made it.
    """

    def __init__(self, subject: Subject, folder: Path):
        self.subject, self.folder, self.progress = subject, folder, Live(subject.progress)
        self.collection: Collection = subject.source.open(self.progress)
        self.index: Index = self.collection.index(self.progress)
        self.splits: list[str] = []
        self.groups: list[str] = []  # of those that never part, as they are in one fold too
        self.attempts = 0

    def experiment(self, suggestion: Suggestion) -> Experiment:
        """The experiment that a suggestion is."""
        document = yaml12.parse(yaml12.dump({"name": "trial", "seed": SEED, **suggestion.values()})).values
        document["data"]["source"] = self.subject.source
        experiment = Experiment.model_validate(document).completed(self.collection)
        if not self.splits:
            self.splits = experiment.data.splits(self.index)
            self.groups = [str(part) for part in experiment.data.parts(self.index)]
        return experiment

    def numbers(self, *splits: str) -> list[int]:
        """The images of some splits in an order that mixes all classes, the same each time."""
        chosen = [i for i, split in enumerate(self.splits) if split in splits]
        return sorted(chosen, key=lambda i: (ranked(self.index.digests[i], SEED, "trial"), self.index.names[i]))

    # A classifier on features.

    def fitted(self, suggestion: Suggestion, seconds: float) -> tuple[Tried, Pace]:
        """Fits a classifier to the features of as many images as can be computed in that time, two chunks at least.

        Raises:
            CnnkitError: The backbone can't be used.
        """
        began = time.perf_counter()
        experiment = self.experiment(suggestion)
        preprocessing = experiment.preprocessing(experiment.shape_with(self.collection))
        network, _ = network_of(experiment, preprocessing.shape, self.index.classes, self.progress)
        all_of_them = self.numbers("train", "validation")
        order = all_of_them[:MOST_FITTED]
        kept: list[int] = []
        rows: list[Any] = []
        times = [time.perf_counter()]
        with self.progress.task(f"trying {suggestion.backbone and suggestion.backbone.title}", len(order)) as advance:
            for start in range(0, len(order), CHUNK):
                chunk = order[start : start + CHUNK]
                images = load(self.index.take(chunk), preprocessing, Cache(), Progress(), skip_bad=True)
                good = _numbers_of(images, self.index, chunk)
                everything = list(range(len(good)))
                made = feeding.features(images, everything, network.backbone, experiment.data.batch_size, Progress())
                kept += good
                rows.append(made.memory)
                times.append(time.perf_counter())
                advance(len(chunk))
                if times[-1] - began > seconds and len(rows) > 1:
                    break
        head.refuse_unless_finite(np.concatenate(rows), [self.index.names[i] for i in kept])
        tried, fitting = self._fit(kept, np.concatenate(rows))
        each = [(b - a) / len(made) for (a, b), made in zip(pairwise(times), rows, strict=True)]
        an_image = statistics.median(each[1:]) if len(each) > 1 else each[0]  # the first chunk makes the first step
        first_extra = max(0.0, (each[0] - an_image) * len(rows[0]))
        everything_once = len(self.index) + len(self.numbers("validation"))
        if bytes_of(len(self.index), preprocessing.shape) > experiment.data.cache.memory_gib * 2**30:
            an_image *= 2  # they are written to the disk and read again, or decoded twice
        return tried, Pace(
            starting=times[0] - began + first_extra,
            preparing=an_image * everything_once + fitting * len(all_of_them) / len(kept),
            epoch=0.0,
            evaluating=an_image * self._asked_again() + self._baseline(preprocessing.shape),
        )

    def _fit(self, numbers: Sequence[int], features: Any) -> tuple[Tried, float]:
        """The classifier on features of the images of these numbers, judged; and how long the fit took."""
        began = time.perf_counter()
        numbers = np.asarray(numbers)
        train = np.asarray([self.splits[i] == "train" for i in numbers])
        labels = self.index.labels[numbers]
        with self.progress.task("fitting the classifier", len(head.STRENGTHS)) as advance:
            found = head.fit(
                features[train],
                labels[train],
                np.ones(int(train.sum())),
                [self.groups[i] for i in numbers[train]],
                len(self.index.classes),
                SEED,
                advance,
            )
        right = (features[~train] @ found.kernel + found.bias).argmax(axis=1) == labels[~train]
        names = tuple(self.index.names[i] for i in numbers[~train])
        return Tried(names, right, 0, int(train.sum())), time.perf_counter() - began

    # A training by steps.

    def loaded(self, suggestion: Suggestion, most: int) -> tuple[TrainingData, float]:
        """The images that train and choose, at most so many, and what decoding one of them took in seconds."""
        experiment = self.experiment(suggestion)
        preprocessing = experiment.preprocessing(experiment.shape_with(self.collection))
        chosen = sorted(self.numbers("train", "validation")[:most])
        began = time.perf_counter()
        images = load(self.index.take(chosen), preprocessing, experiment.data.cache, self.progress, skip_bad=True)
        an_image = (time.perf_counter() - began) / len(chosen)
        splits = [self.splits[i] for i in _numbers_of(images, self.index, chosen)]
        return as_they_are(experiment, images, splits, preprocessing), an_image

    def paced(self, data: TrainingData, decoding: float) -> Pace:
        """How fast the training of that data is, by two short epochs on a part of it.

        Args:
            data: What `loaded` gave.
            decoding: The seconds of an image that it told.
        """
        batch_size = data.experiment.data.batch_size
        part = data.training.chosen(np.arange(min(len(data.training), PILOT * batch_size)))
        few = [*data.splits]
        for i in [i for i, split in enumerate(few) if split == "validation"][batch_size:]:
            few[i] = "later"
        began = time.perf_counter()
        pilot = replace(data, experiment=_with_epochs(data.experiment, 2), splits=few, chosen=part, training=part)
        epochs = self._run(pilot)[1]
        taken, last = time.perf_counter() - began, epochs[-1]
        train = len(data.training) / last["images_per_second"]
        follow = FOLLOWING / last["images_per_second"]
        validation, test = (self.splits.count(split) for split in ("validation", "test"))
        judged = validation + test + self._asked_again()
        scale = self.splits.count("train") / len(data.training)
        return Pace(
            starting=max(0.0, taken - 2 * last["seconds"]),
            preparing=decoding * len(self.index),
            epoch=train * scale + follow * validation,
            evaluating=follow * judged + self._baseline(data.preprocessing.shape),
        )

    def _asked_again(self) -> int:
        """Images that go through the network once more at the end, to learn which are familiar."""
        return sum(min(self.splits.count(split), familiarity.MOST_IMAGES) for split in ("train", "validation"))

    def _baseline(self, shape: Sequence[int]) -> float:
        """Seconds that the baseline takes at the most, on images of (height, width, channels)."""
        train, test = (self.splits.count(split) for split in ("train", "test"))
        operations = Baseline().operations(train, test, shape, len(self.index.classes))
        return operations / (ONE_CORE * speed() / min(cores(), USEFUL_CORES))

    def trained(self, data: TrainingData, epochs: int) -> Tried:
        """The training of that data, judged on its validation images.

        Args:
            data: What `loaded` gave.
            epochs: How many.
        """
        network, _ = self._run(replace(data, experiment=_with_epochs(data.experiment, epochs)))
        numbers = data.numbers("validation")
        model, batch_size = network.model, data.experiment.data.batch_size
        outputs = [*feeding.outputs(model, data.images, numbers, batch_size, lambda done: None)]
        right = np.concatenate(outputs).argmax(axis=1) == data.images.index.labels[numbers]
        names = tuple(data.images.index.names[i] for i in numbers)
        return Tried(names, right, epochs, len(data.training))

    def _run(self, data: TrainingData) -> tuple[Any, list[dict[str, Any]]]:
        """Trains; gives the network with its best weights, and the epochs."""
        from cnnkit.training.engine import Engine

        network, _ = network_of(data.experiment, data.preprocessing.shape, data.images.index.classes, self.progress)
        self.attempts += 1
        run = Run.create(data.experiment, self.folder / str(self.attempts))
        Engine(data, network, run, self.progress).fit()
        run.load_best(network.model)
        return network, run.history()


def _with_epochs(experiment: Experiment, epochs: int) -> Experiment:
    """The same training with another number of epochs; of one in stages, in the last."""
    train = experiment.train
    if not train.stages:
        return experiment.model_copy(update={"train": train.model_copy(update={"epochs": epochs})})
    stages = (*train.stages[:-1], train.stages[-1].model_copy(update={"epochs": epochs}))
    return experiment.model_copy(update={"train": train.model_copy(update={"stages": stages})})


def _numbers_of(images: Images, index: Index, chosen: Sequence[int]) -> list[int]:
    """The numbers in an index of the images that could be decoded of the chosen ones."""
    by_name = {index.names[i]: i for i in chosen}
    return [by_name[name] for name in images.index.names]
