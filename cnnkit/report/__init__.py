"""What is drawn: the curves of a training, those of the search for a learning rate, and the course of schedules.

May import `inspection`, `evaluation`, `runs` and what is below. Begin with `curves`.
"""

from __future__ import annotations
