"""Suspects: images whose label is probably wrong, the most suspicious first.

A network that was trained on an image has learnt its label too, right or wrong. So each image is judged by classifiers
that were fitted without it, in folds in which what belongs together never parts. Features that a run has learnt by
heart know the label all the same, however the classifier on them is fitted: whether they do is measured, and if so the
images that they were learnt from are not judged by them. Pictures that lie in two classes need no judge: one of the
labels of copies is wrong, as is one of near-copies but for pairs that differ in what matters, and they come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cnnkit.config.experiment import Experiment
from cnnkit.core import atomic
from cnnkit.core import sheet as sheets
from cnnkit.core.cache import cache_folder, why_not_written
from cnnkit.core.errors import DataError, DiskError, UsageError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted, first_of
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.index import Index
from cnnkit.evaluation import label_errors
from cnnkit.inspection.doctor import examine
from cnnkit.inspection.doctor.base import Report
from cnnkit.runs.run import Run
from cnnkit.studies import material
from cnnkit.studies.several import several
from cnnkit.training import head
from cnnkit.training.data import TrainingData

Kind = Literal["copy", "near_copy", "unlike"]
"""Why an image is a suspect, the surest first."""

OF_THE_DOCTOR: dict[str, Kind] = {"contradicting_labels": "copy", "near_contradicting": "near_copy"}
"""Findings of the doctor about pictures that lie in two classes."""

LESS_OFTEN, SURE = 2 / 3, 0.05
"""A run is taken to know its labels by heart where its images are contradicted so much less often than others, with a
p-value below the second."""

PICTURES, COLUMNS = 60, 6
"""Of the sheet, at most."""


@dataclass(frozen=True)
class Suspect:
    """An image whose label is probably wrong.

    Attributes:
        file: What it is called.
        label: Its class as it is given.
        suggested: The class that it is more likely of.
        score: How right the label looks, 0..1: the normalised margin by classifiers that did not see the image; None
            of a picture in two classes that they do not judge.
        kind: Why it is suspected.
        reason: The same in words.
    """

    file: str
    label: str
    suggested: str
    score: float | None
    kind: Kind
    reason: str


@dataclass(frozen=True)
class Suspects:
    """The images whose labels are probably wrong.

    Attributes:
        images: How many were looked at.
        by: By what they were judged, in words.
        accuracy: The share of the labels that the classifiers named too, out of fold, of the images that are judged.
        by_heart: The same share of those that are not judged, as the run has learnt their labels; None if all are.
        not_judged: How many these are.
        wrong: An estimate of the share of the labels that is wrong (confident learning).
        suspects: They, the most suspicious first.
        sheet: The sheet of the first of them; None if there are none, or it can't be written to the cache.
    """

    images: int
    by: str
    accuracy: float
    wrong: float
    suspects: tuple[Suspect, ...]
    sheet: str | None = None
    by_heart: float | None = None
    not_judged: int = 0

    @property
    def judged(self) -> int:
        """How many labels were judged."""
        return self.images - self.not_judged

    def as_json(self) -> dict[str, Any]:
        """The document of `cnnkit data --suspects --json`."""
        return asdict(self)


@several()
def find(
    experiment: Experiment,
    run: Run | Path | str | None = None,
    progress: Progress | None = None,
    sheet: Path | None = None,
) -> Suspects:
    """Looks for images whose labels are probably wrong among all of an experiment.

    Args:
        experiment: The experiment.
        run: A run, or its folder, whose network tells what images are like; without one a pretrained network of the
            experiment does, else its network is trained once for each fold.
        progress: Is told how far it is.
        sheet: The file of the sheet, a PNG; in the cache by default.

    Returns:
        Its `suspects`, the most suspicious first, have `file`, `label`, `suggested`, `score`, `kind` and `reason`;
        `as_json()` is the document of `cnnkit data --suspects --json`.

    Raises:
        UsageError: It is no run, has other classes, or was trained on all of the images.
        DataError: The images can't be learnt from.
    """
    run, progress = None if run is None else Run.open(run), progress or Progress()
    data = material.material(experiment, progress, run.preprocessing if run else None)
    index = data.images.index
    if run and set(index.classes) != set(run.classes):
        own, theirs = (", ".join(first_of(classes)) for classes in (index.classes, run.classes))
        message = f"that run tells apart {theirs}, and the images are {own}; name a run of these classes, or `folds`"
        raise UsageError(f"--suspects {run.folder}: {message}")
    report = examine.examine(experiment.data, progress)
    probabilities, by = judged(data, run, progress)
    right = probabilities.argmax(axis=1) == index.labels
    outside = ~learnt(run, data, right) if run else np.ones(len(index), bool)
    suspects = tuple(suspected(index, probabilities, report, outside))
    wrong = float(1 - np.trace(label_errors.joint(index.labels[outside], probabilities[outside])))
    by_heart = None if outside.all() else float(right[~outside].mean())
    drawn = _drawn(index, suspects, sheet, progress)
    count = int((~outside).sum())
    return Suspects(len(index), by, float(right[outside].mean()), wrong, suspects, drawn, by_heart, count)


def learnt(run: Run, data: TrainingData, right: Any) -> Any:
    """The images whose labels the network of a run has learnt by heart, so that its features can't judge them.

    Wrong labels are found as classifiers on its features contradict them. Where they contradict surely less on images
    that it was trained on than on others, below `LESS_OFTEN` times as often, it hides the wrong labels of these.

    Args:
        run: The run.
        data: The images.
        right: bool (n,), whose label the classifiers name that were fitted without it.

    Returns:
        bool (n,): all that the run was trained on, and what belongs together with these; or none.

    Raises:
        UsageError: There are no others, so that it can't be told, and none is left to judge.
    """
    from scipy.stats import fisher_exact

    digests, groups = {row.digest for row in run.split("train")}, data.groups()
    seen = {group for group, digest in zip(groups, data.images.index.digests, strict=True) if digest in digests}
    trained = np.asarray([group in seen for group in groups], bool)
    if trained.all():
        raise UsageError(
            f"--suspects {run.folder}: that run was trained on all of these images, so it can't judge their labels; "
            "judge without a run: --suspects folds"
        )
    table = [[int((~right & part).sum()), int((right & part).sum())] for part in (trained, ~trained)]
    (wrong, named), (others_wrong, others_named) = table
    seldom = wrong * (others_wrong + others_named) < LESS_OFTEN * others_wrong * (wrong + named)
    by_heart = seldom and fisher_exact(table, "less").pvalue < SURE
    return trained if by_heart else np.zeros(len(trained), bool)


def judged(data: TrainingData, run: Run | None, progress: Progress) -> tuple[Any, str]:
    """The probabilities of the classes of each image by what was not fitted to it, float64 (n, K); and by what.

    The features of a run may have been; see `learnt`.
    """
    index, groups, seed = data.images.index, data.groups(), data.experiment.seed
    if run or data.experiment.model.pretrained:
        if run:
            features, whose = material.features_of_run(run, data, progress), f"the network of {run.folder}"
        else:
            features, whose = material.features_of_backbone(data, progress), "the pretrained network"
        with progress.task("judging the labels", len(head.STRENGTHS) + head.FOLDS) as advance:
            found = head.out_of_fold(features, index.labels, groups, len(index.classes), seed, advance)
        return found, f"classifiers on what {whose} makes of images, fitted without those that they judge"
    return _trained(data, groups, progress), "networks of the config, trained without the images that they judge"


def _trained(data: TrainingData, groups: list[str], progress: Progress) -> Any:
    """The same by the network of the experiment, trained once for each fold."""
    index, folds = data.images.index, head.FOLDS
    # Each fold is two of ten parts; the part behind it chooses the best epoch, so that the fold itself does not.
    parts = head.dealt(index.labels, groups, data.experiment.seed, 2 * folds)
    if (apart := len(set(parts.tolist()))) < 2 * folds:
        raise DataError(
            f"{counted(apart, 'image')} that do not belong together are too few to train on some and judge others; at "
            f"least {2 * folds} are needed, or a run or a pretrained network that tells what images are like"
        )
    found = np.empty((len(index), len(index.classes)))
    progress.say(f"{counted(folds, 'training')} of the config's network, each on 7 tenths of the images")
    with progress.task("training for each fold", folds) as advance:
        for fold in range(folds):
            asked, chooses = parts // 2 == fold, parts == (2 * fold + 2) % (2 * folds)
            train, validation, outside = (np.flatnonzero(mask).tolist() for mask in (~asked & ~chooses, chooses, asked))
            found[asked] = material.probabilities_of_training(data, train, validation, outside, progress)
            advance(1)
    return found


def suspected(index: Index, probabilities: Any, report: Report, asked: Any = None) -> Iterator[Suspect]:
    """The suspects, the most suspicious first.

    Args:
        index: The images.
        probabilities: float64 (n, K), out of fold.
        report: What the doctor says of the same images.
        asked: bool (n,), the images that the probabilities judge; all if left out.
    """
    numbers_asked = np.flatnonzero(np.ones(len(index), bool) if asked is None else asked)
    quality = np.full(len(index), np.nan)
    quality[numbers_asked] = label_errors.quality(index.labels[numbers_asked], probabilities[numbers_asked])
    numbers = {name: i for i, name in enumerate(index.names)}
    told: set[int] = set()
    for kind, means in OF_THE_DOCTOR.items():
        for group in (group for finding in report.findings if finding.kind == kind for group in finding.groups):
            members = [numbers[name] for name in group if name in numbers]
            for i in (i for i in members if i not in told):
                others = sorted({int(index.labels[k]) for k in members} - {int(index.labels[i])})
                if others:
                    told.add(i)
                    best = max(others, key=lambda label: probabilities[i, label])
                    same = "the same picture" if means == "copy" else "nearly the same picture"
                    names = ", ".join(index.classes[label] for label in others)
                    yield _suspect(index, i, best, quality[i], means, f"{same} is in {names} too")
    labels, probabilities_asked = index.labels[numbers_asked], probabilities[numbers_asked]
    order, count = label_errors.ranked(labels, probabilities_asked)
    for place in order[:count].tolist():
        i = int(numbers_asked[place])
        if i in told:
            continue
        label = int(probabilities[i].argmax())
        reason = f"looks like {index.classes[label]} ({probabilities[i, label]:.2f})"
        yield _suspect(index, i, label, quality[i], "unlike", reason)


def _suspect(index: Index, i: int, suggested: int, score: float, kind: Kind, reason: str) -> Suspect:
    label = index.classes[int(index.labels[i])]
    known = None if np.isnan(score) else round(float(score), 4)
    return Suspect(index.names[i], label, index.classes[suggested], known, kind, reason)


def _drawn(index: Index, suspects: tuple[Suspect, ...], file: Path | None, progress: Progress) -> str | None:
    """Draws the sheet of the first suspects, and tells where."""
    shown = suspects[:PICTURES]
    if not shown:
        return None
    numbers = {name: i for i, name in enumerate(index.names)}
    cells = [
        sheets.Cell(
            index.decode(numbers[each.file], 3, sheets.LARGE).pixels, (each.file, f"{each.label}: {each.reason}")
        )
        for each in shown
    ]
    columns = min(COLUMNS, len(cells))
    blank = sheets.Cell(np.full((sheets.SMALL, sheets.SMALL, 3), 255, np.uint8), ())
    cells += [blank] * (-len(cells) % columns)
    heading = f"{len(shown)} of {counted(len(suspects), 'label')} that may be wrong, the most suspicious first"
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    if file is not None:
        try:
            sheets.draw(file, heading, [""] * columns, rows)
        except OSError as error:
            raise UsageError(f"--sheets {file.parent} can't be written: {error.strerror or error}") from None
        return str(file)
    what = repr((index.fingerprint(), shown)).encode(errors="surrogateescape")
    file = cache_folder() / "doctor" / "suspects" / f"{digest_of(what)}.png"
    try:
        atomic.make_folder(file.parent, parents=True, exist_ok=True)
        sheets.draw(file, heading, [""] * columns, rows)
    except (OSError, DiskError) as error:
        progress.say(f"no sheet of them: {why_not_written(error, file.parent)}; choose a folder with --sheets")
        return None
    return str(file)


def write_list(file: Path, found: Suspects, before: tuple[str, ...] = ()) -> int:
    """Writes the suspects in the form that `data.exclude` takes: one name a line, a comment with the reason before it.

    Args:
        file: Is written whole or not at all.
        found: The suspects.
        before: Names that are left out already, and stay on the list.

    Returns:
        How many names there are.
    """
    from cnnkit.inspection.doctor.fix_list import line

    lines = ["# left out before", *map(line, before)] if before else []
    listed = set(before)
    for each in found.suspects:
        if each.file not in listed:
            score = "" if each.score is None else f", score {each.score:.3f}"
            reason = " ".join(f"{each.label}{score}: {each.reason}".split())
            lines += [f"# {reason}", line(each.file)]
            listed.add(each.file)
    atomic.write_text(file, "".join(f"{text}\n" for text in lines or ["# no label looks wrong"]))
    return len(listed)
