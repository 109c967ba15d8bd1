"""The commands. Thin: each reads its words, calls the package and shows what comes back. The only file that exits."""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import asdict
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Argument, Option

from cnnkit import (
    __version__,
    cli_data,  # noqa: F401 - its commands join the app
)
from cnnkit.atomic import ERRORS
from cnnkit.cli_base import Config, Force, RunFolder, Settings, app, command
from cnnkit.errors import CnnkitError, Interrupted, TrainingError, UsageError
from cnnkit.text import counted

if TYPE_CHECKING:
    from cnnkit.console import Screen


def main() -> None:
    """Runs the command line; every error becomes a clear text and its exit code."""
    words = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    json_output, debug = "--json" in words, "--debug" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=ERRORS)  # a file name that is not UTF-8 is printed as it is
    try:
        code = app(standalone_mode=False)
        if code == 130:  # what Typer makes of Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code)
    except CnnkitError as error:
        _fail(error, json_output, debug)
    except typer.TyperException as error:
        # Called without a command, the message is the help itself.
        hint = "" if len(words) == 0 else "; see cnnkit --help"
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
    from cnnkit.console import show_error

    if debug:
        traceback.print_exc()
    show_error(error, json_output)
    sys.exit(error.exit_code)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"cnnkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass


@command("cnnkit check configs/digits.yaml --set train.epochs=5")
def check(screen: Screen, config: Config, settings: Settings = []) -> None:  # noqa: B006
    """Tell everything that is wrong with a config, or show it complete: each value and where it comes from."""
    from cnnkit.config_file import configure

    with screen.watching() as progress:
        configured = configure(config, settings, progress=progress).completed(progress)
    rows = [(".".join(map(str, path)), value, origin) for path, value, origin in configured.rows()]
    if screen.json_output:
        listed = [{"key": key, "value": value, "from": origin} for key, value, origin in rows]
        screen.document({"config": str(config), "valid": True, "settings": listed})
        return
    from cnnkit.console import config_table

    screen.table(config_table(rows))
    screen.say(f"\n{config} is right. Next: cnnkit summary {config}, or cnnkit train {config}")


@command("cnnkit summary configs/digits.yaml")
def summary(
    screen: Screen,
    target: Annotated[Path, Argument(metavar="CONFIG|RUN", help="The YAML file, or a run.", show_default=False)],
    classes: Annotated[int | None, Option(help="Count as if the data had so many classes.")] = None,
    full: Annotated[bool, Option("--full", help="Show every block of a long network.")] = False,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Show every layer of the network: its parameters and how they come about, its cost, what it sees."""
    from cnnkit.summary import summarize
    from cnnkit.targets import network

    if classes is not None and classes < 2:
        raise UsageError(f"--classes {classes}: a classifier tells at least two classes apart")
    with screen.watching() as progress:
        experiment, shape, count = network(target, classes, settings, progress)
        experiment.model.fetch(progress)
    summarized = summarize(experiment, shape, count)
    if screen.json_output:
        screen.document(summarized.as_json())
        return
    from cnnkit.console import summary_notes, summary_table

    screen.table(summary_table(summarized, full))
    screen.say("\n" + summary_notes(summarized, full))


@command("cnnkit train configs/digits.yaml --run runs/first --set train.epochs=5")
def train(
    screen: Screen,
    config: Config,
    run: Annotated[
        Path | None, Option(help="The run's folder, which must not exist.", show_default="runs/NAME-TIME")
    ] = None,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Train a network, keep its best epoch, and evaluate that as read back from disk."""
    from cnnkit.config_file import read

    with screen.watching() as progress:
        experiment = read(config, *settings, progress=progress)
        from cnnkit.training import train as work

        document = work(experiment, run, progress)
    if screen.json_output:
        screen.document(document)
        return
    from cnnkit import metrics
    from cnnkit.console import show_evaluation

    screen.say("")
    show_evaluation(document["test"], screen)
    screen.say(f"Of {counted(document['epochs'], 'epoch')} the best, {document['best_epoch']}, read back from disk:")
    for split in ("validation", "test"):
        screen.say(metrics.line(document[split]))
    screen.say(f"The run: {document['run']}")


@command("cnnkit evaluate runs/first --split validation")
def evaluate(
    screen: Screen,
    run: RunFolder,
    split: Annotated[Literal["test", "validation", "train"], Option(help="Which of the run's splits.")] = "test",
    settings: Settings = [],  # noqa: B006
) -> None:
    """Tell what a trained network is worth: accuracy with its interval, and every class."""
    from cnnkit.evaluation import evaluate as work

    with screen.watching() as progress:
        document = work(run, split, settings, progress)
    if screen.json_output:
        screen.document(document)
        return
    from cnnkit import metrics
    from cnnkit.console import show_evaluation

    show_evaluation(document, screen)
    screen.say(metrics.line(document))


@command("cnnkit predict runs/first photo.jpg more_photos --output predictions.csv")
def predict(
    screen: Screen,
    run: RunFolder,
    images: Annotated[
        list[Path], Argument(metavar="IMAGES...", help="Image files, folders and archives.", show_default=False)
    ],
    output: Annotated[Path | None, Option(help="A file to write to.", show_default="standard output")] = None,
    form: Annotated[
        Literal["csv", "jsonl"] | None, Option("--format", help="CSV, or a JSON object a line.", show_default="csv")
    ] = None,
    sample: Annotated[
        Path | None,
        Option(help="A CSV of which the output has the form and the ids, as Kaggle's sample_submission.csv."),
    ] = None,
    positive: Annotated[
        str | None, Option(metavar="CLASS", help="With a sample of one column: write the probability of this class.")
    ] = None,
    force: Force = False,
) -> None:
    """Tell the class of new images. A file that is no image gets a row that says so; with --sample it is an error."""
    from cnnkit import atomic, prediction
    from cnnkit.console import Screen
    from cnnkit.run import Run
    from cnnkit.submission import submission

    json_output = screen.json_output
    if json_output and form == "jsonl":
        raise UsageError("--json prints one document, --format jsonl an object a line: choose one of them")
    if positive is not None and not sample:
        raise UsageError("--positive is for a --sample; without one each class has a column")
    if sample and form == "jsonl":
        raise UsageError("--sample is a CSV, and so is what has its form: leave --format jsonl out")
    if sample and json_output and not output:
        raise UsageError("--sample with --json needs a file for its rows: add --output submission.csv")
    if sample and output and output.resolve() == sample.resolve():
        raise UsageError(f"--output {output} is the sample itself; write to another file")
    atomic.refuse("--output", output, force)
    opened = Run.open(run)
    # The rows are for programs: they have standard output for themselves.
    screen = Screen(json_output=True)
    with screen.watching() as progress:
        if sample:
            filled = submission(opened, images, sample, positive, progress)
            text, line, bad = filled.text, f"{counted(filled.rows, 'row')} in the form of {sample}", 0
            document = {"sample": str(sample), "output": str(output), "rows": filled.rows, "left_out": filled.left_out}
        else:
            rows = list(prediction.predict(opened, images, progress))
            bad = sum(row.error is not None for row in rows)
            text = prediction.as_jsonl(rows) if form == "jsonl" else prediction.as_csv(rows, opened.classes)
            line = f"{counted(len(rows), 'file')}, {bad} of them not readable as images"
            document = {"predictions": [asdict(row) for row in rows]}
    if output:
        atomic.write_text(output, text)
    if json_output:
        screen.document({"run": str(run), **document})
    elif not output:
        sys.stdout.write(text)
    if bad or output:
        screen.say(line + (f", written to {output}" if output else ""))


@command("cnnkit list architectures", name="list")
def list_(
    screen: Screen,
    kind: Annotated[str | None, Argument(metavar="KIND", help="One of the kinds.", show_default=False)] = None,
    counts: Annotated[
        bool, Option("--counts", help="With architectures: count each one's parameters; takes minutes.")
    ] = False,
) -> None:
    """List what a config may name, with every option and its default."""
    from cnnkit.catalogue import KINDS, doc, options, title, variants

    names = [each.name for each in KINDS]
    if kind is not None and kind not in names:
        raise UsageError(f"there is no kind `{kind}`; it may be {', '.join(names)}")
    if counts and kind != "architectures":
        raise UsageError("--counts is for architectures: cnnkit list architectures --counts")
    chosen = [each for each in KINDS if kind in (None, each.name)]
    networks = []
    if kind == "architectures":
        from cnnkit.summary import count

        with screen.watching() as progress:
            networks = list(variants(partial(count, progress=progress) if counts else None))
    if screen.json_output:
        document: dict[str, Any] = {
            each.name: [
                {"name": title(s), "doc": doc(s), "options": [asdict(o) for o in options(s)]} for s in each.sections
            ]
            for each in chosen
        }
        screen.document(document | ({"variants": [asdict(network) for network in networks]} if networks else {}))
        return
    from cnnkit.console import kind_table, variant_table

    for each in chosen:
        if kind:
            screen.say(f"{each.name}: what `{each.key}` may name\n")
            if networks:
                screen.table(variant_table(networks, counts))
                screen.say("\nThe settings of each family, with their defaults:\n")
            screen.table(kind_table(each))
        else:
            screen.say(f"{each.name} ({each.key}): {', '.join(title(section) for section in each.sections)}")
    if not kind:
        screen.say(f"\nEvery option of a kind: cnnkit list {names[0]}")


@command("cnnkit schema > cnnkit.schema.json")
def schema(screen: Screen) -> None:
    """Print the JSON Schema of a config, with which an editor completes and checks it."""
    from cnnkit.catalogue import schema as document

    screen.document(document())
