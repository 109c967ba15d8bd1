"""Training: from a config to an evaluated run.

May import `report`, `inspection` (the doctor is asked first), `evaluation`, `runs` and what is below.

Begin with `train`, the story of a run; `data` is what it needs of the images, `engine` the fit of a stage,
`classifier_fit` that of a stage whose classifier is fitted and not trained (by `head`), `closing` what comes behind the
last epoch, `ending` what happens when a run ends before its time, `stopping` how it is asked to, `saving` when its
state is kept, `state_variables` what of the network that is, and `resuming` how it is taken up again.
"""

from __future__ import annotations
