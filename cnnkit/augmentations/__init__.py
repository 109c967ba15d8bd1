"""Random changes of training images. The union below is the list of what `augment` may name."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from cnnkit.augmentations.base import Augmentation
from cnnkit.augmentations.flip import Flip
from cnnkit.augmentations.shift import Shift

AnyAugmentation: TypeAlias = Annotated[Flip | Shift, Field(discriminator="name")]

__all__ = ["AnyAugmentation", "Augmentation", "Flip", "Shift"]
