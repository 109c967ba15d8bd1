"""How a run is taken up again: its config held against the one to go on with, its folder put back to its last state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.config import differences
from cnnkit.config.experiment import Experiment
from cnnkit.config.file import configure
from cnnkit.core import onednn
from cnnkit.core.errors import CnnkitError, ConfigError, TrainingError, UsageError
from cnnkit.core.progress import Progress
from cnnkit.core.spec import AUTO
from cnnkit.core.text import counted, enumerated, typed
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.index import Index
from cnnkit.data.section import read_names
from cnnkit.evaluation import results
from cnnkit.runs import checkpoints, images, keeping, training_states
from cnnkit.runs.provenance import circumstances
from cnnkit.runs.run import FINISHED, Run
from cnnkit.runs.training_states import State
from cnnkit.training import standing
from cnnkit.training.lines import say

DEVICES = "train.devices"
BITS = ("device", DEVICES, "processor", "versions")
"""Circumstances on which the last digits of what is computed depend, beside oneDNN, of which `core.onednn` tells."""


@dataclass(frozen=True)
class Resumption:
    """A run that is to go on.

    Attributes:
        run: It.
        own: Its experiment so far.
        experiment: The one to go on with.
        record: Its provenance when it was opened; empty if it ended before it had one.
    """

    run: Run
    own: Experiment
    experiment: Experiment
    record: dict[str, Any]

    @classmethod
    def of(
        cls, folder: Path | str, config: Path | str | None, settings: Sequence[str], progress: Progress
    ) -> Resumption:
        """Opens a run and decides what it goes on with: its own experiment, but for what may differ.

        Args:
            folder: The run.
            config: A config that has to be the run's; None for that of the run itself.
            settings: `KEY=VALUE` pairs over it.
            progress: Is told how far it is.

        Raises:
            UsageError: The folder is no run, or the run is finished, is to be longer and has no state left.
            ConfigError: The config differs from the run's, with each difference; or has mistakes.
            DataError: The images that a config names are not there.
            TrainingError: The run's files are damaged.
        """
        run = Run.begun(folder)
        record = run.provenance() if run.files.provenance.exists() else {}
        own = _in_its_folder(run, run.experiment)
        with images.perhaps_moved(own.data.source):
            configured = configure(config or run.files.config, settings, bool(config), progress, complete=not config)
            completed = configured.completed(progress) if config else configured
        if config:
            experiment = _with_its_rate(run, record, _in_its_folder(run, completed.experiment))
        else:
            experiment = _in_its_folder(run, run.with_settings(*settings).experiment)
        experiment = experiment.with_rate_of(own)
        if found := [configured.place(problem) for problem in differences.refused(own, experiment, settings)]:
            other = "leave the config out, or train it as a run of its own" if config else "train a run of its own"
            raise ConfigError(*found, f"{run.folder} goes on as it began; {other}, without --resume")
        resumption = cls(run, own, experiment, record)
        if resumption.over:
            return resumption
        needed = "a run goes on in its own folder; go on with a copy, where you may write: cnnkit train --resume COPY"
        keeping.refuse(needed, run.folder, run.files.checkpoints)
        with images.where_they_are(experiment.data.source):
            experiment.data.source.open(progress)
        if record.get("state") == FINISHED and not training_states.saved(run.files.checkpoints):
            anew = _anew(run, experiment.plan()[-1].epochs)
            raise UsageError(
                f"{run.folder} is finished, and has no state to go on from; to train it for longer, {anew}"
            )
        return resumption

    @property
    def over(self) -> bool:
        """Whether the run is finished and is not to be longer, so that there is nothing to do."""
        return self.record.get("state") == FINISHED and not self.longer

    def as_it_ended(self, progress: Progress) -> dict[str, Any]:
        """Of a run that is over, the document of the end of its training, from what is on the disk.

        Args:
            progress: Is told that there is nothing to do.

        Raises:
            TrainingError: What is on the disk is damaged.
        """
        files = self.run.files
        progress.say(
            f"{self.run.folder} is finished, so there is nothing to go on with{_how_longer(self.run, self.own)}"
        )
        document: dict[str, Any] = {"run": str(self.run.folder), "state": FINISHED}
        document |= {name: self.record.get(name) for name in ("epochs", "best_epoch")}
        for split in ("validation", "test"):
            document[split] = results.read(self.run, split)
        report = str(files.report) if files.report.exists() else None
        return document | {"remarks": self.record.get("remarks", []), "report": report, "failed": []}

    def refuse_other_images(self, index: Index, splits: Sequence[str], preprocessing: Preprocessing) -> None:
        """Refuses images that are not those with which the run began.

        Raises:
            DataError: They are others, with what has changed.
        """
        if self.record:
            images.refuse_others(self.run, index, splits, preprocessing.digests_beside(index))

    def on_its_kernels(self) -> list[str]:
        """Computes with oneDNN or without, as the run did; what to say where that can't be."""
        recorded = self.record.get("onednn")
        line = onednn.as_recorded(recorded) if isinstance(recorded, bool) else None
        return [f"  careful: from here on {line}"] if line else []

    @property
    def longer(self) -> bool:
        """Whether it is to have more epochs than it was to have so far."""
        return differences.longer(self.own, self.experiment)

    def take_up(self, completed: Experiment, progress: Progress) -> State | None:
        """Puts the folder back to the last state that is whole, and records that the run goes on from there.

        To be called by who holds the run.

        Args:
            completed: The experiment to go on with, completed by the source.
            progress: Is told of it.

        Returns:
            The state; None where none was saved before the run ended, so that it begins anew.

        Raises:
            UsageError: Another process has trained it since it was opened, or early stopping has ended it.
            TrainingError: No state is whole, or the metrics of epochs before it are gone.
        """
        run = self.run
        if (run.provenance() if run.files.provenance.exists() else {}) != self.record:
            raise UsageError(f"{run.folder} was trained by another process just now; see what it has, and try again")
        run.remove_unfinished()
        folder = run.files.checkpoints
        known = training_states.saved(folder)
        state = training_states.newest(folder, progress.say, standing.refuse_unless_told) if known else None
        if state and self.longer and state.facts["stopped"] and state.position.stage == len(completed.plan()):
            epochs = counted(state.position.epoch, "epoch")
            raise UsageError(f"{run.folder}: early stopping has ended it after {epochs}, {_patient(run)}")
        try:
            run.cut_back(state.position.epoch if state else 0)
            best = state.facts["best_checkpoint"] if state else None
            if self.record:
                run.write_provenance(files=run.hashes_in_training())
            checkpoints.put_back(folder, checkpoints.BEST, best, progress.say)
        except TrainingError as error:
            anew = f"train it anew with: cnnkit train {typed(run.files.config)}"
            raise TrainingError(*error.problems, f"{run.folder} can't go on without it; {anew}") from None
        if self.record:
            self._record(completed, state)
            if run.outdate():
                again = run.files.to_calibrate
                say(
                    run,
                    progress,
                    f"{run.folder}: its calibration was of the weights so far, and is gone; later: {again}",
                )
        return state

    def _record(self, completed: Experiment, state: State | None) -> None:
        """Writes into provenance when, from where and with what else the run goes on; and its config if it changes."""
        changes = differences.between(self.own, completed)
        now = circumstances()
        entry = {
            "when": now["started"],
            "command": now["command"],
            "after": state.position._asdict() if state else None,
            "changed": {difference.key: difference.as_json() for difference in changes},
            "otherwise": {
                name: now[name] for name in now.keys() - {"started", "command"} if now[name] != self.record.get(name)
            },
        }
        self.run.write_provenance(state="training", resumed=[*self.record.get("resumed", []), entry])
        if changes:
            self.run.change(completed)

    def lines(self, state: State | None, computing: Mapping[str, Any]) -> list[str]:
        """What is said of it: from where it goes on, with what else, and why its bits may be others.

        Args:
            state: From which it goes on; None if it begins anew.
            computing: How it is computed from here on, by `Computing.facts`.
        """
        if state is None:
            return [f"{self.run.folder} begins anew: it has no state to go on from"]
        lines = [f"{self.run.folder} goes on after {state.position}"]
        changes = differences.between(self.own, self.experiment)
        lines += [f"  changed: {difference.key}: {difference.worded()}" for difference in changes]
        before, now = _on(self.record.get("computing", {})) | self.record, _on(computing) | circumstances()
        for name in BITS:
            if other := _other(name, before.get(name), now[name]):
                lines.append(
                    f"  careful: {other}, so last digits may differ from those of a run that was never stopped"
                )
        return lines


def _on(computing: Mapping[str, Any]) -> dict[str, Any]:
    """The devices that compute, in words: those of the machine are not all of them."""
    return {DEVICES: enumerated(computing["devices"], "and")} if "devices" in computing else {}


def _other(name: str, before: Any, now: Any) -> str:
    """What of the circumstances is otherwise than it was; empty if nothing is, or nobody knows."""
    if before is None or before == now:
        return ""
    if not isinstance(now, dict) or not isinstance(before, dict):
        return f"{name} was {before} so far and is {now} from here on"
    other = [
        f"{key} {before[key]} so far and {now[key]} from here on"
        for key in now
        if before.get(key, now[key]) != now[key]
    ]
    return enumerated(other, "and") if other else ""


def _how_longer(run: Run, experiment: Experiment) -> str:
    """How a finished run is trained for longer, if it can be."""
    plan, schedule = experiment.plan(), experiment.train.schedule
    epochs = plan[-1].epochs
    if not epochs:
        return ""
    if sum(line.get("stage", 1) == len(plan) for line in run.history()) < epochs:
        return f"; early stopping has ended it, {_patient(run)}"
    if not training_states.saved(run.files.checkpoints):
        return f"; to train it for longer, {_anew(run, 2 * epochs)}"
    named = " --set train.schedule.name=constant" if schedule and schedule.ends else ""
    length = f"{differences.length(experiment)}={2 * epochs}"
    return f"; to train it for longer, say how long, for example with --set {length}{named}"


def _patient(run: Run) -> str:
    """What can be done about a run that early stopping has ended."""
    patience = run.experiment.train.early_stopping.patience if run.experiment.train.early_stopping else 0
    longer = typed(run.files.config, [f"train.early_stopping.patience={max(2 * patience, 1)}"])
    return f"and more epochs would not be trained; with more patience it can be trained anew: cnnkit train {longer}"


def _anew(run: Run, epochs: int | None) -> str:
    """How what a run was trained for is trained anew and for longer."""
    return f"train it anew: cnnkit train {typed(run.files.config, [f'{differences.length(run.experiment)}={epochs}'])}"


def _in_its_folder(run: Run, experiment: Experiment) -> Experiment:
    """The same with the copies of files that the run has, wherever its folder lies now, as far as they say the same."""
    update: dict[str, Any] = {"model": experiment.model.with_files_in(run.files.backbone)}
    exclude, its = experiment.data.exclude, run.files.exclude
    if exclude and its.is_file() and (exclude == run.experiment.data.exclude or _names(exclude) == _names(str(its))):
        update["data"] = experiment.data.model_copy(update={"exclude": str(its.absolute())})
    return experiment.model_copy(update=update)


def _with_its_rate(run: Run, record: dict[str, Any], experiment: Experiment) -> Experiment:
    """The same with the learning rate that the run has found, where it is to be found."""
    optimizer = experiment.train.optimizer
    if optimizer is None or optimizer.learning_rate != AUTO:
        return experiment
    recorded = record.get("learning_rate")  # not yet where the run was killed before it had one
    found = recorded["found"] if isinstance(recorded, dict) else run.rate_found()
    return experiment if found is None else experiment.with_learning_rate(found)


def _names(file: str) -> set[str]:
    return set(read_names(file))


def unfinished_like(experiment: Experiment) -> str | None:
    """Of a run in `runs` that ended before its time, with this very config and a state to go on from, a line; or None.

    Args:
        experiment: Complete.
    """
    for run in Run.below(Path("runs")):
        try:
            if run.provenance().get("state") == FINISHED or not training_states.saved(run.files.checkpoints):
                continue
            own = _in_its_folder(run, run.experiment)
            if any(differences.refused(own, _in_its_folder(run, experiment))) or run.is_held():
                continue
        except (CnnkitError, OSError, ValueError):  # a run of somebody else's, damaged: that is not asked about here
            continue
        return f"{run.folder} has this config and is unfinished; cnnkit train --resume {typed(run.folder)} goes on"
    return None
