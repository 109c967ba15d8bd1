"""Where images come from. The union below is the list of what `data.source` may name.

May import `index`, `files` and `core`. Begin with `base`, then `folder`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.core.spec import ByName
from cnnkit.core.text import enumerated
from cnnkit.data.files.walking import refuse_run_as_images
from cnnkit.data.sources.archive import Archive
from cnnkit.data.sources.arrays import Arrays
from cnnkit.data.sources.base import Source
from cnnkit.data.sources.digits import Digits
from cnnkit.data.sources.folder import Folder
from cnnkit.data.sources.idx import Idx
from cnnkit.data.sources.keras_datasets import KerasDataset
from cnnkit.data.sources.manifest import Manifest
from cnnkit.data.sources.manifest_of_folder import beside_folders
from cnnkit.data.sources.tfds import Tfds
from cnnkit.data.split_names import split_of

AnySource: TypeAlias = Annotated[Digits | Folder | Manifest | Arrays | Idx | Archive | KerasDataset | Tfds, ByName()]


def recognised(path: Path) -> Source:
    """The source that fits what lies at a path, with its settings at their defaults.

    Raises:
        DataError: Nothing is there, or nothing that a source reads.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    refuse_run_as_images(path)
    # A folder is the last: any folder may hold class folders, even one that also holds files of another kind.
    try:
        for kind in (Idx, Arrays, Manifest, Archive, Folder):
            if found := kind.recognise(path):
                return _beside_tables(found, path) if isinstance(found, Folder) else found
    except OSError as error:
        raise DataError(f"{error.filename} can't be read: {error.strerror}") from None
    raise DataError(f"{path} is neither a folder of images nor a file that images are read from")


def _beside_tables(found: Folder, path: Path) -> Folder:
    """A folder, unless it can't be read as one and has tables, of which it is then told why they can't be read either.

    Raises:
        DataError: With both.
    """
    refused, told = beside_folders(path)
    if refused:
        problems: tuple[Problem, ...] = ()
        try:
            classes = found.open(Progress()).classes
            if all(map(split_of, classes)):
                what = enumerated((f"{name}/" for name in classes), "and")
                problems = (Problem(f"{path}: {what} are splits and hold no class folders"),)
        except DataError as error:
            problems = error.problems
        if problems:
            raise DataError(*problems, *refused)
    found._choices = (*found._choices, *told)
    return found
