"""Results: what was found of the splits of a run, as its folder keeps it: figures, answers and a table of these."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import keras, np
from cnnkit.data.files import tables
from cnnkit.data.index import SPLITS
from cnnkit.evaluation import metrics
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.exam import IMPOSSIBLE
from cnnkit.runs import reading
from cnnkit.runs.run import Run

SHA256 = "sha256"
"""In the file of a result the hash of all else that it tells."""


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
    result |= metrics.computed(answers)
    return result | {"temperature": run.calibration.temperature, "weights": run.weights_digest()}


def keep(run: Run, split: str, result: Mapping[str, Any], answers: Answers) -> None:
    """Writes what was found of a split, and every answer, into the run's folder.

    What was asked beside before, of the same weights with the same calibration, stays as long as it is not asked anew.

    Args:
        run: The run, with the calibration that the result is by.
        split: Which of its splits: `train`, `validation` or `test`.
        result: What was found, as `figures` has it, with what was asked beside.
        answers: Those that it was found of.

    Raises:
        DiskError: The disk is full, or fails.
    """
    result = dict(result) | _asked_before(run, split, result)
    atomic.make_folder(run.files.evaluation, exist_ok=True)
    tables.write(run.files.predictions(split), *prediction_table(answers))
    answers.write(run, split)
    write(run, split, result)


def add(run: Run, split: str, result: Mapping[str, Any]) -> None:
    """Writes what was found of a split beside what `keep` has kept of it, with that.

    Args:
        run: The run.
        split: Which of its splits.
        result: The result that was kept, with what was asked since.

    Raises:
        DiskError: The disk is full, or fails.
    """
    write(run, split, dict(result) | _asked_before(run, split, result))


def write(run: Run, split: str, result: Mapping[str, Any]) -> None:
    """Writes what was found of a split, for `read`, in the place of what was there.

    Args:
        run: The run.
        split: Which of its splits.
        result: All that is to be read of it, as JSON has it.

    Raises:
        DiskError: The disk is full, or fails.
    """
    atomic.write_json(run.files.result(split), {**result, SHA256: _digest(result)})


def recorded(run: Run | Path | str, split: str) -> dict[str, Any] | None:
    """What was found of a split before.

    None if it was not evaluated, or not by the weights and the calibration that the run has.

    Raises:
        TrainingError: It can't be read, or is damaged.
    """
    run = Run.open(run)
    found = read(run, split)
    if found is None or "accuracy_interval" not in found:  # version 0.1.0 told no intervals
        return None
    return found if _of_now(run, found) else None


def documents(run: Run, but: str | None = None) -> dict[str, dict[str, Any]]:
    """What was found of each split that was evaluated, whatever the calibration was then.

    Args:
        run: The run.
        but: A split that is not looked at.

    Raises:
        TrainingError: One can't be read, or is damaged.
    """
    found = {split: read(run, split) for split in SPLITS if split != but}
    return {split: document for split, document in found.items() if document is not None}


@dataclass(frozen=True)
class Renewed:
    """What was found before, brought up to a new calibration.

    Attributes:
        found: Of each split what is found, and the answers.
        left_out: For each split the names of what is left out, as it would have to be asked of the network again.
        same: Splits whose figures are by the same temperature already.
        outdated: Splits of which there are figures and no answers.
    """

    found: Mapping[str, tuple[dict[str, Any], Answers]]
    left_out: Mapping[str, list[str]]
    same: Sequence[str]
    outdated: Sequence[str]

    def keep(self, run: Run) -> None:
        """Writes it into the folder of the run, which has its new calibration by now.

        Raises:
            DiskError: The disk is full, or fails.
        """
        for split in self.outdated:
            run.files.result(split).unlink()
            run.files.predictions(split).unlink(missing_ok=True)
        for split, (result, answers) in self.found.items():
            keep(run, split, result, answers)


def renewed(run: Run, before: Mapping[str, Mapping[str, Any]], validation: Answers) -> Renewed:
    """Brings what was found before up to a new calibration, from the answers that were kept; nothing is written.

    What was asked beyond the metrics is asked again, as far as that needs no images.

    Args:
        run: The run with its new calibration.
        before: What was found of its splits.
        validation: Its answers to the validation images.

    Raises:
        TrainingError: Answers that were kept are damaged.
    """
    from cnnkit.evaluation.questions import QUESTIONS

    kept: dict[str, tuple[dict[str, Any], Answers]] = {}
    left_out: dict[str, list[str]] = {}
    by_the_same: list[str] = []
    outdated: list[str] = []
    for split, document in before.items():
        answers = validation if split == "validation" else Answers.read(run, split)
        if answers is None:
            if "temperature" in document:  # else it is of version 0.1.0, and tells nothing of probabilities
                outdated.append(split)
            continue
        result, left_out[split], same = figures(run, split, answers), [], _of_now(run, document)
        for name, told in document.items():
            if name in result or name == "calibrated":
                continue
            asked, again = QUESTIONS.get(name), told if same else None  # by the same temperature it is the same
            if asked and not same:
                again = asked.renewed(told, answers, validation, split == "validation")
            if again is None:
                left_out[split].append(name)
            else:
                result[name] = again
        kept[split] = result, answers
        by_the_same += [split] if same else []
    return Renewed(kept, left_out, by_the_same, outdated)


def read(run: Run, split: str) -> dict[str, Any] | None:
    """What was found of a split, whatever weights and calibration were then; None if it was not evaluated.

    Raises:
        TrainingError: It can't be read, or is damaged.
    """
    file = run.files.result(split)
    if not file.exists():
        return None
    try:
        found = reading.json_object(file)
        known = found.pop(SHA256, None)
        # Version 0.1.0 kept neither a hash nor answers.
        if (known is not None or run.files.answers(split).exists()) and known != _digest(found):
            raise TrainingError(f"{file} is damaged: its SHA-256 is not the one it was written with")
        return found
    except TrainingError as error:
        raise TrainingError(f"{error}; evaluate these images again: {run.to_evaluate(split)}") from None


def _digest(result: Mapping[str, Any]) -> str:
    """SHA-256 of a result, whatever spaces and order its file has."""
    text = json.dumps(json.loads(json.dumps(dict(result))), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _of_now(run: Run, found: Mapping[str, Any]) -> bool:
    """Whether something was found by the weights and the calibration that a run has."""
    if "weights" in found and found["weights"] != run.weights_digest():
        return False
    return bool(found.get("temperature", 1.0) == run.calibration.temperature)  # version 0.1.0 knew of neither


def _asked_before(run: Run, split: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked of a split beyond the metrics, and holds still."""
    from cnnkit.evaluation.questions import QUESTIONS

    try:
        before = recorded(run, split) or {}
    except TrainingError:  # what is written now takes the place of a damaged file, as whoever reads it is told
        return {}
    now = json.loads(json.dumps(dict(result)))
    return {
        name: before[name]
        for name in (*QUESTIONS, "calibrated")
        if name in before and (name not in now or _says_more(before[name], now[name]))
    }


def _says_more(before: Any, now: Any) -> bool:
    """Whether all that is found now was found before, and more: a threshold that was chosen; or was possible then."""
    both = isinstance(before, dict) and isinstance(now, dict)
    if both and IMPOSSIBLE in now:
        return IMPOSSIBLE not in before
    return both and len(before) > len(now) and all(name in before and before[name] == now[name] for name in now)


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
