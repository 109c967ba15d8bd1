"""Predict: labels and probabilities for new images."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cnnkit import archives, decoding
from cnnkit.decoding import BadImage
from cnnkit.errors import DataError, UsageError
from cnnkit.lazy import np
from cnnkit.progress import Progress
from cnnkit.run import Run
from cnnkit.text import counted
from cnnkit.walking import files_below, why_not


@dataclass(frozen=True)
class NewImage:
    """An image to predict.

    Attributes:
        name: What it is called: its path, which for one in an archive goes on behind the archive's.
        file: Where its content lies.
        below: Its path below the folder, or the archive, that was named; its file name if it was named itself.
    """

    name: str
    file: Path
    below: str


@dataclass(frozen=True)
class Prediction:
    """What a network says of an image, or why it can't.

    Attributes:
        image: The file.
        label: The likeliest class.
        probability: How likely the network holds it.
        probabilities: The same of every class, in their order.
        error: Why the file could not be decoded; the rest is None then.
    """

    image: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    error: str | None = None


def predict(
    run: Run | Path | str, paths: Sequence[Path | str], progress: Progress | None = None
) -> Iterator[Prediction]:
    """Predicts the class of each image, in the order given, folders and archives in the order of their names.

    Args:
        run: The run, or its folder.
        paths: Image files, and folders and archives that are searched for such.
        progress: Is told how far it is.

    Yields:
        A prediction for each file; one that is no image is told by its `error`.

    Raises:
        UsageError: A path does not exist, or a folder or an archive holds no image.
        DataError: A folder or an archive can't be read.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    progress = progress or Progress()
    yield from predict_images(run, find_images(paths, progress), progress)


def predict_images(run: Run, images: Sequence[NewImage], progress: Progress) -> Iterator[Prediction]:
    """Predicts the class of each image that was found, in their order."""
    experiment = run.experiment()
    classes = run.classes
    model = run.network()
    view = run.view

    def decoded(image: NewImage) -> Any:
        try:
            return view.of_file(image.file)
        except BadImage as error:
            return str(error)

    size = experiment.data.batch_size
    batches = [images[i : i + size] for i in range(0, len(images), size)]
    with progress.task("predicting", len(images)) as advance, ThreadPoolExecutor() as pool:
        ahead = pool.map(decoded, images[:size])
        for batch, following in zip(batches, [*batches[1:], []], strict=True):
            read = list(ahead)
            ahead = pool.map(decoded, following)  # while the network works on this batch
            pixels = [image for image in read if not isinstance(image, str)]
            logits = model.predict_on_batch(np.stack(pixels).astype(np.float32)) if pixels else []
            rows = iter(experiment.train.loss.probabilities(logits) if pixels else [])
            for image, content in zip(batch, read, strict=True):
                if isinstance(content, str):
                    yield Prediction(image.name, error=content)
                else:
                    row = next(rows)
                    named = {name: float(p) for name, p in zip(classes, row, strict=True)}
                    best = int(row.argmax())
                    yield Prediction(image.name, classes[best], float(row[best]), named)
            advance(len(batch))


def find_images(paths: Sequence[Path | str], progress: Progress) -> list[NewImage]:
    """The files among the paths, and the images below the folders and in the archives among them.

    Raises:
        UsageError: A path does not exist, or a folder or an archive holds no image.
        DataError: A folder or an archive can't be read.
    """
    found: list[NewImage] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += _images_below(path, path, progress)
        elif not path.exists():
            raise UsageError(f"{path}: there is no such file or folder")
        elif archives.is_archive(path):
            try:
                folder = archives.unpacked(path, progress)
            except DataError as error:  # it names a setting of a source, but there is none here
                raise DataError(*(replace(problem, key=None) for problem in error.problems)) from None
            found += _images_below(path, folder, progress)
        else:
            found.append(NewImage(str(path), path, path.name))
    return found


def _images_below(named: Path, folder: Path, progress: Progress) -> list[NewImage]:
    """The images below a folder; `named` is what it, or the archive that it was in, is called."""
    images, others = [], 0
    for file in map(Path, files_below(folder)):
        if why_not(str(file)) is None:
            below = file.relative_to(folder)
            images.append(NewImage(str(named / below), file, below.as_posix()))
        elif not file.is_dir():  # a hidden folder is not looked into
            others += 1
    if not images:
        raise UsageError(f"{named} holds no images ({', '.join(sorted(decoding.EXTENSIONS))})")
    if others:
        one = "file is no image by its ending and is left out"
        left_out = counted(others, one, "files are not images by their ending and are left out")
        progress.say(f"{named}: {left_out}")
    return images


def as_csv(predictions: Iterable[Prediction], classes: Sequence[str]) -> str:
    """A row for each prediction, with a column for each class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "label", "probability", *(f"p_{name}" for name in classes), "error"])
    for p in predictions:
        numbers = [p.probability, *(p.probabilities or dict.fromkeys(classes)).values()]
        writer.writerow([p.image, p.label, *("" if n is None else f"{n:.6f}" for n in numbers), p.error])
    return text.getvalue()


def as_jsonl(predictions: Iterable[Prediction]) -> str:
    """A JSON object a line for each prediction."""
    return "".join(json.dumps(asdict(prediction), ensure_ascii=False) + "\n" for prediction in predictions)
