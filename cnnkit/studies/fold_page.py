"""The page of all folds: what they say together, with pictures behind the cells of their matrix, and a way to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnkit.core.errors import UsageError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted, enumerated, typed
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.results import recorded
from cnnkit.report import charts, confusion, gallery, report, run_tables
from cnnkit.report.gallery import Gallery
from cnnkit.report.headline import rightly
from cnnkit.report.joint import Joint, of_them
from cnnkit.report.page import bins_of, made
from cnnkit.report.pictures import Album, Picture
from cnnkit.report.tables import Table, said, unbroken, with_interval
from cnnkit.runs.files import Files
from cnnkit.runs.run import FINISHED, Run
from cnnkit.studies import fold_results, folds
from cnnkit.studies.fold_results import SPLIT


def write(folder: Path | str, progress: Progress, path: Path | None = None, settings: Sequence[str] = ()) -> Path:
    """Writes the page of all folds; where their images are gone, without pictures.

    Args:
        folder: That of the folds.
        progress: Is told how far it is.
        path: The file; report.html in the folder by default.
        settings: `KEY=VALUE` pairs over the configs of the runs, for images that moved.

    Returns:
        The file.

    Raises:
        UsageError: The folder holds no folds, or one has not been evaluated yet.
        TrainingError: Their record, or a file of a run, is damaged.
        DiskError: The disk has no room for it, or fails.
    """
    study = folds.opened(folder)
    path = path or Files(study.folder).report
    states = {fold: study.state(fold) for fold in range(1, study.count + 1)}
    on = f"cnnkit train --resume {typed(study.folder)}"
    if missing := [str(fold) for fold, state in states.items() if state is None]:
        many = f"{study.count} folds, not yet trained: {enumerated(missing, 'and')}"
        if begun := [str(fold) for fold, state in states.items() if state not in (None, FINISHED)]:
            many += f", not to the end: {enumerated(begun, 'and')}"
        raise UsageError(f"{study.folder} has {many}; go on with: {on}")
    document, answers = fold_results.judged(study.folder, {fold: study.run(fold) for fold in states}, progress)
    if not document["pooled"]:
        raise UsageError(f"{study.folder}: {enumerated(document['remarks'], 'and')}; go on with: {on}")
    if behind := [str(fold) for fold, state in states.items() if state != FINISHED]:
        document["remarks"].append(f"not trained to the end: {enumerated(behind, 'and')}; go on with: {on}")
    runs = [Run.open(study.run(fold)).with_settings(*settings) for fold in states]
    with progress.task("writing the report", 1):
        page = _page(study, runs, document, list(answers.values()), path, progress)
        report.keep(page, path)
    return path


def _page(
    study: folds.Study,
    runs: Sequence[Run],
    document: Mapping[str, Any],
    answers: Sequence[Answers],
    path: Path,
    progress: Progress,
) -> Joint:
    names, pooled = [run.folder.name for run in runs], document["pooled"]
    counts = pooled["confusion"]
    pairs = confusion.pairs(runs[0].classes, counts)
    album = Album()
    galleries = [Gallery(run, report.images_of(run, progress), SPLIT, album) for run in runs]
    ends = np.cumsum([len(each.labels) for each in answers])

    def pictures(places: Sequence[int]) -> list[Picture]:
        found = []
        for place in places:
            fold = int(np.searchsorted(ends, place, "right"))
            found += galleries[fold].of_answers([int(place - ends[fold] + len(answers[fold].labels))])
        return found

    told = [fold_results.spread_line(document), *document["remarks"], *confusion.most(pairs)]
    together = fold_results.together(list(answers))
    mistakes = pictures(gallery.surest_mistakes(together))
    cells = gallery.of_cells(together, counts, pictures)
    histories = {name: run.history() for name, run in zip(names, runs, strict=True)}
    bins = bins_of(pooled["calibration"])
    images = counted(pooled["images"], "image")
    return Joint(
        kind=f"the {len(runs)} folds of {study.folder.resolve().name}",
        name=study.folder.resolve().name,
        title=f"{rightly(pooled, images)}, each by a network that was not shown it, among {len(counts):,} classes",
        told=[unbroken(line) for line in told],
        made=made(),
        notes=list(dict.fromkeys(note for each in galleries for note in each.notes())),
        runs=[of_them(run, name, recorded(run, SPLIT) or {}, path) for run, name in zip(runs, names, strict=True)],
        figures=run_tables.figures({"all folds": pooled}),
        settings=None,
        cost=None,
        curves=charts.curves_of_runs(histories),
        classes=run_tables.classes(pooled),
        beside=_table(document),
        confused=True,
        matrix=confusion.matrix(runs[0].classes, counts),
        pairs=pairs,
        cells=cells,
        calibration=charts.reliability(bins) if bins else None,
        mistakes=mistakes,
    )


def _table(document: Mapping[str, Any]) -> Table:
    """A row for each fold, and one for all."""
    rows = [
        [str(entry["fold"]), *_figures(entry), f"{entry['best_epoch']} of {entry['epochs']}"]
        for entry in document["runs"]
    ]
    foot = ["all", *_figures(document["pooled"]), ""]
    return Table("Folds", ("fold", "images", "accuracy", "macro F1", "loss", "best epoch"), rows, foot)


def _figures(entry: Mapping[str, Any]) -> list[Any]:
    return [
        said(entry["images"]), with_interval(entry, "accuracy"), with_interval(entry, "macro_f1"), said(entry["loss"])
    ]  # fmt: skip
