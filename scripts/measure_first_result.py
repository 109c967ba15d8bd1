"""Measure what somebody gets who types `cnnkit init IMAGES --minutes N` and then `cnnkit train`: how good, how soon.

Usage: python scripts/measure_first_result.py BACKBONE FOLDER --data IMAGES ... [--minutes 8] [--split-seeds 1] [--full]
       python scripts/measure_first_result.py BACKBONE FOLDER --fashion-mnist IDX_FILES --minutes 12

BACKBONE is a folder or a file as they lie in `backbones` in the cache. Into FOLDER go a cache with that backbone and
nothing else, the configs, the runs and a record of the figures. Each IMAGES is a folder of images; IDX_FILES a folder
with the four files of Fashion-MNIST, of which 70,000 PNGs are made first (once).

--split-seeds N trains with data.split.seed 0 to N-1 and tells the mean; --full trains the other candidate of the config
too, to see what the trial is worth. Each command is a process of its own, its minutes by the clock: measure on a
machine that has nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnkit.core.errors import CnnkitError
from cnnkit.core.progress import Progress
from cnnkit.data.sources import recognised

OTHER = "# data:"
"""The line at which the other candidate begins in a config that `init` wrote."""


@dataclass(frozen=True)
class Measured:
    """What came of one data set.

    Attributes:
        data: What it is called.
        taken: What the config begins with.
        limit: The minutes that were given.
        trial: Minutes that `init` took.
        training: Minutes that the longest training took.
        validation: Mean accuracy over the split seeds.
        test: The same.
        other: Validation accuracy of the other candidate, split seed 0; None where it was not trained.
    """

    data: str
    taken: str
    limit: float
    trial: float
    training: float
    validation: float
    test: float
    other: float | None

    def row(self) -> list[str]:
        """Its row of the table."""
        minutes = [self.limit, self.trial, self.training, self.trial + self.training]
        figures = [self.validation, self.test]
        other = "-" if self.other is None else f"{self.other:.3f}"
        return [self.data, self.taken, *(f"{x:.1f}" for x in minutes), *(f"{x:.3f}" for x in figures), other]


COLUMNS = ("data", "taken", "given", "trial", "training", "together", "validation", "test", "other validation")


def write_pngs(idx_files: Path, folder: Path) -> Path:
    """Writes the images of idx files as PNGs into `train/CLASS/` and `test/CLASS/`."""
    if not folder.exists():
        index = recognised(idx_files).open(Progress()).index(Progress())
        making = folder.with_name(f"{folder.name}-being-made")
        shutil.rmtree(making, ignore_errors=True)
        for i, name in enumerate(index.names):
            label = index.classes[index.labels[i]]
            path = making / (index.splits[i] or "train") / label / f"{Path(name).name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            index.open(i).save(path)
        making.rename(folder)
    return folder


def other_candidate(text: str) -> str | None:
    """The config with its other candidate in place of the one that was taken; None if it has no other."""
    lines = text.splitlines()
    if OTHER not in lines:
        return None
    head, other = lines[: lines.index("data:")], lines[lines.index(OTHER) :]
    return "\n".join([*head, *(line.removeprefix("# ").removeprefix("#") for line in other)]) + "\n"


Command = Callable[..., tuple[dict[str, Any], float]]


def in_process(cache: Path) -> Command:
    """Runs commands in processes of their own: gives the document that they print, and the minutes they took."""

    def run(*words: str | Path) -> tuple[dict[str, Any], float]:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "cnnkit", *map(str, words), "--json"],
            stdout=subprocess.PIPE,
            env={**os.environ, "CNNKIT_CACHE": str(cache)},
        )
        minutes = (time.perf_counter() - began) / 60
        document: dict[str, Any] = json.loads(done.stdout or "{}")
        if done.returncode:
            raise CnnkitError(
                f"{' '.join(map(str, words))}: {document.get('error', {}).get('message', done.returncode)}"
            )
        return document, minutes

    return run


def measure(images: Path, folder: Path, minutes: float, seeds: int, full: bool, command: Command) -> Measured:
    """Lets `init` choose, trains what it proposes, and if wanted what it did not."""
    name = images.name
    config = folder / f"{name}.yaml"
    runs = folder / "runs"
    start, trial = command("init", images, "--minutes", f"{minutes:g}", "--output", config, "--force")
    documents, times = [], []
    for seed in range(seeds):
        run = _new(runs / f"{name}-{seed}")
        document, taken = command("train", config, "--run", run, "--set", f"data.split.seed={seed}")
        documents.append(document)
        times.append(taken)
    other = None
    if full and (text := other_candidate(config.read_text(encoding="utf-8"))):
        config.with_name(f"{name}-other.yaml").write_text(text, encoding="utf-8")
        document, _ = command("train", config.with_name(f"{name}-other.yaml"), "--run", _new(runs / f"{name}-other"))
        other = document["validation"]["accuracy"]
    validation, test = (
        statistics.fmean(document[split]["accuracy"] for document in documents) for split in ("validation", "test")
    )
    return Measured(name, start["title"], minutes, trial, max(times), validation, test, other)


def _new(run: Path) -> Path:
    """The folder of a run, without what an earlier measurement left there."""
    shutil.rmtree(run, ignore_errors=True)
    run.parent.mkdir(parents=True, exist_ok=True)
    return run


def with_backbone(backbone: Path, cache: Path) -> Path:
    """A new cache that holds a backbone and nothing else."""
    shutil.rmtree(cache, ignore_errors=True)
    (cache / "backbones").mkdir(parents=True)
    if backbone.is_dir():
        shutil.copytree(backbone, cache / "backbones" / backbone.name)
    else:
        shutil.copy(backbone, cache / "backbones" / backbone.name)
    return cache


def show(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        print("  ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip())


def main(arguments: list[str], run: Callable[[Path], Command] = in_process) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, nargs="+", default=[], metavar="IMAGES")
    parser.add_argument("--fashion-mnist", type=Path, metavar="IDX_FILES")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--split-seeds", type=int, default=1)
    parser.add_argument("--full", action="store_true")
    chosen = parser.parse_args(arguments)
    if not chosen.data and chosen.fashion_mnist is None:
        parser.error("name some images with --data, or --fashion-mnist")
    folder = chosen.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        data = [path.resolve() for path in chosen.data]
        if chosen.fashion_mnist:
            data.append(write_pngs(chosen.fashion_mnist.resolve(), folder / "fashion_mnist"))
        measured = []
        for images in data:
            command = run(with_backbone(chosen.backbone.resolve(), folder / "cache"))
            measured.append(measure(images, folder, chosen.minutes, chosen.split_seeds, chosen.full, command))
            record = folder / f"{images.name}.json"
            record.write_text(json.dumps(asdict(measured[-1]), indent=2) + "\n", encoding="utf-8")
    except CnnkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    show([COLUMNS, *(each.row() for each in measured)])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
