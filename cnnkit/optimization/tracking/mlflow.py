"""MLflow (https://mlflow.org), the extra `mlflow`: on a server, or in a store of files that needs none.

Without a server its books are an SQLite database, for MLflow's older store of plain files is about to go.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from cnnkit.core import atomic
from cnnkit.core.spec import Text, UrlOrPath
from cnnkit.optimization.tracking.base import Session, TrackedRun, Tracker

_STATES = {"finished": "FINISHED", "failed": "FAILED"}
"""What MLflow calls the states of a run; any other state it calls KILLED."""

_AT_ONCE = 100
"""Parameters or tags that a server takes at a time."""


def _allowed(name: str) -> str:
    """A name with `_` for each sign that MLflow has none of in names."""
    return re.sub(r"[^\w.:/ -]", "_", name)


def _without_password(uri: str) -> str:
    if re.match(r"https?://[^/]*@", uri):
        raise ValueError(
            "holds a name or a password, which would be copied into every run; "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment instead"
        )
    return uri


class MLflow(Tracker):
    """MLflow: settings, metrics and files of the run on a server, or in a folder that `mlflow ui` shows."""

    package: ClassVar[str] = "mlflow"
    title: ClassVar[str] = "MLflow"
    environment: ClassVar[Mapping[str, str]] = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }

    name: Literal["mlflow"] = "mlflow"
    uri: Annotated[UrlOrPath, AfterValidator(_without_password)] | None = None
    """Address of a server, or a folder; the folder `mlflow` of the run if left out."""
    experiment: Text | None = None
    """Name of the experiment that the run is recorded under; the name of the config if left out."""

    def begin(self, run: TrackedRun, folder: Path) -> Session:
        """Begins a run of MLflow, or goes on with the one of this run."""
        return _MLflowSession(self, run, folder)


class _MLflowSession(Session):
    """A run of MLflow, through its client: the functions of `mlflow` itself would record who and what calls them."""

    def __init__(self, settings: MLflow, run: TrackedRun, folder: Path):
        from mlflow import MlflowClient

        self._run = run
        local = settings.uri is None or "://" not in settings.uri
        store = Path(settings.uri) if local and settings.uri else folder
        if local:
            atomic.make_folder(store, parents=True, exist_ok=True)
        address = f"sqlite:///{store / 'mlflow.db'}" if local else str(settings.uri)
        self._client = MlflowClient(tracking_uri=address)
        experiment = self._experiment(
            settings.experiment or run.experiment, (store / "files").as_uri() if local else None
        )
        self._id = self._found(experiment) or self._made(experiment)
        self._client.update_run(self._id, status="RUNNING")
        self.where = f"{address} (run {self._id})"

    def _experiment(self, name: str, files: str | None) -> str:
        """The id of the experiment with a name; a new one keeps its files at the address `files`."""
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name, artifact_location=files))

    def _found(self, experiment: str) -> str | None:
        """The id of what was begun for this run before it was stopped."""
        found = self._client.search_runs([experiment], f"tags.`cnnkit.run` = '{self._run.id}'", max_results=1)
        return str(found[0].info.run_id) if found else None

    def _made(self, experiment: str) -> str:
        """The id of a new run, with all that is known of it at its beginning."""
        from mlflow.entities import Param, RunTag

        made = self._client.create_run(experiment, run_name=self._run.folder.name, tags={"cnnkit.run": self._run.id})
        parameters = [Param(_allowed(name), str(value)) for name, value in self._run.parameters.items()]
        tags = [RunTag(_allowed(name), value) for name, value in self._run.tags.items()]
        for first in range(0, len(parameters), _AT_ONCE):
            self._client.log_batch(made.info.run_id, params=parameters[first : first + _AT_ONCE])
        self._client.log_batch(made.info.run_id, tags=tags)
        return str(made.info.run_id)

    @cached_property
    def _there(self) -> set[int]:
        """The epochs that were recorded before a resume."""
        return {each.step for each in self._client.get_metric_history(self._id, "loss")}

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Adds the metrics with the epoch as their step."""
        if number not in self._there:
            self._log(metrics, number)

    def _log(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(
            self._id, metrics=[Metric(_allowed(name), value, now, step) for name, value in metrics.items()]
        )

    def end(self, state: str, figures: Mapping[str, float], files: Sequence[Path]) -> None:
        """Adds what was found, and the files where they lie in the run's folder, and closes it."""
        self._log(figures, 0)
        for file in files:
            below = os.fspath(file.parent.relative_to(self._run.folder))
            self._client.log_artifact(self._id, os.fspath(file), None if below == os.curdir else below)
        self._client.set_terminated(self._id, _STATES.get(state, "KILLED"))
