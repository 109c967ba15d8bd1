"""Steps that prepare every picture, always the same. The union below is the list of what `data.prepare` may name."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from cnnkit.preparation.base import Preparation, Unprepared
from cnnkit.preparation.clahe import Clahe
from cnnkit.preparation.grayscale import Grayscale

AnyPreparation: TypeAlias = Annotated[Grayscale | Clahe, Field(discriminator="name")]

__all__ = ["AnyPreparation", "Preparation", "Unprepared"]
