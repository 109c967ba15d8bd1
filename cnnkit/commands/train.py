"""`cnnkit train`: from a config to an evaluated run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from cnnkit.commands.command import Config, Settings, command
from cnnkit.commands.results import evaluation_tables
from cnnkit.commands.screen import Screen
from cnnkit.core.text import counted


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
    from cnnkit.config.file import read
    from cnnkit.evaluation import metrics

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
