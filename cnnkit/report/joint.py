"""Joint: the page of several runs beside each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cnnkit.core.errors import DataError, TrainingError
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted, enumerated, typed
from cnnkit.data.index import SPLITS
from cnnkit.evaluation.results import recorded
from cnnkit.inspection import comparison
from cnnkit.report import charts, headline, run_tables
from cnnkit.report.charts import Chart
from cnnkit.report.confusion import Matrix, Pair
from cnnkit.report.page import made
from cnnkit.report.pictures import Picture
from cnnkit.report.sections import Sections
from cnnkit.report.tables import Table, percent, said, unbroken, with_interval
from cnnkit.runs.epochs import seconds_of
from cnnkit.runs.run import Run


@dataclass(frozen=True)
class OfThem:
    """A run on the page.

    Attributes:
        name: What it is called beside the others.
        title: Its verdict in a sentence.
        link: The address of its own page, from this one; empty where it has none.
        command: What writes that.
    """

    name: str
    title: str
    link: str
    command: str


@dataclass(frozen=True)
class Joint(Sections):
    """What the page shows.

    Attributes:
        kind: What it is of, in words.
        name: What the runs are called.
        title: What comes of it, in a sentence.
        told: Which two can be told apart.
        made: By which version, and when.
        notes: What the page lacks, and why.
        runs: The runs.
        figures: The figures of each.
        settings: Their settings that differ.
        cost: What each costs.
        curves: Over the epochs.
        classes: The recall of each class in each run, where they have the same; of folds its figures in all of them.
        beside: The runs in a table, beside their verdicts.
        confused: Whether their answers are counted together, as those of folds; what follows is of all of them.
        matrix: Of up to `confusion.MOST_CLASSES` classes.
        pairs: Classes that are confused.
        cells: Pictures of the cells of the matrix, or of the pairs, by their keys.
        calibration: The reliability diagram.
        mistakes: Wrong answers, the surest first.
    """

    kind: str
    name: str
    title: str
    told: Sequence[str]
    made: str
    notes: Sequence[str]
    runs: Sequence[OfThem]
    figures: Table | None
    settings: Table | None
    cost: Table | None
    curves: Sequence[Chart]
    classes: Table | None
    beside: Table | None = None
    confused: bool = False
    matrix: Matrix | None = None
    pairs: Sequence[Pair] = ()
    cells: Mapping[str, Sequence[Picture]] = field(default_factory=dict)
    calibration: Chart | None = None
    mistakes: Sequence[Picture] = ()

    @property
    def sections(self) -> Sequence[tuple[str, str, object]]:
        """Those that there may be."""
        return (
            ("runs", "Runs", True),
            ("figures", "Figures", self.figures),
            ("settings", "Settings", self.settings),
            ("cost", "Cost", self.cost),
            ("curves", "Curves", self.curves),
            ("confusion", "Confusion", self.confused),
            ("classes", "Classes", self.classes),
            ("calibration", "Calibration", self.calibration),
            ("mistakes", "Mistakes", self.mistakes),
        )


def joint_of(runs: Sequence[Run], path: Path, progress: Progress) -> Joint:
    """The page of several runs.

    Args:
        runs: Two or more. Those of the same images that were not evaluated are evaluated.
        path: Where the page will lie.
        progress: Is told how far it is.

    Raises:
        UsageError: One is named twice.
        TrainingError: A file of a run is damaged.
    """
    comparison.opened_runs(runs)
    names, notes = comparison.titles(runs), []
    document: Mapping[str, Any] = {}
    try:
        document = comparison.compare(runs, "test", progress)
        notes.extend(document["remarks"])
    except (DataError, TrainingError) as error:
        of_folds = list(_of_folds(runs))
        if not of_folds or isinstance(error, TrainingError):  # of folds it is known why, unless one is damaged
            notes.append(f"They are not compared image by image: {error}")
        notes.extend(of_folds)
    split = next((split for split in reversed(SPLITS) if all(recorded(run, split) for run in runs)), "test")
    results = {name: recorded(run, split) or {} for name, run in zip(names, runs, strict=True)}
    known = {name: found for name, found in results.items() if found}
    histories = {name: run.history() for name, run in zip(names, runs, strict=True)}
    return Joint(
        kind=f"{len(runs)} runs",
        name=", ".join(names),
        title=_title(known, document, len(runs)),
        told=[unbroken(pair["told"]) for pair in document.get("pairs", ())],
        made=made(),
        notes=notes,
        runs=[of_them(run, name, results[name], path) for name, run in zip(names, runs, strict=True)],
        figures=run_tables.figures(known),
        settings=Table(
            "Settings that differ",
            ("setting", *names),
            [[entry["key"], *map(_setting, entry["values"])] for entry in comparison.differing(runs)],
        ),
        cost=_cost(runs, names, document, histories),
        curves=charts.curves_of_runs(histories),
        classes=_classes(known),
    )


def _of_folds(runs: Sequence[Run]) -> Iterator[str]:
    """Where all are folds of one network, that these have a page together."""
    folders = {folder and folder.resolve(): folder for folder in (run.folds for run in runs)}
    if len(folders) == 1 and (folder := next(iter(folders.values()))):
        yield (
            "They are folds, which are judged on other images each, so they are not compared; what they say together "
            f"is told by: cnnkit report {typed(folder)}"
        )


def _title(results: Mapping[str, Any], document: Mapping[str, Any], count: int) -> str:
    if not results:
        return f"{count} runs beside each other"
    highest = max(float(found["accuracy"]) for found in results.values())
    best = [name for name, found in results.items() if found["accuracy"] == highest]
    share, names = percent(highest), enumerated(best, "and")
    if document:
        images = counted(document["images"], f"{document['split']} image")
        often = "more" if count == 2 else "most"
        most = f"are right {often} often" if len(best) < count else "are right equally often"
        most = most.replace("are", "is", 1) if len(best) == 1 else most
        return f"{count} runs on the same {images}: {names} {most}, {share}{_ties(best, document['pairs'])}"
    return f"{count} runs that are not compared: {share} is the highest accuracy, of {names}"


def _ties(best: Sequence[str], pairs: Sequence[Mapping[str, Any]]) -> str:
    """From which others those with the highest accuracy can't be told apart; nothing if from none.

    Those that are equally often right may differ in it, as they are right about other images.
    """
    of_each = {name: [p["second"] for p in pairs if p["better"] is None and p["first"] == name] for name in best}
    others = {name: tuple(second for second in seconds if second not in best) for name, seconds in of_each.items()}
    told = []
    for tied in dict.fromkeys(others.values()):
        names = [name for name in best if others[name] == tied]
        who = "it" if len(best) == 1 else "they" if len(names) == len(best) else enumerated(names, "and")
        told += [f"{who} cannot be told apart from {enumerated(tied, 'and')}"] if tied else []
    return f", which may be chance: {', '.join(told)}" if told else ""


def of_them(run: Run, name: str, result: Mapping[str, Any], path: Path) -> OfThem:
    """A run on the page at a path, by its result, which may be empty."""
    link = ""
    if run.files.report.exists():
        link = quote(Path(os.path.relpath(run.files.report.resolve(), path.resolve().parent)).as_posix())
        link = f"./{link}"  # else a colon in the name of a folder would make an address of it
    title = headline.title(run, result, run.provenance())
    return OfThem(name, title, link, f"cnnkit report {typed(run.folder)}")


def _setting(value: str | None) -> str:
    return "-" if value is None else value


def _cost(
    runs: Sequence[Run], names: Sequence[str], document: Mapping[str, Any], histories: Mapping[str, Any]
) -> Table:
    rows = [["parameters", *(said((run.provenance().get("parameters") or {}).get("total")) for run in runs)]]
    if document:
        rows.append(["multiply-adds of an image", *(said(each["macs"]) for each in document["runs"])])
    told = [histories[name] for name in names]  # of none nothing is known, which is not that it cost nothing
    rows.append(["epochs", *(said(len(history) or None) for history in told)])
    seconds = map(seconds_of, told)
    rows.append(["seconds of training", *(f"{s:,.1f}" if h else "-" for s, h in zip(seconds, told, strict=True))])
    return Table("Cost", ("", *names), rows)


def _classes(results: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """The recall of each class; None where there is nothing, or it is of other classes."""
    entries = [{entry["name"]: entry for entry in found["classes"]} for found in results.values()]
    if not entries or any(entry.keys() != entries[0].keys() for entry in entries):
        return None
    rows = [[name, *(with_interval(entry[name], "recall") for entry in entries)] for name in entries[0]]
    return Table("Recall of every class", ("class", *results), rows)
