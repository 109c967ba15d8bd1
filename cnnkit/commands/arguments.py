"""What a word on the command line stands for: a config, a run, or images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cnnkit.config.experiment import Experiment
from cnnkit.config.file import CONFIGS, read, refuse_settings
from cnnkit.core.errors import ConfigError, DataError, UsageError
from cnnkit.core.own_folders import why_no_images
from cnnkit.core.progress import Progress
from cnnkit.data.section import Data
from cnnkit.data.sources import recognised
from cnnkit.runs.run import Run

OF_THE_NETWORK = ("model", "train", "data.image_size", "data.channels", "data.batch_size")
"""Settings that decide what the network of a run is, and what its training needs."""


def images(target: Path, settings: Sequence[str], progress: Progress) -> Data:
    """The data of a config, complete; or that of images without one.

    Raises:
        ConfigError: The config has problems.
        DataError: No images are there.
        UsageError: There is no config to replace settings of.
    """
    if target.suffix.lower() in CONFIGS:
        experiment = read(target, *settings, progress=progress)
        return experiment.completed(experiment.data.source.open(progress)).data
    if why := why_no_images(target):
        raise UsageError(why)
    if settings:
        raise UsageError(f"--set {settings[0]}: replaces a setting of a config, and {target} is none")
    return Data.model_validate({"source": recognised(target)})


def network(
    target: Path, classes: int | None, settings: Sequence[str], progress: Progress
) -> tuple[Experiment, tuple[int, int, int], int]:
    """The experiment of a config or a run, with the shape of its images and its number of classes.

    Raises:
        ConfigError: The config has problems, or the network can't be built for these images.
        UsageError: A setting says nothing of the network of a run, or the images are not there to tell their shape.
    """
    if target.is_dir():
        run = Run.open(target).with_settings(*settings)
        refuse_settings(settings, OF_THE_NETWORK, "has no say in the network of a run")
        experiment, shape = run.experiment, run.shape
        count = classes or len(run.classes)
    else:
        try:
            experiment = read(target, *settings, files=classes is None, progress=progress)
        except ConfigError as error:
            if not any((problem.key or "").startswith("data.source") for problem in error.problems):
                raise
            raise ConfigError(
                *error.problems, "to count without the images, tell how many classes: --classes N"
            ) from None
        chosen = experiment.shape()
        if classes and chosen:
            shape, count = chosen, classes
        else:
            try:
                collection = experiment.data.source.open(progress)
            except DataError as error:
                hint = f"{target}: to count without the images, set data.image_size and data.channels"
                raise UsageError(*error.problems, hint) from None
            shape = experiment.shape_with(collection)
            count = classes or len(collection.classes)
    if problems := list(experiment.model.problems(shape)):
        raise ConfigError(*(replace(problem, file=str(target)) for problem in problems))
    return experiment, shape, count
