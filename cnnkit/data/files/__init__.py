"""Files: which there are, what is known of them, archives, tables and arrays, and the one decoder of images.

May import `core` alone. Begin with `decoding`, which alone decides what a bad picture is, and `walking`.
"""

from __future__ import annotations
