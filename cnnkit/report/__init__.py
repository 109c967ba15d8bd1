"""What is shown of runs: their report for a browser, the search for a learning rate; and schedules.

May import `inspection`, `evaluation`, `runs` and what is below. Begin with `report`, then `page` (of a run) and `joint`
(of several).
"""

from __future__ import annotations
