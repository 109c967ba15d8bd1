"""How the learning rate goes over a training. The union below is what `train.schedule` may name.

Begin with `base`: each schedule is a formula, for the optimizer and for drawing alike. `keras_schedule` is what an
optimizer takes.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from cnnkit.core.spec import ByName
from cnnkit.optimization.schedules.constant import Constant
from cnnkit.optimization.schedules.cosine import Cosine
from cnnkit.optimization.schedules.cosine_restarts import CosineRestarts
from cnnkit.optimization.schedules.exponential import Exponential
from cnnkit.optimization.schedules.multi_step import MultiStep
from cnnkit.optimization.schedules.one_cycle import OneCycle
from cnnkit.optimization.schedules.plateau import Plateau
from cnnkit.optimization.schedules.polynomial import Polynomial
from cnnkit.optimization.schedules.step import Step

AnySchedule: TypeAlias = Annotated[
    Constant | Step | MultiStep | Exponential | Polynomial | Cosine | CosineRestarts | OneCycle | Plateau,
    ByName(),
]
