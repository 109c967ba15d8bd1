"""What a person sees of the doctor's report: the verdict first, then each finding, then the numbers."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from cnnkit import yaml12
from cnnkit.console import Screen, new_table
from cnnkit.doctor import Finding, Report
from cnnkit.targets import CONFIGS
from cnnkit.text import FIRST, by, counted, first_of, listed, typed

COLOURS = {"error": "bold red", "warning": "bold yellow", "note": "bold"}


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
        screen.say("")
        head = Text.assemble((finding.severity, COLOURS[finding.severity]), f"  {finding.kind}: {finding.message}")
        screen.console.print(head, soft_wrap=True)
        for row in _details(finding):
            screen.say(f"    {row}")
    screen.say("")
    screen.table(class_table(report))
    screen.say("")
    for line in (*_numbers(report), *_next(report, target, settings, written)):
        screen.say(line)


def verdict(report: Report) -> str:
    """What the report comes to, in a line."""
    severities = [finding.severity for finding in report.findings]
    told = [
        counted(count, severity) for severity in ("error", "warning", "note") if (count := severities.count(severity))
    ]
    of = f"{counted(report.images, 'image')} of {counted(len(report.classes), 'class', 'classes')}"
    if report.verdict == "error":
        return f"{', '.join(told)} in {of}: do not train on this yet"
    if report.verdict == "warning":
        return f"{', '.join(told)} in {of}: look at this before you train"
    return f"Nothing wrong was found in {of}{f' ({told[0]})' if told else ''}"


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
    config = target.suffix.lower() in CONFIGS
    words = " ".join([typed(target), *(f"--set {shlex.quote(setting)}" for setting in settings)])
    if written:
        file, count = written
        told = f"{file} lists {counted(count, 'image')} to leave out. Look through it, then use it with"
        if config:
            others = [setting for setting in settings if not setting.startswith("data.exclude")]
            words = " ".join([typed(target), *(f"--set {shlex.quote(setting)}" for setting in others)])
            yield f"{told}: cnnkit data {words} --set {shlex.quote(f'data.exclude={file}')}"
        else:
            yield f"{told} this below `data` in a config: exclude: {yaml12.line(str(file.absolute()))}"
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
