"""What is shown of a run: its report for a browser, its curves, the search for a learning rate; and schedules.

May import `inspection`, `evaluation`, `runs` and what is below. Begin with `report`, then `page`.
"""

from __future__ import annotations
