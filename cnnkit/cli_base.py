"""What all commands share: the Typer app, the options that mean the same everywhere, the screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cnnkit.console import Screen

app = typer.Typer(
    name="cnnkit",
    help="Train convolutional image classifiers from one YAML file, and say exactly how each was made.",
    epilog="Begin with: cnnkit init IMAGES, a folder that holds a folder of images for each class",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file.", show_default=False)]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting, e.g. train.epochs=5. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document; what is for people goes to stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def screen_for(json_output: bool) -> Screen:
    """Where a command shows what it has to say."""
    from cnnkit.console import Screen

    return Screen(json_output)
