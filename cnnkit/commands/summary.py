"""`cnnkit summary`: every layer of a network, its parameters and how they come about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from cnnkit.commands.command import Settings, command
from cnnkit.commands.screen import Screen, new_table
from cnnkit.core.errors import UsageError
from cnnkit.core.text import by, counted, in_bytes

if TYPE_CHECKING:
    from cnnkit.inspection.summary import Row, Summary


@command("cnnkit summary configs/digits.yaml")
def summary(
    screen: Screen,
    target: Annotated[Path, Argument(metavar="CONFIG|RUN", help="The YAML file, or a run.", show_default=False)],
    classes: Annotated[int | None, Option(help="Count as if the data had so many classes.")] = None,
    full: Annotated[bool, Option("--full", help="Show every block of a long network.")] = False,
    settings: Settings = [],  # noqa: B006
) -> None:
    """Show every layer of the network: its parameters and how they come about, its cost, what it sees."""
    from cnnkit.commands.arguments import network
    from cnnkit.inspection.summary import folded, summarize

    if classes is not None and classes < 2:
        raise UsageError(f"--classes {classes}: a classifier tells at least two classes apart")
    with screen.watching() as progress:
        experiment, shape, count = network(target, classes, settings, progress)
        experiment.model.fetch(progress)
    summarized = summarize(experiment, shape, count)
    blocks = [[row] for row in summarized.rows] if full else folded(summarized.rows)
    table, notes = summary_table(summarized, blocks), summary_notes(summarized, blocks)
    screen.result(summarized.as_json(), table, "", *notes)


def summary_table(summary: Summary, blocks: Sequence[Sequence[Row]]) -> Table:
    """The layers of a network; those of a block that stands for several are set apart."""
    table = new_table("layer", "type", ">output", ">parameters", ">multiply-adds", ">sees")
    for rows in blocks:
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
    return by((height, width))


def summary_notes(summary: Summary, blocks: Sequence[Sequence[Row]]) -> Iterator[str]:
    """Totals, and how to read the table."""
    parameters = summary.parameters
    memory = {part: in_bytes(count) for part, count in summary.memory.items()}
    kinds = {row.type for row in summary.rows}
    yield (
        f"{summary.model}: {parameters['total']:,} parameters ({parameters['trainable']:,} trainable, "
        f"{parameters['non_trainable']:,} not), {memory['weights']} of weights, "
        f"{summary.macs:,} multiply-adds an image"
    )
    yield (
        f"Training with batches of {summary.batch_size} needs about {memory['total']}: weights {memory['weights']}, "
        f"gradients {memory['gradients']}, optimizer {memory['optimizer']}, activations {memory['activations']}, "
        f"copies to save {memory['saving']} (an estimate, beside TensorFlow itself and the images)"
    )
    yield from _stage_notes(summary)
    yield ""
    yield from (f"{kind}: {text}" for kind, text in _READING.items() if kind in kinds)
    yield "sees: the square of the image that one number of the output depends on; all: every pixel."
    if any(rows[0].repeats > 1 for rows in blocks):
        yield "Blocks that are alike are shown once, in bold; --full shows each."


def _stage_notes(summary: Summary) -> Iterator[str]:
    """A line for each stage of the training, where it has several or leaves something as it is."""
    if len(summary.stages) == 1 and not summary.stages[0]["frozen"]:
        return
    for number, stage in enumerate(summary.stages, start=1):
        steps = (
            f"{counted(stage['epochs'], 'epoch')}, learning rate {_rate(stage['learning_rate'])}"
            if stage["epochs"]
            else ""
        )
        frozen = f"; frozen: {', '.join(stage['frozen'])}" if stage["frozen"] else ""
        yield (
            f"Stage {number} of the training ({steps or 'fitted'}) trains {stage['parameters']:,} parameters: "
            f"{', '.join(stage['trained'])}{frozen}"
        )


def _rate(rate: float | str) -> str:
    return rate if isinstance(rate, str) else f"{rate:g}"


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
