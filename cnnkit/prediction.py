"""Predict: labels and probabilities for new images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit import decoding
from cnnkit.decoding import BadImage
from cnnkit.errors import UsageError
from cnnkit.lazy import np
from cnnkit.progress import Progress
from cnnkit.run import Run


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
    """Predicts the class of each image, in the order given, folders in the order of their names.

    Args:
        run: The run, or its folder.
        paths: Image files, and folders that are searched for such.
        progress: Is told how far it is.

    Yields:
        A prediction for each file; one that is no image is told by its `error`.

    Raises:
        UsageError: A path does not exist, or a folder holds no image.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    progress = progress or Progress()
    experiment = run.experiment()
    files = list(find_images(paths, progress))
    classes = run.classes
    model = run.network()
    height, width, channels = model.input_shape[1:]
    size = experiment.data.batch_size
    with progress.task("predicting", len(files)) as advance:
        for batch in (files[i : i + size] for i in range(0, len(files), size)):
            read: list[Any] = []
            for file in batch:
                try:
                    read.append(
                        decoding.fitted(decoding.read_file(file), (height, width), channels, experiment.data.fit)
                    )
                except BadImage as error:
                    read.append(str(error))
            pixels = [image for image in read if not isinstance(image, str)]
            logits = model.predict_on_batch(np.stack(pixels).astype(np.float32)) if pixels else []
            rows = iter(experiment.train.loss.probabilities(logits) if pixels else [])
            for file, image in zip(batch, read, strict=True):
                if isinstance(image, str):
                    yield Prediction(str(file), error=image)
                else:
                    row = next(rows)
                    named = {name: float(p) for name, p in zip(classes, row, strict=True)}
                    best = int(row.argmax())
                    yield Prediction(str(file), classes[best], float(row[best]), named)
            advance(len(batch))


def _unreadable(error: OSError) -> None:
    raise UsageError(f"{error.filename} can't be read: {error.strerror}")


def find_images(paths: Sequence[Path | str], progress: Progress) -> Iterator[Path]:
    """The files among the paths, and the images below the folders among them.

    Raises:
        UsageError: A path does not exist, or a folder holds no image.
    """
    for path in map(Path, paths):
        if path.is_dir():
            found, others = [], 0
            for where, folders, names in os.walk(path, onerror=_unreadable):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                files = [Path(where) / name for name in sorted(names)]
                images = [f for f in files if f.suffix.lower() in decoding.EXTENSIONS and not f.name.startswith(".")]
                others += len(files) - len(images)
                found += images
            if not found:
                raise UsageError(f"{path} holds no images ({', '.join(sorted(decoding.EXTENSIONS))})")
            if others:
                progress.say(f"{path}: {others} files are not images by their ending and are left out")
            yield from found
        elif path.exists():
            yield path
        else:
            raise UsageError(f"{path}: there is no such file or folder")
