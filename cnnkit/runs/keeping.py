"""Whether something new can be kept in the folder of a run, which may be another's, or on a disk that is only read.

Every command that keeps something there asks this before its work. Where the figures are what is wanted, they are told
all the same; where it is what is kept, the command is refused.
"""

from __future__ import annotations

import os
from pathlib import Path

from cnnkit.core.errors import UsageError


def why_not(folder: Path) -> str | None:
    """Why nothing can be written into a folder, which is made where there is none; None if something can be."""
    if not os.path.lexists(folder):
        return why_not(folder.parent) if folder != folder.parent else None
    if not folder.is_dir():
        return f"{folder} is no folder"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} can't be written to"


def refuse(needed: str, *folders: Path) -> None:
    """Refuses what can't be kept.

    Args:
        needed: Why it has to be, and what to do, as a clause.
        folders: Where it is kept.

    Raises:
        UsageError: One of them can't be written to.
    """
    for folder in folders:
        if why := why_not(folder):
            raise UsageError(f"{why}, and {needed}")
