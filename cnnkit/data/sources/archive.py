"""An archive of images: unpacked into the cache, then read as what is in it."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

from pydantic import field_validator

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AbsolutePath, ByName, FileText, path_settings
from cnnkit.data.files.archives import is_archive, unpacked
from cnnkit.data.files.walking import files_in, hidden, subfolders
from cnnkit.data.index import Collection
from cnnkit.data.sources.arrays import Arrays
from cnnkit.data.sources.base import Source, reworded
from cnnkit.data.sources.folder import Folder
from cnnkit.data.sources.idx import Idx
from cnnkit.data.sources.manifest import Manifest

# In the order in which they are asked whether it is theirs; any folder may be a Folder, so that is the last.
Inside: TypeAlias = Annotated[Idx | Arrays | Manifest | Folder, ByName()]


class Archive(Source):
    """A .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz of what another source reads; unpacked into the cache, once."""

    of_files: ClassVar[bool] = True

    name: Literal["archive"] = "archive"
    path: AbsolutePath
    """The file of the archive."""
    holds: Inside | None = None
    """What is in it, as a source of its own whose paths count from the inside of the archive: `.` is its top. Found
    out if left out."""

    @field_validator("holds", mode="before")
    @classmethod
    def _from_the_inside(cls, settings: Any) -> Any:
        """Lets relative paths stay relative, in a run's config too: the archive may lie elsewhere by then."""
        if not isinstance(settings, dict):
            return settings
        return {key: FileText(value, Path()) if isinstance(value, str) else value for key, value in settings.items()}

    @classmethod
    def recognise(cls, path: Path) -> Self | None:
        """A file that begins as an archive does; that .npz files are zips too is their own affair."""
        return cls(path=str(path)) if path.suffix.lower() != ".npz" and is_archive(path) else None

    def open(self, progress: Progress) -> Collection:
        """Unpacks it, unless that was done before, and looks at what is in it."""
        self._check_inside()
        root = unpacked(Path(self.path), progress)
        from_outside = partial(self._from_outside, root)
        with reworded(from_outside):
            inner = self._placed(root) if self.holds else _found(root)
            collection = inner.open(progress)
        return replace(collection, index=reworded(from_outside)(collection.index))

    def _check_inside(self) -> None:
        for setting, path in self._paths().items():
            if Path(path).is_absolute() or os.pardir in Path(path).parts:
                message = f"should be a path inside of the archive, as `.` or `images`; {path} leads out"
                raise DataError(Problem(message, key=f"holds.{setting}"))

    def _placed(self, root: Path) -> Source:
        """What it holds, where it was unpacked to."""
        assert self.holds
        where = {setting: os.path.normpath(root / path) for setting, path in self._paths().items()}
        return self.holds.model_copy(update=where)

    def _paths(self) -> dict[str, str]:
        """The paths in `holds` that are set."""
        settings = path_settings(type(self.holds)) if self.holds else ()
        return {setting: path for setting in settings if (path := getattr(self.holds, setting)) is not None}

    def _from_outside(self, root: Path, problem: Problem) -> Problem:
        """A problem of what is inside, said of the archive, not of a folder in the cache that nobody knows."""
        key = f"holds.{problem.key}" if self.holds and problem.key else "path" if problem.key else None
        hint = "" if self.holds or not problem.key else "; `holds` can tell what is in it, and where"
        return replace(
            problem,
            message=problem.message.replace(str(root), self.path) + hint,
            file=problem.file and problem.file.replace(str(root), self.path),
            key=key,
        )


def _found(root: Path) -> Source:
    """The source that fits what is in a folder, or in the only folder in it, and so on downwards.

    Raises:
        DataError: Nothing is there that a source reads.
    """
    kinds: tuple[type[Source], ...] = get_args(get_args(Inside)[0])
    folders = [root]
    while True:
        files = [path for path in map(Path, files_in(folders[-1])) if not hidden(path.name)]
        below = subfolders(folders[-1])
        # The only file beside folders may be a list of images, or hold them all.
        for path in (folders[-1], *(files if len(files) == 1 else ())):
            for kind in kinds[:-1]:
                if found := kind.recognise(path):
                    return found
        if files or len(below) != 1:
            break
        folders += below
    # The last folder with folders in it: what holds images alone is a class.
    folder = folders[-1] if below else folders[max(len(folders) - 2, 0)]
    found = kinds[-1].recognise(folder)
    assert found  # any folder may be one
    return found
