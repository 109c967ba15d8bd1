"""Where people read: lines, tables, progress and errors.

Markup is off: a folder called `[a-z]` is shown as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnkit.core.errors import CnnkitError
from cnnkit.core.progress import Progress, Step

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

PLAIN_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


Content: TypeAlias = str | Text | Table


class Screen:
    """Where people read: standard output, or standard error when a JSON document goes to the former."""

    def __init__(self, json_output: bool = False):
        self.json_output = json_output
        stream = sys.stderr if json_output else sys.stdout
        width = None if stream.isatty() else PLAIN_WIDTH
        self.console = Console(file=stream, markup=False, highlight=False, emoji=False, width=width)

    def say(self, *content: Content) -> None:
        """Lines, and tables, which have their full width where they go to a file."""
        for part in content:
            self.console.print(part, soft_wrap=not isinstance(part, Table))

    def result(self, document: Any, *content: Content) -> None:
        """What a command has found: with `--json` the document, else lines and tables."""
        if self.json_output:
            self.document(document)
        else:
            self.say(*content)

    def document(self, document: Any) -> None:
        """JSON on standard output, always in UTF-8: what is not, in the name of a file, is written as an escape."""
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        try:
            text.encode()
        except UnicodeEncodeError:
            text = json.dumps(document, indent=2, allow_nan=False)
        sys.stdout.write(text + "\n")

    @contextmanager
    def watching(self) -> Iterator[Progress]:
        """Shows the progress of long work: live in a terminal, in plain lines elsewhere."""
        if not self.console.is_terminal:
            yield _Lines(self.console)
            return
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}"),
            console=self.console,
            transient=True,
            refresh_per_second=5,
        )
        with bars:
            yield _Live(self.console, bars)


class _Lines(Progress):
    """Plain lines: what is worth keeping, and an epoch a line."""

    def __init__(self, console: Console):
        self.console = console

    def say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True)

    epoch = say


class _Live(_Lines):
    """The same lines, and below them one that moves."""

    def __init__(self, console: Console, bars: Bars):
        super().__init__(console)
        self.bars = bars
        self.training: TaskID | None = None

    @contextmanager
    def task(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        task = self.bars.add_task(what, total=total, text=f"{total:,}")
        try:
            yield lambda done: self.bars.advance(task, done)
        finally:
            self.bars.remove_task(task)

    def step(self, step: Step) -> None:
        from cnnkit.optimization import training_metrics

        if self.training is None:
            self.training = self.bars.add_task("", total=step.steps, text="")
        minutes, seconds = divmod(round(step.seconds_left), 60)
        text = (
            f"{step.step}/{step.steps}  {training_metrics.text(step.metrics)}  "
            f"{step.images_per_second:,.0f} images/s  {minutes}:{seconds:02d} left"
        )
        self.bars.update(
            self.training,
            total=step.steps,
            completed=step.step,
            description=f"epoch {step.epoch}/{step.epochs}",
            text=text if step.step else f"0/{step.steps}  preparing the first step",
        )

    def epoch(self, line: str) -> None:
        super().epoch(line)
        if self.training is not None:
            self.bars.remove_task(self.training)
            self.training = None


def show_error(error: CnnkitError, json_output: bool) -> None:
    """An error: for people on standard error, with `--json` as the document on standard output."""
    screen = Screen(json_output=True)
    if json_output:
        screen.document(error.as_json())
    else:
        screen.say(str(error))


def new_table(*columns: str) -> Table:
    """A table without lines; a column whose name begins with `>` is flush right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return table


def as_yaml(value: Any) -> str:
    """A value as YAML writes it on one line."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return "[" + ", ".join(map(as_yaml, value)) + "]" if isinstance(value, list | tuple) else f"{value}"
