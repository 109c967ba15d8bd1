"""Many trainings that answer one question.

`trial`: what should a config begin with; `folds`: what is a network worth; `curve`: what would more images bring;
`suspects`: which labels are probably wrong.

Of use to these: `fold_runs`, whether each run is that of its fold; `fold_results` and `fold_page`, what they come to
and its page; `bench`, where the trial trains its
candidates, and `budget`, its time; `material`, what a study asks of images; `several`, for many trainings in one
process.

May import `training` and what is below. Begin with `trial.decide`, the story of `cnnkit init --minutes`.
"""

from __future__ import annotations
