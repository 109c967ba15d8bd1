"""`python -m cnnkit` is `cnnkit`."""

from __future__ import annotations

from cnnkit.cli import main

main()
