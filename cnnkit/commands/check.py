"""`cnnkit check`: everything that is wrong with a config, or all of it with where each value comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from cnnkit.commands.command import Config, Settings, command
from cnnkit.commands.screen import Screen, as_yaml, new_table
from cnnkit.core.text import typed


@command("cnnkit check configs/digits.yaml --set train.epochs=5")
def check(screen: Screen, config: Config, settings: Settings = []) -> None:  # noqa: B006
    """Tell everything that is wrong with a config, or show it complete: each value and where it comes from."""
    from cnnkit.config.file import configure

    with screen.watching() as progress:
        configured = configure(config, settings, progress=progress).completed(progress)
    rows = [(".".join(map(str, path)), value, origin) for path, value, origin in configured.rows()]
    listed = [{"key": key, "value": value, "from": origin} for key, value, origin in rows]
    words = typed(config, settings)
    following = f"\n{config} is right. Next: cnnkit summary {words}, or cnnkit train {words}"
    notes, unused = configured.notes, configured.unused
    careful = [{"message": problem.message, "places": [problem.place()]} for problem in configured.careful]
    document = {"config": str(config), "valid": True, "settings": listed, "notes": notes}
    document |= {"unused": unused, "careful": careful}
    said: list[str | Text] = []
    if notes or unused:
        said += ["", *(f"note: {note}" for note in (*notes, *unused))]
    if careful:
        said.append("")
        said += [Text.assemble(("careful", "bold yellow"), f": {problem}") for problem in configured.careful]
    screen.result(document, config_table(rows), *said, following)


def config_table(rows: Sequence[tuple[str, Any, str]]) -> Table:
    """The complete config: setting, value, where it came from."""
    table = new_table("setting", "value", "from")
    for key, value, origin in rows:
        table.add_row(key, as_yaml(value), Text(origin, style="dim" if origin == "default" else ""))
    return table
