"""The config that a run keeps: written with copies of what it needs, and read again, of earlier versions too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnkit.config import file as config_file
from cnnkit.config.experiment import Experiment
from cnnkit.core import atomic
from cnnkit.runs.files import Files


def text_of(experiment: Experiment, files: Files, called: Files | None = None) -> str:
    """The config as a run keeps it; the files that it needs are copied into the run first.

    Args:
        experiment: The experiment.
        files: Those of the run.
        called: Where they are going to lie; where they lie if left out.
    """
    called = called or files
    # What the network can't be built without comes along, so that the run's config repeats it when it is gone.
    model = experiment.model.with_files_in(files.backbone, copy=True, called=called.backbone)
    update: dict[str, Any] = {"model": model}
    if experiment.data.exclude:
        text = Path(experiment.data.exclude).read_text(encoding="utf-8", errors=atomic.ERRORS)
        atomic.write_text(files.exclude, text)
        update["data"] = experiment.data.model_copy(update={"exclude": str(called.exclude.absolute())})
    return config_file.write(experiment.model_copy(update=update))


def read(files: Files, settings: Sequence[str] = ()) -> Experiment:
    """The experiment as it was run; it is complete, so images and networks that moved do not matter here.

    Args:
        files: Those of the run.
        settings: `KEY=VALUE` pairs over its config, as `--set` takes them.
    """
    experiment = config_file.read(files.config, *settings, files=False, complete=True)
    data = experiment.data
    if "seed" not in data.split.model_fields_set:  # until version 0.1.0 the training's seed divided the images too
        split = data.split.model_copy(update={"seed": experiment.seed})
        experiment = experiment.model_copy(update={"data": data.model_copy(update={"split": split})})
    if any(setting.startswith("model") for setting in settings):
        return experiment
    return experiment.model_copy(update={"model": experiment.model.with_files_in(files.backbone)})


def is_as_written(files: Files) -> bool:
    """Whether it is in the one form that a run writes, complete; somebody else's config is not."""
    text = files.config.read_text(encoding="utf-8", errors=atomic.ERRORS)
    return config_file.write(config_file.read(files.config, files=False)) == text
