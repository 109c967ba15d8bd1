"""`cnnkit data`: is the data right? The verdict first, then each finding, then the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from rich.text import Text
from typer import Argument, Exit, Option

from cnnkit.commands.command import Force, Settings, command
from cnnkit.commands.screen import Screen, new_table
from cnnkit.core.errors import DataError
from cnnkit.core.text import FIRST, by, counted, first_of, listed, typed

if TYPE_CHECKING:
    from cnnkit.inspection.doctor.base import Finding, Report, Severity


@command("cnnkit data photos --fix-list leave_out.txt")
def data(
    screen: Screen,
    target: Annotated[
        Path,
        Argument(metavar="CONFIG|IMAGES", help="The YAML file, or where images lie.", show_default=False),
    ],
    sheets: Annotated[
        Path | None, Option(help="A new folder for the contact sheets.", show_default="in the cache")
    ] = None,
    fix_list: Annotated[
        Path | None, Option(help="Write the images to leave out, for data.exclude.", show_default=False)
    ] = None,
    suspects: Annotated[
        str | None,
        Option(
            metavar="RUN|folds",
            help="Look for wrong labels instead, with the network of a run, or by training in folds.",
            show_default=False,
        ),
    ] = None,
    curve: Annotated[bool, Option("--curve", help="Tell instead whether more images would help.")] = False,
    force: Force = False,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Examine the images: damaged files, copies, wrong labels, leaks between splits, classes that are too small."""
    if curve:
        from cnnkit.commands.data_studies import show_curve

        others = {"--suspects": suspects, "--fix-list": fix_list, "--sheets": sheets}
        show_curve(screen, target, [option for option, value in others.items() if value is not None], settings)
        return
    if suspects is not None:
        from cnnkit.commands.data_studies import look_for_suspects

        look_for_suspects(screen, target, suspects, sheets, fix_list, force, settings)
        return
    from cnnkit.commands.arguments import images
    from cnnkit.inspection.doctor import examine
    from cnnkit.inspection.doctor.fix_list import write as write_fix_list
    from cnnkit.runs import overwriting

    if sheets:
        examine.refuse(sheets, [target])
    overwriting.refuse("--fix-list", fix_list, force, overwriting.LIST, reads=(target,))
    with screen.watching() as progress:
        examined = images(target, settings, progress)
        if fix_list:
            overwriting.refuse_what_is_read("--fix-list", fix_list, examined.source.paths())
        report = examine.examine(examined, progress, sheets)
    written = (fix_list, write_fix_list(fix_list, report, examined)) if fix_list else None
    if screen.json_output:
        screen.document(report.as_json())
    show(report, target, settings, written, screen)
    if report.verdict == "error":
        raise Exit(DataError.exit_code)


COLOURS: dict[Severity, str] = {"error": "bold red", "warning": "bold yellow", "note": "bold"}


def show(
    report: Report, target: Path, settings: Sequence[str], written: tuple[Path, int] | None, screen: Screen
) -> None:
    """Shows a report.

    Args:
        report: What to show.
        target: The config or the images that it is about.
        settings: What was set over the config.
        written: The list of what to leave out, and how many are on it; None if none was asked for.
        screen: Where to show it.
    """
    screen.say(verdict(report))
    for finding in report.findings:
        head = Text.assemble((finding.severity, COLOURS[finding.severity]), f"  {finding.kind}: {finding.message}")
        screen.say("", head, *(f"    {row}" for row in _details(finding)))
    screen.say("", class_table(report), "", *_numbers(report), *_next(report, target, settings, written))


def verdict(report: Report) -> str:
    """What the report comes to, in a line."""
    severities = [finding.severity for finding in report.findings]
    counts = [counted(count, severity) for severity in COLOURS if (count := severities.count(severity))]
    of = f"{counted(report.images, 'image')} of {counted(len(report.classes), 'class', 'classes')}"
    if report.verdict == "good":
        return f"Nothing wrong was found in {of}{f' ({counts[0]})' if counts else ''}"
    advice = "do not train on this yet" if report.verdict == "error" else "look at this before you train"
    return f"{', '.join(counts)} in {of}: {advice}"


def _details(finding: Finding) -> Iterator[str]:
    rows = [" = ".join(first_of(group)) for group in finding.groups] or list(finding.files)
    yield from rows[:FIRST]
    if len(rows) > FIRST:
        yield f"and {len(rows) - FIRST:,} more"
    if finding.advice:
        yield f"-> {finding.advice}"


def class_table(report: Report) -> Table:
    """The images of each class, in all and by split."""
    splits = list(report.classes[0].splits) if report.classes else []
    table = new_table("class", ">images", *(f">{split}" for split in splits))
    for entry in report.classes:
        table.add_row(entry.name, f"{entry.images:,}", *(f"{entry.splits[split]:,}" for split in splits))
    return table


def _numbers(report: Report) -> Iterator[str]:
    if sizes := report.sizes:
        smallest, middle, largest = map(by, (sizes.smallest, sizes.middle, sizes.largest))
        many = f"{sizes.different:,} sizes, from {smallest} to {largest}, {middle} in the middle"
        yield f"width x height: {many if sizes.different > 1 else smallest}"
    if report.mean and report.std:
        mean, std = (" ".join(f"{value:.1f}" for value in values) for values in (report.mean, report.std))
        yield f"mean {mean}, standard deviation {std} (red, green, blue in 0..255, each picture counting the same)"
    if report.sheets:
        yield f"contact sheets: {Path(report.sheets[0]).parent}"


def _next(report: Report, target: Path, settings: Sequence[str], written: tuple[Path, int] | None) -> Iterator[str]:
    from cnnkit.config import yaml12
    from cnnkit.config.file import CONFIGS

    config = target.suffix.lower() in CONFIGS
    words = typed(target, settings)
    if written:
        file, count = written
        advice = f"{file} lists {counted(count, 'image')} to leave out. Look through it, then use it with"
        if config:
            others = [setting for setting in settings if not setting.startswith("data.exclude")]
            yield f"{advice}: cnnkit data {typed(target, [*others, f'data.exclude={file}'])}"
        else:
            yield f"{advice} this below `data` in a config: exclude: {yaml12.line(str(file.absolute()))}"
    elif any(finding.leave_out for finding in report.findings):
        yield f"Next: cnnkit data {words} --fix-list {_new_file()} writes what is better left out"
    elif report.verdict == "error":
        kinds = sorted({finding.kind for finding in report.findings if finding.severity == "error"})
        yield f"Next: mend {listed(kinds)}, then cnnkit data {words}"
    else:
        yield f"Next: cnnkit {'train' if config else 'init'} {words}"


def _new_file() -> str:
    """A name for the list that is not taken."""
    names = ("leave_out.txt", *(f"leave_out_{number}.txt" for number in range(2, 1000)))
    return next((name for name in names if not Path(name).exists()), "FILE")
