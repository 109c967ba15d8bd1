"""Trains a config anew with one setting changed at a time, and prints the table: how much does each of them matter?

    python scripts/sensitivity.py CONFIG FOLDER --model MODEL... --vary SETTING=VALUE... [--seeds N]

For example, ten trainings, two networks with four changes each:

    python scripts/sensitivity.py digits.yaml runs/sensitivity \\
        --model '{name: resnet, depth: 50}' '{name: vgg, depth: 11}' \\
        --vary 'data.prepare=[{name: equalize}]' train.epochs=2 data.batch_size=32 train.optimizer.learning_rate=0.05

A call that was stopped can be repeated: runs that are finished are left as they are, and that which was being trained
goes on. A folder whose runs are those of other settings is refused, by the first run that is another one. The table is
that of `cnnkit compare --vary`, on the validation images unless `--split test` is said.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

CNNKIT = [sys.executable, "-m", "cnnkit"]


def main(words: list[str] | None = None) -> int:
    """Trains what is missing, then compares; returns the exit code of the command that failed, or 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("folder", type=Path, help="where the runs are written")
    parser.add_argument("--model", nargs="+", default=[], help="networks, as YAML; the rows of the table")
    parser.add_argument("--vary", nargs="+", required=True, metavar="SETTING=VALUE", help="what is changed, one by one")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    chosen = parser.parse_args(words)
    runs = []
    for m, model in enumerate([f"model={model}" for model in chosen.model] or [""]):
        for c, change in enumerate(["", *chosen.vary]):
            for seed in range(chosen.seeds):
                run = chosen.folder / f"{m}-{c}-{seed}"
                runs.append(str(run))
                # What goes on has to be a run of this very config, which `--resume` holds it against.
                how = "--resume" if run.exists() else "--run"
                settings = [word for each in (model, change, f"seed={seed}") if each for word in ("--set", each)]
                trained = subprocess.run([*CNNKIT, "train", str(chosen.config), how, str(run), *settings])
                if trained.returncode:
                    return trained.returncode
    varied = dict.fromkeys(change.partition("=")[0] for change in chosen.vary)
    options = [word for key in varied for word in ("--vary", key)]
    return subprocess.run([*CNNKIT, "compare", *runs, *options, "--split", chosen.split]).returncode


if __name__ == "__main__":
    sys.exit(main())
