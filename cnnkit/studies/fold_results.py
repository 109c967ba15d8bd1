"""What the runs of all folds say together: of each fold, how far these lie apart, and of all images as one."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import counted, typed
from cnnkit.data.files import tables
from cnnkit.evaluation import metrics
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.results import prediction_table, recorded
from cnnkit.inspection import comparison
from cnnkit.runs.run import FINISHED, Run

SPLIT = "test"
"""The split that a fold is."""

OF_RUN = ("images", "accuracy", "accuracy_interval", "macro_f1", "macro_f1_interval", "loss")
"""What is taken over from the evaluation of each run."""

INDEPENDENT = (
    "The networks of the folds share training images, so the folds do not vary independently, and no estimate of that "
    "from them is unbiased (Bengio and Grandvalet 2004): the truth may lie farther off than spread and interval say."
)


def summary(folder: Path, runs: Mapping[int, Path], progress: Progress) -> dict[str, Any]:
    """The figures of all folds; what was answered to every image is written into predictions.csv.

    Args:
        folder: That of the folds.
        runs: The folder of the run of each fold.
        progress: Is told how far it is.

    Raises:
        TrainingError: The evaluation of a run is damaged, of other weights than it has, or lost.
    """
    document, answers = judged(folder, runs, progress)
    if document["pooled"]:
        (first, *more), rows = prediction_table(together(list(answers.values())))
        numbers = [fold for fold, of_fold in answers.items() for _ in of_fold.labels]
        table = [[name, number, *rest] for number, (name, *rest) in zip(numbers, rows, strict=True)]
        tables.write(folder / "predictions.csv", (first, "fold", *more), table)
    return document


def judged(folder: Path, runs: Mapping[int, Path], progress: Progress) -> tuple[dict[str, Any], dict[int, Answers]]:
    """The same figures, and the answers of each fold that was evaluated; nothing is written."""
    entries: list[dict[str, Any]] = []
    answers: dict[int, Answers] = {}
    opened: list[Run] = []
    lost: list[str] = []
    with progress.task("judging all folds together", len(runs)) as advance:
        for fold, path in runs.items():
            run = Run.open(path)
            record = run.provenance()
            entry = {"fold": fold, "run": str(path), "state": record.get("state")}
            entry |= {name: record.get(name) for name in ("epochs", "best_epoch")}
            of_fold, result = Answers.read(run, SPLIT), recorded(run, SPLIT)
            if of_fold and result:
                answers[fold] = of_fold
                entry |= {name: result[name] for name in OF_RUN}
            elif record.get("state") == FINISHED or run.files.result(SPLIT).exists():
                lost.append(f"{path} has no evaluation by the weights that it has; make one: {run.to_evaluate(SPLIT)}")
            entries.append(entry)
            opened.append(run)
            advance(1)
        if lost:  # going on with the training would not bring these back
            raise TrainingError(*lost)
        document: dict[str, Any] = {"run": str(folder), "folds": len(runs), "runs": entries}
        if len(answers) < len(runs):
            lacking = counted(len(runs) - len(answers), "fold")
            remark = f"{lacking} not yet evaluated, so there are no figures of all images together"
            return document | {"accuracy": None, "pooled": None, "remarks": [remark]}, answers
        document["accuracy"] = spread([entry["accuracy"] for entry in entries])
        pooled = together(list(answers.values()))
        loss = np.average([entry["loss"] for entry in entries], weights=[entry["images"] for entry in entries])
        images = len(pooled.labels)
        document["pooled"] = {"split": "all folds", "images": images, "loss": float(loss)} | metrics.computed(pooled)
        names = [f"fold {fold}" for fold in runs]
        again = f", and then: cnnkit report {typed(folder)}"
        document["remarks"] = [
            INDEPENDENT,
            *comparison.not_all_calibrated(opened, names, "you look at those of all folds", again),
        ]
    return document, answers


def together(answers: list[Answers]) -> Answers:
    """Those of several networks to different images, as if one had given them."""
    if len({tuple(each.classes) for each in answers}) > 1:
        raise TrainingError("the runs of the folds have different classes; train the folds anew")
    return Answers(
        np.concatenate([each.labels for each in answers]),
        np.concatenate([each.probabilities for each in answers]),
        answers[0].classes,
        [name for each in answers for name in each.names],
    )


def spread(values: list[float]) -> dict[str, float]:
    """Mean, standard deviation (of a sample: by n - 1), lowest and highest of some values, two at least."""
    return {
        "mean": statistics.fmean(values),
        "standard_deviation": statistics.stdev(values),
        "lowest": min(values),
        "highest": max(values),
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The figures of all folds in sentences."""
    if found["pooled"]:
        yield spread_line(found)
        yield metrics.line(found["pooled"])
    yield from found["remarks"]


def spread_line(found: Mapping[str, Any]) -> str:
    """How far the folds lie apart."""
    of_folds = found["accuracy"]
    return (
        f"accuracy of {found['folds']} folds: mean {of_folds['mean']:.4f}, standard deviation "
        f"{of_folds['standard_deviation']:.4f}, from {of_folds['lowest']:.4f} to {of_folds['highest']:.4f}"
    )
