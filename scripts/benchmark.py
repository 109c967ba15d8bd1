"""Benchmarks: cnnkit against what one would write by hand, on this machine.

Usage: python scripts/benchmark.py overhead --data FOLDER [--networks small lenet] [--torch PYTHON] [--rounds 5]
                                            [--epochs 4] [--limit 2000] [--threads 2]
       python scripts/benchmark.py train [--networks resnet20 ...] [--torch PYTHON] [--rounds 5] [--steps 20]
                                         [--inference] [--onednn on|off|both] [--watched]
       python scripts/benchmark.py pipeline --data FOLDER [--work colours ...] [--torch PYTHON] [--rounds 5]
       python scripts/benchmark.py predict --run RUN --data FOLDER [--rounds 5]

overhead   whole epochs of `cnnkit train` on Fashion-MNIST (the four idx files in FOLDER) without augmentation, against
           the same network in hand-written Keras `fit` and, with --torch, in PyTorch in its default layout. All sides
           validate after each epoch; saving checkpoints and writing records counts against cnnkit. LIMIT is images a
           class (6000: all of them). See scripts/benchmark_epochs.py.

train      a training step of ResNet-20 (32 px, batch 64), DenseNet-121 and ResNet-50 (128 px, batch 16) and VGG-16
           (64 px, batch 16) against the same networks written by hand of stock Keras layers and, with --torch, in
           PyTorch with channels_last. PYTHON is a Python that has PyTorch. See scripts/benchmark_networks.py. The
           network `tiny` is only for trying whether it works. With --inference what is measured is answers, not
           training. With --onednn both, cnnkit and Keras are measured with oneDNN's kernels and without them
           (`cnnkit_off`, `keras_off`). At the end stands the table as docs/results.md has it. With --watched what is
           compared is `cnnkit train` as it is, with states, TensorBoard and watching, against the same steps without
           any of it, in images a CPU second; --steps are of an epoch then. See scripts/benchmark_watching.py.

pipeline   feeding the images of a folder (a folder a class) against Keras's dataset function and layers and, with
           --torch, PyTorch's DataLoader with torchvision's transforms. See scripts/benchmark_pipeline.py.

predict    `cnnkit predict` of a run on the images of a folder, against the same network in a loop by hand over the same
           files. See scripts/benchmark_predict.py.

Each measurement runs in a process of its own, all sides in turn; the figures are medians. The first epoch is
not counted. Nothing else should run meanwhile. oneDNN is on for Keras too where cnnkit has it on (`--onednn` aside, the
variable TF_ENABLE_ONEDNN_OPTS decides), so that code is compared, and not which kernels are switched on.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmark_epochs import LENET, SMALL
from benchmark_networks import NETWORKS, TINY
from benchmark_pipeline import SIZES
from benchmark_predict import SIDES as OF_PREDICT
from benchmark_watching import BARE, WATCHED
from threads import add_option, limits_of

from cnnkit.core import onednn
from cnnkit.core.machine import processor
from cnnkit.core.text import counted

OF_OVERHEAD = (SMALL, LENET)
OF_TRAIN = [name for name in NETWORKS if name != TINY]


def in_own_process(command: list[str], threads: int) -> str:
    """The last line that a measurement prints."""
    limits = limits_of(threads) | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=os.environ | limits, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout.splitlines()[-1]


def in_turn(title: str, measures: dict[str, Callable[[], float]], rounds: int) -> list[str]:
    """Runs all sides in turn, forwards and backwards, and prints the medians and what the first has of each other's.

    Returns:
        The same as cells of a table: the medians, then the ratios with the lowest and highest of a round.
    """
    figures: dict[str, list[float]] = {side: [] for side in measures}
    for number in range(1, rounds + 1):
        for side in measures if number % 2 else reversed(measures):
            figures[side].append(measures[side]())
            print(f"{title} round {number}  {side:10} {figures[side][-1]:9,.1f} images/s", flush=True)
    medians = {side: statistics.median(of_side) for side, of_side in figures.items()}
    print(f"{title} medians  " + ", ".join(f"{side} {median:,.1f}" for side, median in medians.items()))
    cells = [f"{median:,.1f}" for median in medians.values()]
    first, *others = measures
    for side in others:
        ratios = [ours / theirs for ours, theirs in zip(figures[first], figures[side], strict=True)]
        ratio = medians[first] / medians[side]
        print(f"{title} against {side}: {ratio:.3f}, by round {min(ratios):.3f} to {max(ratios):.3f}", flush=True)
        cells.append(f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return cells


def overhead(
    data: str, networks: list[str], torch: str | None, rounds: int, epochs: int, limit: int, threads: int
) -> None:
    """Whole epochs of the product against hand-written Keras and PyTorch, on Fashion-MNIST."""
    script = str(Path(__file__).with_name("benchmark_epochs.py"))
    pythons = {"cnnkit": sys.executable, "keras": sys.executable} | ({"torch": torch} if torch else {})

    def measure(side: str, network: str) -> float:
        options = ["--epochs", str(epochs), "--limit", str(limit), "--threads", str(threads)]
        return float(in_own_process([pythons[side], script, side, network, data, *options], threads))

    for network in networks:
        in_turn(f"Fashion-MNIST {network}", {side: partial(measure, side, network) for side in pythons}, rounds)


def train(
    networks: list[str], torch: str | None, rounds: int, steps: int, threads: int, inference: bool, kernels: str
) -> None:
    """A training step, or the answers, of each network against Keras and PyTorch, with oneDNN and without."""
    script = str(Path(__file__).with_name("benchmark_networks.py"))
    sides = {"cnnkit": [sys.executable, script, "cnnkit"], "keras": [sys.executable, script, "keras"]}
    if kernels != "as set":
        first, *second = ("on", "off") if kernels == "both" else (kernels,)
        without = {f"{side}_off": [*words, "--onednn", other] for side, words in sides.items() for other in second}
        sides = {side: [*words, "--onednn", first] for side, words in sides.items()} | without
    if torch:
        sides["torch"] = [torch, script, "torch"]

    def measure(side: str, network: str) -> float:
        count = max(2, steps if network == "resnet20" else steps // 4)
        options = ["--steps", str(count), "--threads", str(threads), *(["--inference"] if inference else [])]
        program, path, name, *rest = sides[side]
        return float(in_own_process([program, path, name, network, *options, *rest], threads))

    rows = []
    for network in networks:
        title = f"{network} inference" if inference else network
        size, batch, *_ = NETWORKS[network]
        cells = in_turn(title, {side: partial(measure, side, network) for side in sides}, rounds)
        rows.append([f"{network}, {size} px, batch {batch}", *cells])
    others = [side for side in sides if side != "cnnkit"]
    print(f"\n{processor()}, {counted(threads, 'thread')}, oneDNN {kernels}, medians of {counted(rounds, 'round')}\n")
    for row in (["network", *sides, *(f"against {side}" for side in others)], ["---"] * (2 * len(sides)), *rows):
        print(f"| {' | '.join(row)} |")


def watched(networks: list[str], rounds: int, steps: int, epochs: int, threads: int) -> None:
    """A training as it is against its bare steps, by CPU seconds."""
    script = str(Path(__file__).with_name("benchmark_watching.py"))

    def measure(side: str, network: str) -> float:
        options = ["--steps", str(steps), "--epochs", str(epochs), "--threads", str(threads)]
        return float(in_own_process([sys.executable, script, side, network, *options], threads))

    for network in networks:
        in_turn(f"{network} watched", {side: partial(measure, side, network) for side in (WATCHED, BARE)}, rounds)


def pipeline(data: str, works: list[str], torch: str | None, rounds: int, threads: int) -> None:
    """Feeding a network against Keras and PyTorch."""
    pythons = dict.fromkeys(("cnnkit", "keras", "keras_crop"), sys.executable) | ({"torch": torch} if torch else {})

    def measure(side: str, work: str) -> float:
        script = str(Path(__file__).with_name("benchmark_pipeline.py"))
        return float(in_own_process([pythons[side], script, side, work, data, "--threads", str(threads)], threads))

    for work in works:
        without = {"colours": (), "warps": ("keras_crop",), "cached": ("keras_crop", "torch")}[work]
        sides = [side for side in pythons if side not in without]
        in_turn(work, {side: partial(measure, side, work) for side in sides}, rounds)


def predict(run: str, data: str, rounds: int, threads: int) -> None:
    """Predictions of files against a loop by hand."""

    def measure(side: str) -> float:
        script = str(Path(__file__).with_name("benchmark_predict.py"))
        return float(in_own_process([sys.executable, script, side, run, data, "--threads", str(threads)], threads))

    in_turn("predict", {side: partial(measure, side) for side in OF_PREDICT}, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("overhead", "train", "pipeline", "predict"))
    parser.add_argument("--data", help="folder of the four Fashion-MNIST files; for pipeline and predict, of images")
    parser.add_argument("--run", help="of predict: the run whose network answers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="the first of them is not counted")
    parser.add_argument("--limit", type=int, default=2000, help="images a class, 6000 for all")
    add_option(parser)
    parser.add_argument(
        "--networks",
        nargs="+",
        metavar="NETWORK",
        help=f"of train: {', '.join(NETWORKS)}; of overhead: {', '.join(OF_OVERHEAD)}",
    )
    parser.add_argument("--torch", metavar="PYTHON", help="a Python that has PyTorch")
    parser.add_argument("--steps", type=int, default=20, help="of ResNet-20; a quarter of the larger networks")
    parser.add_argument("--inference", action="store_true", help="of train: measure answers")
    parser.add_argument("--watched", action="store_true", help="of train: measure what watching it costs")
    parser.add_argument("--onednn", choices=("on", "off", "both"), help="of train: TensorFlow's kernels")
    parser.add_argument("--work", nargs="+", choices=SIZES, default=list(SIZES), help="of pipeline")
    chosen = parser.parse_args()
    known: Sequence[str] = {"train": tuple(NETWORKS), "overhead": OF_OVERHEAD}.get(chosen.what, ())
    networks = chosen.networks or (OF_TRAIN if chosen.what == "train" else list(OF_OVERHEAD))
    if unknown := set(chosen.networks or ()) - set(known):
        parser.error(f"--networks: {chosen.what} has no {', '.join(sorted(unknown))}")
    onednn.set_default()
    if chosen.what == "train" and chosen.watched:
        watched(networks, chosen.rounds, chosen.steps, chosen.epochs, chosen.threads)
    elif chosen.what == "train":
        kernels = chosen.onednn or "as set"
        train(networks, chosen.torch, chosen.rounds, chosen.steps, chosen.threads, chosen.inference, kernels)
    elif chosen.inference or chosen.onednn or chosen.watched:
        parser.error("--inference, --onednn and --watched are of train")
    elif not chosen.data:
        parser.error("--data is needed")
    elif chosen.what == "predict":
        if not chosen.run:
            parser.error("--run is needed")
        predict(chosen.run, chosen.data, chosen.rounds, chosen.threads)
    elif chosen.what == "pipeline":
        pipeline(chosen.data, chosen.work, chosen.torch, chosen.rounds, chosen.threads)
    else:
        rounds, epochs, limit, threads = chosen.rounds, chosen.epochs, chosen.limit, chosen.threads
        overhead(chosen.data, networks, chosen.torch, rounds, epochs, limit, threads)


if __name__ == "__main__":
    main()
