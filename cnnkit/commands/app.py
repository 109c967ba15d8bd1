"""The app: all commands, in the order of the help. A new one is a file beside this, and its name in the list here."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Option

from cnnkit.commands import (
    cache,
    check,
    compare,
    data,
    evaluate,
    init,
    list,
    lr,
    predict,
    preview,
    report,
    schema,
    summary,
    train,
)
from cnnkit.commands.screen import Screen
from cnnkit.core.version import __version__

app = typer.Typer(
    name="cnnkit",
    help="Train convolutional image classifiers from one YAML file, and say exactly how each was made.",
    epilog="Begin with: cnnkit init IMAGES, a folder that holds a folder of images for each class",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = (
    init.init,
    check.check,
    summary.summary,
    data.data,
    preview.preview,
    lr.lr,
    train.train,
    evaluate.evaluate,
    compare.compare,
    predict.predict,
    report.report,
    cache.cache,
    list.list_,
    schema.schema,
)
"""All commands, in the order of the help."""

for command in COMMANDS:
    app.command(command.name, epilog=f"Example: {command.example}")(command.run)


def _version(asked: bool) -> None:
    if asked:
        Screen().say(f"cnnkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass
