"""The fitted head against scikit-learn's LogisticRegressionCV: the same features, the same splits.

Usage: python scripts/benchmark_head.py CONFIG [--set KEY=VALUE ...] [--splits 10]

CONFIG names a source and a pretrained network; what it says of training does not matter. Features are computed once, of
all images, and divided by data.split.seed 0, 1 and so on. Of each split: accuracy on validation and test, and the CPU
seconds of the fit, features not counted. LogisticRegressionCV has all its defaults but the number of steps (its 100 end
it short of the optimum): the features as they come, ten values of C, five folds, chosen by accuracy.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cnnkit
from cnnkit.config.experiment import Experiment
from cnnkit.core.errors import CnnkitError
from cnnkit.core.lazy import keras
from cnnkit.core.progress import Progress
from cnnkit.data.balancing.base import training_of
from cnnkit.data.feeding import batches
from cnnkit.data.feeding.loading import load
from cnnkit.data.index import Index
from cnnkit.training import head, start_weights


@dataclass(frozen=True)
class Features:
    """Features of all images, float32 (n, c), and the images."""

    memory: Any
    index: Index


@dataclass(frozen=True)
class Score:
    """Accuracies on validation and test, and the CPU seconds of the fit."""

    validation: float
    test: float
    seconds: float


Predict = Callable[[Any], Any]
"""From features (n, c) to labels (n,)."""


def features_of(experiment: Experiment) -> tuple[Experiment, Features]:
    """The experiment with its source's say, and the features of all its images."""
    progress = Progress()
    collection = experiment.data.source.open(progress)
    experiment = experiment.completed(collection)
    preprocessing = experiment.preprocessing(experiment.shape_with(collection))
    index = experiment.data.index(collection, progress)
    images = load(index, preprocessing, experiment.data.cache, progress, skip_bad=collection.skip_bad)
    experiment.model.fetch(progress)
    keras.utils.set_random_seed(experiment.seed)
    network = experiment.model.network(preprocessing.shape, len(images.index.classes))
    if source := experiment.model.pretrained_weights(progress, preprocessing.shape):
        start_weights.load(network, source, images.index.classes, experiment.model)
    numbers = range(len(images.index))
    computed = batches.features(images, numbers, network.backbone, experiment.data.batch_size, progress)
    return experiment, Features(computed.memory, images.index)


def ours(features: Features, numbers: Any) -> Predict:
    """The fitted head."""
    training = training_of(features.index, numbers)
    digests = [features.index.digests[i] for i in numbers]
    classes = len(features.index.classes)
    found = head.fit(features.memory[numbers], training.labels, training.weights, digests, classes, seed=0)
    return lambda rows: np.argmax(rows @ found.kernel + found.bias, axis=1)


def theirs(features: Features, numbers: Any) -> Predict:
    """LogisticRegressionCV."""
    from sklearn.linear_model import LogisticRegressionCV

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of defaults to come, and of steps: it is as good as it is
        model = LogisticRegressionCV(max_iter=1000).fit(features.memory[numbers], features.index.labels[numbers])
    return lambda rows: model.predict(rows)


METHODS = {"fitted head": ours, "LogisticRegressionCV": theirs}


def scored(method: Callable[[Features, Any], Predict], features: Features, splits: Sequence[str]) -> Score:
    """What a method makes of a split."""
    places = {name: np.flatnonzero(np.asarray(splits) == name) for name in ("train", "validation", "test")}
    began = time.process_time()
    predict = method(features, places["train"])
    seconds = time.process_time() - began
    right = {
        name: float(np.mean(predict(features.memory[numbers]) == features.index.labels[numbers]))
        for name, numbers in places.items()
    }
    return Score(right["validation"], right["test"], seconds)


def compared(experiment: Experiment, features: Features, seeds: Sequence[int]) -> dict[str, list[Score]]:
    """Of each method its scores on the splits of these seeds."""
    scores: dict[str, list[Score]] = {name: [] for name in METHODS}
    for seed in seeds:
        split = experiment.data.split.model_copy(update={"seed": seed})
        splits = experiment.data.model_copy(update={"split": split}).splits(features.index)
        for name, method in METHODS.items():
            scores[name].append(scored(method, features, splits))
    return scores


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--splits", type=int, default=10, help="so many splits")
    chosen = parser.parse_args(arguments)
    try:
        began = time.process_time()
        experiment, features = features_of(cnnkit.read(chosen.config, *chosen.settings))
        images, columns = features.memory.shape
        print(f"{columns} features of {images:,} images in {time.process_time() - began:.0f} CPU seconds")
        for name, scores in compared(experiment, features, range(chosen.splits)).items():
            test = [score.test for score in scores]
            print(
                f"{name:21} test {np.mean(test):.4f} ({min(test):.3f} to {max(test):.3f})  "
                f"validation {np.mean([score.validation for score in scores]):.4f}  "
                f"at most {max(score.seconds for score in scores):.2f} CPU seconds",
                flush=True,
            )
    except CnnkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
