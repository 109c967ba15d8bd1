"""The command line as it is started, and what an error becomes: a text and an exit code."""

from __future__ import annotations

import os
import re
import sys
import traceback

import typer

from cnnkit.commands.app import COMMANDS, app
from cnnkit.commands.screen import Screen, show_error
from cnnkit.commands.streams import standard_streams
from cnnkit.core.errors import CnnkitError, DiskError, Incomplete, Interrupted, NobodyReads, TrainingError, UsageError
from cnnkit.core.lazy import starting
from cnnkit.core.signals import ENDING, exit_code, interrupts, unheard
from cnnkit.core.text import of_system


def main(own_process: bool = True, interrupted: bool = False) -> None:
    """Runs the command line; every error becomes a clear text and its exit code.

    Args:
        own_process: Whether the process has nothing else to do: one that is interrupted then ends when that is told.
            What Python and TensorFlow would still do, such as waiting for their threads, takes seconds.
        interrupted: Whether somebody pressed Ctrl-C before.
    """
    words = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    json_output, debug = "--json" in words, "--debug" in words
    with starting(), standard_streams():
        try:
            _refuse_nothing(sys.argv[1:], words)
            code = _run(words, interrupted)
            sys.stdout.flush()
        except CnnkitError as error:
            with unheard():
                code = _fail(error, json_output, debug)
                stopped = error.worst if isinstance(error, Incomplete) else error
                if own_process and isinstance(stopped, Interrupted):
                    os._exit(code)
    sys.exit(code)


def _refuse_nothing(words: list[str], options: list[str]) -> None:
    """Refuses an empty word, which as a path would be the working folder, and as the value of an option nothing.

    Args:
        words: All words.
        options: Those that may be options.

    Raises:
        UsageError: There is one.
    """
    for place, word in enumerate(words):
        option = word[:-1] if word in options and re.fullmatch("--[^=]+=", word) else None
        if option or not word:
            before = " ".join(["cnnkit", *words[:place], *([option] if option else [])])
            raise UsageError(
                f"behind `{before}` stands an empty word, as of a variable that is not set: fill or remove it"
            )


def _run(words: list[str], interrupted: bool) -> int:
    """Runs a command; its exit code.

    Raises:
        CnnkitError: It has failed, in whatever way.
    """
    try:
        with interrupts(*ENDING) as received:
            if interrupted:
                raise KeyboardInterrupt
            code = app(standalone_mode=False)
        if code == 130:  # what Typer makes of a KeyboardInterrupt
            raise received[0] if received else KeyboardInterrupt
        return int(code or 0)
    except CnnkitError:
        raise
    except typer.TyperException as error:
        # Called without a command, the message is the help itself.
        names = [each.name for each in COMMANDS]
        asked = next((f" {word}" for word in words[:1] if word in names), "")
        hint = "" if len(words) == 0 else f"; see cnnkit{asked} --help"
        message = error.format_message().rstrip(". ").replace("Value error, ", "")
        raise UsageError(*(message + hint).splitlines()) from error
    except KeyboardInterrupt as error:
        raise Interrupted("Interrupted.", exit_code=exit_code(error)) from error
    except typer.Abort as error:
        raise Interrupted("Interrupted.") from error
    except OSError as error:
        raise TrainingError(of_system(error, "the output")) from error
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CnnkitError(
            f"this is a bug in cnnkit, please report it: {what}",
            "The same command with --debug shows where it happened.",
        ) from error


def _fail(error: CnnkitError, json_output: bool, debug: bool) -> int:
    """Tells an error, if there is anybody to tell it to; its exit code."""
    if isinstance(error, NobodyReads):
        return error.exit_code
    try:
        if debug:
            Screen(json_output=True).say(*traceback.format_exc().splitlines())
        show_error(error, json_output)
        sys.stdout.flush()
        sys.stderr.flush()
    except (NobodyReads, DiskError):
        pass  # the exit code tells it
    return error.exit_code
