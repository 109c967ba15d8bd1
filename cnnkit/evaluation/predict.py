"""Predict: labels and probabilities for new images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.text import visible, visible_in_json
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.files import tables
from cnnkit.data.files.decoding import BadImage
from cnnkit.evaluation.familiarity import Familiarity, with_features
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
        unfamiliar: How far it is from the training images, over the distance that 99 % of the validation images keep:
            above 1 it is unlike all that the network has seen; None where the run does not tell.
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
    model = run.network(progress)
    known = Familiarity.read(run)
    seeing = with_features(model) if known else None
    with progress.task("predicting", len(images)) as advance:
        for batch in _decoded(images, run.preprocessing, run.experiment.data.batch_size):
            shown = [(image.name, content) for image, content in batch if not isinstance(content, str)]
            names, pixels = zip(*shown, strict=True) if shown else ((), ())
            rows: Iterator[tuple[Any, float | None]] = iter(())
            if pixels:
                given = np.stack(pixels).astype(np.float32)
                far: Any = [None] * len(pixels)
                if known and seeing:
                    features, logits = seeing.predict_on_batch(given)
                    far = known.scores(features).tolist()
                else:
                    logits = model.predict_on_batch(given)
                rows = iter(zip(run.probabilities(logits, names), far, strict=True))
            for image, content in batch:
                if isinstance(content, str):
                    yield Prediction(image.name, error=content)
                else:
                    yield _prediction(image, *next(rows), run.classes, run.calibration.unsure)
            advance(len(batch))


def _decoded(
    images: Sequence[NewImage], preprocessing: Preprocessing, size: int
) -> Iterator[list[tuple[NewImage, Any]]]:
    """Batches of images, each with its pixels for the network, or with a text why it can't be decoded.

    The next batch is decoded while the network works on one.
    """

    def decoded(image: NewImage) -> tuple[NewImage, Any]:
        if image.error:
            return image, image.error
        try:
            return image, preprocessing.of_file(image.file)
        except BadImage as error:
            return image, str(error)

    with ThreadPoolExecutor() as pool:
        ahead = pool.map(decoded, images[:size])
        for end in range(size, len(images) + size, size):
            batch = list(ahead)
            ahead = pool.map(decoded, images[end : end + size])
            yield batch


def _prediction(
    image: NewImage, probabilities: Any, far: float | None, classes: Sequence[str], threshold: float | None
) -> Prediction:
    named = {name: float(p) for name, p in zip(classes, probabilities, strict=True)}
    best = int(probabilities.argmax())
    likeliest = float(probabilities[best])
    unsure = None if threshold is None else likeliest < threshold
    return Prediction(image.name, classes[best], likeliest, named, unsure, far)


def as_csv(predictions: Iterable[Prediction], classes: Sequence[str]) -> str:
    """A row for each prediction, with a column for each class; control characters in names are written as escapes."""
    header = ["image", "label", "probability", *(f"p_{name}" for name in classes), "unsure", "unfamiliar", "error"]
    rows = []
    for p in predictions:
        numbers = [p.probability, *(p.probabilities or dict.fromkeys(classes)).values()]
        image, error = visible(p.image), visible(p.error) if p.error else None
        far = None if p.unfamiliar is None else f"{p.unfamiliar:.3f}"
        unsure = {None: None, True: "yes", False: "no"}[p.unsure]
        rows.append([image, p.label, *("" if n is None else f"{n:.6f}" for n in numbers), unsure, far, error])
    return tables.text_of(header, rows)


def as_jsonl(predictions: Iterable[Prediction], top: int | None = None) -> str:
    """A JSON object a line for each prediction, with its likeliest classes where a number of them is given."""
    lines = (json.dumps(prediction.document(top), ensure_ascii=False, allow_nan=False) for prediction in predictions)
    return "".join(f"{visible_in_json(line)}\n" for line in lines)
