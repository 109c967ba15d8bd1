"""Random changes of training images. The union below is the list of what `augment` may name."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from cnnkit.augmentations.affine import Affine
from cnnkit.augmentations.base import Augmentation, Geometric, Mixing, Pixelwise
from cnnkit.augmentations.blur import RandomBlur
from cnnkit.augmentations.brightness import Brightness
from cnnkit.augmentations.chain import Batch, Chain
from cnnkit.augmentations.contrast import Contrast
from cnnkit.augmentations.crop import Crop
from cnnkit.augmentations.cut_mix import CutMix
from cnnkit.augmentations.erasing import Erasing
from cnnkit.augmentations.flip import Flip
from cnnkit.augmentations.gamma import Gamma
from cnnkit.augmentations.grayscale import RandomGrayscale
from cnnkit.augmentations.hue import Hue
from cnnkit.augmentations.jpeg import Jpeg
from cnnkit.augmentations.mix_up import MixUp
from cnnkit.augmentations.noise import Noise
from cnnkit.augmentations.perspective import Perspective
from cnnkit.augmentations.policies import RandAugment, TrivialAugment
from cnnkit.augmentations.random_resized_crop import RandomResizedCrop
from cnnkit.augmentations.rotate import Rotate
from cnnkit.augmentations.saturation import Saturation
from cnnkit.augmentations.sharpen import RandomSharpen
from cnnkit.augmentations.shear import Shear
from cnnkit.augmentations.shift import Shift
from cnnkit.augmentations.zoom import Zoom

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
    Field(discriminator="name"),
]

__all__ = ["AnyAugmentation", "Augmentation", "Batch", "Chain", "Geometric", "Mixing", "Pixelwise"]
