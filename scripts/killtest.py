"""Kills a training at many moments, goes on each time, and says whether it ended as if it had never been stopped.

    python scripts/killtest.py                    30 moments, about half an hour on two cores
    python scripts/killtest.py --moments 5        fewer
    python scripts/killtest.py --seed 7           other moments

The training has all that has a state: augmentation, MixUp, dropout, momentum, gradients of two batches an update,
averaged weights, a warm-up and a cosine, early stopping, and two stages of fine-tuning. It is trained once undisturbed,
and then again and again, each time ended by SIGKILL or SIGTERM at moments drawn at random: at any time, right after the
start, behind some update, in a validation, where a stage begins, while a state or the best weights are being written
(that window is made wide here), and when a file that comes behind the last epoch is half written. Some processes have a
slow disk, where a state is not yet written when the next is due. At last one run is ended at each of the files that
come behind the last epoch. After each end all states on the disk have to be readable. `cnnkit train --resume` goes on,
is often killed again itself, and at last comes to the end. There the weights of the best epoch, all arrays of the last
state, the metrics (but for times) and the evaluations have to be those of the undisturbed run, bit for bit. The exit
code is 1 if anything is not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnkit.core.errors import TrainingError

CONFIG = """
name: killed
data:
  source: {{name: digits}}
  image_size: [{size}, {size}]
  batch_size: 32
augment:
  - {{name: rotate, degrees: 10}}
  - {{name: shift, fraction: 0.1}}
  - {{name: mixup, alpha: 0.2}}
model:
  name: sequential
  layers:
    - {{name: conv, filters: {filters}}}
    - {{name: batch_norm}}
    - {{name: max_pool}}
    - {{name: conv, filters: {filters}}}
    - {{name: max_pool}}
    - {{name: flatten}}
    - {{name: dense, units: 64}}
    - {{name: dropout, rate: 0.3}}
train:
  optimizer: {{name: sgd, learning_rate: 0.005, momentum: 0.9, weight_decay: 1e-4}}
  schedule: {{name: cosine, warmup_epochs: 0.5}}
  ema: {{momentum: 0.97}}
  gradient_accumulation: 2
  early_stopping: {{monitor: val_accuracy, patience: 4, min_delta: 0.01}}
  checkpoint: {{monitor: val_loss, every_minutes: null, every_steps: {every_steps}}}
  stages:
    - {{freeze: conv1, epochs: {epochs}}}
    - {{epochs: {epochs}, learning_rate: 0.003}}
"""

EVERY_STEPS = 9
"""Updates between two states."""

WINDOW, SLOW = 0.05, 1.5
"""Seconds that each moment of writing a state or the best weights is stretched by, usually and on a slow disk."""

LONGEST_CHAIN = 4
"""Times that one run is ended at the most."""

KINDS = {
    "at any time": 6,
    "right after the start": 3,
    "update": 5,
    "saving": 8,
    "best weights": 4,
    "validation": 2,
    "stage": 2,
    "ending": 4,
}
"""Kinds of moments, and how often each is drawn."""

REPORT = "report.html"
"""The file that is written when a run is recorded as finished: SIGTERM costs it this one, and nothing else."""

LAST = (
    "validation_predictions.csv",
    "validation.json",
    "test_answers.safetensors",
    "test.json",
    "familiarity.safetensors",
    REPORT,
)
"""Files that are written behind the last epoch, in this order; there are more of the kind."""

SAVING = ("written", "synced", "renamed", "named")
"""The moments of writing a state or the best weights, as `_pause` of `training_states` and `checkpoints` is told."""


@dataclass(frozen=True)
class Moment:
    """When a training is ended, and by which signal.

    Attributes:
        kind: One of KINDS.
        number: The signal.
        after: What is counted from the start of the process: seconds, or how often what the kind names happens.
        where: Of a state, or the best weights, that are being written, how far they are; of the ending, which file.
        window: Seconds that each moment of writing them is stretched by.
    """

    kind: str
    number: int
    after: float
    where: str = ""
    window: float = WINDOW

    def __str__(self) -> str:
        what = f"{self.kind} {self.where}".strip()
        slow = ", slow disk" if self.window == SLOW else ""
        return f"{signal.Signals(self.number).name} {what} ({self.after:.4g}{slow})"

    @classmethod
    def drawn(cls, chance: random.Random, updates: int, epochs: float, seconds: float) -> Moment:
        """One at random.

        Args:
            chance: Draws it.
            updates: Those that the training has still to make.
            epochs: As many.
            seconds: How long it has still to take.
        """
        kind = chance.choices([*KINDS], [*KINDS.values()])[0]
        number = chance.choice([signal.SIGKILL, signal.SIGTERM])
        after: float = 1
        if kind == "at any time":
            after = chance.uniform(0.5, max(seconds, 1.0))
        elif kind == "right after the start":
            after = chance.uniform(0.0, 2.0)
        elif kind == "update":
            after = chance.randint(1, max(updates, 1))
        elif kind == "saving":
            after = chance.randint(1, max(updates // EVERY_STEPS, 1))
        elif kind == "validation":
            after = chance.randint(1, max(int(epochs), 1))
        elif kind == "best weights":
            after = chance.randint(1, max(int(epochs / 2), 1))
        window = chance.choice([WINDOW, WINDOW, SLOW])
        places = {"saving": SAVING, "best weights": SAVING, "ending": LAST}
        where = chance.choice(places[kind]) if kind in places else ""
        return cls(kind, number, after, where, window)


def drive(moment: Moment, words: list[str]) -> None:
    """Is `cnnkit`, with a hook where a moment is that only this process knows of: there it sends itself the signal."""
    from cnnkit.commands.main import main
    from cnnkit.core import atomic
    from cnnkit.runs import checkpoints, training_states
    from cnnkit.training import observers, steps

    left = moment.after

    def happens(count: float = 1) -> None:
        nonlocal left
        before, left = left, left - count
        if before > 0 >= left:
            os.kill(os.getpid(), moment.number)

    def pausing(kind: str) -> Any:
        def pause(where: str) -> None:
            time.sleep(moment.window)  # usually a state of this network is written in a few milliseconds
            if moment.kind == kind and where == moment.where:
                happens()
                time.sleep(moment.window)

        return pause

    training_states._pause = pausing("saving")
    checkpoints._pause = pausing("best weights")
    hooks: dict[str, tuple[Any, str]] = {
        "validation": (steps.Steps, "evaluate"),
        "stage": (observers.Watch, "stage_begins"),
        "update": (steps.Steps, "train"),
    }
    write = atomic.File.write

    def half_written(self: atomic.File, content: bytes | memoryview) -> None:
        if moment.kind == "ending" and self.path.name.split("-", 2)[-1] == moment.where:
            write(self, content[: len(content) // 2])
            os.fsync(self.fileno())
            happens()
            content = content[len(content) // 2 :]
        write(self, content)

    atomic.File.write = half_written  # type: ignore[method-assign]
    if moment.kind in hooks:
        owner, name = hooks[moment.kind]
        before = getattr(owner, name)

        def hooked(self: Any, *arguments: Any) -> Any:
            result = before(self, *arguments)
            happens(result.done if moment.kind == "update" else 1)
            return result

        setattr(owner, name, hooked)
    sys.argv = ["cnnkit", *words]
    main()


@dataclass(frozen=True)
class Ended:
    """How a process has ended.

    Attributes:
        code: Its exit code; negative for the signal that killed it.
        out: What it said.
        seconds: How long it took.
    """

    code: int
    out: str
    seconds: float


def trained(words: list[str | Path], folder: Path, moment: Moment | None = None) -> Ended:
    """Trains in a process of its own, and ends it at a moment."""
    text = [str(word) for word in words]
    hook = json.dumps(asdict(moment or Moment("never", 0, 0)))
    command = [sys.executable, __file__, "--drive", hook, *text]
    environment = os.environ | {"CNNKIT_CACHE": str(folder / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    began = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=environment
    ) as process:
        if moment and moment.kind in ("at any time", "right after the start"):
            run = Path(text[text.index("--resume") + 1 if "--resume" in text else text.index("--run") + 1])
            while moment.kind == "right after the start" and not run.exists() and process.poll() is None:
                time.sleep(0.001)
            try:
                process.wait(moment.after)
            except subprocess.TimeoutExpired:
                process.send_signal(moment.number)
        out, _ = process.communicate()
    return Ended(process.returncode, out, time.monotonic() - began)


def unreadable(run: Path) -> Iterator[str]:
    """What of the states and of the best weights of a run is damaged."""
    from cnnkit.core.errors import TrainingError
    from cnnkit.runs import checkpoints, training_states

    folder = run / "checkpoints"
    for position in training_states.saved(folder):
        try:
            assert training_states.read(folder, position).arrays
        except (TrainingError, AssertionError) as error:
            yield f"state {position}: {error}"
    if (folder / "best.json").exists():
        try:
            checkpoints.verified(folder, checkpoints.BEST)
        except TrainingError as error:
            yield f"best: {error}"


def outcome(run: Path) -> dict[str, Any]:
    """All of a finished run that has to be the same: bytes, and documents without times."""
    from cnnkit.runs import checkpoints, training_states
    from cnnkit.runs.epochs import TIMES

    folder = run / "checkpoints"
    weights, best = checkpoints.verified(folder, checkpoints.BEST)
    state = training_states.read(folder, training_states.saved(folder)[-1])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found: dict[str, Any] = {f"array {name}": (a.dtype.str, a.shape, a.tobytes()) for name, a in state.arrays.items()}
    found |= {f"weights {name}": content for name, content in arrays_of(weights)}
    found |= {f"best {name}": value for name, value in best.items() if name not in ("sha256", "file")}
    found |= {
        f"fact {name}": value for name, value in state.facts.items() if name not in ("best_checkpoint", "observers")
    }
    # How long there was to wait, what was told by the clock, and the files of a tracker differ from run to run.
    found |= {
        f"of {name}": each
        for name, each in state.facts["observers"].items()
        if name not in ("WatchWaiting", "StartChecks", "Tracking")
    }
    found |= {f"epoch {i}": {k: v for k, v in line.items() if k not in TIMES} for i, line in enumerate(lines, 1)}
    for split in ("validation", "test"):
        found[f"evaluation of {split}"] = json.loads((run / "evaluation" / f"{split}.json").read_text())
        found[f"evaluation of {split}"].pop("run", None)
    return found


def arrays_of(weights: Path) -> list[tuple[str, bytes]]:
    """The arrays in a file of weights, by their names."""
    import h5py

    found: list[tuple[str, bytes]] = []

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append((name, item[()].tobytes()))

    with h5py.File(weights) as file:
        file.visititems(add)
    return found


def position(run: Path) -> tuple[int, int]:
    """Epochs and updates that the newest state of a run has; 0 and 0 if there is none."""
    from cnnkit.runs import training_states

    saved = training_states.saved(run / "checkpoints")
    return (saved[-1].epoch, saved[-1].update) if saved else (0, 0)


@dataclass
class Test:
    """Kills runs of a config until there were as many moments as are wanted.

    Attributes:
        folder: Where all of it lies.
        config: The config.
        moments: How many.
        chance: Draws them.
        whole: The undisturbed run.
    """

    folder: Path
    config: Path
    moments: int
    chance: random.Random
    say: Callable[[str], None] = print
    wrong: int = 0

    def run(self) -> int:
        """Does it; how much was wrong."""
        whole = self.folder / "whole"
        ended = trained(["train", self.config, "--run", whole], self.folder)
        if ended.code:
            self.say(ended.out)
            return 1
        self.right, self.seconds = outcome(whole), ended.seconds
        lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
        self.updates = lines[-1]["step"]
        stages = [sum(line["stage"] == stage for line in lines) for stage in sorted({line["stage"] for line in lines})]
        self.say(f"undisturbed: {ended.seconds:.0f} s, epochs of the stages: {stages}, {self.updates} updates")
        done = number = 0
        while done < self.moments:
            number += 1
            done += self._one(number, min(self.chance.randint(1, LONGEST_CHAIN), self.moments - done), done)
        self._at_the_files_written_last(number + 1)
        self.say(f"{done + len(LAST)} moments in {number + 1} runs, {self.wrong} faults")
        return self.wrong

    def _at_the_files_written_last(self, number: int) -> None:
        """Trains a run that is ended when each of them is half written, by one signal and the other in turn."""
        run = self.folder / f"run-{number}"
        for place, file in enumerate(LAST):
            moment = Moment("ending", (signal.SIGKILL, signal.SIGTERM)[place % 2], 1, file)
            words: list[str | Path] = ["train", "--resume", run] if place else ["train", self.config, "--run", run]
            ended = trained(words, self.folder, moment)
            faults = list(self._after_a_kill(run, moment, ended))
            if ended.code not in ends_of(moment):
                faults.append(f"exit {ended.code}: {ended.out[-2000:]}")
            self._tell(None, number, str(moment), position(run), faults)
        ended = trained(["train", "--resume", run], self.folder)
        faults = differing(self.right, outcome(run)) if ended.code == 0 else [f"exit {ended.code}: {ended.out[-2000:]}"]
        if left := [str(file.relative_to(run)) for file in run.rglob(".writing-*") if not file.name.endswith(REPORT)]:
            faults.append(f"half-written files are left: {left}")
        self._tell(None, number, "to the end", position(run), faults)

    def _one(self, number: int, times: int, before: int) -> int:
        """Trains a run that is ended some times; how many times it was."""
        run = self.folder / f"run-{number}"
        killed = 0
        while True:
            resumed = run.exists()
            words: list[str | Path] = ["train", "--resume", run] if resumed else ["train", self.config, "--run", run]
            epoch, _ = position(run)
            left = 1 - (epoch * len(self.right_epochs) and epoch / len(self.right_epochs))
            # So that all ends of a chain find their place: each within its share of what is left.
            share = left / max(times - killed, 1)
            wanted = killed < times
            to_come = (int(self.updates * share), len(self.right_epochs) * share, self.seconds * share)
            moment = Moment.drawn(self.chance, *to_come) if wanted else None
            ended = trained(words, self.folder, moment)
            if moment and ended.code in ends_of(moment):
                killed += 1
                self._tell(
                    before + killed, number, str(moment), position(run), list(self._after_a_kill(run, moment, ended))
                )
                continue
            faults = [] if ended.code == 0 else [f"exit {ended.code}: {ended.out[-2000:]}"]
            if not faults:
                faults = differing(self.right, outcome(run))
            self._tell(None, number, "to the end", position(run), faults)
            return killed

    @property
    def right_epochs(self) -> list[str]:
        return [name for name in self.right if name.startswith("epoch ")]

    def _after_a_kill(self, run: Path, moment: Moment, ended: Ended) -> Iterator[str]:
        yield from unreadable(run)
        how = "cnnkit report" if moment.where == REPORT else "--resume"
        if ended.code != -moment.number and run.exists() and how not in ended.out:
            yield f"it did not say how to go on: {ended.out[-500:]}"

    def _tell(self, number: int | None, run: int, what: str, at: tuple[int, int], faults: list[str]) -> None:
        self.wrong += len(faults)
        head = f"{number or '':>3} run {run:<3} {what:<44} epoch {at[0]:>2} update {at[1]:>3}"
        self.say(
            f"{head}  {'; '.join(faults[:3]) or ('the same to the last bit' if what == 'to the end' else 'readable')}"
        )


def ends_of(moment: Moment) -> tuple[int, int]:
    """The exit codes of a training that was ended: killed, or as it ends itself."""
    return -moment.number, TrainingError.exit_code if moment.where == REPORT else 128 + moment.number


def differing(right: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What is not as it should be."""
    return [
        f"{name} differs" for name in dict.fromkeys([*right, *found]) if right.get(name, ...) != found.get(name, ...)
    ]


def main() -> int:
    """The script."""
    if sys.argv[1:2] == ["--drive"]:
        drive(Moment(**json.loads(sys.argv[2])), sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=30, help="at which trainings are ended (30)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (0)")
    parser.add_argument("--epochs", type=int, default=14, help="of each stage (14)")
    parser.add_argument("--size", type=int, default=64, help="pixels a side (64)")
    parser.add_argument("--filters", type=int, default=64, help="of each convolution (64)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "killed.yaml"
        size = {"size": options.size, "filters": options.filters, "epochs": options.epochs}
        config.write_text(CONFIG.format(every_steps=EVERY_STEPS, **size))
        test = Test(
            Path(folder), config, options.moments, random.Random(options.seed), lambda line: print(line, flush=True)
        )
        return 1 if test.run() else 0


if __name__ == "__main__":
    sys.exit(main())
