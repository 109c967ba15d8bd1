"""Page: all that report.html shows, from the folder of a run, its answers and its images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cnnkit.core.text import typed
from cnnkit.core.version import __version__
from cnnkit.data.index import SPLITS
from cnnkit.evaluation.results import recorded
from cnnkit.inspection.summary import Row
from cnnkit.report import charts, confusion, headline, run_tables
from cnnkit.report.augmentation import Augmented
from cnnkit.report.charts import Chart
from cnnkit.report.confusion import Matrix, Pair
from cnnkit.report.gallery import Gallery, Of
from cnnkit.report.headline import Tile
from cnnkit.report.pictures import Picture
from cnnkit.report.sections import Sections
from cnnkit.report.suspected import Search, Suspected, search_of
from cnnkit.report.tables import Table, unbroken
from cnnkit.runs.run import Run


@dataclass(frozen=True)
class Page(Sections):
    """What the page shows.

    Attributes:
        name: What the run is called: its folder, and of a fold that of all of them before it.
        title: The verdict in a sentence.
        told: What should be known beside it.
        tiles: The few figures that say the most.
        made: By which version, and when.
        notes: What the page lacks, and why.
        figures: The figures of each split.
        methods: What simple methods reach, the network beside them.
        curves: Over the epochs.
        kept: What is said of the epoch that was kept.
        split: The split that the rest is about; None where none was evaluated.
        matrix: Of up to `confusion.MOST_CLASSES` classes.
        pairs: Classes that are confused.
        cells: Pictures of the cells of the matrix, or of the pairs, by their keys.
        classes: Figures of each class.
        calibration: The reliability diagram, and its figures; None and nothing where the result has none.
        suspects: Images whose label may be wrong.
        suspected: How many there are, and how far to believe that.
        search: What searches the training images for such too.
        mistakes: Wrong answers, the surest first.
        unsure: The answers that are the least sure.
        more: What else was asked.
        images: The images of each class in each split.
        findings: What the doctor found.
        examination: The command that looks at the images; empty where they were looked at before the training.
        samples: Images that train.
        augmented: Images that train, as they are augmented.
        layers: The network.
        config: The config, as it stands in the run.
        provenance: How the run came about.
        commands: What can be done with it, and how.
    """

    name: str
    title: str
    told: Sequence[str]
    tiles: Sequence[Tile]
    made: str
    notes: Sequence[str]
    figures: Table | None
    methods: Table | None
    curves: Sequence[Chart]
    kept: str
    split: str | None
    matrix: Matrix | None
    pairs: Sequence[Pair]
    cells: Mapping[str, Sequence[Picture]]
    classes: Table | None
    calibration: Chart | None
    calibrated: Table | None
    suspects: Sequence[Picture]
    suspected: Suspected
    search: Search
    mistakes: Sequence[Picture]
    unsure: Sequence[Picture]
    more: Sequence[Table]
    images: Table
    findings: Sequence[str]
    examination: str
    samples: Sequence[Picture]
    augmented: Sequence[Augmented]
    layers: Table
    config: str
    provenance: Table
    commands: Sequence[tuple[str, str]]

    @property
    def sections(self) -> Sequence[tuple[str, str, object]]:
        """Those that there may be."""
        return (
            ("figures", "Figures", self.figures),
            ("curves", "Curves", self.curves),
            ("confusion", "Confusion", self.split),
            ("classes", "Classes", self.split),
            ("calibration", "Calibration", self.calibration or self.calibrated),
            ("suspects", "Doubtful labels", self.suspects),
            ("mistakes", "Mistakes", self.mistakes),
            ("unsure", "Unsure", self.unsure),
            ("more", "More", self.more),
            ("data", "Data", True),
            ("augmentation", "Augmentation", self.augmented),
            ("network", "Network", True),
            ("config", "Config", True),
            ("provenance", "Provenance", True),
            ("repeat", "Repeat", True),
        )


def page_of(run: Run, of: Of, layers: Sequence[Row]) -> Page:
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
    epochs, best = run.history(), facts.get("best_epoch")
    gallery = Gallery(run, of, split)
    # In this order, as each takes room from those behind it.
    mistakes, (suspects, suspected), unsure = gallery.mistakes(), gallery.suspects(), gallery.unsure()
    samples, augmented = gallery.samples(), gallery.augmented()
    cells = gallery.cells(result["confusion"]) if result else {}
    pairs = confusion.pairs(run.classes, result["confusion"]) if result else []
    calibration = result.get("calibration")
    bins = bins_of(calibration)
    return Page(
        name="/".join(folder.resolve().name for folder in (run.folds, run.folder) if folder),
        title=headline.title(run, result, facts),
        told=[unbroken(line) for line in headline.sentences(run, result, facts, pairs, suspected)],
        tiles=list(headline.tiles(result, facts, epochs)),
        made=made(),
        notes=gallery.notes(),
        figures=run_tables.figures(results),
        methods=run_tables.methods(result),
        curves=charts.curves(epochs, best) if epochs else [],
        kept=f"Dotted: epoch {best}, which is kept." if best and len(epochs) > 1 else "",
        split=split,
        matrix=confusion.matrix(run.classes, result["confusion"]) if result else None,
        pairs=pairs,
        cells=cells,
        classes=run_tables.classes(result) if result else None,
        calibration=charts.reliability(bins) if bins else None,
        calibrated=run_tables.calibrated(calibration),
        suspects=suspects,
        suspected=suspected,
        search=search_of(run),
        mistakes=mistakes,
        unsure=unsure,
        more=list(run_tables.more(result)),
        images=run_tables.images(run, facts),
        findings=[f"{found.get('severity')}: {found.get('message')}" for found in facts["data"].get("findings") or ()],
        examination="" if facts["data"].get("examined") else f"cnnkit data {typed(run.files.config)}",
        samples=samples,
        augmented=augmented,
        layers=run_tables.layers(layers),
        config=run.files.config.read_text(encoding="utf-8", errors="replace"),
        provenance=run_tables.provenance(facts),
        commands=list(_commands(run)),
    )


def made() -> str:
    """By which version a page was made, and when."""
    return f"cnnkit {__version__}, {datetime.now().isoformat(' ', 'minutes')}"


def bins_of(calibration: Any) -> list[tuple[float, float, int]]:
    """The bins of a reliability diagram that hold answers."""
    found = calibration.get("bins") if isinstance(calibration, dict) else None
    return [
        (entry["confidence"], entry["accuracy"], entry["images"])
        for entry in found or ()
        if isinstance(entry, dict) and {"confidence", "accuracy", "images"} <= entry.keys() and entry["images"]
    ]


def _commands(run: Run) -> Iterator[tuple[str, str]]:
    folder = typed(run.folder)
    yield "Train it again", f"cnnkit train {typed(run.files.config)}"
    yield "Evaluate it again", f"cnnkit evaluate {folder}"
    yield "Classify other images", f"cnnkit predict {folder} IMAGES"
    yield "Compare it with another run", f"cnnkit compare {folder} RUN"
    yield "Look at all its images", f"cnnkit data {typed(run.files.config)}"
    yield "Make this page again", f"cnnkit report {folder}"
