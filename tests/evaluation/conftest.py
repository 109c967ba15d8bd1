"""What several questions are asked in: an exam on arrays, with a network that is a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnnkit import Run, read
from cnnkit.core.progress import Progress
from cnnkit.data.feeding.images import Images, allocated
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.exam import Exam, Shown
from cnnkit.runs import checkpoints


@pytest.fixture
def shown(index_of) -> Callable[..., Shown]:
    """Images in memory, from uint8 (n, h, w, c) and labels."""

    def make(pixels: Any, labels: Any, classes: int = 2) -> Shown:
        index = index_of(pixels if pixels.shape[3] == 3 else pixels[..., 0], labels, classes)
        memory = allocated(pixels.shape, np.uint8)
        memory[:] = pixels
        return Shown(Images(index, pixels.shape[1:], memory), range(len(pixels)))

    return make


@pytest.fixture
def exam_of() -> Callable[..., Exam]:
    """An exam of images by a network, which is a function from float32 (B, h, w, c) to probabilities (B, classes)."""

    def make(asked: Shown, network: Callable[[Any], Any], train: Shown | None = None, augment: Any = ()) -> Exam:
        classes = asked.images.index.classes
        run = SimpleNamespace(
            classes=classes,
            probabilities=lambda logits, names=(): np.asarray(logits, np.float64),
            experiment=SimpleNamespace(seed=1, augment=list(augment), data=SimpleNamespace(batch_size=3)),
            split={"train": [SimpleNamespace(digest=each) for each in train.images.index.digests] if train else []}.get,
        )
        given = network(asked.images.memory.astype(np.float32))
        answers = Answers(np.asarray(asked.labels), np.asarray(given, np.float64), classes, asked.names, given)
        model = SimpleNamespace(predict_on_batch=lambda batch: network(np.asarray(batch)))
        others = {"train": train}
        return Exam(run, model, "test", asked, answers, lambda split, most=None: others[split], Progress())  # type: ignore[arg-type]

    return make


@pytest.fixture
def run_too_sure(image_folder: Callable[..., Path], tmp_path: Path) -> Callable[..., Run]:
    """Makes a run as training leaves it, with weights drawn by chance, too sure by far: 8 images a split."""

    def make(classes: Sequence[str], shape: tuple[int, int, int]) -> Run:
        images = image_folder(dict.fromkeys(classes, 24 // len(classes)))
        config = tmp_path / "tiny.yaml"
        config.write_text(
            f"data: {{source: {{name: folder, path: {images}}}, image_size: {[*shape[:2]]}, channels: {shape[2]}}}\n"
            "model: {name: sequential, layers: [{name: flatten}]}\n"
        )
        experiment = read(config)
        index = experiment.data.source.open(Progress()).index(Progress())
        run = Run.create(experiment, tmp_path / "run")
        run.write_split(index, ["train", "validation", "test"] * 8, [""] * 24)
        run.write_provenance(data={"classes": list(classes)}, files=run.hashes())
        model = experiment.model.build(shape, len(classes))
        chance = np.random.default_rng(0)
        model.set_weights([10 * chance.normal(size=weights.shape) for weights in model.get_weights()])
        checkpoints.save(checkpoints.Weights.of(model), run.files.checkpoints, checkpoints.BEST, 1, {})
        return run

    return make
