"""Test-time augmentation: what it would add to ask a network about several views of an image, and what it would cost.

The probabilities of an image as it is and of augmented views of it are averaged, as Krizhevsky, Sutskever and Hinton
2012 ("ImageNet classification with deep convolutional neural networks", section 4.1) did with ten crops. The views are
those of the run's own training: what its config calls harmless to a label, and what its network has learnt to see
through. A mirrored image, the usual view of photographs, is not harmless to digits, letters or left and right lungs, so
no view is taken that the run does not name.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from cnnkit.config.messages import in_words
from cnnkit.core.errors import UsageError
from cnnkit.core.lazy import np
from cnnkit.core.text import counted, enumerated, typed
from cnnkit.data.augmentations.base import Augmentation, Mixing
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.index import Index
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.exam import Exam, Question
from cnnkit.evaluation.gate import with_ends
from cnnkit.evaluation.intervals import wilson
from cnnkit.evaluation.paired import Paired, doubt, mean_interval
from cnnkit.runs.run import Run


@dataclass(frozen=True)
class TestTimeAugmentation(Question):
    """What would augmented views of each image add, averaged with the image as it is, and what would they cost?

    The views follow from the run's seed and the contents of an image: they are the same whatever images it is among,
    and those of fewer views are the first of those of more.

    Attributes:
        views: How many beside the image as it is, 1 or more.
    """

    name: ClassVar[str] = "tta"
    __test__: ClassVar[bool] = False  # of pytest, which takes classes with such a name for tests

    views: int

    def __post_init__(self) -> None:
        if self.views < 1:
            raise UsageError(f"--tta {self.views}: should be 1 view or more, such as 8")

    def refuse(self, run: Run) -> None:
        """Refuses a run whose training has no augmentation of single images."""
        if _of_single_images(run):
            return
        why = "has none but what blends images with each other" if run.experiment.augment else "has no augmentation"
        raise UsageError(
            f"--tta {self.views}: the training of {run.folder} {why}, so nothing tells which changes leave its labels "
            "true (a mirrored 2 is no 2), and its network has not learnt to see through any; train one that has: "
            f"cnnkit train {typed(run.files.config, ['augment=[{name: shift}]'])}"
        )

    def answered(self, exam: Exam) -> dict[str, Any]:
        """Accuracy and log loss with the views and without, both differences, and the cost."""
        plain = exam.answers
        means, seconds, seconds_of_one = self._asked(exam)
        averaged = Answers(plain.labels, means, plain.classes)
        pairs = Paired.of(averaged.labels == averaged.predicted, plain.labels == plain.predicted)
        saved = plain.log_losses - averaged.log_losses
        augmentations = exam.run.experiment.augment
        return {
            "views": self.views,
            "augmentations": [in_words(each) for each in augmentations if not isinstance(each, Mixing)],
            "left_out": [in_words(each) for each in augmentations if isinstance(each, Mixing)],
            **_told(averaged),
            "plain": _told(plain) | {"seconds_per_image": seconds_of_one},
            "adds": pairs.difference,
            "adds_interval": list(pairs.difference_interval),
            "p": pairs.p,
            "log_loss_reduction": float(np.mean(saved)),
            "log_loss_reduction_interval": mean_interval(saved),
            "times_the_computing": self.views + 1,
            "seconds_per_image": seconds,
        }

    def figures(self, classes: Sequence[str], index: Index | None = None) -> list[str] | None:
        """Those of `answered`."""
        own = with_ends("accuracy", "log_loss")
        cost = ("times_the_computing", "seconds_per_image", "plain.seconds_per_image")
        return ["views", *own, *(f"plain.{name}" for name in own), *with_ends("adds", "log_loss_reduction"), "p", *cost]

    def _asked(self, exam: Exam) -> tuple[Any, float, float]:
        """The mean probabilities of the views and the image itself; seconds an image for all of them, and for one."""
        chain = Chain(_of_single_images(exam.run), exam.run.experiment.seed)
        numbers, names, keys = exam.shown.numbers, exam.shown.names, exam.shown.keys
        size = exam.run.experiment.data.batch_size
        totals = exam.answers.probabilities.copy()
        augmenting = asking = 0.0
        with exam.progress.task("asking about augmented views", self.views * len(numbers)) as advance:
            for first in range(0, len(numbers), size):
                part = slice(first, first + size)
                pixels = exam.shown.images.rows(numbers[part])
                for view in range(self.views):
                    begun = time.perf_counter()
                    batch = chain.images(pixels, view, keys[part])
                    made = time.perf_counter()
                    logits = exam.network.predict_on_batch(batch)
                    asking += time.perf_counter() - made
                    augmenting += made - begun
                    totals[part] += exam.run.probabilities(logits, names[part])
                    advance(len(pixels))
        # The image itself was asked about before; that costs what asking about a view does, and is not augmented.
        one = asking / (self.views * len(numbers))
        return totals / (self.views + 1), (self.views + 1) * one + augmenting / len(numbers), one

    def lines(self, found: Mapping[str, Any]) -> Iterator[str]:
        """What the views add to the accuracy, how they change the log loss, and what they cost."""
        plain, adds, (low, high) = found["plain"], found["adds"], found["adds_interval"]
        what = f"{counted(found['views'], 'augmented view')} ({'; '.join(found['augmentations'])})"
        change = (
            f"adds {adds:.4f} (95 % interval {low:.4f} to {high:.4f})"
            if adds >= 0
            else f"takes {-adds:.4f} away (95 % interval of the difference {low:.4f} to {high:.4f})"
        )
        yield (
            f"tta: {what} averaged with the plain one: accuracy {found['accuracy']:.4f} in place of "
            f"{plain['accuracy']:.4f}; {change}{doubt(found.get('p'), (low, high))}"
        )
        saved, ends = found["log_loss_reduction"], found["log_loss_reduction_interval"]
        told = f"  log loss {found['log_loss']:.4f} in place of {plain['log_loss']:.4f}: {abs(saved):.4f} "
        told += "less" if saved >= 0 else "more"
        if ends:
            low, high = ends if saved >= 0 else (-ends[1], -ends[0])
            told += f" (95 % interval {low:.4f} to {high:.4f}){doubt(None, (low, high))}"
        yield told
        many, one = (1000 * part["seconds_per_image"] for part in (found, plain))
        yield (
            f"  cost: {found['times_the_computing']} times the computing of the plain one; here {many:.3g} ms an image "
            f"in place of {one:.3g} ms"
        )
        if found["left_out"]:
            yield f"  without {enumerated(found['left_out'], 'and')}, which blends images with each other"


def _of_single_images(run: Run) -> list[Augmentation]:
    """The augmentations of a run that make a view of an image from it alone."""
    return [each for each in run.experiment.augment if not isinstance(each, Mixing)]


def _told(answers: Answers) -> dict[str, Any]:
    return {
        "accuracy": answers.accuracy,
        "accuracy_interval": wilson(answers.accuracy, len(answers.labels)),
        "log_loss": float(np.mean(answers.log_losses)),
        "log_loss_interval": answers.log_loss_interval,
    }
