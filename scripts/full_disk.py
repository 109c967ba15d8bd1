"""Fills the disk of a run at different moments, and says whether it ended as it should.

    sudo python scripts/full_disk.py

The run's folder and that for temporary files are on a tmpfs of 128 KB, 1 MB or 5 MB, which another program fills at
some moment of the training, or which its own states fill, of which more are kept than find room. However it goes,
`train` has to end with 0 or 4 and no traceback; with 4 in a line that names the disk. What is left has to be whole:
nothing, or a run that is finished but for what comes behind a training, or one that says it failed, of which the best
epoch that it names can be evaluated once there is room, all states can be read, and `--resume` comes to the same end as
a run with a large disk. Then the same with the cache alone on such a disk: `train` has to end with 0, say that the
cache is full, and give the same bits as with a large one.

Needs the right to mount; some minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnkit.core.errors import CnnkitError
from cnnkit.runs import training_states

CONFIG = """
name: full
data: {{source: {{name: folder, path: "{images}"}}, image_size: [16, 16], batch_size: 16}}
model:
  name: sequential
  layers: [{{name: conv, filters: 4}}, {{name: flatten}}, {{name: dense, units: {units}}}]
train:
  epochs: 6
  optimizer: {{name: sgd, learning_rate: 1e-3, momentum: 0.9}}
  checkpoint: {{monitor: loss, every_steps: 1}}
"""

SIZES = {"128k": 1, "1m": 16, "5m": 128}
"""Of the disk, and units of the network: its weights find room some times."""

IMAGES = 90


def a_file(name: str) -> Callable[[Path], bool]:
    """The moment when a file of the run is there."""
    return lambda run: (run / name).exists()


def an_epoch(number: int) -> Callable[[Path], bool]:
    """The moment when so many epochs are recorded."""

    def there(run: Path) -> bool:
        metrics = run / "metrics.jsonl"
        return metrics.exists() and len(metrics.read_text().splitlines()) >= number

    return there


def a_state(run: Path) -> bool:
    """The moment when a state of the training is there."""
    return any((run / "checkpoints").glob("state-*.json"))


OWN = "by its own states"

MOMENTS: dict[str, tuple[Callable[[Path], bool], int]] = {
    "never": (lambda run: False, 0),
    "before it begins": (lambda run: True, 0),
    "before it begins, but for 8 KB": (lambda run: True, 8192),
    "before it begins, but for 24 KB": (lambda run: True, 24576),
    "once there is a folder": (lambda run: run.exists(), 0),
    "once there is a log": (a_file("log.txt"), 0),
    "after the first epoch": (a_file("checkpoints/best.json"), 0),
    "after the second epoch, but for 4 KB": (an_epoch(2), 4096),
    "after the fourth epoch": (an_epoch(4), 0),
    "while it is evaluated": (a_file("evaluation/validation.json"), 0),
    "before its baseline": (a_file("evaluation/test.json"), 0),
    "before its report": (a_file("familiarity.safetensors"), 0),
    "once there is a state": (a_state, 0),
    OWN: (lambda run: False, 0),
}
"""When the disk is filled, and but for how many bytes."""


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A tmpfs of that size."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path, left: int) -> None:
    """Fills a disk, but for some bytes."""
    free = shutil.disk_usage(disk).free - left
    try:
        with (disk / "filler").open("wb", buffering=0) as file:
            for _ in range(max(free, 0) // 4096):
                file.write(bytes(4096))
    except OSError:
        pass  # the run was quicker


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "cnnkit", *map(str, words)]


def trial(size: str, moment: str, images: Path, cache: Path, work: Path) -> list[str]:
    """Trains while the disk fills; what is wrong then."""
    happened, left = MOMENTS[moment]
    config = work / "config.yaml"
    config.write_text(CONFIG.format(images=images, units=SIZES[size]))
    with small_disk(size) as disk:
        run, temporary = disk / "run", disk / "tmp"
        temporary.mkdir()
        environment = os.environ | {"TMPDIR": str(temporary), "CNNKIT_CACHE": str(cache)}
        words = ["--set", "train.checkpoint.keep=1000"] if moment == OWN else []
        process = subprocess.Popen(
            command("train", config, "--run", run, *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        while process.poll() is None and not happened(run):
            time.sleep(0.002)
        if happened(run):
            fill(disk, left)
        out, err = process.communicate()
        (disk / "filler").unlink(missing_ok=True)
        print(f"{size}, full {moment}: exit {process.returncode}, {told(out, err) or 'nothing said'}", flush=True)
        wrong = list(faults(process.returncode, out, err, run, disk))
        # What is left of a run with a thousand states finds room with those of a run that keeps two.
        return wrong or list(faults_of_going_on(process.returncode, run, disk, environment, work / f"whole-{size}"))


LACKING = "the run is complete without it"
"""What is said where something behind a training finds no room."""


def told(out: str, err: str) -> str:
    """Why there is no room: of a training that failed, or of what comes behind one."""
    return "; ".join([err.strip()] * bool(err) + [line for line in out.splitlines() if LACKING in line])


def faults(code: int, out: str, err: str, run: Path, disk: Path) -> Iterator[str]:
    """What is wrong with the end of a run on a disk that was full."""
    finished = code == 0 or LACKING in out
    if code not in (0, 4):
        yield f"exit code {code}"
    if "Traceback" in err + out or (code == 4 and f"the disk at {disk} is full" not in told(out, err)):
        yield f"said: {told(out, err)}"
    if (code == 0 and LACKING in out) or len(err.splitlines()) != (0 if finished else 1):
        yield f"with {code} said: {told(out, err)}"
    if left := [str(file) for file in disk.rglob(".writing*")]:
        yield f"half-written files: {left}"
    if not run.exists():
        if code == 0 or ("nothing is left" not in err and "needs" not in err and "can't be written" not in err):
            yield "there is no run"
        return
    record = json.loads((run / "provenance.json").read_text())
    if record["state"] != ("finished" if finished else "failed"):
        yield f"its state is {record['state']}"
    for line in (run / "metrics.jsonl").read_text().splitlines() if (run / "metrics.jsonl").exists() else []:
        json.loads(line)
    best = run / "checkpoints" / "best.json"
    if best.exists() != (record["best_epoch"] is not None):
        yield f"best epoch {record['best_epoch']}, and {best} is {'there' if best.exists() else 'not there'}"
    if best.exists():
        done = subprocess.run(command("evaluate", run, "--split", "validation"), capture_output=True, text=True)
        if done.returncode not in (0, 4) or (done.returncode == 4 and " is full" not in done.stderr):
            yield f"evaluate ends with {done.returncode}: {done.stderr}"


def faults_of_going_on(code: int, run: Path, disk: Path, environment: dict[str, str], whole: Path) -> Iterator[str]:
    """What is wrong with the states that are left, and with a run that goes on once there is room.

    Args:
        code: Exit code of the run.
        run: It.
        disk: The small disk.
        environment: Of the commands.
        whole: A run with a large disk.
    """
    folder = run / "checkpoints"
    try:
        for position in training_states.saved(folder):
            training_states.read(folder, position)
    except CnnkitError as error:
        yield f"a state is damaged: {error}"
    if code == 0 or not run.exists():
        return
    for file in sorted(folder.glob("state-*"))[4:]:  # room for those to come
        file.unlink()
    words = command("train", "--resume", run, "--set", "train.checkpoint.keep=2")
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode == 4 and f"the disk at {disk} is full" in done.stderr:
        return  # it is too small for what a run leaves
    if LACKING not in done.stdout and (done.returncode or done.stderr):
        yield f"going on, it ends with {done.returncode}: {done.stderr}"
        return
    if learnt(run) != learnt(whole):
        yield f"it ends with {learnt(run)}, and an undisturbed run with {learnt(whole)}"


def learnt(run: Path) -> list[float]:
    """The loss of each epoch."""
    return [json.loads(line)["val_loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def with_a_full_cache(size: str, images: Path, work: Path) -> list[str]:
    """Trains with a small cache and with a large one; what is wrong then."""
    config, losses, wrong = work / "config.yaml", [], []
    config.write_text(CONFIG.format(images=images, units=8))
    with small_disk(size) as disk:
        fill(disk, 4096)
        for cache in (disk / "cache", work / f"cache-{size}"):
            run = work / f"run-{size}-{cache.parent.name}"
            words: list[str | Path] = ["--run", run, "--set", "data.cache={memory_gib: 0, disk_gib: 1}"]
            environment = os.environ | {"CNNKIT_CACHE": str(cache)}
            done = subprocess.run(command("train", config, *words), capture_output=True, text=True, env=environment)
            said = [line for line in done.stdout.splitlines() if " is full" in line]
            if done.returncode or done.stderr:
                wrong.append(f"exit {done.returncode}: {done.stderr}")
                continue
            if bool(said) != (cache.parent == disk):
                wrong.append(f"said: {done.stdout}")
            losses.append(learnt(run))
    if losses[1:] and losses[0] != losses[1]:
        wrong.append(f"other results: {losses}")
    print(f"a cache on a full disk of {size}: {'; '.join(wrong) or 'said, and the same result'}", flush=True)
    return wrong


def draw(folder: Path) -> None:
    """Two classes of small random pictures."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(IMAGES):
        file = folder / ("a" if number % 2 else "b") / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save(file)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="of the disk")
    parser.add_argument("--moments", nargs="+", type=int, default=range(len(MOMENTS)), help="their numbers, from 0")
    options = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        work, images = Path(folder), Path(folder) / "images"
        draw(images)
        for size in options.sizes:
            (work / "config.yaml").write_text(CONFIG.format(images=images, units=SIZES[size]))
            words = command("train", work / "config.yaml", "--run", work / f"whole-{size}")
            subprocess.run(
                words, check=True, capture_output=True, env=os.environ | {"CNNKIT_CACHE": str(work / "cache")}
            )
            for moment in (list(MOMENTS)[number] for number in options.moments):
                wrong += [f"{size}, {moment}: {fault}" for fault in trial(size, moment, images, work / "cache", work)]
            wrong += [f"{size}, cache: {fault}" for fault in with_a_full_cache(size, images, work)]
    print(*(f"WRONG: {fault}" for fault in wrong), f"{len(wrong)} faults", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
