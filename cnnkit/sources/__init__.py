"""Where images come from. The union below is the list of what `data.source` may name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import Field

from cnnkit.errors import DataError
from cnnkit.sources.archive import Archive
from cnnkit.sources.arrays import Arrays
from cnnkit.sources.base import SPLITS, Collection, Index, Source, Unused, ranked
from cnnkit.sources.digits import Digits
from cnnkit.sources.folder import Folder
from cnnkit.sources.idx import Idx
from cnnkit.sources.keras_datasets import KerasDataset
from cnnkit.sources.manifest import Manifest
from cnnkit.sources.tfds import Tfds

AnySource: TypeAlias = Annotated[
    Digits | Folder | Manifest | Arrays | Idx | Archive | KerasDataset | Tfds, Field(discriminator="name")
]


def recognised(path: Path) -> Source:
    """The source that fits what lies at a path, with its settings at their defaults.

    Raises:
        DataError: Nothing is there, or nothing that a source reads.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    # A folder is the last: any folder may hold class folders, even one that also holds files of another kind.
    try:
        for kind in (Idx, Arrays, Manifest, Archive, Folder):
            if found := kind.recognise(path):
                return found
    except OSError as error:
        raise DataError(f"{error.filename} can't be read: {error.strerror}") from None
    raise DataError(f"{path} is neither a folder of images nor a file that images are read from")


__all__ = [
    "SPLITS",
    "AnySource",
    "Archive",
    "Arrays",
    "Collection",
    "Digits",
    "Folder",
    "Idx",
    "Index",
    "KerasDataset",
    "Manifest",
    "Source",
    "Tfds",
    "Unused",
    "ranked",
    "recognised",
]
