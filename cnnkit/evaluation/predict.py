"""Predict: labels and probabilities for new images."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from cnnkit.core.lazy import np
from cnnkit.core.machine import cores
from cnnkit.core.progress import Progress
from cnnkit.core.text import visible, visible_in_json
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.files import tables
from cnnkit.data.files.decoding import BadImage
from cnnkit.evaluation.familiarity import Familiarity, Seen, with_features
from cnnkit.evaluation.new_images import NewImage, find_images
from cnnkit.runs.run import Run


@dataclass(frozen=True)
class Prediction:
    """What a network says of an image, or why it can't.

    Attributes:
        image: The file.
        label: The likeliest class.
        probability: How likely the network holds it.
        probabilities: The same of every class, in their order.
        unsure: Whether that is below the run's threshold (`Calibration.unsure`); None where the run has none.
        unfamiliar: How far it is from the training images, over the distance that 99 of 100 others of their kind keep:
            above 1 it is unlike all that the network has seen; None where the run does not tell, or tells too badly.
        error: Why the file could not be decoded; the rest is None then.
    """

    image: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    unsure: bool | None = None
    unfamiliar: float | None = None
    error: str | None = None

    def top(self, count: int) -> list[dict[str, Any]]:
        """The likeliest classes, the likeliest first: `label` and `probability` of each."""
        ranked = sorted((self.probabilities or {}).items(), key=lambda named: -named[1])[:count]
        return [{"label": label, "probability": probability} for label, probability in ranked]

    def document(self, top: int | None = None) -> dict[str, Any]:
        """As JSON has it, with the likeliest classes under `top` where a number of them is given."""
        told = asdict(self)
        return told if top is None else told | {"top": self.top(top)}


def predict(
    run: Run | Path | str, paths: Sequence[Path | str] | Path | str, progress: Progress | None = None
) -> Iterator[Prediction]:
    """Predicts the class of each image, in the order given, folders and archives in the order of their names.

    Args:
        run: The run, or its folder.
        paths: Image files, and folders and archives that are searched for such; one, or several.
        progress: Is told how far it is.

    Yields:
        A prediction for each file; one that is no image is told by its `error`.

    Raises:
        UsageError: A path does not exist.
        DataError: A folder or an archive holds no image, or an archive can't be read.
        TrainingError: The run has no usable checkpoint, or its network answers what is no number.
    """
    progress = progress or Progress()
    run = Run.open(run)
    paths = [paths] if isinstance(paths, Path | str) else paths
    yield from predict_images(run, find_images(paths, progress).images, progress)


def predict_images(run: Run, images: Sequence[NewImage], progress: Progress) -> Iterator[Prediction]:
    """Predicts the class of each image that was found, in their order."""
    predicting = _Predicting(run, progress)
    with progress.task("predicting", len(images)) as advance:
        for batch in _batches(_decoded(images, run.preprocessing), run.experiment.data.batch_size):
            yield from predicting.batch(batch)
            advance(len(batch))


_Decoded: TypeAlias = tuple[NewImage, Any]
"""An image with its pixels for the network, uint8 (H, W, C), or with a text why it can't be decoded."""

_AT_ONCE = 32
"""Images that a thread decodes before it hands them on: handing on takes as long as decoding one of 28 pixels."""

_AHEAD = 128
"""Images that are decoded, or being decoded, while the network is at work on others."""


def _decoded(images: Sequence[NewImage], preprocessing: Preprocessing) -> Iterator[_Decoded]:
    """The images, decoded ahead of whoever takes them, in their order."""

    def decoded(image: NewImage) -> _Decoded:
        if image.error:
            return image, image.error
        try:
            return image, preprocessing.of_file(Path(image.file))
        except BadImage as error:
            return image, str(error)

    def some(start: int) -> list[_Decoded]:
        return [decoded(image) for image in images[start : start + _AT_ONCE]]

    starts = iter(range(0, len(images), _AT_ONCE))
    pool = ThreadPoolExecutor(cores())
    try:
        ahead = deque(pool.submit(some, start) for start in itertools.islice(starts, _AHEAD // _AT_ONCE))
        while ahead:
            done = ahead.popleft().result()
            ahead.extend(pool.submit(some, start) for start in itertools.islice(starts, 1))
            yield from done
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(images: Iterable[_Decoded], size: int) -> Iterator[list[_Decoded]]:
    """Batches with `size` images that could be decoded in each but the last one, and those that could not between them.

    A network is made ready anew for each number of images that it is shown at once, which takes longer than a batch.
    """
    batch: list[_Decoded] = []
    good = 0
    for image, content in images:
        batch.append((image, content))
        good += not isinstance(content, str)
        if good == size:
            yield batch
            batch, good = [], 0
    if batch:
        yield batch


class _Predicting:
    """A run's network at work on batches."""

    def __init__(self, run: Run, progress: Progress):
        self.run, self.network = run, run.network(progress)
        known = Familiarity.read(run)
        self.known = known if known and known.tells else None
        self.seeing = with_features(self.network) if self.known else None
        self.shown = 0
        """Images in the largest batch so far."""

    def batch(self, images: Sequence[_Decoded]) -> Iterator[Prediction]:
        """The predictions of images that could be decoded, or not, in their order."""
        good = [(image.name, pixels) for image, pixels in images if not isinstance(pixels, str)]
        rows = iter(self._rows(*zip(*good, strict=True)) if good else ())
        for image, content in images:
            if isinstance(content, str):
                yield Prediction(image.name, error=content)
            else:
                probabilities, far = next(rows)
                yield _prediction(image, probabilities, far, self.run.classes, self.run.calibration.unsure)

    def _rows(self, names: Sequence[str], pixels: Sequence[Any]) -> Iterable[tuple[Any, float | None]]:
        """Of each image its probabilities, and how unfamiliar it is."""
        self.shown = max(self.shown, len(pixels))
        given = np.empty((self.shown, *pixels[0].shape), np.float32)
        given[: len(pixels)] = pixels
        given[len(pixels) :] = 0  # the last batch is filled up, see `_batches`
        if not (self.known and self.seeing):
            logits = self.network.predict_on_batch(given)[: len(pixels)]
            return zip(self.run.probabilities(logits, names), itertools.repeat(None))
        *seen, logits = (output[: len(pixels)] for output in self.seeing.predict_on_batch(given))
        return zip(self.run.probabilities(logits, names), self.known.scores(Seen(*seen)).tolist(), strict=True)


def _prediction(
    image: NewImage, probabilities: Any, far: float | None, classes: Sequence[str], threshold: float | None
) -> Prediction:
    best = int(probabilities.argmax())
    values = probabilities.tolist()
    unsure = None if threshold is None else values[best] < threshold
    return Prediction(image.name, classes[best], values[best], dict(zip(classes, values, strict=True)), unsure, far)


def csv_lines(predictions: Iterable[Prediction], classes: Sequence[str]) -> Iterator[str]:
    """A CSV, line by line: its header, and as they come a row for each prediction, with a column for each class.

    Control characters in names are written as escapes.
    """
    header = ["image", "label", "probability", *(f"p_{name}" for name in classes), "unsure", "unfamiliar", "error"]
    return tables.lines_of(header, (_row(prediction, classes) for prediction in predictions))


def _row(told: Prediction, classes: Sequence[str]) -> list[str | None]:
    if told.probabilities is None:
        return [visible(told.image), *[None] * (len(classes) + 4), visible(told.error or "")]
    unsure = {None: None, True: "yes", False: "no"}[told.unsure]
    far = None if told.unfamiliar is None else f"{told.unfamiliar:.3f}"
    numbers = [f"{number:.6f}" for number in (told.probability, *told.probabilities.values())]
    return [visible(told.image), told.label, *numbers, unsure, far, None]


def json_lines(predictions: Iterable[Prediction], top: int | None = None) -> Iterator[str]:
    """A JSON object a line for each prediction, with its likeliest classes where a number of them is given."""
    for prediction in predictions:
        yield visible_in_json(json.dumps(prediction.document(top), ensure_ascii=False, allow_nan=False)) + "\n"
