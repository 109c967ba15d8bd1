"""`cnnkit list`: what a config may name, with every option and its default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from cnnkit.commands.command import Force, command
from cnnkit.commands.screen import Screen, as_yaml, new_table
from cnnkit.core.errors import UsageError
from cnnkit.core.text import by, suggestion

if TYPE_CHECKING:
    from cnnkit.config.catalogue import Kind, Variant


@command("cnnkit list architectures")
def list_(
    screen: Screen,
    kind: Annotated[str | None, Argument(metavar="KIND", help="One of the kinds.", show_default=False)] = None,
    counts: Annotated[
        bool, Option("--counts", help="With architectures: count each one's parameters; takes minutes.")
    ] = False,
    plot: Annotated[
        Path | None,
        Option(metavar="FILE", help="With schedules: draw the course of each into a PNG.", show_default=False),
    ] = None,
    force: Force = False,
) -> None:
    """List what a config may name, with every option and its default."""
    from cnnkit.config.catalogue import KINDS, doc, options, title, variants

    names = [each.name for each in KINDS]
    if kind is not None and kind not in names:
        raise UsageError(f"there is no kind `{kind}`{suggestion(kind, names)}")
    if counts and kind != "architectures":
        raise UsageError("--counts is for architectures: cnnkit list architectures --counts")
    if plot and kind != "schedules":
        raise UsageError("--plot is for schedules: cnnkit list schedules --plot schedules.png")
    if plot or force:
        from cnnkit.runs import overwriting

        overwriting.refuse("--plot", plot, force, overwriting.Form("a picture is drawn as PNG", (".png",)))
    chosen = [each for each in KINDS if kind in (None, each.name)]
    networks = []
    if kind == "architectures":
        from cnnkit.inspection.summary import count

        with screen.watching() as progress:
            networks = list(variants(partial(count, progress=progress) if counts else None))
    if plot:
        from cnnkit.report import schedule_sheet

        schedule_sheet.draw(chosen[0].sections, plot)  # type: ignore[arg-type]  # they are those of this kind
    if screen.json_output:
        document: dict[str, Any] = {
            each.name: [
                {"name": title(s), "doc": doc(s), "options": [asdict(o) for o in options(s)]} for s in each.sections
            ]
            for each in chosen
        }
        document |= {"variants": [asdict(network) for network in networks]} if networks else {}
        screen.document(document | ({"plot": str(plot)} if plot else {}))
    elif kind:
        screen.say(f"{chosen[0].name}: what `{chosen[0].key}` may name\n")
        if networks:
            screen.say(variant_table(networks, counts), "\nThe settings of each family, with their defaults:\n")
        screen.say(kind_table(chosen[0]))
        if plot:
            screen.say(f"\n{plot}: the course of each over 30 epochs at its defaults, without a warm-up and with one")
    else:
        screen.say(*(f"{each.name} ({each.key}): {', '.join(map(title, each.sections))}" for each in KINDS))
        screen.say(f"\nEvery option of a kind: cnnkit list {names[0]}")


def kind_table(kind: Kind) -> Table:
    """Every name of a kind with its options."""
    from cnnkit.config.catalogue import doc, options, title

    table = new_table("name", "option", "type", "default", "meaning")
    for section in kind.sections:
        table.add_section()
        table.add_row(Text(title(section), style="bold"), "", "", "", doc(section))
        for option in options(section):
            table.add_row("", option.name, option.type, option.default, option.doc)
    return table


def variant_table(variants: Sequence[Variant], counts: bool) -> Table:
    """Every network of the families, one a row."""
    columns = [">parameters", ">multiply-adds"] if counts else []
    table = new_table("model", ">image", ">smallest", *columns, "stages", "paper")
    table.columns[0].no_wrap = True
    for variant in variants:
        model = ", ".join(f"{key}: {as_yaml(value)}" for key, value in variant.model.items())
        size = [f"{variant.parameters:,}", f"{variant.macs:,}"] if counts else []
        stages = ", ".join(variant.stages) or "its layers"
        sides = by(variant.image_shape), str(variant.smallest_image)
        table.add_row(f"{{{model}}}", *sides, *size, stages, variant.paper)
    return table
