"""`cnnkit data` with --suspects or --curve: what networks tell of the data, beyond what can be seen of it at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.commands.screen import Content, Screen, new_table
from cnnkit.core.errors import UsageError
from cnnkit.core.text import counted, percent, typed

if TYPE_CHECKING:
    from cnnkit.studies.suspects import Suspects

SHOWN = 20
"""Suspects in the table."""

FOLDS = "folds"
"""In place of a run: out of fold, without one."""


def look_for_suspects(
    screen: Screen,
    config: Path,
    by: str,
    sheet: Path | None,
    fix_list: Path | None,
    force: bool,
    settings: Sequence[str],
) -> None:
    """Shows the images whose labels are probably wrong.

    Args:
        screen: Where to show them.
        config: The config of the images.
        by: The folder of a run, or `folds`.
        sheet: A new folder for their sheet; in the cache if left out.
        fix_list: The file to list them in.
        force: Whether that may be written over.
        settings: What is set over the config.

    Raises:
        UsageError: There is no config, or a file can't be written.
    """
    from cnnkit.config.file import read
    from cnnkit.core import atomic
    from cnnkit.data.section import read_names
    from cnnkit.inspection.doctor import examine
    from cnnkit.runs import overwriting
    from cnnkit.runs.run import Run

    refuse_without_config("--suspects", config)
    if sheet:
        examine.refuse(sheet, [config])
    overwriting.refuse("--fix-list", fix_list, force, overwriting.LIST, reads=(config,))
    if by != FOLDS and not Path(by).is_dir():
        raise UsageError(f"--suspects {by}: there is no such folder; name that of a run, or `{FOLDS}` to do without")
    run = None if by == FOLDS else Run.open(by)
    with screen.watching() as progress:
        experiment = read(config, *settings, progress=progress)
        if sheet:
            examine.refuse(sheet, experiment.data.source.paths())
        if fix_list:
            overwriting.refuse_what_is_read("--fix-list", fix_list, experiment.data.source.paths())
        from cnnkit.studies import suspects

        if sheet:
            atomic.make_folder(sheet, exist_ok=True)
        found = suspects.find(experiment, run, progress, sheet and sheet / "suspects.png")
    before = tuple(read_names(experiment.data.exclude)) if experiment.data.exclude else ()
    count = suspects.write_list(fix_list, found, before) if fix_list else 0
    command = f"cnnkit data {typed(config, settings)} --suspects {FOLDS}"
    document = {"config": str(config), **found.as_json(), "list": str(fix_list) if fix_list else None}
    screen.result(document, *_about(found, by, command), *_next(found, config, by, fix_list, count, settings))


def refuse_without_config(option: str, config: Path) -> None:
    """Tells that a network is needed, which only a config names.

    Raises:
        UsageError: It is no config.
    """
    from cnnkit.config.file import CONFIGS

    if config.suffix.lower() not in CONFIGS:
        raise UsageError(f"{option} needs a config, which names a network; `cnnkit init {typed(config)}` writes one")


def _about(found: Suspects, by: str, command: str) -> Iterator[Content]:
    """The figures, and the first suspects."""
    if not found.suspects:
        yield f"No label of {counted(found.judged, 'image')} looks wrong, judged by {found.by}."
        yield from _not_judged(found, by, command)
        return
    of_judged = sum(each.score is not None for each in found.suspects)
    yield f"{counted(of_judged, 'label')} of {found.judged:,} may be wrong, judged by {found.by}."
    if others := len(found.suspects) - of_judged:
        yield f"Of the {found.not_judged:,} not judged {others:,} may be wrong: their pictures are in two classes."
    yield (
        f"The judges name the given label of {percent(found.accuracy, 1)}. Confident learning puts wrong labels at "
        f"{percent(found.wrong, 1)}, which is too much where judges are weak: look before you believe them."
    )
    yield from _not_judged(found, by, command)
    yield ""
    table = new_table("image", "label", "rather", ">score", "why")
    for each in found.suspects[:SHOWN]:
        score = "" if each.score is None else f"{each.score:.3f}"
        table.add_row(each.file, each.label, each.suggested, score, each.reason)
    yield table
    if len(found.suspects) > SHOWN:
        yield f"and {len(found.suspects) - SHOWN:,} more"
    yield ""
    if found.sheet:
        yield f"The sheet of the first: {found.sheet}"


def _not_judged(found: Suspects, by: str, command: str) -> Iterator[str]:
    """Which images a run can't judge, and what can."""
    if found.by_heart is not None:
        yield (
            f"{by} was trained on {counted(found.not_judged, 'image')} of {found.images:,} until it knew labels by "
            f"heart: of these {percent(found.by_heart, 1)} seem right, wrong labels too, so they are not judged, "
            f"and the other {found.judged:,} are. To judge all: {command}"
        )


def _next(
    found: Suspects, config: Path, by: str, fix_list: Path | None, count: int, settings: Sequence[str]
) -> Iterator[str]:
    if fix_list and not found.suspects:
        yield f"{fix_list} lists {counted(count, 'image')}, none for its label."
    elif fix_list:
        others = [setting for setting in settings if not setting.startswith("data.exclude")]
        advice = (
            f"{fix_list} lists {counted(count, 'image')}. Look through it, delete the lines of those that are right"
        )
        yield f"{advice}, then use it with: cnnkit train {typed(config, [*others, f'data.exclude={fix_list}'])}"
    elif found.suspects:
        words = f"{typed(config, settings)} --suspects {typed(Path(by))}"
        yield f"Next: look at the sheet; cnnkit data {words} --fix-list suspects.txt writes the list of all"


def show_curve(screen: Screen, config: Path, others: Sequence[str], settings: Sequence[str]) -> None:
    """Shows whether more images would help.

    Args:
        screen: Where to show it.
        config: The config of the images.
        others: Options that were given beside it and mean nothing with it.
        settings: What is set over the config.

    Raises:
        UsageError: There is no config, or there are such options.
    """
    from cnnkit.config.file import read

    refuse_without_config("--curve", config)
    if others:
        raise UsageError(f"--curve and {others[0]} are two questions; ask one after the other")
    with screen.watching() as progress:
        experiment = read(config, *settings, progress=progress)
        from cnnkit.studies import curve

        found = curve.measure(experiment, progress)
    table = new_table(">training images", ">accuracy", ">95 % interval", ">repeats")
    for point in found.points:
        low, high = point.interval
        table.add_row(f"{point.images:,}", f"{point.accuracy:.3f}", f"{low:.3f} to {high:.3f}", str(point.repeats))
    told = f"Accuracy on {counted(found.validation, 'validation image')}, by {found.by}:"
    screen.result({"config": str(config), **found.as_json()}, told, table, "", found.sentence())
