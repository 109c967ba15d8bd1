"""Run: the folder of one training run. It explains itself and is enough to repeat and evaluate the run."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from cnnkit import atomic, checkpoints, config_file
from cnnkit.duration import cores
from cnnkit.errors import TrainingError, UsageError
from cnnkit.experiment import Experiment
from cnnkit.lazy import keras, tf
from cnnkit.sources import Index
from cnnkit.view import View


class SplitRow(NamedTuple):
    """An image of a split.

    Attributes:
        image: Its name in the source.
        label: Its class.
        digest: Hash of its content.
        beside: Hashes of the files beside it that `data.prepare` reads; empty if it reads none.
    """

    image: str
    label: str
    digest: str
    beside: str


@dataclass(frozen=True)
class Run:
    """A run's folder; what lies in it is described in docs/reference/run_folder.md."""

    folder: Path

    @classmethod
    def create(cls, experiment: Experiment, folder: Path | None) -> Run:
        """Makes the folder of a new run, with its config; by default runs/<name>-<time>.

        Raises:
            UsageError: The folder exists already, or can't be made.
        """
        cls.refuse(folder)
        stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
        base = folder or Path("runs") / f"{experiment.name}-{stamp}"
        chosen, number = base, 1
        try:
            chosen.parent.mkdir(parents=True, exist_ok=True)
            while True:
                try:
                    # Whoever makes the folder owns the run: two processes can't get the same one.
                    chosen.mkdir()
                    break
                except FileExistsError:
                    cls.refuse(folder)
                    number += 1
                    chosen = base.with_name(f"{base.name}-{number}")
        except OSError as error:
            raise UsageError(f"the run's folder {chosen} can't be made: {error.strerror}: {error.filename}") from None
        run = cls(chosen)
        # What the network can't be built without comes along, so that the run's config repeats it when it is gone.
        experiment.model.keep(run.folder)
        kept = experiment.model_copy(update={"model": experiment.model.kept(run.folder)})
        if experiment.data.exclude:
            listed = run.folder / "exclude.txt"
            atomic.write_text(listed, Path(experiment.data.exclude).read_text(encoding="utf-8", errors=atomic.ERRORS))
            data = kept.data.model_copy(update={"exclude": str(listed.absolute())})
            kept = kept.model_copy(update={"data": data})
        atomic.write_text(run.folder / "config.yaml", config_file.write(kept))
        return run

    @staticmethod
    def refuse(folder: Path | None) -> None:
        """Refuses a folder that exists already or can't be made; asked before the long work, too.

        Raises:
            UsageError: It exists, or can't be made.
        """
        if folder and os.path.lexists(folder):
            raise UsageError(f"{folder} exists already, and a run never overwrites another; choose another --run")
        above = (folder or Path("runs")).absolute().parent
        while not above.exists() and above != above.parent:
            above = above.parent
        if not os.access(above, os.W_OK):
            raise UsageError(f"the run's folder can't be made: {above} may not be written to; choose another --run")

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """The run in a folder.

        Raises:
            UsageError: It is not the folder of a run.
        """
        run = cls(Path(folder))
        if not (run.folder / "config.yaml").is_file() or not (run.folder / "provenance.json").is_file():
            why = "holds no config.yaml and provenance.json" if run.folder.is_dir() else "there is no such folder"
            raise UsageError(f"{folder} is not a run of cnnkit: {why}")
        recorded = run.provenance().get("files")
        for name, digest in run.hashes().items():
            if not isinstance(recorded, dict) or recorded.get(name) != digest:
                raise TrainingError(
                    f"{run.folder / name} is not as the run left it: its SHA-256 is not the recorded one"
                )
        return run

    def hashes(self) -> dict[str, str | None]:
        """SHA-256 of the files that decide what the run's network is and what it is judged on."""
        names = ("config.yaml", "split.csv", "backbone/saved_model.pb")
        return {name: _sha256(self.folder / name) for name in names}

    def experiment(self, *settings: str) -> Experiment:
        """The experiment as it was run; it is complete, so images and networks that moved do not matter here."""
        experiment = config_file.read(self.folder / "config.yaml", *settings, files=False)
        if any(setting.startswith("model") for setting in settings):
            return experiment
        return experiment.model_copy(update={"model": experiment.model.kept(self.folder)})

    @property
    def checkpoint_folder(self) -> Path:
        """Where the weights lie."""
        return self.folder / "checkpoints"

    def load_best(self, model: Any) -> dict[str, Any]:
        """Loads the weights of the best epoch into a model; returns what is known of that epoch."""
        return checkpoints.load(model, self.checkpoint_folder, "best")

    def network(self) -> Any:
        """The run's network with the weights of its best epoch, read from disk.

        Raises:
            TrainingError: The run has no usable checkpoint.
        """
        experiment = self.experiment()
        logits = experiment.train.loss.logits(len(self.classes))
        model = experiment.model.build(self.shape, logits)
        self.load_best(model)
        return model

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the network's images.

        Raises:
            TrainingError: The run's config does not tell.
        """
        shape = self.experiment().shape()
        if shape is None:
            raise TrainingError(f"{self.folder / 'config.yaml'} lacks data.image_size or data.channels")
        return shape

    @property
    def view(self) -> View:
        """What the run's network is shown of a picture: as in its training."""
        data = self.experiment().data
        return View(self.shape, data.fit, data.prepare)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the network's logits.

        Raises:
            TrainingError: The record of the run does not tell.
        """
        try:
            classes = self.provenance()["data"]["classes"]
        except (KeyError, TypeError):
            classes = None
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise TrainingError(f"{self.folder / 'provenance.json'} is damaged: it lacks the classes")
        return classes

    def write_provenance(self, **facts: Any) -> None:
        """Writes, or adds to, the record of how the run was made."""
        path = self.folder / "provenance.json"
        known = self.provenance() if path.exists() else {}
        atomic.write_json(path, known | facts)

    def provenance(self) -> dict[str, Any]:
        """The record of how the run was made.

        Raises:
            TrainingError: It is damaged.
        """
        path = self.folder / "provenance.json"
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise TrainingError(f"{path} is damaged: {error}") from None
        if not isinstance(facts, dict):
            raise TrainingError(f"{path} is damaged: it is not a JSON object")
        return facts

    def record(self, metrics: dict[str, Any]) -> None:
        """Adds an epoch to metrics.jsonl."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            # JSON has no NaN and no infinity; a loss that is one of these is recorded as null.
            told = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in metrics.items()}
            file.write(json.dumps(told) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """The epochs recorded so far; a last line that a crash cut short does not count."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def log(self, line: str) -> None:
        """Adds a line, with the time, to log.txt."""
        with (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now().isoformat(timespec='seconds')}  {line}\n")

    def write_split(self, index: Index, splits: list[str], beside: list[str]) -> None:
        """Writes split.csv: which image was in which split, and the hash of its content.

        Args:
            index: The images.
            splits: The split of each.
            beside: Digests of the files beside each that `data.prepare` reads, as `View.beside` tells them.
        """
        rows = sorted(zip(splits, index.names, index.labels, index.digests, beside, strict=True))
        table = [(name, split, index.classes[label], *digests) for split, name, label, *digests in rows]
        self.write_csv("split.csv", ("image", "split", "label", "digest", "beside"), table)
        if index.unused:
            unused = [(entry.name, entry.reason) for entry in index.unused]
            self.write_csv("unused.csv", ("file", "reason"), unused)

    def split(self, name: str) -> list[SplitRow]:
        """The images that were in a split.

        Raises:
            TrainingError: split.csv is missing or damaged.
        """
        path = self.folder / "split.csv"
        try:
            with path.open(encoding="utf-8", errors=atomic.ERRORS, newline="") as file:
                table = csv.DictReader(file)
                if missing := {"image", "split", "label", "digest"} - set(table.fieldnames or ()):
                    raise TrainingError(f"{path} is damaged: it has no column {', '.join(sorted(missing))}")
                return [
                    SplitRow(row["image"], row["label"], row["digest"], row.get("beside") or "")
                    for row in table
                    if row["split"] == name
                ]
        except (OSError, csv.Error) as error:
            raise TrainingError(f"{path} can't be read: {error}") from None

    def write_csv(self, name: str, header: tuple[str, ...], rows: list[Any]) -> None:
        """Writes a table into the run's folder."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        atomic.write_text(path, text.getvalue())


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def circumstances() -> dict[str, Any]:
    """Command, code and machine that a run is made with."""
    packages = ("cnnkit", "tensorflow", "keras", "numpy", "pillow", "opencv-python-headless", "scikit-learn")
    return {
        "command": shlex.join(["cnnkit", *sys.argv[1:]]),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "git": _git(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in packages},
        },
        "platform": platform.platform(),
        "device": device(),
    }


def device() -> str:
    """What the network runs on: the GPUs by name, or the CPU with its number of threads."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
        return ", ".join(names)
    threads = tf.config.threading.get_intra_op_parallelism_threads() or cores()
    return f"CPU, {threads} threads"


def _git() -> dict[str, Any] | None:
    """Commit and state of the working folder's repository; None outside of one."""

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = ask("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(ask("status", "--porcelain"))} if commit else None


def parameters(model: Any) -> dict[str, int]:
    """How many numbers a model holds."""
    trainable = sum(int(keras.ops.size(weight)) for weight in model.trainable_weights)
    other = sum(int(keras.ops.size(weight)) for weight in model.non_trainable_weights)
    return {"total": trainable + other, "trainable": trainable, "non_trainable": other}
