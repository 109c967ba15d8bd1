"""`python -m cnnkit` is `cnnkit`."""

from __future__ import annotations

from cnnkit.commands.main import main

main()
