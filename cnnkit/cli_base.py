"""What all commands share: the Typer app, and the arguments and options that mean the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from typer import Argument, Option, Typer

app = Typer(
    name="cnnkit",
    help="Train convolutional image classifiers from one YAML file, and say exactly how each was made.",
    epilog="Begin with: cnnkit init IMAGES, a folder that holds a folder of images for each class",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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


def command(example: str, name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a function a command of the app, with the options of every command and an example in its help.

    Args:
        example: How it is called.
        name: What it is called, if not as the function.

    Returns:
        A decorator of functions whose first argument is the screen, and all others arguments and options of their own.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, localns={"Screen": Any}, include_extras=True)
        _, *own = signature(function).parameters.values()
        parameters = [parameter.replace(annotation=hints[parameter.name]) for parameter in own]
        parameters += [
            Parameter(option, Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
            for option, annotation in _EVERYWHERE.items()
        ]

        @wraps(function)
        def run(json_output: bool, debug: bool, **arguments: Any) -> None:
            from cnnkit.console import Screen

            function(Screen(json_output), **arguments)

        # Typer reads the options of a command from these.
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, epilog=f"Example: {example}")(run)
        return function

    return register
