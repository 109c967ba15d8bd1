"""lr.png: the curve of a learning-rate range test, and the short runs by which its suggestion was chosen."""

from __future__ import annotations

from pathlib import Path

from cnnkit.optimization.rate_test import Finding
from cnnkit.report import png


def draw(found: Finding, path: Path) -> None:
    """Draws what a range test has found into a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    test, runs = figure.subplots(1, 2)
    tried = [point.rate for point in found.curve]
    test.plot(tried, [point.loss for point in found.curve], ".", color="lightgrey", label="a batch")
    test.plot(tried, [point.smoothed for point in found.curve], label="smoothed")
    test.set(xlabel="learning rate", ylabel="loss of training", ylim=(None, found.top))
    test.set_title(f"{len(found.curve)} updates at rising rates")
    judged = [run for run in found.runs if run.loss is not None]
    runs.plot([run.rate for run in judged], [run.loss for run in judged], marker="o")
    for run in found.runs:
        if run.loss is None:
            runs.axvline(run.rate, color="tab:red", linestyle=":", label=f"{run.rate:g}: diverged")
    runs.set(xlabel="learning rate", ylabel="loss of validation")
    runs.set_title(f"after {found.updates} updates at one rate")
    for axes in (test, runs):
        axes.set_xscale("log")
        axes.axvline(found.rate, color="grey", linestyle=":", label=f"suggested: {found.rate:g}")
        axes.grid(alpha=0.3)
        axes.legend()
    png.save(figure, path)
