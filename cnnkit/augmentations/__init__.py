"""Random changes of training images. The union below is the list of what `augment` may name."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from cnnkit.augmentations.base import Augmentation, Geometric, Mixing, Pixelwise
from cnnkit.augmentations.brightness import Brightness
from cnnkit.augmentations.chain import Batch, Chain
from cnnkit.augmentations.flip import Flip
from cnnkit.augmentations.mix_up import MixUp
from cnnkit.augmentations.rotate import Rotate
from cnnkit.augmentations.shift import Shift

AnyAugmentation: TypeAlias = Annotated[Flip | Shift | Rotate | Brightness | MixUp, Field(discriminator="name")]

__all__ = ["AnyAugmentation", "Augmentation", "Batch", "Chain", "Geometric", "Mixing", "Pixelwise"]
