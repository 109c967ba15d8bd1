"""Hold the learning rate that `cnnkit lr` suggests against a row of rates, trained with each.

Usage: python scripts/measure_lr.py CONFIG FOLDER [--optimizers adam sgd] [--epochs 2] [--seeds 3] [--rates R ...]
       [--set KEY=VALUE ...]

Into FOLDER go the runs; what has run already is not run again, so an interrupted measurement goes on where it was.
For each optimizer and each seed the finder is asked, and the network of the config is trained with what it suggests and
with each rate of the row, for so many epochs. What is compared is the accuracy on the validation images, of the best
epoch. The suggestion is right where it is within a point of the best of the row, in the mean over the seeds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cnnkit
from cnnkit.config.experiment import Experiment
from cnnkit.core.errors import TrainingError
from cnnkit.core.progress import Progress
from cnnkit.training import rate_finder

RATES = {"adam": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2), "sgd": (0.003, 0.01, 0.03, 0.1, 0.3)}
"""The rows, for adam and for SGD with momentum."""

POINT = 0.01
"""How much less than the best of the row is still right."""


@dataclass(frozen=True)
class Measured:
    """What came of an optimizer and a seed: the suggestion, its accuracy, and that of each rate of the row."""

    suggested: float
    accuracy: float
    row: dict[float, float]
    seconds: float

    @property
    def behind(self) -> float:
        """How much the suggestion is behind the best of the row; below 0 where it is before it."""
        return max(self.row.values()) - self.accuracy


def measured(config: Path, settings: Sequence[str], rates: Sequence[float], folder: Path) -> Measured:
    """Asks the finder, and trains with its answer and with each rate."""
    folder.mkdir(parents=True, exist_ok=True)
    answer = folder / "lr.json"
    if not answer.exists():
        began = time.perf_counter()
        found, _ = rate_finder.for_experiment(cnnkit.read(config, *settings), Progress(), folder / "lr.png")
        answer.write_text(json.dumps(found.as_json() | {"taken": time.perf_counter() - began}))
    told = json.loads(answer.read_text())
    row = {rate: accuracy(config, settings, rate, folder) for rate in rates}
    suggested = told["learning_rate"]
    return Measured(suggested, accuracy(config, settings, suggested, folder), row, told["taken"])


def accuracy(config: Path, settings: Sequence[str], rate: float, folder: Path) -> float:
    """That of a training with a rate on its validation images; 0 where it diverges."""
    result = folder / f"{rate:g}.json"
    if not result.exists():
        shutil.rmtree(folder / f"{rate:g}", ignore_errors=True)  # of a training that was interrupted
        experiment: Experiment = cnnkit.read(config, *settings, f"train.optimizer.learning_rate={rate:g}")
        try:
            found = cnnkit.train(experiment, folder / f"{rate:g}")["validation"]["accuracy"]
        except TrainingError:
            found = 0.0
        result.write_text(json.dumps(found))
    return float(json.loads(result.read_text()))


def table(optimizer: str, found: Sequence[Measured]) -> list[str]:
    """A line for each seed, and one for their mean."""
    rates = list(found[0].row)
    lines = [
        f"{optimizer:6} {'suggested':>10} {'accuracy':>9}  " + " ".join(f"{rate:>8g}" for rate in rates) + "   behind"
    ]
    for seed, each in enumerate(found):
        row = " ".join(f"{each.row[rate]:8.4f}" for rate in rates)
        lines.append(f"seed {seed} {each.suggested:>10g} {each.accuracy:>9.4f}  {row}  {each.behind:+.4f}")
    means = [sum(each.row[rate] for each in found) / len(found) for rate in rates]
    own = sum(each.accuracy for each in found) / len(found)
    behind = max(means) - own
    verdict = "right" if round(behind, 6) <= POINT else "WRONG"
    row = " ".join(f"{mean:8.4f}" for mean in means)
    return [*lines, f"mean   {'':>10} {own:>9.4f}  {row}  {behind:+.4f}  {verdict}"]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--optimizers", nargs="+", choices=RATES, default=list(RATES))
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", help="another row than that of the optimizer")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(words)
    for optimizer in options.optimizers:
        found = []
        for seed in range(options.seeds):
            own = [f"seed={seed}", f"train.epochs={options.epochs}", f"train.optimizer={{name: {optimizer}}}"]
            folder = options.folder / optimizer / str(seed)
            found.append(measured(options.config, [*options.settings, *own], options.rates or RATES[optimizer], folder))
            print(f"{optimizer}, seed {seed}: {found[-1].suggested:g}, found in {found[-1].seconds:.0f} s", flush=True)
        print("\n".join(table(optimizer, found)), flush=True)


if __name__ == "__main__":
    main()
