"""The section `train`: optimizers, schedules, losses, and the metrics that a training follows.

May import `models` (stages freeze parts of a network), `data` and `core`. Begin with `section`.
"""

from __future__ import annotations
