"""What is done where some classes have far fewer training images. The union below is what `data.balance` may name.

May import `index` and `core`. Begin with `base`.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from cnnkit.core.spec import ByName
from cnnkit.data.balancing.borderline_smote import BorderlineSmote
from cnnkit.data.balancing.class_weight import ClassWeight
from cnnkit.data.balancing.none import NoBalance
from cnnkit.data.balancing.oversample import Oversample
from cnnkit.data.balancing.smote import Smote
from cnnkit.data.balancing.undersample import Undersample

AnyBalance: TypeAlias = Annotated[
    NoBalance | ClassWeight | Oversample | Undersample | Smote | BorderlineSmote, ByName()
]
