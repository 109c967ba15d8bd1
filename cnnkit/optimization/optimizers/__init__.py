"""How the weights follow the gradient. The union below is what `train.optimizer` may name.

Begin with `base`: rates and weight decay of single weights are the same for all of them.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from cnnkit.core.spec import ByName
from cnnkit.optimization.optimizers.adadelta import Adadelta
from cnnkit.optimization.optimizers.adagrad import Adagrad
from cnnkit.optimization.optimizers.adam import Adam
from cnnkit.optimization.optimizers.adamax import Adamax
from cnnkit.optimization.optimizers.adamw import AdamW
from cnnkit.optimization.optimizers.lamb import Lamb
from cnnkit.optimization.optimizers.lion import Lion
from cnnkit.optimization.optimizers.nadam import Nadam
from cnnkit.optimization.optimizers.rmsprop import RmsProp
from cnnkit.optimization.optimizers.sgd import Sgd

AnyOptimizer: TypeAlias = Annotated[
    Sgd | Adagrad | Adadelta | RmsProp | Adam | AdamW | Nadam | Adamax | Lion | Lamb, ByName()
]
