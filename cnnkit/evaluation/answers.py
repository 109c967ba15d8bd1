"""Answers: what a network says of images, beside what they are; all figures follow from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cnnkit.core import atomic
from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import np, safetensors
from cnnkit.core.text import first_line
from cnnkit.evaluation.intervals import Bootstrap
from cnnkit.evaluation.ranking import Areas
from cnnkit.runs import reading
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
            TrainingError: They can't be read, or are damaged.
        """
        file = run.files.answers(split)
        if not file.exists():
            return None
        try:
            with reading.told(file), safetensors.safe_open(file, "numpy") as opened:
                noted = json.loads((opened.metadata() or {})["answers"])
                names, weights = noted["names"], noted["weights"]
                labels, logits = opened.get_tensor("labels"), opened.get_tensor("logits")
                if not len(labels) == len(logits) == len(names):
                    raise ValueError("its parts are of different lengths")
        except (safetensors.SafetensorError, KeyError, TypeError) as error:
            raise TrainingError(f"{file} is damaged: {first_line(error)}; evaluate the run again") from None
        return cls.of(run, labels, logits, names) if weights == run.weights_digest() else None

    def write(self, run: Run, split: str) -> None:
        """Writes them into the run's folder, for `read`."""
        from safetensors.numpy import save

        assert self.logits is not None
        noted = json.dumps({"names": list(self.names), "weights": run.weights_digest()})
        content = {"labels": np.asarray(self.labels, np.int64), "logits": np.asarray(self.logits, np.float32)}
        atomic.write_bytes(run.files.answers(split), memoryview(save(content, {"answers": noted})))

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
        right = self.probabilities[np.arange(len(self.labels)), self.labels]
        return -np.log(np.clip(right, np.finfo(np.float64).eps, None))

    @cached_property
    def squared_errors(self) -> Any:
        """The squared distance of the probabilities to the truth, summed over the classes (Brier 1950); (images,)."""
        truth = np.arange(self.probabilities.shape[1]) == np.asarray(self.labels)[:, None]
        return np.square(self.probabilities - truth).sum(axis=1)

    @cached_property
    def roc(self) -> Areas:
        """Areas under the ROC curves."""
        return Areas.roc(self.labels, self.probabilities)

    @cached_property
    def precision_recall(self) -> Areas:
        """Areas under the curves of precision by recall."""
        return Areas.precision_recall(self.labels, self.probabilities)

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
