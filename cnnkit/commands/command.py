"""What all commands share: how a function becomes one, and the arguments and options that mean the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from typer import Argument, Option

from cnnkit.commands.screen import Screen
from cnnkit.core import cache

Config = Annotated[Path, Argument(metavar="CONFIG", help="The YAML file.", show_default=False)]
RunFolder = Annotated[Path, Argument(metavar="RUN", help="The folder of a run.", show_default=False)]
Settings = Annotated[
    list[str], Option("--set", metavar="KEY=VALUE", help="Replace a setting, e.g. train.epochs=5. Repeatable.")
]
Force = Annotated[bool, Option("--force", help="Replace the file to write if it exists already.")]

_EVERYWHERE = {
    "json_output": Annotated[
        bool, Option("--json", help="Print one JSON document; what is for people goes to stderr.")
    ],
    "debug": Annotated[bool, Option("--debug", help="Show the traceback of an error.")],
}
"""Options of every command. `--debug` is for `main`, to which errors come."""


@dataclass(frozen=True)
class Command:
    """A command, as `app` gives it to Typer.

    Attributes:
        name: What it is called.
        example: How it is called.
        run: What it does, with its arguments and options in its signature.
    """

    name: str
    example: str
    run: Callable[..., None]


def command(example: str, uses_cache: bool = True) -> Callable[[Callable[..., None]], Command]:
    """Makes a function a command of its name, with the options of every command.

    Args:
        example: How it is called, for its help.
        uses_cache: Whether nobody may clear the cache while it runs.

    Returns:
        A decorator of functions whose first argument is the screen, and all others arguments and options of their own.
    """

    def decorate(function: Callable[..., None]) -> Command:
        hints = get_type_hints(function, include_extras=True)
        _, *own = signature(function).parameters.values()
        parameters = [parameter.replace(annotation=hints[parameter.name]) for parameter in own]
        parameters += [
            Parameter(option, Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
            for option, annotation in _EVERYWHERE.items()
        ]

        @wraps(function)
        def run(json_output: bool, debug: bool, **arguments: Any) -> None:
            with cache.in_use() if uses_cache else nullcontext():
                function(Screen(json_output), **arguments)

        # Typer reads the options of a command from these.
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return Command(function.__name__.removesuffix("_"), example, run)

    return decorate
