"""The fit of a network: stage after stage, on the same network and into the same run.

Importing this module imports Keras, so it is imported where training begins.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import np
from cnnkit.core.progress import Progress
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.balancing.base import Training
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.feeding.images import Features, Inputs
from cnnkit.models import freezing
from cnnkit.models.base import Network
from cnnkit.models.freezing import PlannedStage, Staged
from cnnkit.optimization import training_metrics
from cnnkit.optimization.training_metrics import TRAINING, VALIDATION
from cnnkit.runs import checkpoints
from cnnkit.runs.provenance import parameters
from cnnkit.runs.run import Run
from cnnkit.training import balance, head
from cnnkit.training.callbacks import KeepBest, StopEarly, Watch
from cnnkit.training.data import TrainingData
from cnnkit.training.lines import epoch_line, say, stage_line
from cnnkit.training.model import Learner


class Engine:
    """Trains a network in the stages of its experiment.

    Attributes:
        epochs: How many the stages have together, without those that early stopping has saved.
        done: How many of them are over.
    """

    def __init__(self, data: TrainingData, network: Network, run: Run, progress: Progress):
        self.data, self.network, self.run, self.progress = data, network, run, progress
        self.experiment, self.say = data.experiment, partial(say, run, progress)
        self.validation = data.numbers("validation")
        self.plan = self.experiment.plan()
        self.epochs, self.done = sum(stage.lines for stage in self.plan), 0
        self.keep_best = KeepBest(self.experiment.train.checkpoint.monitor, self._save)

    def fit(self) -> None:
        """Fits the stages one after the other; one that ends worse than it began is taken back."""
        for number, stage in enumerate(self.plan, start=1):
            staged = freezing.apply(self.experiment.model, self.network, stage)
            if len(self.plan) > 1 or staged.frozen:
                self.say(stage_line(number, len(self.plan), stage, staged, parameters(self.network.model)))
            before = self.keep_best.last
            (self._fit_classifier if stage.fitted else self._fit_stage)(number, stage, staged)
            if line := self.keep_best.worse_than(before):
                goes_on = number < len(self.plan)
                self.say(f"stage {number} ended worse than it began: {line}{', the next one begins with it' * goes_on}")
                if goes_on:
                    self.run.load_best(self.network.model)
                    self.keep_best.last = self.keep_best.best

    def _fit_classifier(self, number: int, stage: PlannedStage, staged: Staged) -> None:
        """Puts the classifier at the optimum of its loss; it is an epoch of its own in all that is recorded."""
        began, experiment = time.perf_counter(), self.experiment
        images, training = self._features(), self.data.training
        if number == 1:
            self._record_balance(training)
        groups, rows = self.data.groups(), images.rows(training.numbers)
        names = self.data.images.index.names
        head.refuse_unless_finite(rows, [names[number] for number in training.numbers])
        with self.progress.task("fitting the classifier", len(head.STRENGTHS)) as advance:
            try:
                fitted = head.fit(
                    rows,
                    training.labels,
                    training.weights,
                    [groups[number] for number in training.numbers],
                    len(images.index.classes),
                    experiment.seed,
                    advance,
                )
            except MemoryError:
                raise TrainingError(
                    f"there is not enough memory to fit a classifier to {len(rows):,} x {rows.shape[1]:,} features; "
                    "to train it by steps name an optimizer, such as train.optimizer: {name: adam, learning_rate: 3e-3}"
                ) from None
        logits = self.network.classifier.get_layer("logits")
        logits.set_weights(fitted.weights(logits.units))
        self.run.write_provenance(classifier=fitted.facts())
        self.say(fitted.line())
        metrics = self._measured(images, training.numbers, training.weights, TRAINING)
        metrics |= self._measured(images, self.validation, None, VALIDATION)
        self.keep_best.on_epoch_end(self.done, metrics)
        seconds = time.perf_counter() - began
        speed = {"seconds": round(seconds, 3), "images_per_second": round(len(training) / seconds, 1)}
        facts = {"epoch": self.done + 1, "step": 0, **metrics, "learning_rate": None, "C": fitted.strength}
        self._record(number, facts | speed)

    def _measured(self, images: Inputs, numbers: Sequence[int], weights: Any, side: str) -> dict[str, float]:
        """Loss and accuracy of the classifier on some features, as training measures them; the loss weighted."""
        loss, logits = self.experiment.train.loss, self.network.classifier(images.rows(numbers))
        labels = np.eye(len(images.index.classes), dtype=np.float32)[images.index.labels[np.asarray(numbers)]]
        values = {
            "loss": np.average(loss(labels, logits), weights=weights),
            "accuracy": np.mean(loss.accuracy(labels, logits)),
        }
        return {side + name: float(value) for name, value in values.items()}

    def _features(self) -> Features:
        """What the backbone makes of the images that train and choose, computed once."""
        numbers = [*np.unique(self.data.training.numbers).tolist(), *self.validation]
        batch_size = self.experiment.data.batch_size
        return feeding.features(self.data.images, numbers, self.network.backbone, batch_size, self.progress)

    def _fit_stage(self, number: int, stage: PlannedStage, staged: Staged) -> None:
        assert stage.epochs
        experiment, batch_size = self.experiment, self.experiment.data.batch_size
        learner, images = self._learner(staged)
        images, training = self._balanced(images)
        if number == 1:
            self._record_balance(training)
        steps, end = feeding.steps(len(training), batch_size), self.done + stage.epochs
        learner.compile(
            optimizer=self._optimizer(stage, staged, steps),
            metrics=training_metrics.build(experiment.train.loss),
            jit_compile=False,  # XLA is slower for these networks on a CPU, and slower to start
        )
        chain = Chain(experiment.augment, experiment.seed)
        batches = feeding.TrainBatches(images, training, chain, batch_size).dataset(end, first_step=self.done * steps)
        with images.errors_as_raised():
            learner.fit(
                batches,
                initial_epoch=self.done,
                epochs=end,
                steps_per_epoch=steps,
                validation_data=feeding.eval_batches(images, self.validation, batch_size),
                callbacks=self._callbacks(number, steps, len(training)),
                shuffle=False,  # the pipeline has shuffled
                verbose=0,
            )
        self.epochs -= end - self.done

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

    def _optimizer(self, stage: PlannedStage, staged: Staged, steps: int) -> Any:
        """A new one for each stage, as its schedule is."""
        train = self.experiment.train
        assert train.optimizer and train.schedule and stage.learning_rate and stage.epochs  # it is complete
        return train.optimizer.build(train.schedule(stage.learning_rate, steps, stage.epochs), staged.rates)

    def _callbacks(self, number: int, steps: int, images: int) -> list[Any]:
        """What happens between the steps and epochs of a stage.

        The best epoch is saved before it is recorded, so that what is recorded is never better than what is on disk.
        """
        watch = Watch(self.progress, self.epochs, steps, images, partial(self._record, number))
        stop = self.experiment.train.early_stopping
        early = [StopEarly(stop.monitor, stop.patience, stop.min_delta, self.say)] if stop else []
        return [self.keep_best, watch, *early]

    def _record(self, number: int, metrics: dict[str, Any]) -> None:
        """An epoch of stage `number` is over."""
        self.done += 1
        self.run.record(metrics | {"stage": number})
        line = epoch_line(metrics, self.epochs)
        self.run.log(line)
        self.progress.epoch(line)

    def _save(self, epoch: int, metrics: dict[str, float]) -> None:
        """An epoch was the best so far."""
        checkpoints.save(self.network.model, self.run.files.checkpoints, checkpoints.BEST, epoch, {"metrics": metrics})
