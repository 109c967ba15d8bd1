"""cnnkit: from one YAML file to a trained, evaluated, explained image classifier.

    from cnnkit import compare, evaluate, predict, read, resume, train, train_folds, write_report, Run

    result = train(read("configs/digits.yaml"))
    evaluate(result["run"], split="test")

Each name is imported when it is first used, so that `import cnnkit` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cnnkit.core.version import __version__

if TYPE_CHECKING:
    from cnnkit.config.file import read
    from cnnkit.evaluation.evaluate import evaluate
    from cnnkit.evaluation.predict import predict
    from cnnkit.inspection.comparison import compare
    from cnnkit.inspection.sensitivity import sensitivity
    from cnnkit.report.report import of_run as write_report
    from cnnkit.runs.run import Run
    from cnnkit.studies.curve import measure as learning_curve
    from cnnkit.studies.folds import resume as resume_folds
    from cnnkit.studies.folds import train as train_folds
    from cnnkit.studies.suspects import find as find_suspects
    from cnnkit.training.train import resume, train

__all__ = [
    "Run",
    "__version__",
    "compare",
    "evaluate",
    "find_suspects",
    "learning_curve",
    "predict",
    "read",
    "resume",
    "resume_folds",
    "sensitivity",
    "train",
    "train_folds",
    "write_report",
]

_HOMES = {
    "Run": ("cnnkit.runs.run", "Run"),
    "compare": ("cnnkit.inspection.comparison", "compare"),
    "evaluate": ("cnnkit.evaluation.evaluate", "evaluate"),
    "find_suspects": ("cnnkit.studies.suspects", "find"),
    "learning_curve": ("cnnkit.studies.curve", "measure"),
    "predict": ("cnnkit.evaluation.predict", "predict"),
    "read": ("cnnkit.config.file", "read"),
    "resume": ("cnnkit.training.train", "resume"),
    "resume_folds": ("cnnkit.studies.folds", "resume"),
    "sensitivity": ("cnnkit.inspection.sensitivity", "sensitivity"),
    "train": ("cnnkit.training.train", "train"),
    "train_folds": ("cnnkit.studies.folds", "train"),
    "write_report": ("cnnkit.report.report", "of_run"),
}
"""Of each name the module, and what it is called there."""


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, called = _HOMES[name]
        return getattr(import_module(module), called)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
