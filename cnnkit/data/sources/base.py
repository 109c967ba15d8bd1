"""Source: where images come from, and the index of what is there."""

from __future__ import annotations

import re
import unicodedata
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import PrivateAttr

from cnnkit.core.errors import DataError, Problem
from cnnkit.core.progress import Progress
from cnnkit.core.signals import alarm
from cnnkit.core.spec import Spec, path_settings
from cnnkit.core.text import counted
from cnnkit.data.index import Collection, ImageFile

OnBad = Literal["error", "skip"]
"""What a file that can't be decoded does."""


class Source(Spec):
    """Where images and their labels come from."""

    of_files: ClassVar[bool] = False
    """Whether each image is a file, beside which others may lie."""

    _choices: tuple[str, ...] = PrivateAttr(())
    """What was chosen when it was recognised and might be meant otherwise, a sentence each."""

    @classmethod
    def recognise(cls, path: Path) -> Self | None:
        """The source of this kind that fits what lies at `path`, judged by names alone; None if none does."""
        return None

    def paths(self) -> list[str]:
        """The files and folders that its settings name."""
        return [path for name in path_settings(type(self)) if (path := getattr(self, name)) is not None]

    @abstractmethod
    def open(self, progress: Progress) -> Collection:
        """Looks at what is there.

        Args:
            progress: Is told how far it is, where this takes long: an archive is unpacked.

        Raises:
            DataError: Nothing is there, or it is not in the form that this source reads; the key of
                its problems is the field of this source that is to blame.
        """


@contextmanager
def reworded(change: Callable[[Problem], Problem]) -> Iterator[None]:
    """What a part of a source raises, as it is to be said of the source itself: each problem as `change` gives it."""
    try:
        yield
    except DataError as error:
        raise DataError(*map(change, error.problems)) from None


def at_path(message: str) -> DataError:
    """What is wrong with what a source's `path` leads to."""
    return DataError(Problem(message, key="path"))


# A whole number, perhaps written as a float.
_WHOLE = re.compile(r"-?[0-9]{1,18}(?:\.0*)?")

# A number without an exponent, of so many digits as anyone means.
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")


STUCK = 5
"""Seconds with one path after which a pattern is given up."""


@contextmanager
def matching(pattern: str, key: str) -> Iterator[Callable[[str], re.Match[str] | None]]:
    """What matches one path after the other as a whole, by a pattern that may be one that never ends.

    Args:
        pattern: A `CapturePattern`.
        key: The setting that it stands in.

    Raises:
        DataError: Within, where it is not done with one path after `STUCK` seconds.
    """
    compiled, path = re.compile(pattern), None
    number = seen = 0

    def ring() -> None:
        nonlocal seen
        if path is not None and number == seen:
            message = f"{pattern} is not done with `{path}` after {STUCK} seconds; a repetition within a repetition"
            raise DataError(Problem(f"{message} tries every way to divide the text: write one of them less", key=key))
        seen = number

    def match(text: str) -> re.Match[str] | None:
        nonlocal number, path
        number, path = number + 1, text
        found = compiled.fullmatch(text)
        path = None
        return found

    with alarm(STUCK, ring):
        yield match


def grouped(images: Sequence[ImageFile], pattern: str | None) -> list[ImageFile]:
    """The images with the group that a pattern finds in the path of each, which it has to match whole.

    Raises:
        DataError: It does not match the path of an image, which would be without a group unseen; or it never ends.
    """
    if pattern is None:
        return list(images)
    with matching(pattern, "group_pattern") as match:
        found = [match(image.path) for image in images]
    strangers = [image.path for image, there in zip(images, found, strict=True) if there is None]
    if strangers:
        count = f"{len(strangers):,} of {counted(len(images), 'image')}"
        message = (
            f"{pattern} does not match {count}, first {strangers[0]}; it has to match the whole path below the folder, "
            f"so write .* for what may stand around the group, and |.* at the end to leave the others without one"
        )
        raise DataError(Problem(message, key="group_pattern"))
    return [image._replace(group=there[1]) for image, there in zip(images, found, strict=True) if there]


def label_text(written: str) -> str:
    """The name of a class from a label; blanks around it, and how its accents are encoded, make no other class."""
    return unicodedata.normalize("NFC", written.strip())


def as_whole_numbers(labels: Iterable[str]) -> dict[str, str]:
    """From each label to its name, where all are whole numbers and some are written as floats; empty else.

    pandas writes `0.0` to `11.0` for a column of whole numbers that had an empty cell.
    """
    different = set(labels)
    if all(_WHOLE.fullmatch(label) for label in different) and any("." in label for label in different):
        return {label: label.partition(".")[0] for label in different}
    return {}


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The names of classes in their order, each once: as numbers where all are numbers, else by their text.

    The same in every source, as the number of a class follows from it.
    """
    different = sorted(set(names))
    if all(_NUMBER.fullmatch(name) for name in different):
        different.sort(key=Decimal)  # of 1 and 01 the order stays, as sorting is stable
    return tuple(different)
