"""The command line as it is started, and what an error becomes: a text and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from io import TextIOWrapper

import typer

from cnnkit.commands.app import COMMANDS, app
from cnnkit.commands.screen import show_error
from cnnkit.core.atomic import ERRORS
from cnnkit.core.errors import CnnkitError, Interrupted, TrainingError, UsageError
from cnnkit.core.signals import interrupts


def main() -> None:
    """Runs the command line; every error becomes a clear text and its exit code."""
    words = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    json_output, debug = "--json" in words, "--debug" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=ERRORS)  # a file name that is not UTF-8 is printed as it is
    try:
        with interrupts(signal.SIGINT):
            code = app(standalone_mode=False)
        if code == 130:  # what Typer makes of Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code)
    except CnnkitError as error:
        _fail(error, json_output, debug)
    except typer.TyperException as error:
        # Called without a command, the message is the help itself.
        names = [each.name for each in COMMANDS]
        asked = next((f" {word}" for word in words[:1] if word in names), "")
        hint = "" if len(words) == 0 else f"; see cnnkit{asked} --help"
        message = error.format_message().rstrip(". ").replace("Value error, ", "")
        _fail(UsageError(message + hint), json_output, debug)
    except (KeyboardInterrupt, typer.Abort):
        _fail(Interrupted("Interrupted."), json_output, debug)
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)  # as a shell says of what SIGPIPE ended
    except OSError as error:
        _fail(TrainingError(f"{error.filename or 'the output'}: {error.strerror or error}"), json_output, debug)
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        text = (
            f"this is a bug in cnnkit, please report it: {what}\nThe same command with --debug shows where it happened."
        )
        _fail(CnnkitError(text), json_output, debug)


def _fail(error: CnnkitError, json_output: bool, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    show_error(error, json_output)
    sys.exit(error.exit_code)
