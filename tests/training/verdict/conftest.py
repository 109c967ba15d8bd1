"""Courses of trainings that never were: curves made up here, noise and all."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from cnnkit.config.experiment import Experiment
from cnnkit.training.verdict.course import Course, Guess

CONFIG: dict[str, Any] = {
    "name": "x",
    "data": {"source": {"name": "digits"}, "image_size": (32, 32), "channels": 1},
    "model": {"name": "lenet"},
}
"""Adam at 1e-3, no augmentation."""


@cache
def experiments(values: str) -> tuple[Experiment, Experiment]:
    """An experiment as it was asked for, and complete, from what Python writes of its values."""
    written = Experiment.model_validate(literal_eval(values))
    return written, written.model_copy(update={"train": written.train.completed(False, False)})


@pytest.fixture
def course() -> Callable[..., Course]:
    """Makes a course of one stage, of ten even classes with 1,000 images to train and 500 to choose by, if not others.

    Accuracies that are not given fall from 0.95 as the loss rises, and are what a guess reaches where it is a guess's.
    """

    def made(
        loss: Any,
        val_loss: Any,
        accuracy: Any = None,
        val_accuracy: Any = None,
        rates: Any = None,
        planned: int | None = None,
        train: dict[str, Any] | None = None,
        classes: int = 10,
        images: tuple[int, int] = (1000, 500),
        **more: Any,
    ) -> Course:
        n, chance = len(loss), float(np.log(classes))
        accuracies = [
            np.clip(1 - np.asarray(own) / chance * (1 - 1 / classes), 1 / classes, 1) if given is None else given
            for own, given in ((loss, accuracy), (val_loss, val_accuracy))
        ]
        settings = {"optimizer": {"name": "adam", "learning_rate": 1e-3}} | (train or {}) | {"epochs": planned or n}
        sections = {name: more.pop(name) for name in ("augment", "model") if name in more}
        written, complete = experiments(repr(CONFIG | sections | {"train": settings}))
        assert complete.train.optimizer
        rates = [complete.train.optimizer.learning_rate] * n if rates is None else rates
        columns = zip(loss, accuracies[0], val_loss, accuracies[1], rates, strict=True)
        epochs = [
            {"epoch": i, "step": 32 * i, "loss": float(a), "accuracy": float(b), "val_loss": float(c)}
            | {"val_accuracy": float(d), "learning_rate": float(rate), "stage": 1}
            for i, (a, b, c, d, rate) in enumerate(columns, start=1)
        ]
        kept = 1 + int(np.argmax([epoch["val_accuracy"] for epoch in epochs]))
        guesses = (Guess(chance, 1 / classes, count, classes) for count in images)
        return Course(epochs, complete, written, kept, *guesses, **more)

    return made
