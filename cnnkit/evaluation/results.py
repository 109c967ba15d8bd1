"""Results: what was found of the splits of a run, as its folder keeps it: figures, answers and a table of these."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import keras, np
from cnnkit.core.text import typed
from cnnkit.data.files import tables
from cnnkit.data.index import SPLITS
from cnnkit.evaluation import metrics
from cnnkit.evaluation.answers import Answers
from cnnkit.runs import reading
from cnnkit.runs.run import Run


def figures(run: Run, split: str | None, answers: Answers, source: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What answers are worth: loss and metrics.

    Args:
        run: The run.
        split: Which of its splits was asked about; None where it was other images.
        answers: What its network says.
        source: What is told of where other images are from.
    """
    result: dict[str, Any] = {"split": split} | ({"source": dict(source)} if source else {})
    result |= {"images": len(answers.labels), "loss": _loss(run, answers)}
    return result | metrics.computed(answers) | {"temperature": run.calibration.temperature}


def keep(run: Run, split: str, result: Mapping[str, Any], answers: Answers) -> None:
    """Writes what was found of a split, and every answer, into the run's folder."""
    atomic.make_folder(run.files.evaluation, exist_ok=True)
    tables.write(run.files.predictions(split), *prediction_table(answers))
    answers.write(run, split)
    atomic.write_json(run.files.result(split), dict(result))


def recorded(run: Run | Path | str, split: str) -> dict[str, Any] | None:
    """What was found of a split before; None if it was not evaluated, or not with the calibration that the run has.

    Raises:
        TrainingError: It can't be read, or is damaged.
    """
    run = Run.open(run)
    found = _document(run, split)
    if found is None or "accuracy_interval" not in found:  # version 0.1.0 told no intervals
        return None
    return found if found.get("temperature", 1.0) == run.calibration.temperature else None


def documents(run: Run, but: str | None = None) -> dict[str, dict[str, Any]]:
    """What was found of each split that was evaluated, whatever the calibration was then.

    Args:
        run: The run.
        but: A split that is not looked at.

    Raises:
        TrainingError: One can't be read, or is damaged.
    """
    found = {split: _document(run, split) for split in SPLITS if split != but}
    return {split: document for split, document in found.items() if document is not None}


def renewed(run: Run, before: Mapping[str, Mapping[str, Any]], validation: Answers) -> dict[str, list[str]]:
    """Brings what was found before up to a new calibration, from the answers that were kept, and keeps it.

    What was asked beyond the metrics is asked again, as far as that needs no images.

    Args:
        run: The run with its new calibration.
        before: What was found of its splits.
        validation: Its answers to the validation images.

    Returns:
        For each of the splits the names of what is left out, as it would have to be asked of the network again.
    """
    from cnnkit.evaluation.questions import QUESTIONS

    left_out: dict[str, list[str]] = {}
    for split, document in before.items():
        answers = validation if split == "validation" else Answers.read(run, split)
        if answers is None:
            if "temperature" in document:  # else it is of version 0.1.0, and tells nothing of probabilities
                run.files.result(split).unlink()
                run.files.predictions(split).unlink(missing_ok=True)
            continue
        result, left_out[split] = figures(run, split, answers), []
        for name, told in document.items():
            if name in result or name == "calibrated":
                continue
            asked = QUESTIONS.get(name)
            again = asked.renewed(told, answers, validation, split == "validation") if asked else None
            if again is None:
                left_out[split].append(name)
            else:
                result[name] = again
        keep(run, split, result, answers)
    return left_out


def _document(run: Run, split: str) -> dict[str, Any] | None:
    file = run.files.result(split)
    if not file.exists():
        return None
    try:
        return reading.json_object(file)
    except TrainingError as error:
        again = f"cnnkit evaluate {typed(run.folder)} --split {split}"
        raise TrainingError(f"{error}; evaluate these images again: {again}") from None


def _loss(run: Run, answers: Answers) -> float:
    """The mean of the loss of its training, which knows no temperature."""
    one_hot = keras.ops.one_hot(answers.labels, len(answers.classes))
    losses = run.experiment.train.loss(one_hot, keras.ops.convert_to_tensor(answers.logits))
    return float(np.mean(keras.ops.convert_to_numpy(losses), dtype=np.float64))


def prediction_table(answers: Answers) -> tuple[tuple[str, ...], list[Any]]:
    """Header and rows: image, its label, the predicted class, and the probability of each class."""
    classes = answers.classes
    header = ("image", "label", "predicted", "probability", *(f"p_{name}" for name in classes))
    rows = [
        [name, classes[label], classes[best], *(f"{p:.6f}" for p in (row[best], *row))]
        for name, label, best, row in zip(
            answers.names, answers.labels, answers.predicted, answers.probabilities, strict=True
        )
    ]
    return header, rows
