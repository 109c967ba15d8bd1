"""Answers: what a network says of images, beside what they are; all figures follow from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import np, safetensors
from cnnkit.core.text import counted, first_line
from cnnkit.evaluation.intervals import Bootstrap, of_losses
from cnnkit.evaluation.ranking import Areas, areas
from cnnkit.runs.run import Run


@dataclass(frozen=True)
class Answers:
    """What a network says of images, beside what they are.

    Attributes:
        labels: int64 (images,), the right classes.
        probabilities: float64 (images, classes), as `predict` gives them: calibrated, if the run is.
        classes: Names of the classes.
        names: What the images are called; empty where nobody asks.
        logits: float32 (images, logits), what the network answers; None where nobody asks.
    """

    labels: Any
    probabilities: Any
    classes: Sequence[str]
    names: Sequence[str] = ()
    logits: Any = None

    @classmethod
    def of(cls, run: Run, labels: Any, logits: Any, names: Sequence[str]) -> Answers:
        """Those that a run's network gives, calibrated.

        Raises:
            TrainingError: A logit is NaN or infinite.
        """
        return cls(labels, run.probabilities(logits, names), run.classes, names, logits)

    @classmethod
    def read(cls, run: Run, split: str) -> Answers | None:
        """Those that the run gave when a split was evaluated, exactly; None where it was not, or by other weights.

        Raises:
            TrainingError: They, or the weights, can't be read, are damaged, or are not about the run's images and
                their classes.
        """
        file = run.files.answers(split)
        if not file.exists():
            return None
        weights = run.weights_digest()
        try:
            with safetensors.safe_open(file, "numpy") as opened:
                noted = json.loads((opened.metadata() or {})["answers"])
                if noted["weights"] != weights:
                    return None
                names, labels, logits = noted["names"], opened.get_tensor("labels"), opened.get_tensor("logits")
            _refuse_damaged(run, names, labels, logits)
            if noted["sha256"] != _digest(names, labels, logits):
                raise ValueError("its SHA-256 is not the one it was written with")
            _refuse_others(run, split, names, labels)
        except OSError as error:
            raise TrainingError(f"{file} can't be read: {error.strerror or first_line(error)}") from None
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else first_line(error)
            raise TrainingError(
                f"{file} is damaged: {why}; evaluate these images again: {run.to_evaluate(split)}"
            ) from None
        return cls.of(run, labels, logits, names)

    def write(self, run: Run, split: str) -> None:
        """Writes them into the run's folder, for `read`."""
        from safetensors.numpy import save

        assert self.logits is not None
        names, content = list(self.names), {"labels": np.asarray(self.labels, np.int64)}
        content["logits"] = np.asarray(self.logits, np.float32)
        noted = {"names": names, "weights": run.weights_digest(), "sha256": _digest(names, **content)}
        atomic.write_bytes(run.files.answers(split), memoryview(save(content, {"answers": json.dumps(noted)})))

    @cached_property
    def predicted(self) -> Any:
        """The likeliest class of each image, int64 (images,)."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def accuracy(self) -> float:
        """The share of the images that is answered rightly."""
        return int(np.sum(self.labels == self.predicted)) / len(self.labels)

    @cached_property
    def by_class(self) -> dict[str, Any]:
        """Precision, recall, F1 and images of each class; the precision of one that is never predicted is 0."""
        from sklearn.metrics import precision_recall_fscore_support

        columns = precision_recall_fscore_support(
            self.labels, self.predicted, labels=np.arange(len(self.classes)), average=None, zero_division=0.0
        )
        return dict(zip(("precision", "recall", "f1", "images"), columns, strict=True))

    @cached_property
    def log_losses(self) -> Any:
        """What the logarithm of the probability of the right class costs, float64 (images,); at most 36."""
        return _log_losses(self.probabilities[np.arange(len(self.labels)), self.labels])

    @cached_property
    def squared_errors(self) -> Any:
        """The squared distance of the probabilities to the truth, summed over the classes (Brier 1950); (images,)."""
        distances = np.array(self.probabilities)
        distances[np.arange(len(self.labels)), self.labels] -= 1
        return np.square(distances, out=distances).sum(axis=1)

    @property
    def log_loss_interval(self) -> list[float] | None:
        """That of the mean of `log_losses`; None where these images tell none, see `of_losses`."""
        first, second = self._likeliest
        return self._interval(self.log_losses, _log_losses(first), _log_losses(second), float(_log_losses(0.0)))

    @property
    def brier_interval(self) -> list[float] | None:
        """That of the mean of `squared_errors`, which are in 0..2; None as of `log_loss_interval`."""
        first, second = self._likeliest
        # That of class k is 1 - 2 p_k and the sum of the squares of all.
        squares = np.square(self.probabilities).sum(axis=1)
        return self._interval(self.squared_errors, 1 - 2 * first + squares, 1 - 2 * second + squares, 2.0)

    def _interval(self, losses: Any, least: Any, second: Any, most: float) -> list[float] | None:
        right = self.labels == self.predicted
        return of_losses(losses, right, least, second, 1 - self._likeliest[0], most)

    @cached_property
    def _likeliest(self) -> tuple[Any, Any]:
        """The probabilities of the likeliest class of each image and of the second, float (images,)."""
        two = np.sort(self.probabilities, axis=1)[:, -2:].clip(0, 1)
        return two[:, -1], two[:, 0]

    @cached_property
    def right_ranks(self) -> Any:
        """How many classes are likelier than the right one, int64 (images,); of equally likely ones, those behind it.

        That is scikit-learn's order.
        """
        right = self.probabilities[np.arange(len(self.labels)), self.labels][:, None]
        behind = np.arange(self.probabilities.shape[1]) > np.asarray(self.labels)[:, None]
        return ((self.probabilities > right) | ((self.probabilities == right) & behind)).sum(axis=1)

    @cached_property
    def _areas(self) -> tuple[Areas, Areas]:
        return areas(np.asarray(self.labels), self.probabilities)

    @property
    def roc(self) -> Areas:
        """Areas under the ROC curves."""
        return self._areas[0]

    @property
    def precision_recall(self) -> Areas:
        """Areas under the curves of precision by recall."""
        return self._areas[1]

    @cached_property
    def bootstrap(self) -> Bootstrap:
        """What figures of the confusion matrix are with the images drawn anew."""
        return Bootstrap(self.confusion())

    def confusion(self) -> Any:
        """How many images of each class (rows) are taken for each class (columns), as lists."""
        from sklearn.metrics import confusion_matrix

        return confusion_matrix(self.labels, self.predicted, labels=np.arange(len(self.classes))).tolist()

    def majority_class(self) -> dict[str, Any]:
        """The class that most images have, and the accuracy of always saying it."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        largest = int(counts.argmax())
        return {"name": self.classes[largest], "accuracy": int(counts[largest]) / len(self.labels)}

    def never_predicted(self) -> list[str]:
        """The classes that some of the images have and none is taken for."""
        predicted = set(self.predicted.tolist())
        return [self.classes[label] for label in np.unique(self.labels).tolist() if label not in predicted]


def _log_losses(probabilities: Any) -> Any:
    return -np.log(np.clip(probabilities, np.finfo(np.float64).eps, None))


def _digest(names: Sequence[str], labels: Any, logits: Any) -> str:
    """SHA-256 of what is kept of answers."""
    digest = hashlib.sha256(json.dumps(names).encode())
    for array in (labels, logits):
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _refuse_damaged(run: Run, names: Any, labels: Any, logits: Any) -> None:
    """Refuses what `Answers.write` has not written.

    Raises:
        ValueError: With what is wrong.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("its names are no list of names")
    count, columns = len(names), run.experiment.train.loss.logits(len(run.classes))
    for what, array, kind, shape in (
        ("labels", labels, np.int64, (count,)),
        ("logits", logits, np.float32, (count, columns)),
    ):
        if array.dtype != kind or array.shape != shape:
            should = f"{np.dtype(kind).name} {shape}"
            raise ValueError(f"its {what} are {array.dtype.name} {array.shape} in place of {should}")
    if not np.isfinite(logits).all():
        raise ValueError("one of its logits is no number")
    if wrong := labels[(labels < 0) | (labels >= len(run.classes))].tolist():
        raise ValueError(f"{wrong[0]} is the label of none of the {counted(len(run.classes), 'class', 'classes')}")


def _refuse_others(run: Run, split: str, names: Sequence[str], labels: Any) -> None:
    """Refuses answers that are not about the images of a split, each of them once, with their classes.

    Raises:
        ValueError: With what is wrong.
        TrainingError: The record of the splits is missing or damaged.
    """
    known = {row.image: row.label for row in run.split(split)}
    if len(names) != len(known) or known.keys() != set(names):
        raise ValueError(f"it is not about the {counted(len(known), f'{split} image')} of the run")
    wrong = [name for name, label in zip(names, labels.tolist(), strict=True) if run.classes[label] != known[name]]
    if wrong:
        are = "is not that" if len(wrong) == 1 else "are not those"
        told = f"{counted(len(wrong), 'label')} {are} of {run.files.split.name}"
        raise ValueError(f"{told}, first that of {wrong[0]}")
