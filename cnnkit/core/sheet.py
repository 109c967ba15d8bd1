"""Sheets of pictures with words below them: what all that draws such a sheet as a PNG shares."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.lazy import np
from cnnkit.core.text import without_controls

SMALL, LARGE = 128, 256
"""Pixels. A picture much smaller than SMALL is enlarged by a whole number, so that each of its pixels is a square; one
larger than LARGE is made smaller."""

_GAP = 12
_WIDTH = 136
"""Of a column, at least, so that words find room."""
_LINE = 14
_HEADING, _TITLE = 22, 20

Box = tuple[int, int, int, int]
"""Where a picture lies on a sheet: left, top, right and bottom, in pixels."""


@dataclass(frozen=True)
class Cell:
    """A picture on a sheet.

    Attributes:
        pixels: uint8 (H, W, 1) or (H, W, 3).
        words: What is said below it, a line each where there is room.
    """

    pixels: Any
    words: Sequence[str]


def draw(path: Path, heading: str, titles: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[list[Box]]:
    """Draws a sheet with a row for each thing that is shown and a column for each form that it is shown in.

    Args:
        path: The file, a PNG.
        heading: What it shows.
        titles: What each column shows.
        rows: The pictures.

    Returns:
        Where each picture lies.

    Raises:
        OSError: The file can't be written.
    """
    paper, boxes = drawn(heading, titles, rows)
    atomic.write_bytes(path, as_png(paper))
    return boxes


def drawn(heading: str, titles: Sequence[str], rows: Sequence[Sequence[Cell]]) -> tuple[Any, list[list[Box]]]:
    """The same as a `PIL.Image.Image`, and where each picture lies on it."""
    from PIL import Image, ImageDraw

    pictures = [[_sized(cell.pixels) for cell in row] for row in rows]
    wide = max(_WIDTH, *(picture.width for row in pictures for picture in row))
    letters, small = font(16), font(11)
    words = [[_lines(cell.words, wide, small.getlength) for cell in row] for row in rows]
    heights = [
        max(picture.height for picture in row) + _LINE * max(map(len, lines)) + _GAP
        for row, lines in zip(pictures, words, strict=True)
    ]
    width = _GAP + len(titles) * (wide + _GAP)
    above = wrapped(heading, width - 2 * _GAP, letters.getlength)
    top = _GAP + len(above) * _HEADING
    paper = Image.new("RGB", (width, top + _TITLE + sum(heights)), "white")
    pen = ImageDraw.Draw(paper)
    for k, line in enumerate(above):
        pen.text((_GAP, 8 + k * _HEADING), line, fill="black", font=letters)
    columns = [_GAP + k * (wide + _GAP) for k in range(len(titles))]
    for left, title in zip(columns, titles, strict=True):
        pen.text((left, top), shortened(title, wide, small.getlength), fill="black", font=small)
    top += _TITLE
    boxes = []
    for row, lines, height in zip(pictures, words, heights, strict=True):
        boxes.append([(left, top, left + p.width, top + p.height) for left, p in zip(columns, row, strict=True)])
        for picture, below, box in zip(row, lines, boxes[-1], strict=True):
            paper.paste(picture, box[:2])
            pen.rectangle((box[0] - 1, box[1] - 1, box[2], box[3]), outline="lightgrey")
            for k, line in enumerate(below):
                pen.text((box[0], box[3] + 2 + k * _LINE), line, fill="black", font=small)
        top += height
    return paper, boxes


def as_png(picture: Any, colours: int | None = None) -> memoryview:
    """What a `PIL.Image.Image` is as a PNG; it is a third as large with so many colours, 256 at most."""
    content = io.BytesIO()
    (picture.quantize(colours) if colours else picture).save(content, "PNG")
    return content.getbuffer()


def _sized(pixels: Any) -> Any:
    """A picture in the size that it has on a sheet."""
    from PIL import Image

    longest = max(pixels.shape[:2])
    if (times := round(SMALL / longest)) > 1:
        pixels = pixels.repeat(times, axis=0).repeat(times, axis=1)
    picture = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)).convert("RGB")
    if longest > LARGE:
        picture.thumbnail((LARGE, LARGE))
    return picture


def _lines(words: Sequence[str], width: float, length: Callable[[str], float]) -> list[str]:
    return [line for text in words for line in wrapped(text, width, length)]


def font(size: int) -> Any:
    """DejaVu Sans, which comes with Matplotlib: the one in Pillow has neither umlauts nor Greek nor Cyrillic."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def wrapped(text: str, width: float, length: Callable[[str], float]) -> list[str]:
    """A text in lines that are at most so wide; a word that is wider is shortened."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and length(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(shortened(word, width, length))
    return lines


def shortened(text: str, width: float, length: Callable[[str], float]) -> str:
    """A text with as much of its middle left out as it takes to be at most so wide."""
    # A line break, or a byte of a file name that is not UTF-8, can't be drawn as it is.
    text = without_controls(text)
    if length(text) <= width:
        return text
    for left_out in range(1, len(text)):
        rest = len(text) - left_out
        short = f"{text[: rest - rest // 2]}…{text[len(text) - rest // 2 :]}"
        if length(short) <= width:
            return short
    return "…"
