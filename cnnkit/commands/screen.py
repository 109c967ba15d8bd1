"""Where people read: lines, tables, progress and errors.

All that goes to people goes through here, so nothing of it acts on their terminal: control characters in the names of
files, classes and configs are shown as escapes (`core.text.visible`). Markup is off: a folder called `[a-z]` is shown
as it is. In a terminal lines break between words; in a file or a pipe they are as long as they are.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from cnnkit.core.errors import CnnkitError
from cnnkit.core.progress import Line, Progress, Step
from cnnkit.core.text import visible, visible_in_json

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

PLAIN_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""

PATIENCE = 30
"""Seconds between two lines about the same work, where there is no line that moves."""


Content: TypeAlias = str | Text | Table


class Screen:
    """Where people read: standard output, or standard error when a JSON document goes to the former."""

    def __init__(self, json_output: bool = False):
        self.json_output = json_output
        stream = sys.stderr if json_output else sys.stdout
        self.console = _Console(file=stream, markup=False, highlight=False, emoji=False, **_size(stream), **_plain())

    def say(self, *content: Content) -> None:
        """Lines, and tables, which have their full width where they go to a file.

        A text is one line, with blank ones before and behind it where it begins and ends with line breaks.
        """
        for part in content:
            if isinstance(part, Table):
                self._table(part)
            elif isinstance(part, Text):
                self._line(part)
            else:
                inner = part.strip("\n")
                before, behind = (len(part) - len(part.lstrip("\n")), len(part) - len(part.rstrip("\n")))
                for line in ("",) * before, (inner,) if inner or not part else (), ("",) * (behind if inner else 0):
                    for each in line:
                        self._line(Text(visible(each)))

    def _table(self, table: Table) -> None:
        if self.console.is_terminal:
            self.console.print(_fitting(table, self.console.width))
            return
        with self.console.capture() as captured:
            self.console.print(table)
        for line in captured.get().rstrip("\n").split("\n"):
            self.console.print(Text(line.rstrip()), soft_wrap=True)

    def _line(self, line: Text) -> None:
        for part in _wrapped(line, self.console.width) if self.console.is_terminal else [line]:
            self.console.print(part, soft_wrap=True)

    def result(self, document: Any, *content: Content) -> None:
        """What a command has found: with `--json` the document, else lines and tables."""
        if self.json_output:
            self.document(document)
        else:
            self.say(*content)

    def document(self, document: Any) -> None:
        """JSON on standard output, always in UTF-8: what is not, or acts on a terminal, is written as an escape."""
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        sys.stdout.write(visible_in_json(text) + "\n")

    @contextmanager
    def watching(self) -> Iterator[Progress]:
        """Shows the progress of long work: live in a terminal, in plain lines elsewhere."""
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            yield _Lines(self)
            return
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        bar = 20 if self.console.width >= WIDE else 8
        bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=bar),
            TextColumn("{task.fields[text]}", markup=False),
            console=self.console,
            transient=True,
            refresh_per_second=5,
        )
        with bars:
            yield _Live(self, bars, bar)


WIDE = 100
"""Columns from which on there is room for a long bar."""

LONG = 24
"""Columns from which on a word of a table may be broken."""


class _Console(Console):
    """Rich's, which lets nothing through that acts on a terminal but what Rich itself makes of styles."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                text = "\n".join(visible(line) for line in segment.text.split("\n"))
                yield Segment(text, segment.style)


def _size(stream: Any) -> dict[str, Any]:
    """Columns and rows where they are not for Rich to ask: it asks for those of a terminal, but not of a dumb one."""
    if not stream.isatty():
        return {"width": PLAIN_WIDTH}
    if os.environ.get("TERM") in ("dumb", "unknown"):
        columns, rows = shutil.get_terminal_size()
        return {"width": columns, "height": rows}
    return {}


def _plain() -> dict[str, Any]:
    """No colours and no bold letters where somebody wants none (https://no-color.org)."""
    return {"color_system": None} if os.environ.get("NO_COLOR") else {}


def _wrapped(line: Text, width: int) -> list[Text]:
    """A line in parts that fit, broken between words; a word that is too long, such as a path, is left whole."""
    plain = line.plain
    if cell_len(plain) <= width:
        return [line]
    indent = len(plain) - len(plain.lstrip(" "))
    begin = at = 0
    breaks: list[int] = []
    for word in re.finditer(r"\S+", plain):
        room = width - (indent if breaks else 0)
        if at > begin and cell_len(plain[begin : word.end()]) > room:
            breaks.append(word.start())
            begin = word.start()
        at = word.end()
    parts = [part for part in line.divide(breaks) if part.plain.strip()]
    for part in parts:
        part.rstrip()
    return [parts[0], *(Text(" " * indent).append_text(part) for part in parts[1:])] if parts else [line]


def _first_that_fits(forms: Sequence[str], width: int) -> str:
    return next((form for form in forms if cell_len(form) <= width), forms[-1])


class _Lines(Progress):
    """Plain lines: what is worth keeping, an epoch a line, and now and then how far long work is."""

    def __init__(self, screen: Screen):
        self.screen = screen

    def say(self, line: str) -> None:
        self.screen.say(visible(line))

    def epoch(self, line: str) -> None:
        if self.screen.console.is_terminal and isinstance(line, Line):
            line = _first_that_fits([line, *line.shorter], self.screen.console.width)
        self.say(line)

    @contextmanager
    def task(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        told, at = time.monotonic(), 0

        def advance(done: int) -> None:
            nonlocal told, at
            at += done
            if time.monotonic() - told >= PATIENCE:
                told = time.monotonic()
                self.say(f"{what}: {at:,} of {total:,}")

        yield advance


class _Live(_Lines):
    """The same lines, and below them one that moves."""

    def __init__(self, screen: Screen, bars: Bars, bar: int):
        super().__init__(screen)
        self.bars, self.bar = bars, bar
        self.training: TaskID | None = None

    @contextmanager
    def task(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        self._end_of_epoch()  # what trains without telling of its epochs is over, for other work begins
        task = self.bars.add_task(self._short(what), total=total, text=f"{total:,}")
        try:
            yield lambda done: self.bars.advance(task, done)
        finally:
            self.bars.remove_task(task)

    def _short(self, what: str) -> str:
        """What is done, in at most half a line."""
        what, most = visible(what), max(self.screen.console.width // 2, 12)
        return what if len(what) <= most else f"{what[: most - 1]}…"

    def step(self, step: Step) -> None:
        if self.training is None:
            self.training = self.bars.add_task("", total=step.steps, text="")
        description = f"epoch {step.epoch}/{step.epochs}"
        room = self.screen.console.width - len(description) - self.bar - 3
        self.bars.update(
            self.training,
            total=step.steps,
            completed=step.step,
            description=description,
            text=_first_that_fits(_forms_of(step), room),
        )

    def epoch(self, line: str) -> None:
        super().epoch(line)
        self._end_of_epoch()

    def _end_of_epoch(self) -> None:
        if self.training is not None:
            self.bars.remove_task(self.training)
            self.training = None


def _forms_of(step: Step) -> list[str]:
    """Where an epoch stands, as long as may be, and shorter and shorter."""
    from cnnkit.optimization import training_metrics

    count = f"{step.step}/{step.steps}"
    if not step.step:
        return [f"{count}  preparing the first step", count]
    minutes, seconds = divmod(round(step.seconds_left), 60)
    metrics, left = training_metrics.text(step.metrics), f"{minutes}:{seconds:02d} left"
    return [
        f"{count}  {metrics}  {step.images_per_second:,.0f} images/s  {left}",
        f"{count}  {metrics}  {left}",
        f"{count}  {left}",
        count,
    ]


def show_error(error: CnnkitError, json_output: bool) -> None:
    """An error: for people on standard error, with `--json` as the document on standard output."""
    screen = Screen(json_output=True)
    if json_output:
        screen.document(error.as_json())
    else:
        screen.say(*(visible(str(problem)) for problem in error.problems))


class _Table(Table):
    """A table of texts in which nothing acts on the terminal."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        shown = (visible(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*shown, **options)


def new_table(*columns: str) -> Table:
    """A table without lines; a column whose name begins with `>` is flush right."""
    table = _Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        figures = column.startswith(">")
        name = visible(column.removeprefix(">"))
        table.add_column(name, justify="right" if figures else "left", overflow="fold", no_wrap=figures)
    return table


def _fitting(table: Table, width: int) -> Table:
    """A table as it is, or where its figures find no room beside each other, each row as lines of its own."""
    cells = [[_text_of(column.header), *map(_text_of, column.cells)] for column in table.columns]
    needed = [
        max(
            cell_len(part) if column.no_wrap else min(cell_len(part), LONG)
            for cell in texts
            for part in _parts(column, cell)
        )
        for column, texts in zip(table.columns, cells, strict=True)
    ]
    if sum(needed) + 2 * (len(needed) - 1) <= width:
        return table
    stacked = Table(box=None, pad_edge=False, show_header=False)
    stacked.add_column(style="bold", overflow="fold", max_width=max(width // 2 - 1, 1))
    stacked.add_column(overflow="fold")
    headers = [column[0] for column in cells]
    for number, row in enumerate(zip(*(column[1:] for column in cells), strict=True)):
        if number:
            stacked.add_row("", "")
        for header, cell in zip(headers, row, strict=True):
            if cell.plain:
                stacked.add_row(header, cell)
    return stacked


def _parts(column: Column, cell: Text) -> list[str]:
    """What is not to be broken of a cell: a figure, or each word."""
    return [cell.plain] if column.no_wrap else cell.plain.split() or [""]


def _text_of(cell: RenderableType) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))


def as_yaml(value: Any) -> str:
    """A value as YAML writes it on one line."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return "[" + ", ".join(map(as_yaml, value)) + "]" if isinstance(value, list | tuple) else f"{value}"
