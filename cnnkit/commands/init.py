"""`cnnkit init`: a config that suits some images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cnnkit.commands.command import Force, command
from cnnkit.commands.screen import Screen


@command("cnnkit init photos --output flowers.yaml")
def init(
    screen: Screen,
    images: Annotated[
        Path, Argument(metavar="IMAGES", help="A folder, or a file that a source reads.", show_default=False)
    ],
    output: Annotated[Path | None, Option(help="The config's file.", show_default="NAME.yaml")] = None,
    force: Force = False,
) -> None:
    """Look at images and write a config that suits them, each setting with its reason."""
    from cnnkit.inspection.first_config.start import start

    with screen.watching() as progress:
        started = start(images, output, force, progress)
    screen.result(started.as_json(), *started.lines())
