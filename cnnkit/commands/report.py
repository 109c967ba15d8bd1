"""`cnnkit report`: one page that tells all of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cnnkit.commands.command import Force, Settings, command
from cnnkit.commands.screen import Screen
from cnnkit.core.errors import UsageError

_RUNS = Argument(metavar="RUN...", help="The folders of runs.", show_default=False)


@command("cnnkit report runs/first")
def report(
    screen: Screen,
    runs: Annotated[list[Path], _RUNS],
    output: Annotated[
        Path | None, Option(help="The page's file, an HTML file.", show_default="report.html of the run")
    ] = None,
    force: Force = False,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Write one page that tells all of a run: verdict, curves, mistakes, images, network."""
    from cnnkit.config.file import refuse_settings
    from cnnkit.evaluation.evaluate import MAY_BE_SET
    from cnnkit.report.report import of_run
    from cnnkit.runs import overwriting
    from cnnkit.runs.run import Run

    if output and len(runs) > 1:
        raise UsageError("--output is for the page of one run; each of several gets its own: leave it out")
    refuse_settings(settings, MAY_BE_SET, "a run is told of as it was trained")
    overwriting.refuse("--output", output, force)
    opened = [Run.open(run) for run in runs]
    with screen.watching() as progress:
        files = [of_run(run, progress, output, settings) for run in opened]
    screen.result({"reports": list(map(str, files))}, *(f"{file}: open it with a browser" for file in files))
