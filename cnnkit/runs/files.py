"""Files: where each file in the folder of a run lies."""

from __future__ import annotations

from pathlib import Path

from cnnkit.core.own_folders import CONFIG, FOLDS, PROVENANCE
from cnnkit.core.text import typed


class Files:
    """Every file in the folder of a run: the one list of their names."""

    def __init__(self, folder: Path):
        self.folder = folder
        """The folder of the run."""
        self.config = folder / CONFIG
        """The experiment, complete: every default filled in, every path absolute; to train it again repeats the run."""
        self.provenance = folder / PROVENANCE
        """The record of how the run came about: command, commit, versions, device, data, classes, hashes, its end."""
        self.metrics = folder / "metrics.jsonl"
        """A line for each epoch: loss, accuracy, learning rate, time."""
        self.checkpoints = folder / "checkpoints"
        """The folder of the weights; which files are in it is the matter of `cnnkit.runs.checkpoints`."""
        self.calibration = folder / "calibration.json"
        """Temperature and threshold of `unsure`, fitted on the validation images; only there if they were."""
        self.familiarity = folder / "familiarity.safetensors"
        """Feature vectors of training images, to tell what is unlike all of them; there from the end of a training."""
        self.evaluation = folder / "evaluation"
        """The folder of what `evaluate` finds: `result` and `predictions` of each split."""
        self.report = folder / "report.html"
        """One page that tells all of the run."""
        self.rate_test = folder / "lr.json"
        """How its learning rate was found, as `cnnkit lr --json` tells it; only there where the config said `auto`."""
        self.rate_curve = folder / "lr.png"
        """The same, drawn."""
        self.split = folder / "split.csv"
        """Which image was in which split, with the hash of its content and of what `data.prepare` reads beside it."""
        self.unused = folder / "unused.csv"
        """Which files of the source were left out and why; only there if some were."""
        self.exclude = folder / "exclude.txt"
        """The copy of the list that `data.exclude` names; only there if it names one."""
        self.backbone = folder / "backbone"
        """The copy of the network that a `hub` model builds on; only there for such a model."""
        self.tensorboard = folder / "tensorboard"
        """The folder of what TensorBoard shows: event files of the whole run, of its training and of its validation."""
        self.log = folder / "log.txt"
        """What was said on the screen, each line with its time; its lock is held by the process that trains the run."""

    @property
    def above_folds(self) -> Path | None:
        """The folder of folds that the run lies in; None where it lies in none."""
        folder = self.folder if self.folder.name not in ("", "..") else self.folder.resolve()
        return folder.parent if (folder.parent / FOLDS).is_file() else None

    @property
    def fitted(self) -> tuple[Path, ...]:
        """What is fitted behind the training: a calibration makes it anew, if it was changed or lost."""
        return self.calibration, self.familiarity

    @property
    def to_calibrate(self) -> str:
        """The command that does so."""
        return f"cnnkit evaluate {typed(self.folder)} --calibrate"

    def result(self, split: str) -> Path:
        """What `evaluate --json` prints of a split."""
        return self.evaluation / f"{split}.json"

    def predictions(self, split: str) -> Path:
        """What the network says of each image of a split."""
        return self.evaluation / f"{split}_predictions.csv"

    def answers(self, split: str) -> Path:
        """The same exactly, for programs: the logits."""
        return self.evaluation / f"{split}_answers.safetensors"

    def tracker(self, name: str) -> Path:
        """The folder of what a tracker of `train.track` keeps on this machine; only there if it keeps something."""
        return self.folder / name
