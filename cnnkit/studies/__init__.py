"""Many trainings that answer one question. So far one: `trial`, which candidate a config should begin with.

May import `training` and what is below. Begin with `trial.decide`, the story of `cnnkit init --minutes`.
"""

from __future__ import annotations
