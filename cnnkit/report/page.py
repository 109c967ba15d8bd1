"""Page: all that report.html shows, from the folder of a run, its answers and its images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cnnkit.core.errors import DataError
from cnnkit.core.text import by, counted, typed
from cnnkit.core.version import __version__
from cnnkit.data.index import SPLITS
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.evaluate import recorded
from cnnkit.evaluation.exam import Shown
from cnnkit.evaluation.metrics import CLASS_METRICS, METRICS
from cnnkit.report import charts, confusion
from cnnkit.report.augmentation import Augmented, augmented
from cnnkit.report.charts import Chart
from cnnkit.report.confusion import Matrix
from cnnkit.report.pictures import Album, Picture
from cnnkit.report.tables import Table, rows_of, tables_of, with_interval, words
from cnnkit.runs.run import Run

MISTAKES, UNSURE, SAMPLES = 24, 24, 24
"""Pictures of each of these, at most."""

OF_A_CELL, OF_RIGHT = 12, 4
"""Pictures behind a cell of the confusion matrix, of wrong and of right answers."""

SURE = 0.95
"""A wrong answer at least so probable may well be right, and the label wrong."""

_SAID = {"split", "images", "loss", "calibration", *(metric.name for metric in METRICS)}
"""What of a result has a place of its own on the page."""

Of = Callable[[str], Shown]
"""The images of a split, read when they are first asked for."""


@dataclass(frozen=True)
class Page:
    """What the page shows.

    Attributes:
        name: What the run is called.
        title: The verdict in a sentence.
        remarks: What should be known beside it.
        made: By which version, and when.
        figures: The figures of each split.
        curves: Over the epochs.
        split: The split that the rest is about; None where none was evaluated.
        matrix: Of up to `confusion.MOST_CLASSES` classes.
        cells: Pictures of its cells, by their keys.
        pairs: Classes that are confused.
        classes: Figures of each class.
        calibration: The reliability diagram, and its figures; None and nothing where the result has none.
        mistakes: Wrong answers, the surest first.
        candidates: How many wrong answers are so sure that the labels may be wrong.
        unsure: The answers that are the least sure.
        more: What else was asked.
        images: The images of each class in each split.
        findings: What the doctor found.
        samples: Images that train.
        augmented: Images that train, as they are augmented.
        layers: The network.
        config: The config, as it stands in the run.
        provenance: How the run came about.
        commands: What can be done with it, and how.
        notes: What the page lacks, and why.
    """

    name: str
    title: str
    remarks: Sequence[str]
    made: str
    figures: Table | None
    curves: Sequence[Chart]
    split: str | None
    matrix: Matrix | None
    cells: Mapping[str, Sequence[Picture]]
    pairs: Table | None
    classes: Table | None
    calibration: Chart | None
    calibrated: Table | None
    mistakes: Sequence[Picture]
    candidates: int
    unsure: Sequence[Picture]
    more: Sequence[Table]
    images: Table
    findings: Sequence[str]
    samples: Sequence[Picture]
    augmented: Sequence[Augmented]
    layers: Table
    config: str
    provenance: Table
    commands: Sequence[tuple[str, str]]
    notes: Sequence[str]

    @property
    def charts(self) -> list[Chart]:
        """All of them."""
        return [*self.curves, *([self.calibration] if self.calibration else [])]

    @property
    def cell_pictures(self) -> dict[str, list[list[str]]]:
        """The pictures of the cells as the script of the page reads them."""
        return {key: [picture.as_json() for picture in pictures] for key, pictures in self.cells.items()}


def page_of(run: Run, of: Of, layers: Sequence[Any]) -> Page:
    """The page of a run.

    Args:
        run: The run.
        of: The images of its splits.
        layers: The rows of the summary of its network.

    Raises:
        TrainingError: A file of the run is damaged.
    """
    facts = run.provenance()
    results = {split: found for split in reversed(SPLITS) if (found := recorded(run, split))}
    split = next((split for split in ("test", "validation", "train") if split in results), None)
    result: Mapping[str, Any] = results[split] if split else {}
    asked = _Pictured(run, of, split)
    matrix = confusion.matrix(run.classes, result["confusion"]) if result else None
    epochs = run.history()
    # In this order, as each takes room from those behind it.
    mistakes, unsure = asked.mistakes(), asked.unsure()
    samples, changed = asked.samples(), asked.augmented()
    cells = asked.cells(result["confusion"]) if matrix else {}
    calibration = result.get("calibration")
    bins = _bins(calibration)
    return Page(
        name=run.experiment.name,
        title=_title(run, result, facts),
        remarks=[str(remark) for remark in facts.get("remarks") or ()],
        made=f"cnnkit {__version__}, {datetime.now().isoformat(' ', 'minutes')}",
        figures=_figures(results),
        curves=charts.curves(epochs, facts.get("best_epoch")) if epochs else [],
        split=split,
        matrix=matrix,
        cells=cells,
        pairs=confusion.pairs(run.classes, result["confusion"]) if result else None,
        classes=_classes(result) if result else None,
        calibration=charts.reliability(bins) if bins else None,
        calibrated=_calibrated(calibration),
        mistakes=mistakes,
        candidates=asked.candidates(),
        unsure=unsure,
        more=[
            table
            for name, value in result.items()
            if name not in _SAID and not name.endswith("_interval")
            for table in _more(name, value, result)
        ],
        images=_images(run, facts),
        findings=[str(finding.get("message")) for finding in facts["data"].get("findings") or ()],
        samples=samples,
        augmented=changed,
        layers=_layers(layers),
        config=run.files.config.read_text(encoding="utf-8", errors="replace"),
        provenance=Table("Provenance", ("", "value"), list(_provenance(facts))),
        commands=list(_commands(run)),
        notes=asked.notes(),
    )


class _Pictured:
    """The pictures of a page; where images are gone, it goes without them and says so."""

    def __init__(self, run: Run, of: Of, split: str | None):
        self._run, self._of, self._split = run, of, split
        self._album, self._missing = Album(), dict[str, str]()
        self._shown = dict[str, Shown | None]()
        self._answers = Answers.read(run, split) if split else None
        if split and self._answers is None:
            again = f"cnnkit evaluate {typed(run.folder)} --split {split}"
            self._missing[split] = f"There are no answers of the {split} images; {again} gives them."

    def _images(self, split: str) -> Shown | None:
        """The images of a split, None where they are gone."""
        if split not in self._shown:
            try:
                self._shown[split] = self._of(split)
            except DataError as error:
                self._gone(split, error)
                self._shown[split] = None
        return self._shown[split]

    def _gone(self, split: str, error: DataError) -> None:
        self._missing[split] = f"Pictures of {split} images are missing: {error}"

    def _of_answers(self, places: Sequence[int]) -> list[Picture]:
        answers, split = self._answers, self._split
        if answers is None or split is None or not len(places) or (shown := self._images(split)) is None:
            return []
        where = {name: k for k, name in enumerate(shown.names)}
        known = [place for place in places if answers.names[place] in where]
        try:
            told = [self._told(answers, place) for place in known]
            return self._album.of(shown, [where[answers.names[place]] for place in known], told)
        except DataError as error:
            self._gone(split, error)
            return []

    @staticmethod
    def _told(answers: Answers, place: int) -> str:
        label, predicted = int(answers.labels[place]), int(answers.predicted[place])
        sure = f"{100 * answers.probabilities[place, predicted]:.1f} %"
        if label == predicted:
            return f"{answers.classes[label]}: right ({sure})"
        right = f"{100 * answers.probabilities[place, label]:.1f} %"
        return f"is {answers.classes[label]} ({right}), taken for {answers.classes[predicted]} ({sure})"

    def _wrong(self) -> Any:
        assert self._answers is not None
        return (self._answers.labels != self._answers.predicted).nonzero()[0]

    def mistakes(self) -> list[Picture]:
        """Of wrong answers, the surest."""
        if self._answers is None:
            return []
        wrong = self._wrong()
        return self._of_answers(wrong[(-self._sureness()[wrong]).argsort(kind="stable")][:MISTAKES].tolist())

    def candidates(self) -> int:
        """How many answers are wrong and surer than most labels."""
        return 0 if self._answers is None else int((self._sureness()[self._wrong()] >= SURE).sum())

    def unsure(self) -> list[Picture]:
        """The answers that are the least sure."""
        return (
            [] if self._answers is None else self._of_answers(self._sureness().argsort(kind="stable")[:UNSURE].tolist())
        )

    def _sureness(self) -> Any:
        assert self._answers is not None
        return self._answers.probabilities.max(axis=1)

    def cells(self, counts: Sequence[Sequence[int]]) -> dict[str, list[Picture]]:
        """Pictures of each cell of the confusion matrix."""
        if self._answers is None:
            return {}
        found = {}
        for i, j in confusion.shown_cells(counts):
            places = confusion.places(self._answers, i, j, OF_RIGHT if i == j else OF_A_CELL)
            if pictures := self._of_answers(places):
                found[f"{i},{j}"] = pictures
        return found

    def samples(self) -> list[Picture]:
        """Images that train, of each class as many, as far as there is room."""
        if (shown := self._images("train")) is None:
            return []
        labels, names = shown.labels, self._run.classes
        seen = dict[int, int]()
        turns = []
        for place, label in enumerate(labels):
            seen[label] = seen.get(label, 0) + 1
            turns.append((seen[label], label, place))
        chosen = sorted(place for _, _, place in sorted(turns)[:SAMPLES])
        chosen.sort(key=lambda place: labels[place])
        try:
            return self._album.of(shown, chosen, [names[labels[place]] for place in chosen])
        except DataError as error:
            self._gone("train", error)
            return []

    def augmented(self) -> list[Augmented]:
        """Images that train, as they are augmented."""
        if not self._run.experiment.augment or (shown := self._images("train")) is None:
            return []
        try:
            return augmented(self._run.experiment, shown, self._album)
        except DataError as error:
            self._gone("train", error)
            return []

    def notes(self) -> list[str]:
        """What is missing, and why."""
        left_out = self._album.left_out
        more = [f"{counted(left_out, 'picture')} more had no room on this page."] if left_out else []
        return [*self._missing.values(), *more]


def _title(run: Run, result: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The verdict in a sentence."""
    if not result:
        return f"This run ({facts.get('state')}) has not been evaluated yet"
    low, high = (f"{100 * end:.1f}" for end in result["accuracy_interval"])
    images = counted(result["images"], f"{result['split']} image")
    return (
        f"{100 * result['accuracy']:.1f} % of {images} are answered rightly "
        f"(95 % interval {low} to {high} %), among {len(run.classes):,} classes"
    )


def _figures(results: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """The figures of the whole of each split."""
    if not results:
        return None
    names = list(dict.fromkeys(n for found in results.values() for n, v in found.items() if isinstance(v, int | float)))
    rows = [
        [words(name), *(with_interval(found, name) if name in found else "-" for found in results.values())]
        for name in names
    ]
    return Table("Figures", ("", *results), rows)


def _classes(result: Mapping[str, Any]) -> Table:
    """The figures of each class, with their intervals."""
    entries = result["classes"]
    first = ["name", "images", *(metric.name for metric in CLASS_METRICS)]
    known = dict.fromkeys(n for entry in entries for n in entry if not n.endswith("_interval"))
    names = [*(name for name in first if name in known), *(name for name in known if name not in first)]
    rows = [[with_interval(entry, name) if name in entry else "-" for name in names] for entry in entries]
    return Table("Every class", ["class", *(words(name) for name in names[1:])], rows)


def _bins(calibration: Any) -> list[tuple[float, float, int]]:
    """The bins of a reliability diagram that hold answers."""
    found = calibration.get("bins") if isinstance(calibration, dict) else None
    return [
        (entry["confidence"], entry["accuracy"], entry["images"])
        for entry in found or ()
        if isinstance(entry, dict) and {"confidence", "accuracy", "images"} <= entry.keys() and entry["images"]
    ]


def _calibrated(calibration: Any) -> Table | None:
    rows = list(rows_of(calibration)) if isinstance(calibration, dict) else []
    return Table("Calibration", ("", "value"), rows) if rows else None


def _more(name: str, value: Any, result: Mapping[str, Any]) -> Iterator[Table]:
    """What else was asked, as tables; single figures stand in the table of all of them."""
    if isinstance(value, dict):
        yield from tables_of(words(name).capitalize(), value)
    elif isinstance(value, list) and value:
        yield from tables_of(words(name).capitalize(), {name: value})


def _images(run: Run, facts: Mapping[str, Any]) -> Table:
    """How many images of each class are in each split."""
    counts = facts["data"].get("images_per_class") or {}
    splits = [split for split in ("train", "validation", "test") if split in counts]
    rows = [[name, *(f"{counts[split].get(name, 0):,}" for split in splits)] for name in run.classes]
    if splits and len(rows) > 1:
        rows.insert(0, ["all", *(f"{sum(counts[split].values()):,}" for split in splits)])
    return Table("Images", ("class", *splits), rows)


def _layers(layers: Sequence[Any]) -> Table:
    rows = [
        [row.name, row.type, by(row.output_shape), row.formula or "-", f"{row.macs:,}" if row.macs else "-"]
        for row in layers
    ]
    total = f"{sum(row.parameters for row in layers):,}"
    rows.append(["all layers", "", "", total, f"{sum(row.macs for row in layers):,}"])
    return Table("Network", ("layer", "type", "output", "parameters", "multiply-adds"), rows)


def _provenance(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    shown = {name: value for name, value in facts.items() if name not in ("remarks", "verdict", "data")}
    yield from rows_of(shown | {"data": {"fingerprint": facts["data"].get("fingerprint")}})
    for name, value in shown.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield words(name), json.dumps(value, ensure_ascii=False)


def _commands(run: Run) -> Iterator[tuple[str, str]]:
    folder = typed(run.folder)
    yield "Train it again", f"cnnkit train {typed(run.files.config)}"
    yield "Evaluate it again", f"cnnkit evaluate {folder}"
    yield "Classify other images", f"cnnkit predict {folder} IMAGES"
    yield "Make this page again", f"cnnkit report {folder}"
