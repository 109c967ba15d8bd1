"""Pictures of which a mask tells what is left."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, model_validator

from cnnkit.core.lazy import np
from cnnkit.core.spec import Text
from cnnkit.data.files.decoding import BadImage, Unreadable, as_pixels, as_stored, read_bytes, upright
from cnnkit.data.preparation.base import AN_IMAGE, Preparation, Unprepared
from cnnkit.data.preparation.foreground import Foreground, cut_out, foreground, on_black
from cnnkit.data.preparation.settings import only_for

PLACEHOLDERS = ("{stem}", "{name}", "{folder}")

LOSSY = ("JPEG", "MPO", "WEBP")
"""Formats in which what was black may be a little lighter."""


def _pattern(value: str | None) -> str | None:
    """A pattern that names another file for each image, by placeholders that there are."""
    if value is not None:
        unknown = [part for part in re.findall(r"\{[^{}]*\}", value) if part not in PLACEHOLDERS]
        if unknown:
            raise ValueError(f"there is no {unknown[0]}; it may be {', '.join(PLACEHOLDERS)}")
        if "{stem}" not in value and "{name}" not in value:
            raise ValueError("should hold {stem} or {name}, or all images would have one mask")
        if "\0" in value:
            raise ValueError("holds a character (NUL) that no file's name has")
        if is_itself(_placed(value, AN_IMAGE), AN_IMAGE):
            raise ValueError("is the image itself, not a mask of it; name another file or folder")
    return value


class Mask(Preparation):
    """Makes all black that a mask does not keep.

    otsu: keeps the light or the dark part of the picture (Otsu 1979); one of one value stays as it is. file: a second
    picture of the same size beside each, or in another folder, keeps where it is not black; what is transparent is
    black. So a map of several labels keeps all but label 0. A JPEG or WebP is not black where black was saved, so it
    keeps where it is lighter than half of its lightest. Where the source takes masks for images they are left out.
    """

    name: Literal["mask"] = "mask"
    method: Literal["otsu", "file"] = "otsu"
    """Where the mask comes from."""
    foreground: Annotated[Foreground | None, only_for("method", "otsu")] = None
    """Of otsu: whether the light or the dark part is kept. Left out: light."""
    file: Annotated[Text | None, AfterValidator(_pattern), only_for("method", "file")] = None
    """Of file, and needed there: the path of the mask from the image's folder, with {stem} for the image's name without
    its ending, {name} for all of it, {folder} for the name of its folder; for example "{stem}_mask.png" or
    "../../masks/{folder}/{name}"."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.method == "file" and self.file is None:
            raise ValueError('needs a file with method file, for example "{stem}_mask.png"')
        return self

    @property
    def takes_colours(self) -> bool:
        """To know what is light; a mask from a file needs not know."""
        return self.method == "otsu"

    def beside(self, path: Path) -> Path | None:
        """The file of its mask, where masks are files."""
        return _placed(self.file, path) if self.file else None

    def __call__(self, image: Any) -> Any:
        """By threshold; where nothing would be left, the picture stays as it is."""
        if self.method == "file":
            raise Unprepared("mask looks for a file beside the image, and this image is no file; use method otsu")
        return cut_out(image, foreground(image, self.foreground or "light"))

    def of_file(self, image: Any, path: Path) -> Any:
        """By threshold, or by the mask beside it, which is refused where nothing would be left."""
        file = self.beside(path)
        if file is None:
            return self(image)
        if is_itself(file, path):
            raise Unprepared("would be its own mask; name another file or folder with file")
        return on_black(image, self._read(file, image.shape[:2]))

    def _read(self, file: Path, size: tuple[int, int]) -> Any:
        """Where a mask keeps the picture, bool (H, W)."""
        if not file.exists():
            raise Unprepared(f"its mask is missing: there is no {file}")
        try:
            mask = _uncovered(read_bytes(file))
        except BadImage as error:
            kind = Unreadable if isinstance(error, Unreadable) else Unprepared
            raise kind(f"its mask {file}: {error}") from None
        if mask.shape != size:
            raise Unprepared(
                f"its mask {file} is {mask.shape[0]} x {mask.shape[1]} pixels, the picture {size[0]} x {size[1]}"
            )
        if not mask.any():
            raise Unprepared(f"its mask {file} is black all over, so that nothing would be left")
        return mask


def _placed(pattern: str, path: Path) -> Path:
    """The file that a pattern means for an image."""
    words = {"{stem}": path.stem, "{name}": path.name, "{folder}": path.parent.name}
    # In one go: the name of a file may hold what looks like a placeholder.
    return path.parent / re.sub(r"\{\w+\}", lambda found: words[found[0]], pattern)


def is_itself(file: Path, image: Path) -> bool:
    """Whether the file of a mask is that of the image, by their paths."""
    return os.path.normpath(file) == os.path.normpath(image)


def _uncovered(content: bytes) -> Any:
    """Where a mask, an encoded image, is not black: bool (H, W), upright.

    Raises:
        BadImage: The pixels are damaged or cut short.
    """
    image, header = as_stored(content)
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
    elif image.has_transparency_data:
        layers = np.asarray(image.convert("RGBA")).astype(np.uint16)
        values = layers[:, :, :3].max(axis=2) * layers[:, :, 3]
    else:
        values = as_pixels(image, 3).max(axis=2)
    kept = values > (values.max() / 2 if header.format in LOSSY else 0)
    return upright(kept, header)
