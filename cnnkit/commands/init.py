"""`cnnkit init`: a config that suits some images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cnnkit.commands.command import Force, command
from cnnkit.commands.screen import Screen
from cnnkit.core.errors import UsageError


@command("cnnkit init photos --output flowers.yaml")
def init(
    screen: Screen,
    images: Annotated[
        Path, Argument(metavar="IMAGES", help="A folder, or a file that a source reads.", show_default=False)
    ],
    output: Annotated[Path | None, Option(help="The config's file.", show_default="NAME.yaml")] = None,
    force: Force = False,
    from_scratch: Annotated[
        bool, Option("--from-scratch", help="A network from nothing, whatever pretrained ones there are.")
    ] = False,
    backbone: Annotated[
        str | None,
        Option(
            metavar="FOLDER|NAME",
            help="Begin with this pretrained network: a folder, or a name in the cache or of keras.applications.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Look at images and write a config that suits them, each setting with its reason."""
    from cnnkit.inspection.first_config.decision import Wish
    from cnnkit.inspection.first_config.start import by_rule, start

    if from_scratch and backbone is not None:
        raise UsageError("--from-scratch and --backbone can't both be: one of them, or neither")
    wish = Wish(from_scratch, backbone)
    with screen.watching() as progress:
        started = start(images, output, force, progress, by_rule(wish))
    screen.result(started.as_json(), *started.lines())
