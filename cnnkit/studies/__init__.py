"""Many trainings that answer one question: `trial`, what a config should begin with; `folds`, what a network is worth.

May import `training` and what is below. Begin with `trial.decide`, the story of `cnnkit init --minutes`.
"""

from __future__ import annotations
