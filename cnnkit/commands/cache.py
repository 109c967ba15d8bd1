"""`cnnkit cache`: what is kept in the cache, and clear it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from cnnkit.commands.command import command
from cnnkit.commands.screen import Screen, new_table
from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import DiskError, UsageError
from cnnkit.core.text import counted, first_of, in_bytes, listed, suggestion

if TYPE_CHECKING:
    from cnnkit.core.cache_contents import Cleared, Contents, Entry

DAY = 86_400


@command("cnnkit cache --older-than 30", uses_cache=False)
def cache(
    screen: Screen,
    clear: Annotated[bool, Option("--clear", help="Remove all that can be made or fetched anew.")] = False,
    older_than: Annotated[
        float | None,
        Option(metavar="DAYS", min=0, help="Remove what was not used for so many days.", show_default=False),
    ] = None,
    kinds: Annotated[
        list[str], Option("--kind", metavar="KIND", help="Only this kind, as the table calls it. Repeatable.")
    ] = [],  # noqa: B006
) -> None:
    """Show what is kept in the cache: how large, used when and by which runs; or clear it."""
    from cnnkit.core import cache_contents, locks

    names = [kind.name for kind in cache_contents.KINDS]
    for name in kinds:
        if name not in names:
            raise UsageError(f"--kind {name}: there is no such kind{suggestion(name, names)}")
    oldest = None if older_than is None else time.time() - older_than * DAY

    def wanted(entry: Entry) -> bool:
        of_kind = entry.kind.name in kinds if kinds else not entry.kind.by_hand
        return of_kind and (oldest is None or entry.used < oldest)

    try:
        cleared = cache_contents.clear(wanted) if clear or older_than is not None else None
        contents = cache_contents.look()
    except locks.Busy:
        message = f"a training or another command is using the cache {cache_folder()}, so nothing was removed"
        raise UsageError(f"{message}; try again when it has ended") from None
    except OSError as error:
        raise DiskError(f"{error.filename or cache_folder()} can't be read, or locked: {error.strerror}") from None
    shown = [entry for entry in contents.entries if not kinds or entry.kind.name in kinds]
    screen.result(_document(contents, shown, cleared), *_lines(contents, shown, cleared, bool(kinds)))
    if cleared and cleared.failed:
        raise DiskError(*(f"{error.filename}: can't be removed: {error.strerror}" for error in cleared.failed))


def _document(contents: Contents, shown: Sequence[Entry], cleared: Cleared | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "folder": str(contents.folder),
        "bytes": sum(entry.size for entry in shown),
        "kinds": [
            {
                "kind": kind,
                "what": entries[0].kind.what,
                "entries": len(entries),
                "bytes": sum(entry.size for entry in entries),
                "last_used": _time(max(entry.used for entry in entries)),
                "runs": _runs(entries),
            }
            for kind, entries in _by_kind(shown).items()
        ],
        "entries": [
            {
                "path": str(entry.path),
                "kind": entry.kind.name,
                "bytes": entry.size,
                "last_used": _time(entry.used),
                "runs": list(entry.runs),
            }
            for entry in shown
        ],
        "left_alone": [str(path) for path in contents.strangers],
    }
    if cleared:
        removed = {"entries": len(cleared.entries), "bytes": sum(entry.size for entry in cleared.entries)}
        document["removed"] = removed | {"paths": [str(entry.path) for entry in cleared.entries]}
    return document


def _lines(contents: Contents, shown: Sequence[Entry], cleared: Cleared | None, chosen: bool) -> list[Any]:
    lines: list[Any] = []
    if cleared:
        size = in_bytes(sum(entry.size for entry in cleared.entries))
        lines.append(f"{counted(len(cleared.entries), 'entry', 'entries')} removed, {size}")
    lines.append(f"{contents.folder}: {in_bytes(sum(entry.size for entry in shown)) if shown else 'nothing is kept'}")
    if shown:
        table = new_table("kind", ">size", ">entries", "last used", "runs", "what")
        for kind, entries in _by_kind(shown).items():
            every = sum(entry.size for entry in entries)
            runs = ", ".join(first_of([_run(run) for run in _runs(entries)], 2))
            last = _time(max(entry.used for entry in entries))[:10]
            table.add_row(kind, in_bytes(every), f"{len(entries):,}", last, runs, entries[0].kind.what)
        lines += ["", table, ""]
    if contents.strangers:
        names = listed([str(path.relative_to(contents.folder)) for path in contents.strangers])
        lines.append(f"Left alone, as it is a link or nothing that cnnkit keeps: {names}")
    by_hand = {entry.kind.name for entry in shown if entry.kind.by_hand}
    if cleared and by_hand and not chosen:
        lines.append("Left, as people put them there: backbones (--kind backbones for these)")
    if shown and not cleared:
        lines.append(
            "Next: cnnkit cache --older-than 30 removes what was not used for 30 days, cnnkit cache --clear all of it"
        )
    return lines


def _by_kind(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Entries by the name of their kind, the largest kind first."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.kind.name, []).append(entry)
    return dict(sorted(found.items(), key=lambda item: -sum(entry.size for entry in item[1])))


def _runs(entries: Sequence[Entry]) -> list[str]:
    return sorted({run for entry in entries for run in entry.runs})


def _run(folder: str) -> str:
    """A run as the table calls it; `--json` has its whole path."""
    return Path(folder).name if Path(folder).is_dir() else f"{Path(folder).name} (gone)"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
