"""Steps that prepare every picture, always the same. The union below is the list of what `data.prepare` may name."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from cnnkit.preparation.base import Preparation, Unprepared, decoded_channels, files_beside
from cnnkit.preparation.binarize import Binarize
from cnnkit.preparation.blur import Blur
from cnnkit.preparation.channel import Channel
from cnnkit.preparation.clahe import Clahe
from cnnkit.preparation.color_space import ColorSpace
from cnnkit.preparation.components import KeepLargest, RemoveSmall
from cnnkit.preparation.convolve import Convolve
from cnnkit.preparation.crop_to_content import CropToContent
from cnnkit.preparation.denoise import Denoise
from cnnkit.preparation.equalize import Equalize
from cnnkit.preparation.grayscale import Grayscale
from cnnkit.preparation.mask import Mask
from cnnkit.preparation.morphology import Close, Dilate, Erode, Open
from cnnkit.preparation.resize import Resize
from cnnkit.preparation.segment import Segment
from cnnkit.preparation.sharpen import Sharpen

# Colours, size, light, detail, black and white, objects.
AnyPreparation: TypeAlias = Annotated[
    Grayscale
    | ColorSpace
    | Channel
    | Resize
    | CropToContent
    | Clahe
    | Equalize
    | Denoise
    | Blur
    | Sharpen
    | Convolve
    | Binarize
    | Erode
    | Dilate
    | Open
    | Close
    | RemoveSmall
    | KeepLargest
    | Mask
    | Segment,
    Field(discriminator="name"),
]

__all__ = ["AnyPreparation", "Preparation", "Unprepared", "decoded_channels", "files_beside"]
