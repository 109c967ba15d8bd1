"""What studies of data work with: the images of a config, features of them, and trainings that leave nothing behind."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.core.errors import DataError
from cnnkit.core.lazy import keras, np
from cnnkit.core.progress import Live, Progress
from cnnkit.data.balancing.base import training_of
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding.images import Images
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.runs.run import Run
from cnnkit.training import head
from cnnkit.training.data import TrainingData
from cnnkit.training.train import network_of


def material(experiment: Experiment, progress: Progress, preprocessing: Preprocessing | None = None) -> TrainingData:
    """The images of an experiment that can be decoded, in their splits; of errors in them nothing is said.

    Args:
        experiment: The experiment.
        progress: Is told how far it is.
        preprocessing: What becomes of them; that of the experiment if left out.

    Raises:
        DataError: There are no images, or hardly any.
    """
    collection = experiment.data.source.open(progress)
    experiment = experiment.completed(collection).with_usual_rate()
    index = experiment.data.index(collection, progress)
    preprocessing = preprocessing or experiment.preprocessing(experiment.shape_with(collection))
    images = load(index, preprocessing, experiment.data.cache, progress, skip_bad=True)
    if len(np.unique(images.index.labels)) < 2:
        raise DataError("there are not two classes with images that can be decoded: nothing can be learnt from these")
    splits = experiment.data.splits(images.index, progress)
    return as_they_are(experiment, images, splits, preprocessing)


def as_they_are(
    experiment: Experiment, images: Images, splits: list[str], preprocessing: Preprocessing
) -> TrainingData:
    """What a training gets whose classes are left in the balance that they have; nothing is said of its images."""
    train = training_of(images.index, [i for i, split in enumerate(splits) if split == "train"])
    return TrainingData(experiment, images, splits, train, train, preprocessing, ())


def features_of_run(run: Run, data: TrainingData, progress: Progress) -> Any:
    """What the classifier of a run's network gets of each image, float32 (n, c).

    Raises:
        TrainingError: The run has no usable checkpoint.
    """
    model = run.network(progress)
    return _features(keras.Model(model.input, model.get_layer("logits").input), data, progress)


def features_of_backbone(data: TrainingData, progress: Progress) -> Any:
    """What the pretrained network of an experiment makes of each image, float32 (n, c).

    Raises:
        CnnkitError: It can't be had, or not be used.
    """
    network, _ = network_of(data.experiment, data.preprocessing.shape, data.images.index.classes, progress)
    return _features(network.backbone, data, progress)


def _features(backbone: Any, data: TrainingData, progress: Progress) -> Any:
    size, index = data.experiment.data.batch_size, data.images.index
    found = feeding.features(data.images, range(len(index)), backbone, size, progress).memory
    head.refuse_unless_finite(found, index.names)
    return found


def probabilities_of_training(
    data: TrainingData, train: Sequence[int], validation: Sequence[int], asked: Sequence[int], progress: Progress
) -> Any:
    """Trains the network of an experiment from its start, and asks what it says of some images.

    The balance of the classes is left as it is, and nothing is kept.

    Args:
        data: The images.
        train: Those to train on.
        validation: Those that choose the best epoch.
        asked: Those to ask about.
        progress: Is told how far it is.

    Returns:
        float64 (asked, classes), probabilities.
    """
    from cnnkit.training.engine import Engine

    splits = ["test"] * len(data.images.index)
    for name, numbers in (("train", train), ("validation", validation)):
        for i in numbers:
            splits[i] = name
    training, live = training_of(data.images.index, list(train)), Live(progress)
    data = replace(data, splits=splits, chosen=training, training=training)
    network, _ = network_of(data.experiment, data.preprocessing.shape, data.images.index.classes, live)
    with tempfile.TemporaryDirectory(prefix="cnnkit-study-") as folder:
        run = Run.create(data.experiment, Path(folder) / "run")
        Engine(data, network, run, live).fit()
        run.load_best(network.model)
    size = data.experiment.data.batch_size
    logits = np.concatenate([*feeding.outputs(network.model, data.images, asked, size, lambda done: None)])
    return data.experiment.train.loss.probabilities(logits, [data.images.index.names[i] for i in asked])
