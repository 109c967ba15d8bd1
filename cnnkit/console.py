"""Everything a person sees: tables, progress, error lines. The only user of rich.

Markup is off: a folder called `[a-z]` is shown as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from cnnkit import training_metrics
from cnnkit.catalogue import Kind, Variant, doc, options, title
from cnnkit.errors import CnnkitError
from cnnkit.metrics import CLASS_METRICS
from cnnkit.progress import Progress, Step
from cnnkit.summary import Row, Summary, folded
from cnnkit.text import by, counted, in_bytes

PLAIN_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


class Screen:
    """Where people read: standard output, or standard error when a JSON document goes to the former."""

    def __init__(self, json_output: bool = False):
        self.json_output = json_output
        stream = sys.stderr if json_output else sys.stdout
        width = None if stream.isatty() else PLAIN_WIDTH
        self.console = Console(file=stream, markup=False, highlight=False, emoji=False, width=width)

    def say(self, line: str) -> None:
        """A line, or several."""
        self.console.print(line, soft_wrap=True)

    def document(self, document: Any) -> None:
        """JSON on standard output, always in UTF-8: what is not, in the name of a file, is written as an escape."""
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        try:
            text.encode()
        except UnicodeEncodeError:
            text = json.dumps(document, indent=2, allow_nan=False)
        sys.stdout.write(text + "\n")

    def table(self, table: Table) -> None:
        """A table in its full width where it goes to a file."""
        self.console.print(table)

    @contextmanager
    def watching(self) -> Iterator[Progress]:
        """Shows the progress of long work: live in a terminal, in plain lines elsewhere."""
        if not self.console.is_terminal:
            yield _Lines(self.console)
            return
        bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[told]}"),
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
        task = self.bars.add_task(what, total=total, told=f"{total:,}")
        try:
            yield lambda done: self.bars.advance(task, done)
        finally:
            self.bars.remove_task(task)

    def step(self, step: Step) -> None:
        if self.training is None:
            self.training = self.bars.add_task("", total=step.steps, told="")
        minutes, seconds = divmod(round(step.seconds_left), 60)
        told = (
            f"{step.step}/{step.steps}  {training_metrics.text(step.metrics)}  "
            f"{step.images_per_second:,.0f} images/s  {minutes}:{seconds:02d} left"
        )
        self.bars.update(
            self.training,
            total=step.steps,
            completed=step.step,
            description=f"epoch {step.epoch}/{step.epochs}",
            told=told if step.step else f"0/{step.steps}  preparing the first step",
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


def config_table(rows: Sequence[tuple[str, Any, str]]) -> Table:
    """The complete config: setting, value, where it came from."""
    table = new_table("setting", "value", "from")
    for key, value, origin in rows:
        table.add_row(key, _as_yaml(value), Text(origin, style="dim" if origin == "default" else ""))
    return table


def _as_yaml(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return "[" + ", ".join(map(_as_yaml, value)) + "]" if isinstance(value, list | tuple) else f"{value}"


def kind_table(kind: Kind) -> Table:
    """Every name of a kind with its options."""
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
        model = ", ".join(f"{key}: {_as_yaml(value)}" for key, value in variant.model.items())
        size = [f"{variant.parameters:,}", f"{variant.macs:,}"] if counts else []
        stages = ", ".join(variant.stages) or "its layers"
        sides = by(variant.image_shape), str(variant.smallest_image)
        table.add_row(f"{{{model}}}", *sides, *size, stages, variant.paper)
    return table


def summary_table(summary: Summary, full: bool) -> Table:
    """The layers of a network, repeated blocks folded unless `full`."""
    table = new_table("layer", "type", ">output", ">parameters", ">multiply-adds", ">sees")
    for entry in summary.rows if full else folded(summary.rows):
        rows = entry if isinstance(entry, list) else [entry]
        repeats = rows[0].repeats
        if repeats > 1:
            table.add_section()
        for row in rows:
            name = Text(row.name)
            if repeats > 1 and row is rows[0]:
                name.append(f"  ({repeats} such blocks)", style="bold")
            table.add_row(
                name,
                row.type,
                by(row.output_shape),
                row.formula or "-",
                f"{row.macs:,}" if row.macs else "-",
                _field(row, summary.input_shape),
            )
        if repeats > 1:
            table.add_section()
    return table


def _field(row: Row, input_shape: tuple[int, ...]) -> str:
    field = row.receptive_field
    if field is None:
        return "-"
    height, width = field if isinstance(field, tuple) else (field, field)
    # A field that moves over the image covers all of it from every place when it is nearly twice as large; the one of a
    # vector does not move.
    moves = len(row.output_shape) > 1 or row.type == "Flatten"
    needed = [2 * side - 1 if moves else side for side in input_shape[:2]]
    if height >= needed[0] and width >= needed[1]:
        return "all"
    return f"{height} x {width}"


def summary_notes(summary: Summary, full: bool) -> str:
    """Totals, and how to read the table."""
    parameters, memory = summary.parameters, summary.memory
    kinds = {row.type for row in summary.rows}
    lines = [
        f"{summary.model}: {parameters['total']:,} parameters ({parameters['trainable']:,} trainable, "
        f"{parameters['non_trainable']:,} not), {in_bytes(parameters['total'] * 4)} of weights, "
        f"{summary.macs:,} multiply-adds an image",
        f"Training with batches of {summary.batch_size} needs about {in_bytes(memory['total'])}: "
        f"weights {in_bytes(memory['weights'])}, gradients {in_bytes(memory['gradients'])}, "
        f"optimizer {in_bytes(memory['optimizer'])}, activations {in_bytes(memory['activations'])} (an estimate, "
        "beside TensorFlow itself and the images)",
        *_stage_notes(summary),
        "",
    ]
    lines += [f"{kind}: {text}" for kind, text in _READING.items() if kind in kinds]
    lines.append("sees: the square of the image that one number of the output depends on; all: every pixel.")
    if not full and any(isinstance(entry, list) for entry in folded(summary.rows)):
        lines.append("Blocks that are alike are shown once, in bold; --full shows each.")
    return "\n".join(lines)


def _stage_notes(summary: Summary) -> Iterator[str]:
    """A line for each stage of the training, where it has several or leaves something as it is."""
    if len(summary.stages) == 1 and not summary.stages[0]["frozen"]:
        return
    for number, stage in enumerate(summary.stages, start=1):
        epochs = counted(stage["epochs"], "epoch")
        frozen = f"; frozen: {', '.join(stage['frozen'])}" if stage["frozen"] else ""
        yield (
            f"Stage {number} of the training ({epochs}, learning rate {stage['learning_rate']:g}) trains "
            f"{stage['parameters']:,} parameters: {', '.join(stage['trained'])}{frozen}"
        )


_READING = {
    "Conv2D": "kernel height x width x channels in x filters, + one bias a filter where there is one.",
    "DepthwiseConv2D": "kernel height x width x channels x filters for each channel, + one bias a filter: no filter "
    "sees another channel.",
    "SeparableConv2D": "a kernel for each channel by itself (height x width x channels x 1), then a mix of the "
    "channels (1 x 1 x channels x filters), + one bias a filter.",
    "Dense": "inputs x units, + one bias a unit.",
    "BatchNormalization": "scale, shift, mean and variance of each channel; the last two are not trained.",
    "Add": "the sum of a block's layers and its input, number by number; a `shortcut` brings the input to their shape.",
    "PadChannels": "channels of zeros that bring a shortcut to the width of its block, without parameters.",
    "SavedModelLayer": "a whole network of others, told as one layer: arrays of weights, and of moving statistics.",
}
"""How the parameters of each type of layer come about."""


def show_evaluation(result: dict[str, Any], screen: Screen) -> None:
    """The metrics of each class, and the confusion matrix where the screen is wide enough for it."""
    table = new_table("class", ">images", *(f">{metric.text}" for metric in CLASS_METRICS))
    for entry in result["classes"]:
        values = (f"{entry[metric.name]:.3f}" for metric in CLASS_METRICS)
        table.add_row(entry["name"], f"{entry['images']:,}", *values)
    screen.table(table)
    screen.say("")
    names = [entry["name"] for entry in result["classes"]]
    if sum(max(len(name), 3) + 3 for name in names) + max(map(len, names)) + 18 > screen.console.width:
        return
    matrix = new_table("is \\ predicted", *(f">{name}" for name in names))
    for name, row in zip(names, result["confusion"], strict=True):
        counts = (
            Text(str(count) if count else ".", style="bold" if name == other else "")
            for other, count in zip(names, row, strict=True)
        )
        matrix.add_row(name, *counts)
    screen.table(matrix)
    screen.say("")


def new_table(*columns: str) -> Table:
    """A table without lines; a column whose name begins with `>` is flush right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return table
