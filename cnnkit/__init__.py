"""cnnkit: from one YAML file to a trained, evaluated, explained image classifier.

    from cnnkit import read, train, resume, evaluate, predict, Run

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
    from cnnkit.runs.run import Run
    from cnnkit.training.train import resume, train

__all__ = ["Run", "__version__", "evaluate", "predict", "read", "resume", "train"]

_HOMES = {
    "Run": "cnnkit.runs.run",
    "evaluate": "cnnkit.evaluation.evaluate",
    "predict": "cnnkit.evaluation.predict",
    "read": "cnnkit.config.file",
    "resume": "cnnkit.training.train",
    "train": "cnnkit.training.train",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
