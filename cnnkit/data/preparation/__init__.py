"""Steps that prepare every picture, always the same. The union below is the list of what `data.prepare` may name.

May import `files` and `core`. Begin with `base`, then any step.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from cnnkit.core.spec import ByName
from cnnkit.data.preparation.binarize import Binarize
from cnnkit.data.preparation.blur import Blur
from cnnkit.data.preparation.channel import Channel
from cnnkit.data.preparation.clahe import Clahe
from cnnkit.data.preparation.color_space import ColorSpace
from cnnkit.data.preparation.components import KeepLargest, RemoveSmall
from cnnkit.data.preparation.convolve import Convolve
from cnnkit.data.preparation.crop_to_content import CropToContent
from cnnkit.data.preparation.denoise import Denoise
from cnnkit.data.preparation.equalize import Equalize
from cnnkit.data.preparation.grayscale import Grayscale
from cnnkit.data.preparation.mask import Mask
from cnnkit.data.preparation.morphology import Close, Dilate, Erode, Open
from cnnkit.data.preparation.resize import Resize
from cnnkit.data.preparation.segment import Segment
from cnnkit.data.preparation.sharpen import Sharpen

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
    ByName(),
]
