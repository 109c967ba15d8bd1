"""The data of a training: looked at, decoded, divided, examined and balanced, before there is a network.

Nothing of it needs TensorFlow, but for the balances that mix features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

from cnnkit.config import careful
from cnnkit.config.experiment import Experiment
from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.balancing.base import Training, training_of
from cnnkit.data.feeding.images import Images
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.index import SPLITS, Index
from cnnkit.evaluation.exam import Shown
from cnnkit.inspection.doctor import faint
from cnnkit.inspection.doctor.base import Finding
from cnnkit.inspection.doctor.examine import before_training
from cnnkit.training.balance import balanced


@dataclass(frozen=True)
class TrainingData:
    """All that a training needs of its data.

    Attributes:
        experiment: What is done, complete by what the source tells.
        images: Those that can be shown to the network, and synthetic ones behind them.
        splits: Of each of `images.index`, the name of its split.
        chosen: The images that train, before anything is done about the balance of their classes.
        training: What an epoch goes through; where features are to be mixed, still the same.
        preprocessing: What becomes of an image before the network sees it.
        findings: What the doctor says.
        careful: What of the config is right and yet hardly meant so, now that the images are known.
        examined: Whether the doctor has looked at the pictures themselves, and not at a glance.
    """

    experiment: Experiment
    images: Images
    splits: list[str]
    chosen: Training
    training: Training
    preprocessing: Preprocessing
    findings: tuple[Finding, ...]
    careful: tuple[Problem, ...] = ()
    examined: bool = False

    @classmethod
    def of(cls, experiment: Experiment, progress: Progress) -> Self:
        """Opens the source, and does all that is done once.

        Raises:
            DataError: The images are not what they should be, or the doctor finds an error in them.
        """
        collection = experiment.data.source.open(progress)
        experiment = experiment.completed(collection)
        index = experiment.data.index(collection, progress)
        preprocessing = experiment.preprocessing(experiment.shape_with(collection))
        images = load(index, preprocessing, experiment.data.cache, progress, skip_bad=collection.skip_bad)
        splits = experiment.data.splits(images.index, progress)
        findings, examined = _examined(experiment, index, images, splits, collection.skip_bad, progress)
        chosen = training_of(images.index, _numbers(splits, "train"))
        with progress.task("balancing", 1):
            images, training = balanced(experiment, images, chosen)
        counts = _counts(images.index, splits)
        pictures = collection.pictures or _pictures(images.index)
        cautions = tuple(careful.of(experiment, images.index.classes, counts, pictures))
        return cls(experiment, images, splits, chosen, training, preprocessing, findings, cautions, examined)

    @contextmanager
    def with_workers(self, progress: Progress) -> Iterator[Self]:
        """The same with the processes that make its batches, where these have enough to do."""
        chain, batch_size = Chain(self.experiment.augment, self.experiment.seed), self.experiment.data.batch_size
        with self.images.with_workers(chain, batch_size, len(self.training), progress) as images:
            yield replace(self, images=images)

    def numbers(self, split: str) -> list[int]:
        """The numbers of the images of a split."""
        return _numbers(self.splits, split)

    def shown(self, split: str, most: int | None = None) -> Shown:
        """The images of a split, to evaluate on: all, however many are wanted, as they are there already."""
        return Shown(self.images, self.numbers(split))

    def groups(self) -> list[str]:
        """For each image what those that never part have in common: the least of the hashes of their contents."""
        index = self.images.index
        parts = self.experiment.data.parts(index)
        least: dict[int, str] = {}
        for part, digest in zip(parts, index.digests, strict=True):
            least[part] = min(digest, least.get(part, digest))
        return [least[part] for part in parts]

    def facts(self) -> dict[str, Any]:
        """What the record of a run says of its data."""
        index = self.images.index
        counts = _counts(index, self.splits)
        return {
            "fingerprint": index.fingerprint(),
            "classes": list(index.classes),
            "images": {split: self.splits.count(split) for split in SPLITS},
            "images_per_class": {split: dict(zip(index.classes, counts[split], strict=True)) for split in SPLITS},
            "findings": [
                {"kind": f.kind, "severity": f.severity, "message": f.message, "images": len(f.files)}
                for f in self.findings
            ],
            "examined": self.examined,
            "unused": sum(entry.files for entry in index.unused),
        }


def _counts(index: Index, splits: Sequence[str]) -> dict[str, list[int]]:
    """Images of each class by split."""
    found = Counter(zip(splits, index.labels.tolist(), strict=True))
    return {split: [found[split, label] for label in range(len(index.classes))] for split in SPLITS}


def _pictures(index: Index) -> tuple[int, int] | None:
    """Height and width of the picture that is in the middle by its size; None where the files do not tell."""
    headers = [facts.header for facts in index.facts or () if facts.header]
    if not headers:
        return None
    middle = sorted(headers, key=lambda header: header.height * header.width)[len(headers) // 2]
    return middle.height, middle.width


def _numbers(splits: Sequence[str], split: str) -> list[int]:
    return [i for i, name in enumerate(splits) if name == split]


def _examined(
    experiment: Experiment, index: Index, images: Images, splits: Sequence[str], skip_bad: bool, progress: Progress
) -> tuple[tuple[Finding, ...], bool]:
    """What the doctor finds in the data, and whether it looked closely; an error stops here, before there is a run."""
    report = before_training(experiment.data, index, images.index, splits, skip_bad, progress)
    # Of images as the network is shown them, for the steps of data.prepare may have made something of them.
    pale = tuple(faint.before_training(images, _numbers(splits, "train")))
    found = (*(finding for finding in report.findings if finding.kind != faint.KIND), *pale)
    errors = [f"{finding.message}; {finding.advice}" for finding in found if finding.severity == "error"]
    if errors:
        raise DataError(
            *(f"{finding.message}; {finding.advice}" for finding in pale),  # which makes pictures equal, for one
            *errors,
            "nothing was trained; `cnnkit data CONFIG` shows every file, and its --fix-list FILE writes what to leave "
            "out with data.exclude",
        )
    return found, report.whole
