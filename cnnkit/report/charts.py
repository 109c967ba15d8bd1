"""Charts of the report, by Bokeh: interactive, and drawn by what stands in the page itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.evaluation.intervals import wilson
from cnnkit.evaluation.metrics import words
from cnnkit.optimization import training_metrics
from cnnkit.optimization.training_metrics import TRAINING, VALIDATION
from cnnkit.report.tables import Cell, Figure, Table, said

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
"""Colours that the colour-blind tell apart, of Okabe and Ito, Color Universal Design (2008)."""

_INK = "#1a1a1a"
"""Of text and axes; the script of the page has what stands in its place where the page is dark."""

_MARKERS = ("circle", "square", "triangle", "diamond")
"""Of more runs than colours the next ones have other markers."""

HEIGHT = 280
"""Of a chart, in CSS pixels."""

SMALLEST, LARGEST = 4, 18
"""Diameters of the points of the reliability diagram, in CSS pixels."""

_WIDE, _LONG = 32, 36
"""Signs that the names of lines may have in all to stand beside each other on a telephone, and each to be whole."""


@dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Attributes:
        name: The `id` of its place in the page.
        title: What stands above it.
        text: What it shows, for who does not see it.
        item: What BokehJS draws, as JSON.
        table: Its numbers.
    """

    name: str
    title: str
    text: str
    item: Mapping[str, Any]
    table: Table


@dataclass(frozen=True)
class _Line:
    """A line of a chart: what it is called, its values over the epochs from 1 on, and how it looks."""

    label: str
    values: Sequence[float]
    colour: str
    dash: str = "solid"
    marker: str = "circle"


def library() -> str:
    """BokehJS, as it stands in the page: about 1.3 MB."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def curves(history: Sequence[Mapping[str, Any]], best: int | None) -> list[Chart]:
    """Each metric over the epochs, in training and in validation, and the learning rate; what is known of them.

    Args:
        history: The epochs, as metrics.jsonl has them.
        best: The epoch that was kept.
    """
    lines = {
        metric.name: [
            _Line("training", _values(history, TRAINING + metric.name), BLUE),
            _Line("validation", _values(history, VALIDATION + metric.name), VERMILLION, "dashed"),
        ]
        for metric in training_metrics.EPOCH_METRICS
    }
    if len(history) > 1:
        lines["learning_rate"] = [_Line("training", _values(history, "learning_rate"), BLUE)]
    return [_over_epochs(name, each, best, words(name)) for name, each in lines.items() if _known(each)]


def curves_of_runs(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Chart]:
    """Each metric of several runs over the epochs, in validation and in training.

    Args:
        histories: By the names of the runs their epochs, as metrics.jsonl has them; a run without any has no curve.
    """
    histories = {name: history for name, history in histories.items() if history}
    colours = (BLUE, VERMILLION, GREEN, PURPLE)
    charts = []
    for metric in training_metrics.EPOCH_METRICS:
        for side, called in ((VALIDATION, "validation"), (TRAINING, "training")):
            lines = [
                _Line(name, _values(history, side + metric.name), colours[i % 4], marker=_MARKERS[i // 4 % 4])
                for i, (name, history) in enumerate(histories.items())
            ]
            if _known(lines):
                title = f"{words(metric.name).capitalize()} in {called}"
                charts.append(_over_epochs(side + metric.name, lines, None, words(metric.name), title))
    return charts


def _known(lines: Sequence[_Line]) -> bool:
    """Whether there is anything to draw."""
    return any(math.isfinite(value) for line in lines for value in line.values)


def reliability(bins: Sequence[tuple[float, float, int]]) -> Chart:
    """How often answers are right, over how probable they say to be (Guo et al. 2017, arXiv:1706.04599).

    Args:
        bins: Of each bin the mean probability, the share of right answers, both in 0..1, and how many answers.
    """
    # Points at the ends are whole: half the largest has room beyond 0 and 1, also where the chart is narrow.
    figure = _figure("probability of the answer", "share that is right", x_range=(-0.05, 1.05), y_range=(-0.07, 1.07))
    figure.line([0, 1], [0, 1], color="#888888", line_dash="dashed", legend_label="as it should be")
    ends = [wilson(right, count) or [0.0, 1.0] for _, right, count in bins]
    most = max(count for *_, count in bins)
    data = {
        "probability": [b[0] for b in bins], "right": [b[1] for b in bins], "answers": [b[2] for b in bins],
        "low": [low for low, _ in ends], "high": [high for _, high in ends],
        "size": [SMALLEST + (LARGEST - SMALLEST) * math.sqrt(count / most) for *_, count in bins],
    }  # fmt: skip
    figure.segment("probability", "low", "probability", "high", source=data, color=BLUE, legend_label="the network")
    points = figure.scatter("probability", "right", source=data, color=BLUE, size="size")
    told = [("probability", "@probability{0.000}"), ("right", "@right{0.000} (@low{0.000} to @high{0.000})")]
    _hover(figure, points, [*told, ("answers", "@answers")])
    _finish(figure)
    rows: list[list[Cell]] = [
        [said(probability), Figure(said(right), f"{said(low)} to {said(high)}"), said(count)]
        for (probability, right, count), (low, high) in zip(bins, ends, strict=True)
    ]
    table = Table("Numbers of this chart", ("mean probability", "share that is right", "answers"), rows)
    text = "Share of right answers over their probability"
    return Chart("chart-reliability", text, text, _item(figure), table)


def _over_epochs(name: str, lines: Sequence[_Line], best: int | None, axis: str, title: str = "") -> Chart:
    from bokeh.models.annotations import Span

    epochs = max(len(line.values) for line in lines)
    figure = _figure("epoch", axis)
    figure.xaxis.ticker.update(min_interval=1, num_minor_ticks=0)
    for line in lines:
        called = line.label if len(line.label) <= _LONG else f"...{line.label[3 - _LONG :]}"
        data = {"epoch": list(range(1, len(line.values) + 1)), "value": list(line.values)}
        figure.line(
            "epoch",
            "value",
            source=data,
            color=line.colour,
            line_width=2,
            line_dash=line.dash,
            legend_label=called,
        )
        points = figure.scatter(
            "epoch", "value", source=data, color=line.colour, size=5, marker=line.marker, legend_label=called
        )
        # Bokeh reads a `@` or a brace of a name as the name of a column.
        _hover(figure, points, [(_plain(line.label), "@value{0.0000}"), ("epoch", "@epoch")])
    if best and epochs > 1:
        figure.add_layout(Span(location=best, dimension="height", line_color="#888888", line_dash="dotted"))
    _finish(figure)
    rows = [
        [str(i + 1), *(said(line.values[i]) if i < len(line.values) else "-" for line in lines)] for i in range(epochs)
    ]
    title = title or words(name).capitalize()
    text = f"{title} over the epochs" + (f"; dotted: epoch {best}, which is kept" if best else "")
    table = Table("Numbers of this chart", ("epoch", *(line.label for line in lines)), rows)
    return Chart(f"chart-{name}", title, text, _item(figure), table)


def _figure(x: str, y: str, **more: Any) -> Any:
    from bokeh.models import BasicTickFormatter
    from bokeh.plotting import figure

    made = figure(
        height=HEIGHT,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",  # dragging and the wheel move the page, also on a telephone
        x_axis_label=x,
        y_axis_label=y,
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_alpha=0.2,
        **more,
    )
    made.grid.grid_line_alpha = 0.25
    made.grid.grid_line_color = _INK
    made.axis.axis_label_text_color = _INK
    made.axis.major_label_text_color = _INK
    made.axis.axis_line_color = _INK
    made.axis.major_tick_line_color = _INK
    made.axis.minor_tick_line_color = None
    made.axis.axis_label_text_font_style = "normal"
    made.axis.formatter = BasicTickFormatter(power_limit_low=-5, power_limit_high=7)
    return made


def _hover(figure: Any, renderer: Any, tooltips: list[tuple[str, str]]) -> None:
    from bokeh.models import HoverTool

    figure.add_tools(HoverTool(renderers=[renderer], tooltips=tooltips))


def _finish(figure: Any) -> None:
    figure.legend.click_policy = "hide"
    figure.legend.background_fill_alpha = 0
    figure.legend.border_line_alpha = 0
    figure.legend.label_text_color = _INK
    labels = [item.label.value for item in figure.legend[0].items]
    if len(labels) > 2 or sum(map(len, labels)) > _WIDE:
        figure.legend.orientation = "vertical"
        figure.height += 20 * len(labels)
    else:
        figure.legend.orientation = "horizontal"
    figure.legend.spacing = 14 if figure.legend[0].orientation == "horizontal" else 0
    figure.legend.margin = 0
    figure.legend.padding = 2
    figure.add_layout(figure.legend[0], "above")


def _item(figure: Any) -> Mapping[str, Any]:
    from bokeh.embed import json_item

    return dict(json_item(figure))


def _values(history: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [math.nan if epoch.get(name) is None else float(epoch[name]) for epoch in history]


def _plain(label: str) -> str:
    return "".join(" " if sign in "@${}" else sign for sign in label)
