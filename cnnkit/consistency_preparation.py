"""What is wrong between the steps of `data.prepare`, or between them and other sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cnnkit.architectures import Architecture
from cnnkit.errors import Problem
from cnnkit.experiment import Data, suggested
from cnnkit.preparation import Preparation
from cnnkit.preparation.binarize import Binarize
from cnnkit.preparation.channel import Channel
from cnnkit.preparation.clahe import Clahe
from cnnkit.preparation.color_space import ColorSpace
from cnnkit.preparation.components import KeepLargest, RemoveSmall
from cnnkit.preparation.crop_to_content import CropToContent
from cnnkit.preparation.denoise import Denoise
from cnnkit.preparation.equalize import Equalize
from cnnkit.preparation.grayscale import Grayscale
from cnnkit.preparation.mask import Mask
from cnnkit.preparation.segment import Segment
from cnnkit.sources import Collection
from cnnkit.sources.archive import Archive
from cnnkit.sources.folder import Folder
from cnnkit.sources.manifest import Manifest

_BY_COLOUR = (
    Grayscale,
    ColorSpace,
    CropToContent,
    Clahe,
    Equalize,
    Denoise,
    Binarize,
    RemoveSmall,
    KeepLargest,
    Mask,
    Segment,
)
"""Steps that take three channels for red, green and blue, most of them to know how light a picture is. The others do
the same to each channel, whatever it is."""


def takes_colours(step: Preparation) -> bool:
    """Whether a step takes three channels for red, green and blue."""
    by_name = isinstance(step, Channel) and isinstance(step.channel, str)
    from_file = isinstance(step, Mask) and step.method == "file"
    return by_name or (isinstance(step, _BY_COLOUR) and not from_file)


def _ends_in_the_channels(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    data: Data | None = sections.get("data")
    model: Architecture | None = sections.get("model")
    shape = data.shape(suggested(model, collection)) if data else None
    if data and data.prepare and shape and data.decoded_channels(shape[2]) != 1 == shape[2]:
        count = data.decoded_channels(shape[2])
        for step in data.prepare:
            count = step.channels(count)
        if count != 1:
            other = any(isinstance(step, ColorSpace) for step in data.prepare)
            advice = "channel, by number" if other else "grayscale or channel"
            message = f"ends in {count} channels, and the network takes 1; add {advice}"
            yield Problem(message, key=f"data.prepare.{len(data.prepare) - 1}")


def _masks_come_before_pixels_move(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    data: Data | None = sections.get("data")
    moved: str | None = None
    for i, step in enumerate(data.prepare if data else ()):
        if moved and _reads_a_file(step):
            message = f"a mask from a file is as large as the picture in its file, so it comes before {moved}"
            yield Problem(message, key=f"data.prepare.{i}")
        moved = moved or (step.name if step.moves else None)


def _colours_are_there_for_each_step(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    data: Data | None = sections.get("data")
    grey: str | None = None
    other: ColorSpace | None = None
    for i, step in enumerate(data.prepare if data else ()):
        if grey and step.for_colour:
            message = f"needs a picture in colour, and {grey} has left one channel; put it before {grey}"
            yield Problem(message, key=f"data.prepare.{i}")
        if other and isinstance(step, Channel) and takes_colours(step):
            message = "color_space has left other channels than red, green and blue; choose by number, 0 to 2"
            yield Problem(message, key=f"data.prepare.{i}.channel")
        elif other and takes_colours(step):
            message = f"takes the {other.space} of color_space for red, green and blue; put it before color_space, or "
            message += "a channel, by number, between them"
            yield Problem(message, key=f"data.prepare.{i}")
        other = step if isinstance(step, ColorSpace) else other
        if step.channels(3) == 1:
            grey, other = step.name, None


def _masks_lie_beside_files(sections: dict[str, Any], collection: Collection | None) -> Iterator[Problem]:
    data: Data | None = sections.get("data")
    files = (Folder, Manifest, Archive)
    for i, step in enumerate(data.prepare if data else ()):
        if _reads_a_file(step) and data and not isinstance(data.source, files):
            message = f"the images of {data.source.name} are no files, so no mask lies beside them; use method otsu"
            yield Problem(message, key=f"data.prepare.{i}")


def _reads_a_file(step: Preparation) -> bool:
    return step.beside(Path("image.png")) is not None


CHECKS: tuple[Callable[[dict[str, Any], Collection | None], Iterator[Problem]], ...] = (
    _ends_in_the_channels,
    _masks_come_before_pixels_move,
    _masks_lie_beside_files,
    _colours_are_there_for_each_step,
)
