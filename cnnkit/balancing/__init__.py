"""What is done where some classes have far fewer training images. The union below is what `data.balance` may name."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from cnnkit.balancing.base import Balance, Training, training_of
from cnnkit.balancing.borderline_smote import BorderlineSmote
from cnnkit.balancing.class_weight import ClassWeight
from cnnkit.balancing.none import NoBalance
from cnnkit.balancing.oversample import Oversample
from cnnkit.balancing.smote import Smote
from cnnkit.balancing.undersample import Undersample

AnyBalance: TypeAlias = Annotated[
    NoBalance | ClassWeight | Oversample | Undersample | Smote | BorderlineSmote, Field(discriminator="name")
]

__all__ = ["AnyBalance", "Balance", "NoBalance", "Training", "training_of"]
