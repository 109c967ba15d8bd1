"""What a training says, line by line: on the screen and in the log of its run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnnkit.core.progress import Line, Progress
from cnnkit.core.text import FIRST, counted, typed
from cnnkit.data.index import SPLITS, predictions
from cnnkit.models.freezing import PlannedStage, Staged
from cnnkit.optimization import training_metrics
from cnnkit.optimization.training_metrics import EPOCH_METRICS, TRAINING, VALIDATION
from cnnkit.runs.run import Run
from cnnkit.training.data import TrainingData


def say(run: Run, progress: Progress, line: str) -> None:
    """A line that is worth keeping."""
    progress.say(line)
    run.log(line)


def opening(run: Run, facts: dict[str, Any], data: TrainingData) -> Iterator[str]:
    """What the run is made of, and what is odd about it."""
    index, counts = data.images.index, facts["data"]["images"]
    splits = ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)
    unused = f", {facts['data']['unused']:,} not used" if index.unused else ""
    yield (
        f"{facts['device']} | {sum(counts.values()):,} images in {len(index.classes)} classes "
        f"({splits}{unused}) | {facts['parameters']['total']:,} parameters | {run.folder}"
    )
    for note in index.notes:
        yield f"  note: {note}"
    for entry in index.unused[:FIRST]:
        yield f"  not used: {entry}: {entry.reason}"
    if len(index.unused) > FIRST:
        yield f"  not used: {len(index.unused) - FIRST} more, all in {run.files.unused}"
    for problem in data.careful:
        yield f"  careful: {problem}"
    for finding in data.findings:
        if finding.severity == "warning":
            yield f"  careful: {finding.message}"


def what_next(run: Run, data: TrainingData) -> Iterator[str]:
    """What can be done with the run now, beside what its evaluation tells."""
    for command in predictions(data.images.index.unused, typed(run.folder)):
        yield f"images without labels were left out; their classes: {command}"


def stage_line(number: int, stages: int, stage: PlannedStage, staged: Staged, parameters: dict[str, int]) -> str:
    """What a stage of the training does, in one line."""
    frozen = f", frozen: {', '.join(staged.frozen)}" if staged.frozen else ""
    steps = f"{counted(stage.epochs, 'epoch')}, learning rate {stage.rate_in_words}, trains" if stage.epochs else "fits"
    return (
        f"stage {number}/{stages}: {steps} {', '.join(staged.trained)} "
        f"({parameters['trainable']:,} of {parameters['total']:,} parameters){frozen}"
    )


def epoch_line(metrics: dict[str, Any], epochs: int) -> Line:
    """An epoch in one line: where that is too long without the speed, then with shorter names, then figures."""
    count = f"{metrics['epoch']:>{len(str(epochs))}}/{epochs}"
    values = {name: metrics[name] for name in training_metrics.names(TRAINING, VALIDATION)}
    names = f"epoch {count}  {training_metrics.text(values)}"
    seconds = f"{metrics['seconds']:.1f} s"
    speed = metrics["images_per_second"]
    fast = "" if speed is None else f"  {speed:,.0f} images/s"
    by_metric = [(metric.name, metrics[metric.name], metrics[f"{VALIDATION}{metric.name}"]) for metric in EPOCH_METRICS]
    return Line(
        f"{names}{fast}  {seconds}",
        f"{names}  {seconds}",
        "  ".join(
            [f"epoch {count}", *(f"{name} {one:.4f}  val {other:.4f}" for name, one, other in by_metric), seconds]
        ),
        " ".join([count, *(f"{name} {one:.3f} val {other:.3f}" for name, one, other in by_metric), seconds]),
        " ".join([count, *(f"val_{name} {other:.3f}" for name, _, other in by_metric)]),
    )
