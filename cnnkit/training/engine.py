"""The fit of a network: stage after stage, on the same network and into the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.core.signals import ENDING, noted
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.balancing.base import Training
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding.images import Features, Inputs
from cnnkit.models import freezing
from cnnkit.models.base import Network
from cnnkit.models.freezing import PlannedStage, Staged
from cnnkit.optimization.schedules.plateau import Plateau
from cnnkit.runs import checkpoints
from cnnkit.runs.provenance import parameters
from cnnkit.runs.run import Run
from cnnkit.runs.state_writer import StateWriter
from cnnkit.runs.training_states import State
from cnnkit.training import balance, classifier_fit, divergence, state_variables
from cnnkit.training.computing import Computing
from cnnkit.training.data import TrainingData
from cnnkit.training.gradients import WatchGradients
from cnnkit.training.lines import epoch_line, say, stage_line
from cnnkit.training.lower_rate import LowerRate
from cnnkit.training.model import Learner
from cnnkit.training.observers import KeepBest, Observer, StopEarly, Watch
from cnnkit.training.saving import Saving, values
from cnnkit.training.stage_fit import StageFit
from cnnkit.training.start_checks import StartChecks
from cnnkit.training.steps import Steps
from cnnkit.training.stopping import Asked, Clock, Stop, TimeIsUp
from cnnkit.training.tracking.tracking import Tracking
from cnnkit.training.waiting import WatchWaiting


class Record(Observer):
    """Records each epoch."""

    def __init__(self, record: Callable[[dict[str, Any]], None]):
        """Gives it to `record`."""
        self._record = record

    def epoch_ends(self, fit: StageFit, metrics: dict[str, Any]) -> None:
        """Records it."""
        self._record(metrics)


class Engine:
    """Trains a network in the stages of its experiment.

    Attributes:
        done: Epochs that are over.
    """

    def __init__(
        self,
        data: TrainingData,
        network: Network,
        run: Run,
        progress: Progress,
        resumed: State | None = None,
        tracking: Tracking | None = None,
        clock: Clock | None = None,
    ):
        """Prepares it.

        Args:
            data: What it trains on.
            network: What it trains.
            run: Where it is recorded.
            progress: Is told how far it is.
            resumed: Where an earlier training of the run stood, to go on from there; from the beginning if left out.
            tracking: Where else it is recorded; nowhere if left out.
            clock: The time that it has; any if left out.
        """
        self.data, self.network, self.run, self.progress = data, network, run, progress
        self.experiment, self.say = data.experiment, partial(say, run, progress)
        self.tracking = tracking or Tracking(run, progress, [])
        self.validation = data.numbers("validation")
        self.computing = Computing.of(self.experiment.train, network.model)
        self.plan = self.experiment.plan()
        self.keep_best = KeepBest(self.experiment.train.checkpoint.monitor, self._save)
        self.done = self._saved = 0
        self._first, self._resumed = 1, resumed
        self._before: float | None = None  # the value of the monitor before the stage
        self._clock = clock or Clock()
        checkpoint = self.experiment.train.checkpoint
        last, best = (resumed.position, resumed.facts["best_checkpoint"]) if resumed else (None, None)
        self._writer = StateWriter(run.files.checkpoints, checkpoint.keep, last, best)
        self._saving = Saving(checkpoint, self._writer, self.arrays, self.facts, self.say)
        if resumed:
            facts = resumed.facts
            self._first, self.done, self._saved, self._before = (
                facts[name] for name in ("stage", "begin", "saved", "before")
            )
            self.keep_best.restore(facts["best"])
            # Before what is frozen computes features.
            state_variables.assign(state_variables.variables(network), resumed.arrays)

    @property
    def epochs(self) -> int:
        """How many the stages have together, without those that early stopping has saved."""
        return sum(stage.lines for stage in self.plan) - self._saved

    def fit(self) -> None:
        """Fits the stages, and leaves the state at the end and the best weights on the disk.

        Raises:
            TrainingError: It diverged.
            DiskError: A state, or the best weights, could not be written.
            TimeIsUp: It was; the state is on the disk.
        """
        with self._writer:
            self._fit()

    def _fit(self) -> None:
        """Fits the stages one after the other; one that ends worse than it began is taken back."""
        for number, stage in enumerate(self.plan[self._first - 1 :], start=self._first):
            staged = freezing.apply(self.experiment.model, self.network, stage)
            if len(self.plan) > 1 or staged.frozen:
                self.say(stage_line(number, len(self.plan), stage, staged, parameters(self.network.model)))
            if not self._resumed:
                self._before = self.keep_best.last
            (self._fit_classifier if stage.fitted else self._fit_stage)(number, stage, staged)
            if line := self.keep_best.worse_than(self._before):
                goes_on = number < len(self.plan)
                self.say(f"stage {number} ended worse than it began: {line}{', the next one begins with it' * goes_on}")
                if goes_on:
                    self._writer.flush()
                    self.run.load_best(self.network.model)
                    self.keep_best.last = self.keep_best.best

    def _fit_classifier(self, number: int, stage: PlannedStage, staged: Staged) -> None:
        """Puts the classifier at the optimum of its loss; it is an epoch of its own in all that is recorded."""
        began = time.perf_counter()
        images, training = self._features(), self.data.training
        if number == 1:
            self._record_balance(training)
        fitted = classifier_fit.fit(self.data, self.network, images, self.progress)
        self.run.write_provenance(classifier=fitted.facts())
        self.say(fitted.line())
        metrics = classifier_fit.measured(self.data, self.network, images)
        self.keep_best.judge(self.done + 1, metrics)
        seconds = time.perf_counter() - began
        speed = {"seconds": round(seconds, 3), "images_per_second": round(len(training) / seconds, 1)}
        facts = {"epoch": self.done + 1, "step": 0, **metrics, "learning_rate": None, "C": fitted.strength}
        self._record(number, facts | speed)

    def _features(self) -> Features:
        """What the backbone makes of the images that train and choose, computed once."""
        numbers = [*np.unique(self.data.training.numbers).tolist(), *self.validation]
        batch_size = self.experiment.data.batch_size
        return feeding.features(self.data.images, numbers, self.network.backbone, batch_size, self.progress)

    def before(self, number: int) -> StageFit:
        """The fit of a stage that takes steps, before its first one; the stages before it, which take none, are done.

        Args:
            number: Of the stage, from 1.
        """
        with self._writer:
            for earlier, stage in enumerate(self.plan[: number - 1], start=1):
                self._fit_classifier(earlier, stage, freezing.apply(self.experiment.model, self.network, stage))
        stage = self.plan[number - 1]
        fit, _ = self._stage_fit(number, stage, freezing.apply(self.experiment.model, self.network, stage))
        return fit

    def _fit_stage(self, number: int, stage: PlannedStage, staged: Staged) -> None:
        fit, training = self._stage_fit(number, stage, staged)
        if number == 1:
            self._record_balance(training)
        with noted(*ENDING) as signals:
            stop = Stop(signals, self._clock, last=number == len(self.plan))
            fit.observers = [Record(partial(self._record, number)), *self._observers(), stop]
            if self._resumed:
                self._restore(fit, self._resumed)
                self._resumed.release()
                self._resumed = None
            with divergence.explained(fit, self.experiment, self.run):
                try:
                    try:
                        fit.fit()
                    except Asked:  # here, where the network has no averages of its weights in their place any more
                        if self.experiment.train.checkpoint.saves or not signals:  # what its time ends can always go on
                            self._saving.save_now(fit)
                        else:
                            self._writer.flush()  # the best weights are all that is kept
                        signals.act()
                        raise TimeIsUp from None
                except KeyboardInterrupt:  # the first signal when all is on the disk, or a second one at any time
                    self._writer.give_up()
                    raise
        self.run.write_provenance(computing=self.computing.facts() | {"steps_per_execution": fit.updates_a_call})
        self._saved += fit.end - self.done

    def _stage_fit(self, number: int, stage: PlannedStage, staged: Staged) -> tuple[StageFit, Training]:
        """The fit of a stage before its first update, followed by nobody yet, and what an epoch of it goes through."""
        assert stage.epochs
        experiment, batch_size = self.experiment, self.experiment.data.batch_size
        learner, images = self._learner(staged)
        images, training = self._balanced(images)
        train, at_once = experiment.train, experiment.train.steps_per_execution
        batches = feeding.steps(len(training), batch_size)
        rate_of, optimizer = self._optimizer(stage, staged, feeding.steps(batches, train.gradient_accumulation))
        steps = Steps.of(train, learner, optimizer, batches, self.computing)
        fit = StageFit(
            number,
            steps,
            rate_of,
            feeding.TrainBatches(images, training, Chain(experiment.augment, experiment.seed), batch_size),
            images,
            self.validation,
            range(self.done, self.done + stage.epochs),
            [],
            self.keep_best.judge,
            at_once if isinstance(at_once, int) else None,
        )
        return fit, training

    def _learner(self, staged: Staged) -> tuple[Any, Inputs]:
        """What a stage trains, and the images, or features of images, that it trains on.

        Where only the classifier learns, what is before it makes the same of an image in every epoch unless the image
        is augmented, so this is computed once; synthetic images are no part of the source, so there it is not.
        """
        experiment, network, images, training = self.experiment, self.network, self.data.images, self.data.training
        loss = experiment.train.loss
        if (
            staged.backbone_frozen
            and not experiment.augment
            and training.synthetic is None
            and feeding.features_fit(images, network.backbone, experiment.data.cache)
        ):
            return Learner(network.classifier, (), loss), self._features()
        # A classifier within counts where a layer before it learns.
        learning = {id(variable) for variable in network.backbone.trainable_variables}
        auxiliary = [
            (model, weight)
            for model, weight in network.auxiliary
            if any(id(variable) in learning for variable in model.trainable_variables)
        ]
        return Learner(network.model, auxiliary, loss), images

    def _balanced(self, images: Inputs) -> tuple[Inputs, Training]:
        """What an epoch goes through; features can be mixed no sooner than here, images are already."""
        training = self.data.training
        if not self.experiment.data.balance.on_features(self.data.images.shape):
            return images, training
        with self.progress.task("balancing", 1):
            return balance.with_balance(self.experiment, images, training)

    def _record_balance(self, after: Training) -> None:
        """Records the training images of each class before and after `data.balance`, and says what it did."""
        images = self.data.images
        classes = images.index.classes
        counts = {
            when: dict(zip(classes, training.counts(len(classes)).tolist(), strict=True))
            for when, training in (("before", self.data.chosen), ("after", after))
        }
        self.run.write_provenance(balance=counts)
        if line := balance.balance_line(self.experiment, images, self.data.chosen, after):
            self.say(line)

    def _optimizer(self, stage: PlannedStage, staged: Staged, updates: int) -> tuple[Any, Any]:
        """A new schedule and optimizer for each stage."""
        train = self.experiment.train
        assert train.optimizer and train.schedule and stage.epochs  # it is complete
        assert isinstance(stage.learning_rate, float)
        rate_of = train.schedule(stage.learning_rate, updates, stage.epochs)
        with self.computing.devices.holding():
            return rate_of, train.optimizer.build(rate_of, staged.rates)

    def _observers(self) -> list[Observer]:
        """Who follows a stage, in the order in which they are told; the state of all of them is saved by the last."""
        stop, schedule = self.experiment.train.early_stopping, self.experiment.train.schedule
        lower = [LowerRate(schedule, self.say)] if isinstance(schedule, Plateau) else []
        early = [StopEarly(stop.monitor, stop.patience, stop.min_delta, self.say)] if stop else []
        checks = StartChecks(self.experiment, self.say)
        gradients = WatchGradients(self.experiment, self.network, self.say, lambda: checks.too_large)
        waiting = WatchWaiting(self.experiment, self.say)
        last = [self.tracking, self._saving]
        return [Watch(self.progress, self.epochs), checks, gradients, waiting, *lower, *early, *last]

    def variables(self, fit: StageFit) -> dict[str, Any]:
        """All variables that a stage changes: see `state_variables.variables`."""
        return state_variables.variables(self.network, fit)

    def arrays(self, fit: StageFit) -> dict[str, Any]:
        """The values of `variables`, as NumPy has them, to be copied at once."""
        return values(self.variables(fit))

    def facts(self, fit: StageFit) -> dict[str, Any]:
        """Where the training stands, as JSON has it: what a resume needs beside the variables and the best weights."""
        return {
            "stage": fit.number,
            "epoch": fit.epoch,
            "update": fit.update,
            "begin": fit.begin,
            "stopped": fit.stopped,
            "saved": self._saved,
            "before": self._before,
            "best": self.keep_best.state(),
            "observers": {type(observer).__name__: observer.state() for observer in fit.observers},
        }

    def _restore(self, fit: StageFit, resumed: State) -> None:
        """Puts a stage where an earlier training of it stood.

        Raises:
            TrainingError: What was kept is of another network.
        """
        variables, facts = self.variables(fit), resumed.facts
        resumed.require(state_variables.forms(variables))
        state_variables.assign(variables, resumed.arrays)
        fit.epoch, fit.update, fit.stopped = facts["epoch"], facts["update"], facts["stopped"]
        self.done = fit.epoch
        for observer in fit.observers:
            if (state := facts["observers"].get(type(observer).__name__)) is not None:
                observer.restore(state)

    def _record(self, number: int, metrics: dict[str, Any]) -> None:
        """An epoch of stage `number` is over."""
        self.done += 1
        self.run.record(metrics | {"stage": number})
        line = epoch_line(metrics, self.epochs)
        self.run.log(line)
        self.progress.epoch(line)
        self.tracking.epoch(metrics | {"stage": number})

    def _save(self, epoch: int, metrics: dict[str, float]) -> None:
        """An epoch was the best so far; the network has the weights that it was validated with."""
        self._writer.save_best(checkpoints.Weights.of(self.network.model), epoch, {"metrics": metrics})
