"""Where a run is recorded beside its own folder: the union below is what `train.track` may name.

A tracker's session lives in a process of its own, which `cnnkit.training.tracking` starts; nothing of it can reach the
training.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from cnnkit.core.spec import ByName
from cnnkit.optimization.tracking.mlflow import MLflow
from cnnkit.optimization.tracking.wandb import WeightsAndBiases

AnyTracker: TypeAlias = Annotated[MLflow | WeightsAndBiases, ByName()]
