"""The headline of a run's page: what the run is worth in sentences, and the few figures that stand at the top."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnkit.core.text import counted, typed
from cnnkit.evaluation import calibrate, paired
from cnnkit.evaluation.abstain import Abstain
from cnnkit.evaluation.baseline import Baseline
from cnnkit.evaluation.corruptions import Corruptions
from cnnkit.evaluation.familiarity import Familiarity
from cnnkit.evaluation.tta import TestTimeAugmentation
from cnnkit.evaluation.two_classes import TwoClasses
from cnnkit.report import confusion
from cnnkit.report.bidi import isolated
from cnnkit.report.confusion import Pair
from cnnkit.report.suspected import Suspected
from cnnkit.report.tables import percent
from cnnkit.runs.epochs import seconds_of
from cnnkit.runs.run import Run
from cnnkit.runs.stopped import stopped

SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    Baseline.name: Baseline().lines,
    TwoClasses.name: TwoClasses().lines,
    Abstain.name: lambda found: Abstain(found["wanted"]).lines(found),
    Corruptions.name: lambda found: iter([*Corruptions().lines(found)][-1:]),  # those before are a table
    TestTimeAugmentation.name: lambda found: TestTimeAugmentation(found["views"]).lines(found),
    "calibrated": calibrate.lines,
}
"""Of what is found beyond metrics what is told in sentences, in this order; the rest is in tables."""

OFF = 0.02
"""From this calibration error on something is said about it, where it is surely more than chance makes it."""


@dataclass(frozen=True)
class Tile:
    """A figure at the top.

    Attributes:
        name: What it is.
        value: It.
        note: Its interval, or what else is to be known.
    """

    name: str
    value: str
    note: str = ""


def title(run: Run, result: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The verdict in a sentence."""
    if not result:
        return f"This run ({facts.get('state')}) has not been evaluated yet"
    images = counted(result["images"], f"{result['split']} image")
    return f"{rightly(result, images)}, among {len(run.classes):,} classes"


def rightly(result: Mapping[str, Any], images: str) -> str:
    """How many of some images are answered rightly, with the interval."""
    low, high = (f"{100 * end:.1f}" for end in result["accuracy_interval"])
    return f"{percent(result['accuracy'])} of {images} are answered rightly (95\u00a0% interval {low} to {high}\u00a0%)"


def sentences(
    run: Run, result: Mapping[str, Any], facts: Mapping[str, Any], pairs: Sequence[Pair], suspected: Suspected
) -> Iterator[str]:
    """What should be known beside it."""
    if words := stopped(run):
        yield f"the training {words}; it goes on with: cnnkit train --resume {typed(run.folder)}"
    if folds := run.folds:
        split = run.experiment.data.split
        yield f"it is judged on fold {split.fold} of {split.folds}; all of them together: cnnkit report {typed(folds)}"
    for name, lines in SENTENCES.items():
        if isinstance(result.get(name), dict):
            yield from _joined(lines(result[name]))
    if result:
        yield from _classes(result)
    elif facts.get("best_epoch"):
        folder = typed(run.folder)
        yield f"what it is worth is told here after: cnnkit evaluate {folder}, and then cnnkit report {folder}"
    yield from confusion.most(pairs)
    yield from _calibration(run, result.get("calibration"))
    if known := Familiarity.read(run):
        yield known.line()
    if suspected.count:
        yield suspected.verdict(run)
    yield from (str(remark) for remark in facts.get("remarks") or ())


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Sentences, each with the lines that are indented below it, which stay lines of their own."""
    whole: list[str] = []
    for line in lines:
        if whole and line.startswith(" "):
            whole[-1] += f"\n{line.strip()}"
        else:
            whole.append(line)
    yield from whole


def _classes(result: Mapping[str, Any]) -> Iterator[str]:
    there = [entry for entry in result["classes"] if entry["images"]]
    if len(there) < 2:
        return
    best, worst = (pick(there, key=lambda entry: entry["f1"]) for pick in (max, min))
    if best["f1"] > worst["f1"]:
        names = (f"{isolated(entry['name'])} (F1 {entry['f1']:.4f})" for entry in (best, worst))
        yield "the class answered best is {}, the worst {}".format(*names)


def _calibration(run: Run, found: Any) -> Iterator[str]:
    bins = [entry for entry in (found or {}).get("bins") or () if entry["images"]]
    low, _ = (found or {}).get("ece_interval") or (0.0, 1.0)
    if not bins or found["ece"] < OFF or low <= 0:
        return
    surer = sum(entry["images"] * (entry["confidence"] - entry["accuracy"]) for entry in bins)
    line = f"its probabilities are off by {100 * found['ece']:.1f} points in the mean: it is "
    line += "surer than it should be" if surer > 0 else "less sure than it could be"
    if not calibrate.tells(run):
        line += f"; {calibrate.NOTHING_FOLLOWS.format(images='validation images')}; {calibrate.MORE_WOULD_TELL}"
    elif not run.files.calibration.exists():
        line += f"; mend that with: {run.files.to_calibrate}"
    yield line


def tiles(result: Mapping[str, Any], facts: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> Iterator[Tile]:
    """The few figures that say the most."""
    if result:
        yield _tile("accuracy", result, "accuracy")
        yield _tile("macro F1", result, "macro_f1")
        baseline = result.get("baseline")
        if isinstance(baseline, dict) and "network_adds" in baseline:
            low, high = baseline["network_adds_interval"]
            added, ends = f"{100 * baseline['network_adds']:+.1f} points", f"{100 * low:.1f} to {100 * high:.1f}"
            ends += ", may be chance" if paired.doubt(baseline.get("p"), (low, high)) else ""
            yield Tile("above the baseline", added, ends)
        calibration = result.get("calibration")
        if isinstance(calibration, dict) and "ece" in calibration:
            yield _tile("calibration error", calibration, "ece")
    parameters = facts.get("parameters")
    if isinstance(parameters, dict) and isinstance(parameters.get("total"), int):
        yield Tile("parameters", f"{parameters['total']:,}")
    if epochs:
        best = facts.get("best_epoch")
        kept = f", {best} is kept" if best and len(epochs) > 1 else ""
        yield Tile("training", _duration(seconds_of(epochs)), f"{counted(len(epochs), 'epoch')}{kept}")


def _tile(name: str, entry: Mapping[str, Any], key: str) -> Tile:
    ends = entry.get(f"{key}_interval")
    return Tile(name, percent(entry[key]), f"{100 * ends[0]:.1f} to {percent(ends[1])}" if ends else "")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{seconds / 3600:.1f} h"
