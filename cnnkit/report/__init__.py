"""What a run shows of itself: the curves of its training.

May import `inspection`, `evaluation`, `runs` and what is below. Begin with `curves`.
"""

from __future__ import annotations
