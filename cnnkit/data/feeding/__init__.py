"""Images on their way to the network: decoded once, kept, put in order, augmented, made into batches.

May import the rest of `data`, and `core`.

Begin with `batches`; `preprocessing` is what of a picture the network is shown, `loading` decodes and keeps, `images`
holds what the network is fed, `workers` make batches in other processes, `pixel_store` keeps pixels on the disk.
"""

from __future__ import annotations
