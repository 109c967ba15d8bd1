"""The list of what is better left out, in the form that `data.exclude` takes."""

from __future__ import annotations

from pathlib import Path

from cnnkit.core import atomic
from cnnkit.data.section import Data, read_names
from cnnkit.inspection.doctor.base import Report


def write(file: Path, report: Report, data: Data) -> int:
    """Writes the list: one name a line, a comment with the reason before those that share it.

    Args:
        file: Is written whole or not at all.
        report: What was found.
        data: What it leaves out already stays on the list: the new list takes the place of the old one.

    Returns:
        How many names there are.
    """
    groups = [("left out before", list(read_names(data.exclude)))] if data.exclude else []
    groups += [(f"{finding.kind}: {finding.message}", list(finding.leave_out)) for finding in report.findings]
    lines, listed = [], set()
    for reason, names in groups:
        # What was named for a worse reason is not named again.
        if new := [name for name in names if name not in listed]:
            lines += [f"# {' '.join(reason.split())}", *map(line, new)]
            listed.update(new)
    atomic.write_text(file, "".join(f"{each}\n" for each in lines or ["# nothing is to be left out"]))
    return len(listed)


def line(name: str) -> str:
    """A name as the list has it: a `#` or a space in front of it is part of the name."""
    return f"./{name}" if name.startswith(("#", " ", "./")) else name
