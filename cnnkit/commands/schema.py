"""`cnnkit schema`: the JSON Schema of a config."""

from __future__ import annotations

from cnnkit.commands.command import command
from cnnkit.commands.screen import Screen


@command("cnnkit schema > cnnkit.schema.json")
def schema(screen: Screen) -> None:
    """Print the JSON Schema of a config, with which an editor completes and checks it."""
    from cnnkit.config.catalogue import schema as document

    screen.document(document())
