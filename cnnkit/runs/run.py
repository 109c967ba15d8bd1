"""Run: the folder of one training run. It explains itself and is enough to repeat and evaluate the run.

How the folder is created and known again is in `creating`, the config that it keeps in `own_config`, the record of how
it came about in `record`; this is the one door to all of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cnnkit.config.experiment import Experiment
from cnnkit.core import atomic, onednn
from cnnkit.core.errors import TrainingError, UsageError
from cnnkit.core.lazy import np
from cnnkit.core.own_folders import FOLDS, run_of_fold
from cnnkit.core.progress import Progress
from cnnkit.core.text import typed, visible
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.index import SPLITS, Index
from cnnkit.runs import checkpoints, creating, holding, own_config, reading, split_file
from cnnkit.runs.calibration import Calibration
from cnnkit.runs.epochs import Epochs
from cnnkit.runs.files import Files
from cnnkit.runs.record import Record
from cnnkit.runs.split_file import SplitRow

FINISHED, UNFINISHED = "finished", "unfinished"
"""States of a run that has come to its end, and of one whose time was up. Before that it is `training`, which a kill
leaves behind too; else it was `interrupted`, or has `failed`."""


@dataclass(frozen=True)
class Run:
    """A run's folder; what lies in it is told by `Files`.

    What is read from its files is read once.

    Attributes:
        folder: The folder.
        settings: `KEY=VALUE` pairs over its config, as `--set` takes them.
    """

    folder: Path
    settings: tuple[str, ...] = ()

    @cached_property
    def files(self) -> Files:
        """Where each of its files lies."""
        return Files(self.folder)

    @cached_property
    def _record(self) -> Record:
        """How it came about."""
        return Record(self.files)

    @cached_property
    def _epochs(self) -> Epochs:
        """What was measured in each of its epochs."""
        return Epochs(self.files.metrics)

    @classmethod
    def create(cls, experiment: Experiment, folder: Path | None, rate_test: Mapping[str, Any] | None = None) -> Run:
        """Makes the folder of a new run, with its config; by default runs/<name>-<time>.

        Args:
            experiment: What is done.
            folder: The folder.
            rate_test: How its learning rate was found, if it was: of a run that is killed from here on, that is known.

        Raises:
            UsageError: The folder exists already, or can't be made.
            DiskError: There is no room for what is in it; nothing is left.
        """
        return cls(creating.create(experiment, folder, rate_test))

    def remove(self) -> None:
        """Removes the folder of a run that has not begun."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @classmethod
    def open(cls, run: Run | Path | str, fitted_anew: bool = False) -> Run:
        """The run in a folder; one that is open already stays as it is.

        Args:
            run: The run, or its folder.
            fitted_anew: Whether it is going to be calibrated: the files of `Files.fitted` need not be as it left them.

        Raises:
            UsageError: It is not the folder of a run.
            TrainingError: A file that decides what the run is was changed.
        """
        if isinstance(run, Run):
            return run
        opened = cls(Path(run))
        creating.refuse_no_run(opened.files)
        opened._record.refuse_changed(fitted_anew)
        return opened

    @classmethod
    def begun(cls, folder: Path | str) -> Run:
        """The same, also of a run that was ended before it had a record of itself.

        Raises:
            UsageError: It is not the folder of a run.
            TrainingError: A file that decides what the run is was changed.
        """
        run = cls(Path(folder))
        return run if creating.was_begun(run.files) else cls.open(run.folder)

    @classmethod
    def below(cls, folder: Path) -> list[Run]:
        """The runs in a folder, that which was written last first; whether they are whole is not looked at."""
        runs = [cls(path) for path in folder.iterdir()] if folder.is_dir() else []
        begun = [run for run in runs if run.files.provenance.is_file()]
        return sorted(begun, key=lambda run: run.files.provenance.stat().st_mtime, reverse=True)

    @contextmanager
    def held(self, patience: float = 1.0) -> Iterator[None]:
        """Holds the run, as whoever trains it does; free again when the process is gone, however it ended.

        Args:
            patience: Seconds that it is tried, as another process may look for a moment whether it is held.

        Raises:
            UsageError: Another process holds it.
        """
        with holding.held(self.files, patience):
            yield

    def is_held(self) -> bool:
        """Whether a process trains it now."""
        try:
            with self.held(patience=0.0):
                return False
        except UsageError:
            return True

    def with_settings(self, *settings: str) -> Run:
        """The same run with `KEY=VALUE` pairs over its config, for example where its images are now."""
        if not settings:
            return self
        other = replace(self, settings=(*self.settings, *settings))
        vars(other).update(_seen=self._seen)
        return other

    def afresh(self) -> Run:
        """The same run as its folder is now."""
        other = Run(self.folder, self.settings)
        vars(other).update(_seen=self._seen)
        return other

    def change(self, experiment: Experiment) -> None:
        """Puts another config in the place of its own; a crash meanwhile leaves it with the one or the other."""
        self._record.replace(self.files.config, own_config.text_of(experiment, self.files))

    def hashes(self) -> dict[str, str | None]:
        """SHA-256 of the files that decide what the run's network is and what it is judged on."""
        return self._record.hashes()

    def hashes_in_training(self) -> dict[str, str | None]:
        """The recorded hashes without that of its best weights, which training may replace at any moment."""
        return self._record.hashes_in_training()

    def hashes_at_end(self) -> dict[str, str | None]:
        """The recorded hashes, with that of its best weights as its training leaves them."""
        return self._record.hashes_at_end()

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment as it was run; it is complete, so images and networks that moved do not matter here."""
        return own_config.read(self.files, self.settings)

    @cached_property
    def folds(self) -> Path | None:
        """The folder of the folds that it is one of.

        It lies there as the folds named it, and they are as many as in its config. None for a run that was put among
        them, and where their own record can't be read: that keeps nobody from the run itself.
        """
        split, folder = self.experiment.data.split, self.files.above_folds
        if folder is None or split.folds is None or split.fold is None:
            return None
        if run_of_fold(folder, split.fold).resolve() != self.folder.resolve():
            return None
        try:
            record = reading.json_object(folder / FOLDS)
        except TrainingError:
            return None
        return folder if record.get("folds") == split.folds else None

    @cached_property
    def calibration(self) -> Calibration:
        """What was fitted on its validation images behind its training.

        Raises:
            TrainingError: The file of it is damaged.
        """
        with self._record.bringing_back(self.files.calibration):
            return Calibration.read(self.files.calibration)

    def calibrate(self, **facts: Any) -> Run:
        """Records what was fitted on its validation images, beside what was before; the run from now on.

        A crash meanwhile leaves it with the one or the other.
        """
        text = atomic.as_json(asdict(replace(self.calibration, **facts)))
        self._record.replace(self.files.calibration, text)
        return self.with_calibration(**facts)

    def outdate(self) -> bool:
        """Removes what was found of its network, which is going to be trained on; whether it was calibrated.

        To be called by who holds the run.
        """
        calibrated = self.files.calibration.exists()
        if calibrated:
            self._record.replace(self.files.calibration, None)
        for split in SPLITS:
            for file in (self.files.result(split), self.files.predictions(split), self.files.answers(split)):
                file.unlink(missing_ok=True)
        return calibrated

    def keep_familiarity(self, content: bytes | None) -> None:
        """Keeps what tells unfamiliar images, see `cnnkit.evaluation.familiarity`, in the place of what was before."""
        self._record.replace(self.files.familiarity, content)

    def left(self, file: Path) -> bool:
        """Whether one of `Files.fitted` is as the run left it."""
        return self._record.knows(file)

    def to_evaluate(self, split: str) -> str:
        """The command that evaluates a split anew; where nothing else takes the run any more, with a calibration."""
        calibrate = "" if all(map(self.left, self.files.fitted)) else " --calibrate"
        return f"cnnkit evaluate {typed(self.folder)} --split {split}{calibrate}"

    def with_calibration(self, **facts: Any) -> Run:
        """The same run as if it were calibrated so; nothing is recorded."""
        return self._with(replace(self.calibration, **facts))

    def uncalibrated(self) -> Run:
        """The same run as if it never were; nothing is recorded, and its calibration is not read."""
        return self._with(Calibration())

    def _with(self, calibration: Calibration) -> Run:
        other = self.afresh()
        vars(other).update(calibration=calibration)
        return other

    def probabilities(self, logits: Any, names: Sequence[str] = ()) -> Any:
        """From logits (B, logits) of its network to calibrated probabilities (B, classes), NumPy float64.

        Args:
            logits: What the network answers.
            names: What its images are called, for the error.

        Raises:
            TrainingError: A logit is NaN or infinite.
        """
        scaled = np.asarray(logits, np.float64) / self.calibration.temperature
        return self.experiment.train.loss.probabilities(scaled, names)

    @cached_property
    def _seen(self) -> checkpoints.Seen:
        """Weights that were looked into, which may be large: once is enough for a command."""
        return {}

    def weights_digest(self) -> str:
        """SHA-256 of the weights of its best epoch, as they were saved; they are looked into.

        Raises:
            TrainingError: It has no usable checkpoint.
        """
        with self._of_weights():
            _, best = checkpoints.verified(self.files.checkpoints, checkpoints.BEST, self._seen)
        return str(best["sha256"])

    def load_best(self, model: Any) -> dict[str, Any]:
        """Loads the weights of the best epoch into a model; returns what is known of that epoch.

        Raises:
            TrainingError: It has no usable checkpoint.
        """
        with self._of_weights():
            return checkpoints.load(model, self.files.checkpoints, checkpoints.BEST, self._seen)

    @contextmanager
    def _of_weights(self) -> Iterator[None]:
        """Where the best weights, which are read within, are gone or damaged, what to do is told too."""
        begun = checkpoints.begun(self.files.checkpoints, checkpoints.BEST)
        if not begun and not self._record.has_weights():  # there are none yet, which is no damage
            yield
            return
        with self._record.bringing_back():
            if not begun:
                raise TrainingError(f"{self.files.checkpoints}: the file of the best weights is gone")
            yield

    def network(self, progress: Progress | None = None) -> Any:
        """The run's network with the weights of its best epoch, read from disk, on the kernels of its training.

        Args:
            progress: Is told where these can't be had.

        Raises:
            TrainingError: The run has no usable checkpoint.
        """
        recorded = self.provenance().get("onednn")
        if isinstance(recorded, bool) and (line := onednn.as_recorded(recorded)) and progress:
            progress.say(f"{self.folder} computes {line}")
        logits = self.experiment.train.loss.logits(len(self.classes))
        model = self.experiment.model.build(self.shape, logits, self.experiment.train.precision)
        self.load_best(model)
        return model

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the network's images.

        Raises:
            TrainingError: The run's config does not tell.
        """
        shape = self.experiment.shape()
        if shape is None:
            raise TrainingError(f"{self.files.config} lacks data.image_size or data.channels")
        return shape

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """What is done to an image before the network gets it: the same as in its training."""
        return self.experiment.preprocessing(self.shape)

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the network's logits.

        Raises:
            TrainingError: The record of the run does not tell.
        """
        return self._record.classes()

    def write_provenance(self, **facts: Any) -> None:
        """Writes, or adds to, the record of how the run came about.

        While its state is `training`, room is kept on the disk for how it ends.
        """
        self._record.write(**facts)

    def provenance(self) -> dict[str, Any]:
        """The record of how the run came about.

        Raises:
            TrainingError: It can't be read, or is damaged.
        """
        return self._record.read()

    def rate_found(self) -> float | None:
        """The learning rate that was found for it; None where its config had one.

        Raises:
            TrainingError: How it was found can't be read, or is damaged.
        """
        if not self.files.rate_test.exists():
            return None
        rate = reading.json_object(self.files.rate_test).get("learning_rate")
        if not isinstance(rate, float):
            raise TrainingError(f"{self.files.rate_test} is damaged: it has no learning rate")
        return rate

    def record(self, metrics: dict[str, Any]) -> None:
        """Adds an epoch to the metrics."""
        self._epochs.add(metrics)

    def history(self) -> list[dict[str, Any]]:
        """The epochs recorded so far; a last line that a crash cut short does not count.

        Raises:
            TrainingError: A line is damaged, or the file can't be read.
        """
        return self._epochs.all()

    def cut_back(self, epochs: int) -> None:
        """Leaves the first epochs in the metrics, for what came behind is trained again.

        Raises:
            TrainingError: There are not as many, or one of them is damaged.
        """
        self._epochs.cut_back(epochs)

    def remove_unfinished(self) -> None:
        """Removes what a crash has left half written; for whoever holds the run."""
        for folder in (self.folder, self.files.evaluation):
            atomic.remove_unfinished(folder)

    def log(self, line: str) -> None:
        """Adds a line, with the time, to the log; what would act on a terminal is escaped."""
        atomic.append(self.files.log, f"{datetime.now().isoformat(timespec='seconds')}  {visible(line)}")

    def write_split(self, index: Index, splits: list[str], beside: list[str]) -> None:
        """Writes which image was in which split, and which files were left out; see `split_file.write`."""
        split_file.write(self.files, index, splits, beside)

    def split(self, name: str) -> list[SplitRow]:
        """The images that were in a split.

        Raises:
            TrainingError: The record of the splits is missing or damaged.
        """
        return split_file.read(self.files.split, name)
