"""The section `data`: from files to the batches that the network is shown.

May import `core` alone. Within the room, `feeding` may import all, `section` all but `feeding`, and the kinds
of things that a config names (`sources`, `preparation`, `augmentations`, `balancing`) what they share: `splitting`,
`index`, `files` and `split_names`.

Begin with `section`, then `index`, what a source holds; `splitting` says what is set apart, `feeding` makes batches.
"""

from __future__ import annotations
