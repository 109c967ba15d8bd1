"""Weights & Biases (https://wandb.ai), the extra `wandb`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from cnnkit.core import atomic
from cnnkit.core.spec import Text
from cnnkit.optimization.tracking.base import Session, TrackedRun, Tracker, described


class WeightsAndBiases(Tracker):
    """Weights & Biases: settings, metrics and files of the run, at once or sent later with `wandb sync`."""

    package: ClassVar[str] = "wandb"
    title: ClassVar[str] = "Weights & Biases"
    environment: ClassVar[Mapping[str, str]] = {
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
        "WANDB_CONSOLE": "off",
        "WANDB_DISABLE_GIT": "true",
        "WANDB_DISABLE_CODE": "true",
    }

    name: Literal["wandb"] = "wandb"
    project: Text | None = None
    """The project that the run is recorded under; the name of the config if left out."""
    entity: Text | None = None
    """The user or team whose project it is; who is logged in if left out."""
    mode: Literal["offline", "online"] = "offline"
    """Whether nothing leaves this machine until `wandb sync` sends it, or each epoch is sent at once."""

    def begin(self, run: TrackedRun, folder: Path) -> Session:
        """Begins a run of Weights & Biases, or goes on with the one of this run."""
        return _WandbSession(self, run, folder)


class _WandbSession(Session):
    """A run of Weights & Biases, which is told nothing of this machine beyond what is in the run's own record."""

    def __init__(self, settings: WeightsAndBiases, run: TrackedRun, folder: Path):
        atomic.make_folder(folder, exist_ok=True)
        os.environ |= {name: str(folder / "cache") for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR")}
        import wandb

        self._run = wandb.init(
            project=settings.project or run.experiment,
            entity=settings.entity,
            mode=settings.mode,
            dir=folder.parent,
            id=run.id,
            name=run.folder.name,
            config=described(run),
            resume="allow" if settings.mode == "online" else None,
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                disable_job_creation=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_save_requirements=False,
                init_timeout=30,
            ),
        )
        self._base = run.folder.parent  # W&B has a config.yaml of its own beside them
        self._run.define_metric("*", step_metric="epoch")
        self.where = self._run.url or os.path.relpath(self._run.settings.sync_dir, run.folder)

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Adds the metrics with the epoch as their step; one that is not above the last it leaves out by itself."""
        if number >= self._run.step:
            self._run.log({"epoch": number, **metrics}, step=number)

    def end(self, state: str, figures: Mapping[str, float], files: Sequence[Path]) -> None:
        """Adds what was found, and the files where they lie in the run's folder, and closes it."""
        self._run.summary.update({"state": state, **figures})
        for file in files:
            self._run.save(file, base_path=self._base, policy="now")
        self._run.finish(exit_code=0 if state in ("finished", "unfinished") else 1)

        import wandb

        wandb.teardown()  # a process of W&B writes its files; by `finish` alone they may not be whole yet
