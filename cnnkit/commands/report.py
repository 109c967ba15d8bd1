"""`cnnkit report`: one page that tells all of a run, or of several beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from cnnkit.commands.command import Force, Settings, command
from cnnkit.commands.screen import Screen
from cnnkit.core.errors import UsageError

_RUNS = Argument(metavar="RUN...", help="The folder of a run, of several, or of folds.", show_default=False)
_OUTPUT = Option(
    help="The page's file, an HTML file.", show_default="report.html of the run or folds; of several, report.html here"
)


@command("cnnkit report runs/first")
def report(
    screen: Screen,
    runs: Annotated[list[Path], _RUNS],
    output: Annotated[Path | None, _OUTPUT] = None,
    force: Force = False,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Write one page that tells all of a run: verdict, curves, mistakes, images, network; or compares several."""
    from cnnkit.config.file import refuse_settings
    from cnnkit.core.own_folders import FOLDS
    from cnnkit.evaluation.evaluate import MAY_BE_SET
    from cnnkit.report.report import of_run, of_runs
    from cnnkit.runs import keeping, overwriting
    from cnnkit.runs.files import Files
    from cnnkit.runs.run import Run

    several = len(runs) > 1
    if several and settings:
        raise UsageError(f"--set {settings[0]}: is for the page of one run; several are told of as they were evaluated")
    refuse_settings(settings, MAY_BE_SET, "a run is told of as it was trained")
    # The page of several runs belongs to none of them: it is written into the working folder.
    file = output or (Files(Path()).report if several else None)
    if force and not file:
        own = Files(runs[0]).report
        raise UsageError(f"--force is for --output: the run's own page, {own}, is always replaced; leave it out")
    overwriting.refuse("--output", file, force, overwriting.Form("the page is HTML", (".html", ".htm")))
    of_folds = not several and (runs[0] / FOLDS).is_file()
    opened = [] if of_folds else [Run.open(run) for run in runs]
    if not file:
        keeping.refuse("the page of a run is kept there; name another file: --output FILE", runs[0])
    with screen.watching() as progress:
        if of_folds:
            from cnnkit.studies import fold_page

            made = fold_page.write(runs[0], progress, file, settings)
        elif several:
            assert file
            made = of_runs(opened, file, progress)
        else:
            made = of_run(opened[0], progress, file, settings)
    screen.result({"report": str(made)}, f"{made}: open it with a browser")
