"""`cnnkit train`: from a config to an evaluated run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.text import Text
from typer import Exit, Option

from cnnkit.commands.command import Config, Settings, command
from cnnkit.commands.results import evaluation_tables
from cnnkit.commands.screen import Screen
from cnnkit.core.errors import TrainingError, UsageError
from cnnkit.core.text import counted, typed

if TYPE_CHECKING:
    from cnnkit.training.preflight import Preflight, Verdict


@command("cnnkit train configs/digits.yaml --run runs/first --set train.epochs=5")
def train(
    screen: Screen,
    config: Config,
    run: Annotated[
        Path | None, Option(help="The run's folder, which must not exist.", show_default="runs/NAME-TIME")
    ] = None,
    preflight: Annotated[
        bool,
        Option("--preflight", help="Only look whether it would work: data, first updates, one batch; leaves no run."),
    ] = False,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Train a network, keep its best epoch, and evaluate that as read back from disk."""
    from cnnkit.config.file import read
    from cnnkit.evaluation import metrics

    if preflight:
        if run:
            raise UsageError("--preflight trains nothing and leaves no run; leave out --run")
        _preflight(screen, config, settings)
        return
    with screen.watching() as progress:
        experiment = read(config, *settings, progress=progress)
        from cnnkit.training.train import train as work

        document = work(experiment, run, progress)
    screen.result(
        document,
        "",
        *evaluation_tables(document["test"], screen.console.width),
        _of_which(document),
        *(metrics.line(document[split]) for split in ("validation", "test")),
        *document["remarks"],
        f"The run: {document['run']}",
    )


def _of_which(document: dict[str, Any]) -> str:
    """Which weights it is that were evaluated."""
    if document["epochs"] == 1:
        return "Read back from disk:"
    return f"Of {counted(document['epochs'], 'epoch')} the best, {document['best_epoch']}, read back from disk:"


def _preflight(screen: Screen, config: Path, settings: list[str]) -> None:
    """Shows what a preflight finds; a training that is not going to work is an error."""
    from cnnkit.config.file import read
    from cnnkit.training.preflight import preflight

    with screen.watching() as progress:
        found = preflight(read(config, *settings, progress=progress), progress)
    screen.result(found.as_json(), *_lines_of(found), _next(found, typed(config, settings)))
    if found.verdict == "failed":
        raise Exit(TrainingError.exit_code)


COLOURS: dict[Verdict, str] = {"failed": "bold red", "careful": "bold yellow", "good": "bold"}


def _lines_of(found: Preflight) -> list[Text]:
    """A line for each check."""
    return [
        Text.assemble((f"{check.verdict:<7}", COLOURS[check.verdict]), f"  {check.name}: {check.message}")
        for check in found.checks
    ]


def _next(found: Preflight, words: str) -> str:
    """What to do now."""
    if found.verdict == "failed":
        return f"Mend what failed, then: cnnkit train {words} --preflight"
    careful = "Look at what is careful. " if found.verdict == "careful" else ""
    return f"{careful}Next: cnnkit train {words}"
