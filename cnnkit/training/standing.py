"""Where a training stands, as its states tell it: what the facts of a state have to be for a training to go on."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from cnnkit.core.errors import TrainingError
from cnnkit.core.text import in_one_line
from cnnkit.runs.training_states import State


class BestSoFar(BaseModel):
    """What is known of the best epoch: see `KeepBest.state`."""

    model_config = ConfigDict(strict=True)

    best: float | None
    last: float | None
    best_epoch: NonNegativeInt


class Standing(BaseModel):
    """The facts of a state: see `Engine.facts`. Those of another version may have more."""

    model_config = ConfigDict(strict=True)

    stage: PositiveInt
    epoch: NonNegativeInt
    update: NonNegativeInt
    begin: NonNegativeInt
    stopped: bool
    saved: NonNegativeInt
    before: float | None
    best: BestSoFar
    best_checkpoint: dict[str, Any] | None
    observers: dict[str, dict[str, Any]]


def refuse_unless_told(state: State) -> None:
    """Refuses a state whose facts are not those of a training, though its file is as it was saved.

    Raises:
        TrainingError: One is missing, or what it can't be.
    """
    try:
        Standing.model_validate(state.facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = in_one_line(".".join(map(str, first["loc"])))
        raise TrainingError(f"{state.file} does not tell where a training stands: {where}: {first['msg']}") from None
