"""Charts of the report, by Bokeh: interactive, and drawn by what stands in the page itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.optimization import training_metrics
from cnnkit.optimization.training_metrics import TRAINING, VALIDATION
from cnnkit.report.tables import Table, said, words

BLUE, ORANGE = "#0072B2", "#D55E00"
"""Two colours that the colour-blind tell apart, of Okabe and Ito, Color Universal Design (2008)."""

HEIGHT = 280
"""Of a chart, in CSS pixels."""


@dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Attributes:
        name: The `id` of its place in the page.
        text: What it shows, for who does not see it.
        item: What BokehJS draws, as JSON.
        table: Its numbers.
    """

    name: str
    text: str
    item: Mapping[str, Any]
    table: Table


def library() -> str:
    """BokehJS, as it stands in the page: about 1.3 MB."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def curves(history: Sequence[Mapping[str, Any]], best: int | None) -> list[Chart]:
    """Each metric over the epochs, in training and in validation, and the learning rate.

    Args:
        history: The epochs, as metrics.jsonl has them.
        best: The epoch that was kept.
    """
    charts = []
    for metric in training_metrics.EPOCH_METRICS:
        names = {"training": TRAINING + metric.name, "validation": VALIDATION + metric.name}
        lines = {label: [_number(epoch.get(name)) for epoch in history] for label, name in names.items()}
        charts.append(_over_epochs(metric.name, history, lines, best))
    rates = [_number(epoch.get("learning_rate")) for epoch in history]
    if len(history) > 1 and not all(map(math.isnan, rates)):
        charts.append(_over_epochs("learning_rate", history, {"training": rates}, best))
    return charts


def reliability(bins: Sequence[tuple[float, float, int]]) -> Chart:
    """How often answers are right, over how probable they say to be (Guo et al. 2017, arXiv:1706.04599).

    Args:
        bins: Of each bin the mean probability, the share of right answers, both in 0..1, and how many answers.
    """
    figure = _figure("probability of the answer", "share that is right", x_range=(0, 1), y_range=(0, 1))
    figure.line([0, 1], [0, 1], color="#888888", line_dash="dashed", legend_label="as it should be")
    data = {"probability": [b[0] for b in bins], "right": [b[1] for b in bins], "answers": [b[2] for b in bins]}
    figure.line("probability", "right", source=data, color=BLUE, line_width=2, legend_label="the network")
    points = figure.scatter("probability", "right", source=data, color=BLUE, size=8)
    _hover(
        figure, points, [("probability", "@probability{0.000}"), ("right", "@right{0.000}"), ("answers", "@answers")]
    )
    _finish(figure)
    rows = [[said(probability), said(right), said(count)] for probability, right, count in bins]
    table = Table("Numbers of this chart", ("mean probability", "share that is right", "answers"), rows)
    return Chart("chart-reliability", "Share of right answers over their probability", _item(figure), table)


def _over_epochs(
    name: str, history: Sequence[Mapping[str, Any]], lines: Mapping[str, Sequence[float]], best: int | None
) -> Chart:
    from bokeh.models.annotations import Span

    numbers = [epoch["epoch"] for epoch in history]
    figure = _figure("epoch", words(name))
    figure.xaxis.ticker.update(min_interval=1, num_minor_ticks=0)
    for (label, values), colour, dash in zip(lines.items(), (BLUE, ORANGE), ("solid", "dashed"), strict=False):
        data = {"epoch": numbers, "value": values}
        figure.line("epoch", "value", source=data, color=colour, line_width=2, line_dash=dash, legend_label=label)
        points = figure.scatter("epoch", "value", source=data, color=colour, size=5, legend_label=label)
        _hover(figure, points, [(label, "@value{0.0000}"), ("epoch", "@epoch")])
    if best:
        figure.add_layout(Span(location=best, dimension="height", line_color="#888888", line_dash="dotted"))
    _finish(figure)
    rows = [[str(number), *(said(values[i]) for values in lines.values())] for i, number in enumerate(numbers)]
    text = f"{words(name).capitalize()} over the epochs" + (f"; dotted: epoch {best}, which is kept" if best else "")
    return Chart(f"chart-{name}", text, _item(figure), Table("Numbers of this chart", ("epoch", *lines), rows))


def _figure(x: str, y: str, **more: Any) -> Any:
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
    return made


def _hover(figure: Any, renderer: Any, tooltips: list[tuple[str, str]]) -> None:
    from bokeh.models import HoverTool

    figure.add_tools(HoverTool(renderers=[renderer], tooltips=tooltips))


def _finish(figure: Any) -> None:
    figure.legend.click_policy = "hide"
    figure.legend.background_fill_alpha = 0
    figure.legend.border_line_alpha = 0
    figure.legend.orientation = "horizontal"
    figure.add_layout(figure.legend[0], "above")


def _item(figure: Any) -> Mapping[str, Any]:
    from bokeh.embed import json_item

    return dict(json_item(figure))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
