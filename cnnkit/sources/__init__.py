"""Where images come from. The union below is the list of what `data.source` may name."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from cnnkit.sources.base import SPLITS, Collection, Index, Source, Unused, ranked
from cnnkit.sources.digits import Digits
from cnnkit.sources.folder import Folder
from cnnkit.sources.idx import Idx

AnySource: TypeAlias = Annotated[Digits | Folder | Idx, Field(discriminator="name")]

__all__ = [
    "SPLITS",
    "AnySource",
    "Collection",
    "Digits",
    "Folder",
    "Idx",
    "Index",
    "Source",
    "Unused",
    "ranked",
]
