"""Random changes of training images. The union below is the list of what `augment` may name.

May import `files` and `core`. Begin with `base`; `chain` puts a list of them to work on a batch.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from cnnkit.core.spec import ByName
from cnnkit.data.augmentations.affine import Affine
from cnnkit.data.augmentations.blur import RandomBlur
from cnnkit.data.augmentations.brightness import Brightness
from cnnkit.data.augmentations.contrast import Contrast
from cnnkit.data.augmentations.crop import Crop
from cnnkit.data.augmentations.cut_mix import CutMix
from cnnkit.data.augmentations.erasing import Erasing
from cnnkit.data.augmentations.flip import Flip
from cnnkit.data.augmentations.gamma import Gamma
from cnnkit.data.augmentations.grayscale import RandomGrayscale
from cnnkit.data.augmentations.hue import Hue
from cnnkit.data.augmentations.jpeg import Jpeg
from cnnkit.data.augmentations.mix_up import MixUp
from cnnkit.data.augmentations.noise import Noise
from cnnkit.data.augmentations.perspective import Perspective
from cnnkit.data.augmentations.policies import RandAugment, TrivialAugment
from cnnkit.data.augmentations.random_resized_crop import RandomResizedCrop
from cnnkit.data.augmentations.rotate import Rotate
from cnnkit.data.augmentations.saturation import Saturation
from cnnkit.data.augmentations.sharpen import RandomSharpen
from cnnkit.data.augmentations.shear import Shear
from cnnkit.data.augmentations.shift import Shift
from cnnkit.data.augmentations.zoom import Zoom

AnyAugmentation: TypeAlias = Annotated[
    Flip
    | Shift
    | Rotate
    | Zoom
    | Shear
    | Affine
    | Perspective
    | Crop
    | RandomResizedCrop
    | Brightness
    | Contrast
    | Saturation
    | Hue
    | Gamma
    | RandomGrayscale
    | RandomBlur
    | RandomSharpen
    | Noise
    | Jpeg
    | Erasing
    | RandAugment
    | TrivialAugment
    | MixUp
    | CutMix,
    ByName(),
]
