"""New images: the files that the words of a command mean, be they files, folders or archives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cnnkit.core.errors import DataError, UsageError
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted
from cnnkit.data.files import archives, formats
from cnnkit.data.files.walking import files_below, why_not


@dataclass(frozen=True)
class NewImage:
    """An image to predict.

    Attributes:
        name: What it is called: its path, which for one in an archive goes on behind the archive's.
        file: Where its content lies.
        below: Its path below the folder, or the archive, that was named; its file name if it was named itself.
    """

    name: str
    file: Path
    below: str


def find_images(paths: Sequence[Path | str], progress: Progress) -> list[NewImage]:
    """The files among the paths, and the images below the folders and in the archives among them.

    Raises:
        UsageError: A path does not exist, or a folder or an archive holds no image.
        DataError: A folder or an archive can't be read.
    """
    found: list[NewImage] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += _images_below(path, path, progress)
        elif not path.exists():
            raise UsageError(f"{path}: there is no such file or folder")
        elif archives.is_archive(path):
            try:
                folder = archives.unpacked(path, progress)
            except DataError as error:  # it names a setting of a source, but there is none here
                raise DataError(*(replace(problem, key=None) for problem in error.problems)) from None
            found += _images_below(path, folder, progress)
        else:
            found.append(NewImage(str(path), path, path.name))
    return found


def _images_below(named: Path, folder: Path, progress: Progress) -> list[NewImage]:
    """The images below a folder; `named` is what it, or the archive that it was in, is called."""
    images, others = [], 0
    for file in map(Path, files_below(folder)):
        if why_not(str(file)) is None:
            below = file.relative_to(folder)
            images.append(NewImage(str(named / below), file, below.as_posix()))
        elif not file.is_dir():  # a hidden folder is not looked into
            others += 1
    if not images:
        raise UsageError(f"{named} holds no images ({', '.join(sorted(formats.EXTENSIONS))})")
    if others:
        one = "file is no image by its ending and is left out"
        left_out = counted(others, one, "files are not images by their ending and are left out")
        progress.say(f"{named}: {left_out}")
    return images
