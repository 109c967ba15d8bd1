"""The commands about images: a config for them, what is wrong with them, how training will show them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

from cnnkit.cli_base import Config, Force, Settings, command
from cnnkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from cnnkit.console import Screen


@command("cnnkit init photos --output flowers.yaml")
def init(
    screen: Screen,
    images: Annotated[
        Path, Argument(metavar="IMAGES", help="A folder, or a file that a source reads.", show_default=False)
    ],
    output: Annotated[Path | None, Option(help="The config's file.", show_default="NAME.yaml")] = None,
    force: Force = False,
) -> None:
    """Look at images and write a config that suits them, each setting with its reason."""
    from cnnkit.starting import start

    with screen.watching() as progress:
        started = start(images, output, force, progress)
    if screen.json_output:
        screen.document(started.as_json())
        return
    for line in started.lines():
        screen.say(line)


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
    force: Force = False,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Examine the images: damaged files, copies, wrong labels, leaks between splits, classes that are too small."""
    from cnnkit import atomic, doctor
    from cnnkit.console_data import show
    from cnnkit.targets import images

    if sheets:
        doctor.refuse(sheets)
    atomic.refuse("--fix-list", fix_list, force)
    with screen.watching() as progress:
        examined, seed = images(target, settings, progress)
        report = doctor.examine(examined, seed, progress, sheets)
    listed = doctor.write_fix_list(fix_list, report, examined) if fix_list else 0
    if screen.json_output:
        screen.document(report.as_json())
    show(report, target, settings, (fix_list, listed) if fix_list else None, screen)
    if report.verdict == "error":
        raise Exit(DataError.exit_code)


@command("cnnkit preview configs/digits.yaml --output sheet.png")
def preview(
    screen: Screen,
    config: Config,
    output: Annotated[Path | None, Option(help="The sheet's file, a PNG.", show_default="in the cache")] = None,
    prepare: Annotated[
        bool, Option("--prepare", help="Show the steps of data.prepare instead, one after the other.")
    ] = False,
    audit: Annotated[
        Path | None,
        Option(
            metavar="RUN",
            help="Ask a trained run instead which augmentations probably destroy labels.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        int | None, Option(min=1, max=10_000, help="How many images.", show_default="20; with --audit at most 500")
    ] = None,
    variants: Annotated[
        int | None, Option(min=1, max=12, help="How often each is augmented.", show_default="5; with --audit at most 4")
    ] = None,
    force: Force = False,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Draw a sheet of training images as training will show them, each with what was done to it."""
    from cnnkit import preview as sheets
    from cnnkit.config_file import read
    from cnnkit.console_preview import show_audit, show_sheet

    _refuse_together(prepare, audit, variants, output)
    sheets.refuse(output, force)
    if images and images > sheets.MOST and not audit:
        raise UsageError(f"--images {images}: a sheet has room for {sheets.MOST}")
    with screen.watching() as progress:
        experiment = read(config, *settings, progress=progress)
        if not prepare:
            sheets.refuse_unaugmented(experiment, config)
        if audit:
            from cnnkit import audit as asking

            audited = asking.audit(audit, experiment, progress, settings, images or asking.IMAGES, variants)
        elif prepare:
            sheet = sheets.prepared(experiment, progress, output, images or sheets.IMAGES)
        else:
            sheet = sheets.augmented(experiment, progress, output, images or sheets.IMAGES, variants or sheets.VARIANTS)
    if screen.json_output:
        screen.document({"config": str(config), **(audited if audit else sheet).as_json()})
    elif audit:
        show_audit(audited, screen)
    else:
        show_sheet(sheet, config, prepare, screen)


def _refuse_together(prepare: bool, audit: Path | None, variants: int | None, output: Path | None) -> None:
    """Refuses options of `preview` that do nothing beside each other."""
    if prepare and audit:
        raise UsageError("--prepare and --audit are two questions: leave one out")
    if prepare and variants:
        raise UsageError("--variants is for augmentations, and --prepare shows steps that are always the same")
    if audit and output:
        raise UsageError("--output is for a sheet, and --audit draws none: leave it out")
