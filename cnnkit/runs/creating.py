"""Creating the folder of a run, and knowing it before and without a record of how the run came about.

`cnnkit.runs.run.Run` is what reads such a folder and writes into it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.core import atomic, disk
from cnnkit.core.errors import UsageError
from cnnkit.core.own_folders import FOLDS, run_of_fold
from cnnkit.core.text import typed
from cnnkit.runs import own_config
from cnnkit.runs.files import Files
from cnnkit.runs.overwriting import refuse_run


def create(experiment: Experiment, folder: Path | None, rate_test: Mapping[str, Any] | None = None) -> Path:
    """Makes the folder of a new run, with its config, as `Run.create` tells."""
    refuse_run(folder)
    stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    base = chosen = folder or Path("runs") / f"{experiment.name}-{stamp}"
    number = 1
    while True:
        try:
            atomic.make_folder(chosen.parent, parents=True, exist_ok=True)
            atomic.remove_unfinished(chosen.parent, atomic.DAY)  # left by processes that were killed here
            # It appears with its config, in one step, so whatever moment a crash chooses, what is there can go on.
            # A folder in which there is something is never replaced: two processes can't get the same run.
            with atomic.making(chosen) as making:
                files = Files(making)
                if rate_test is not None:
                    atomic.write_json(files.rate_test, dict(rate_test))
                atomic.write_text(files.config, own_config.text_of(experiment, files, Files(chosen)))
            return chosen
        except OSError as error:
            refuse_run(folder)
            if not os.path.lexists(chosen):
                why = f"{error.strerror}: {error.filename}"
                raise UsageError(f"the run's folder {chosen} can't be made: {why}") from None
            number += 1
            chosen = base.with_name(f"{base.name}-{number}")


def was_begun(files: Files) -> bool:
    """Whether a run was created in a folder and ended before it had a record of itself.

    Raises:
        ConfigError: There is a config alone, and it is none of an experiment.
    """
    if not files.config.is_file() or files.provenance.exists():
        return False
    first = {files.config, files.rate_test, files.exclude, files.backbone, files.split, files.unused, files.log}
    others = [path for path in files.folder.iterdir() if not path.name.startswith(disk.WRITING) and path not in first]
    return not others and own_config.is_as_written(files)


def refuse_no_run(files: Files) -> None:
    """Refuses a folder that lacks what every run has.

    Raises:
        UsageError: It is not the folder of a run.
    """
    needed = (files.config, files.provenance)
    if all(file.is_file() for file in needed):
        return
    folder = files.folder
    names = " and ".join(file.name for file in needed if not file.is_file())
    why = f"holds no {names}" if folder.is_dir() else "there is no such folder"
    if folder.is_file():
        its = folder.parent
        of_run = all(file.is_file() for file in (Files(its).config, Files(its).provenance))
        why = f"it is a file; name the folder {typed(its)}" if of_run else "it is a file, and a run is a folder"
    if (folder / FOLDS).is_file():
        why = f"each of its folds is one, such as {typed(run_of_fold(folder, 1))}; "
        why += f"the summary of all folds is printed by: cnnkit train --resume {typed(folder)}; "
        why += f"a page of them is written by: cnnkit report {typed(folder)}"
    raise UsageError(f"{folder} is not a run of cnnkit: {why}")
