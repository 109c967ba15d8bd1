"""Comparison: runs beside each other, what differs in their settings, and whether they can be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from cnnkit.config import yaml12
from cnnkit.config.differences import between
from cnnkit.config.experiment import Experiment
from cnnkit.config.file import leaves
from cnnkit.core.errors import UsageError
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted, enumerated
from cnnkit.data.index import refuse_other_splits
from cnnkit.evaluation import metrics
from cnnkit.evaluation.paired import BORDER, Paired, holm, may_be_chance, on_the_border, p_text
from cnnkit.inspection import same_images
from cnnkit.inspection.summary import summarize
from cnnkit.runs.epochs import seconds_of
from cnnkit.runs.run import Run
from cnnkit.runs.stopped import stopped


def compare(runs: Sequence[Run | Path | str], split: str = "test", progress: Progress | None = None) -> dict[str, Any]:
    """Compares runs on the images of a split, which have to be the same ones for all.

    Args:
        runs: Two or more, or their folders. One that was not evaluated with its present weights is evaluated.
        split: `test`, `validation` or `train`.
        progress: Is told how far it is.

    Returns:
        The document that `cnnkit compare --json` prints: `runs` with metrics and cost, `settings` that differ, in
        `pairs` each two of them, the better one first, and in `remarks` what else should be known.

    Raises:
        DataError: Their images or classes are others, with how many.
        TrainingError: A run is damaged, or has no usable checkpoint.
        UsageError: They are not two runs, or there is no such split.
    """
    opened, progress = opened_runs(runs), progress or Progress()
    refuse_other_splits(split)
    told = same_images.aligned(opened, split, progress)
    names = titles(opened)
    costs = list(_costs(opened, progress))
    found = [metrics.computed(answers) for answers in told]
    pairs = []
    for i, k in combinations(range(len(opened)), 2):
        first, second = (i, k) if found[i]["accuracy"] >= found[k]["accuracy"] else (k, i)
        pairs.append((first, second, Paired.of(*(told[n].predicted == told[n].labels for n in (first, second)))))
    corrected = holm([paired.p for *_, paired in pairs])
    return {
        "split": split,
        "images": len(told[0].labels),
        "runs": [
            {"run": str(run.folder), "name": name, "metrics": _with_intervals(each), **cost}
            for run, name, each, cost in zip(opened, names, found, costs, strict=True)
        ],
        "settings": differing(opened),
        "pairs": [
            _pair(names[first], names[second], paired, p, len(pairs))
            for (first, second, paired), p in zip(pairs, corrected, strict=True)
        ],
        "correction": "holm" if len(pairs) > 1 else None,
        "remarks": _remarks(opened, names),
    }


def opened_runs(runs: Sequence[Run | Path | str]) -> list[Run]:
    """Two or more different runs.

    Raises:
        UsageError: They are less than two, or one is named twice.
    """
    opened = [Run.open(run) for run in runs]
    if len(opened) < 2:
        raise UsageError("one run alone can't be compared; name two or more: cnnkit compare RUN RUN")
    places = [run.folder.resolve() for run in opened]
    if twice := [run for i, run in enumerate(opened) if places[i] in places[:i]]:
        raise UsageError(f"{twice[0].folder} is named twice; name each run once")
    return opened


def titles(runs: Sequence[Run]) -> list[str]:
    """What runs are called beside each other: by their folders, with as many of those above as tell them apart."""
    parts = [run.folder.resolve().parts for run in runs]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise AssertionError("two runs are in the same folder")


def flat(experiment: Experiment) -> dict[str, Any]:
    """All settings of a complete experiment by their dotted paths."""
    return {".".join(map(str, path)): value for path, value in leaves(experiment.model_dump())}


def differing(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The settings that differ, defaults filled in, each with its values as YAML has them; null where there is none."""
    first, *others = (run.experiment for run in runs)
    keys = dict.fromkeys(difference.key for other in others for difference in between(first, other))
    settings = [flat(run.experiment) for run in runs]
    return [
        {"key": key, "values": [yaml12.line(values[key]) if key in values else None for values in settings]}
        for key in keys
    ]


def _with_intervals(found: dict[str, Any]) -> dict[str, Any]:
    """Of all figures those that have an interval, with it; and the others that are single numbers."""
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, float) or (name.endswith("_interval") and name.removesuffix("_interval") in found)
    }


def _costs(runs: Sequence[Run], progress: Progress) -> Iterator[dict[str, Any]]:
    """Parameters and multiply-adds of one image, as `summary` counts them, and the seconds of the training's epochs."""
    counts: dict[str, tuple[int, int]] = {}
    with progress.task("counting the networks", len(runs)) as advance:
        for run in runs:
            what = f"{run.experiment.model!r} {run.shape} {len(run.classes)}"
            if what not in counts:
                run.experiment.model.fetch(progress)
                summary = summarize(run.experiment, run.shape, len(run.classes))
                counts[what] = summary.parameters["total"], summary.macs
            parameters, macs = counts[what]
            history = run.history()
            known = bool(history) or not run.provenance().get("epochs")  # else its metrics were removed
            epochs = len(history) if known else None
            seconds = seconds_of(history) if known else None
            yield {"parameters": parameters, "macs": macs, "epochs": epochs, "training_seconds": seconds}
            advance(1)


def _pair(first: str, second: str, paired: Paired, p: float, tests: int) -> dict[str, Any]:
    """Two runs, of which the first answers at least as many images rightly."""
    apart = not may_be_chance(p)
    return {
        "better": first if apart else None,
        "first": first,
        "second": second,
        "only_first": paired.first,
        "only_second": paired.second,
        "difference": paired.difference,
        "difference_interval": list(paired.difference_interval),
        "test": "mcnemar_exact" if paired.exact else "mcnemar_corrected",
        "p": paired.p,
        "p_corrected": p if tests > 1 else None,
        "told": _told(first, second, paired, p, tests),
    }


def _told(first: str, second: str, paired: Paired, p: float, tests: int) -> str:
    """How much better, and how sure.

    Args:
        first: The run that answers at least as many images rightly.
        second: The other one.
        paired: What they answer rightly.
        p: By it they are told apart: that of the test, by Holm's method the larger the more tests there are.
        tests: How many there are.
    """
    several = tests > 1
    counts = f"{paired.first:,} against {counted(paired.second, 'image')} of {paired.images:,}, {p_text(paired.p)}"
    holms = f" ({p_text(p)} with Holm's correction for {tests} tests)" if several else ""
    low, high = (100 * end for end in paired.difference_interval)
    # Holm's method corrects no interval, so it may leave 0 out where the test, corrected, finds nothing.
    ends = f"(95 % interval {low:.1f} to {high:.1f}{', of these two alone' if several else ''}"
    ends += f", {BORDER})" if on_the_border(paired.p, paired.difference_interval) else ")"
    ahead = 100 * paired.difference
    if may_be_chance(p):
        if not paired.first + paired.second:
            said = f"{first} and {second} cannot be told apart: they answer the same images rightly"
        else:
            said = f"{first} and {second} cannot be told apart: {counts}{holms}"
        return f"{said}; the accuracies differ by {ahead:.1f} points {ends}"
    said = f"{first} is better than {second} by {ahead:.1f} points of accuracy {ends}"
    chance = f"1 of {int(1 / paired.p):,}" if paired.p > 1e-6 else "less than 1 of 1,000,000"
    return f"{said}: {counts}{holms}; equally good ones come so far apart in {chance} such tests"


def _remarks(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """What makes figures differ beside what the networks have learnt."""
    return [*_stopped(runs, names), *not_all_calibrated(runs, names)]


def _stopped(runs: Sequence[Run], names: Sequence[str]) -> Iterator[str]:
    for run, name in zip(runs, names, strict=True):
        if words := stopped(run):
            yield f"the training of {name} {words}: its figures are those of the best of these"


def not_all_calibrated(
    runs: Sequence[Run], names: Sequence[str], before: str = "you compare these", after: str = ""
) -> list[str]:
    """Where only some are, what is to be done before something else, and after it; nothing otherwise."""
    calibrated = [run.files.calibration.exists() for run in runs]
    if all(calibrated) or not any(calibrated):
        return []
    which = [name for name, is_so in zip(names, calibrated, strict=True) if is_so]
    others = [run for run, is_so in zip(runs, calibrated, strict=True) if not is_so]
    commands = " and ".join(run.files.to_calibrate for run in others[:3])
    return [
        f"only {enumerated(which, 'and')} {'is' if len(which) == 1 else 'are'} calibrated. That changes no answer, but "
        f"log loss, Brier score, calibration error and areas, so calibrate the others before {before}: "
        f"{commands}{' ...' * (len(others) > 3)}{after}"
    ]
