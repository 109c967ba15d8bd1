"""`cnnkit lr`: which learning rate: a range test, and short runs that tell whether its suggestion is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text
from typer import Option

from cnnkit.commands.command import Config, Force, Settings, command
from cnnkit.commands.screen import Content, Screen, new_table
from cnnkit.commands.text_chart import chart
from cnnkit.core.text import counted, typed

if TYPE_CHECKING:
    from cnnkit.optimization.rate_test import Finding


@command("cnnkit lr configs/digits.yaml")
def lr(
    screen: Screen,
    config: Config,
    plot: Annotated[Path | None, Option(help="The file of the curve, a PNG.", show_default="in the cache")] = None,
    minutes: Annotated[
        float | None, Option(min=0.1, max=1440, help="At most so long, by fewer updates.", show_default="no limit")
    ] = None,
    force: Force = False,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Find a learning rate: a range test, and short runs at a third, once and three times what its curve leads to."""
    from cnnkit.config.file import read
    from cnnkit.runs import overwriting

    overwriting.refuse("--plot", plot, force, overwriting.Form("the curve is a PNG", (".png",)), reads=(config,))
    with screen.watching() as progress:
        experiment = read(config, *settings, progress=progress)
        if plot:
            overwriting.refuse_what_is_read("--plot", plot, experiment.data.source.paths())
        from cnnkit.training import rate_finder

        found, file = rate_finder.for_experiment(experiment, progress, plot, minutes)
    document = {"config": str(config), **found.as_json(), "plot": str(file)}
    others = [setting for setting in settings if not setting.startswith(f"{found.key}=")]
    following = f"cnnkit train {typed(config, [*others, found.setting()])}"
    screen.result(document, *_about(found, screen.console.width), f"The curve: {file}", f"Next: {following}")


def _about(found: Finding, width: int) -> Iterator[Content]:
    """The curve, what came of the short runs, and the suggestion."""
    if found.stages > 1:
        yield f"Tried in stage {found.stage} of {found.stages}, the first that takes steps."
    points = [(point.rate, point.smoothed) for point in found.curve]
    ended = f"; {found.ended}" if found.ended else ""
    yield f"Loss of training, smoothed, over {counted(len(points), 'update')} at rising learning rates{ended}:"
    yield ""
    yield from chart(points, found.top, [found.rate], width)
    yield ""
    table = new_table(">learning rate", ">validation loss", ">accuracy", "")
    for run in found.runs:
        figures = ("diverged", "-") if run.loss is None else (f"{run.loss:.4f}", f"{run.accuracy:.4f}")
        table.add_row(f"{run.rate:g}", *figures, "<- suggested" if run.rate == found.rate else "")
    yield f"After {counted(found.updates, 'update')} at one rate, from the same start and on the same images:"
    yield table
    yield ""
    if caution := found.caution():
        yield Text.assemble(("careful", "bold yellow"), f": {caution}")
    usual = ", the usual one" if found.usual_stands else ""
    yield f"Learning rate {found.rate:g} for {found.optimizer}{usual}: --set {found.setting()}"
