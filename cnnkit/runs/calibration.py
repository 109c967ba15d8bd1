"""Calibration: what is fitted on a run's validation images behind its training: temperature, threshold of `unsure`.

It lies in calibration.json, hashed in the record of the run; without one the temperature is 1, and nothing is unsure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from cnnkit.core.errors import TrainingError
from cnnkit.runs import reading


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class Calibration:
    """What is fitted on validation images.

    Attributes:
        temperature: What logits are divided by (Guo et al. 2017, arXiv:1706.04599); above 0.
        unsure: Below this probability of the likeliest class an answer is called unsure; None where none was chosen.
    """

    temperature: float = 1.0
    unsure: float | None = None

    @classmethod
    def read(cls, file: Path) -> Calibration:
        """That of a run; the neutral one where there is no such file.

        Raises:
            TrainingError: It is damaged.
        """
        if not file.exists():
            return cls()
        document: dict[str, Any] = reading.json_object(file)
        try:
            read = cls(**document)
        except ValidationError as error:
            wrong = error.errors()[0]
            where = ".".join(map(str, wrong["loc"]))
            raise TrainingError(f"{file} is damaged: {where}: {wrong['msg']}") from None
        if not read.temperature > 0:
            raise TrainingError(f"{file} is damaged: temperature: should be above 0")
        return read
