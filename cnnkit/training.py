"""Train: the whole story of a run, from a config to an evaluated model."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from cnnkit import checkpoints, evaluation, history, pipeline, staging, training_images, weights
from cnnkit.architectures import Network
from cnnkit.balancing import Training
from cnnkit.doctor import Finding
from cnnkit.errors import DataError, Interrupted, TrainingError
from cnnkit.experiment import Experiment
from cnnkit.images import Images
from cnnkit.lazy import keras, np, tf
from cnnkit.progress import Progress
from cnnkit.run import Run, circumstances, parameters
from cnnkit.sources import SPLITS, Index
from cnnkit.staging import Staged
from cnnkit.training_data import TrainingData
from cnnkit.training_images import refuse_large_features, with_balance

NAMED = 5
"""At most so many files that are not used are named on the screen; unused.csv names all."""


def train(experiment: Experiment, folder: Path | str | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Trains, keeps the best epoch, evaluates it as read back from disk.

    Args:
        experiment: What to do.
        folder: The run's folder, which must not exist; runs/<name>-<time> by default.
        progress: Is told how far it is.

    Returns:
        The document that `cnnkit train --json` prints, with run, epochs, best_epoch, validation, test.

    Raises:
        DataError: The images are not what they should be, or the doctor finds an error in them; nothing is left behind,
            unless they change later, or Borderline-SMOTE finds among features no image at the border.
        TrainingError: Training diverged or ran out of memory; the run's folder tells how far it came.
        Interrupted: It was stopped; the best epoch so far is kept.
    """
    progress = progress or Progress()
    folder = Path(folder) if folder else None
    Run.refuse(folder)
    data = TrainingData.of(experiment, progress)
    # Before TensorFlow, which is first needed for the network.
    wanted = data.experiment
    with pipeline.with_workers(
        data.images, data.training, wanted.augment, wanted.data.batch_size, wanted.seed, progress
    ) as images:
        return _trained(data.showing(images), folder, progress)


def _trained(data: TrainingData, folder: Path | None, progress: Progress) -> dict[str, Any]:
    """The story from the data on: the network, the run, its epochs, and what it is worth."""
    experiment, images = data.experiment, data.images
    experiment.model.fetch(progress)
    with progress.task("starting TensorFlow", 1):
        keras.utils.set_random_seed(experiment.seed)
    with progress.task("building the network", 1):
        network = _network(experiment, images)
    refuse_large_features(experiment, images, data.training, network.backbone)
    report = _start_weights(experiment, network, images, progress)
    facts = circumstances() | {"parameters": parameters(network.model), "data": data.facts()}
    facts |= {"started_from": asdict(report) if report else None}

    run = Run.create(experiment, folder)
    with _told_of_the_end(run), _sigterm_as_interrupt():

        def say(line: str) -> None:
            progress.say(line)
            run.log(line)

        run.write_split(images.index, data.splits, data.view.beside(images.index))
        run.write_provenance(**facts, state="training", files=run.hashes())
        for line in [*_opening(run, facts, images.index, data.findings), *([report.line()] if report else [])]:
            say(line)
        _fit(data, network, run, progress, say)
        return _finish(data, network.model, run, progress)


def _network(experiment: Experiment, images: Images) -> Network:
    """The network, every stage of the training tried on it: a layer that it lacks is told before the first epoch."""
    logits = experiment.train.loss.logits(len(images.index.classes))
    height, width, channels = images.shape
    network = experiment.model.network((height, width, channels), logits)
    for stage in experiment.plan():
        staging.apply(experiment.model, network, stage)
    network.model.trainable = True
    return network


def _start_weights(
    experiment: Experiment, network: Network, images: Images, progress: Progress
) -> weights.Report | None:
    """Loads the weights that the network starts from, if the config names any, and tells what was loaded."""
    height, width, channels = images.shape
    source = experiment.model.pretrained_weights(progress, (height, width, channels))
    return weights.load(network, source, images.index.classes, experiment.model) if source else None


def _fit(data: TrainingData, network: Network, run: Run, progress: Progress, say: Callable[[str], None]) -> None:
    """Runs the stages of the training one after the other, on the same network and into the same run."""
    from cnnkit.callbacks import KeepBest, StopEarly, Watch

    experiment, training = data.experiment, data.training
    train, plan, batch_size = experiment.train, experiment.plan(), experiment.data.batch_size
    validation = data.numbers("validation")
    ahead = sum(stage.epochs for stage in plan)
    done = 0

    def record(metrics: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        run.record(metrics | {"stage": number})
        line = epoch_line(metrics, ahead)
        run.log(line)
        progress.epoch(line)

    def save(epoch: int, metrics: dict[str, float]) -> None:
        checkpoints.save(network.model, run.checkpoint_folder, "best", epoch, {"metrics": metrics})

    keep_best = KeepBest(train.checkpoint.monitor, save)
    for number, stage in enumerate(plan, start=1):
        staged = staging.apply(experiment.model, network, stage)
        if len(plan) > 1 or staged.frozen:
            rate = stage.learning_rate or train.optimizer.learning_rate
            say(stage_line(number, len(plan), stage.epochs, rate, staged, parameters(network.model)))
        learner, shown = _learner(data, network, staged, validation, progress)
        every = training
        if experiment.data.balance.on_features(data.images.shape):
            with progress.task("balancing", 1):
                shown, every = with_balance(experiment, shown, training)
        if number == 1:
            _tell_balance(data, every, run, say)
        steps = pipeline.steps(len(every), batch_size)
        schedule = train.schedule(stage.learning_rate or train.optimizer.learning_rate, steps, stage.epochs)
        learner.compile(
            optimizer=train.optimizer.build(schedule, staged.rates),
            metrics=[keras.metrics.MeanMetricWrapper(train.loss.accuracy, name="accuracy")],
            jit_compile=False,  # XLA is slower for these networks on a CPU, and slower to start
        )
        end = done + stage.epochs
        # The best epoch is saved before it is told of, so that what has been told of is kept.
        callbacks: list[Any] = [keep_best, Watch(progress, ahead, steps, len(every), record)]
        if stop := train.early_stopping:
            callbacks.append(StopEarly(stop.monitor, stop.patience, stop.min_delta, say))
        batches = pipeline.train_batches(
            shown, every, experiment.augment, batch_size, experiment.seed, end, first_step=done * steps
        )
        with shown.telling():
            learner.fit(
                batches,
                initial_epoch=done,
                epochs=end,
                steps_per_epoch=steps,
                validation_data=pipeline.eval_batches(shown, validation, batch_size),
                callbacks=callbacks,
                shuffle=False,  # the pipeline has shuffled
                verbose=0,
            )
        ahead -= end - done  # epochs that early stopping has saved


def _learner(
    data: TrainingData, network: Network, staged: Staged, validation: list[int], progress: Progress
) -> tuple[Any, Images]:
    """What a stage trains, and what it is shown.

    Where only the classifier learns, what is before it makes the same of an image in every epoch unless the image is
    augmented, so this is computed once; synthetic images are no part of the source, so there it is not.
    """
    from cnnkit.learner import Learner

    experiment, images, training = data.experiment, data.images, data.training
    loss = experiment.train.loss
    if (
        staged.backbone_frozen
        and not experiment.augment
        and training.synthetic is None
        and pipeline.features_fit(images, network.backbone, experiment.data.cache)
    ):
        numbers = [*np.unique(training.numbers).tolist(), *validation]
        shown = pipeline.features(images, numbers, network.backbone, experiment.data.batch_size, progress)
        return Learner(network.classifier, (), loss), shown
    # A classifier within counts where a layer before it learns.
    learning = {id(variable) for variable in network.backbone.trainable_variables}
    auxiliary = [
        (model, weight)
        for model, weight in network.auxiliary
        if any(id(variable) in learning for variable in model.trainable_variables)
    ]
    return Learner(network.model, auxiliary, loss), images


def _tell_balance(data: TrainingData, after: Training, run: Run, say: Callable[[str], None]) -> None:
    """Records the training images of each class before and after `data.balance`, and says what it did."""
    index, classes = data.images.index, data.images.index.classes
    before = pipeline.training_of(index, data.numbers("train"))
    counts = (dict(zip(classes, training.counts(len(classes)).tolist(), strict=True)) for training in (before, after))
    run.write_provenance(balance=dict(zip(("before", "after"), counts, strict=True)))
    if line := training_images.told(data.experiment, data.images, before, after):
        say(line)


def _finish(data: TrainingData, model: Any, run: Run, progress: Progress) -> dict[str, Any]:
    """Draws the curves, reads the best epoch back from disk, evaluates it and closes the record of the run."""
    best = run.load_best(model)
    epochs = run.history()
    history.draw(epochs, best["epoch"], run.folder / "history.png")
    document: dict[str, Any] = {"run": str(run.folder), "epochs": len(epochs), "best_epoch": best["epoch"]}
    for split in ("validation", "test"):
        numbers = data.numbers(split)
        document[split] = evaluation.score(run, split, model, data.experiment, data.images, numbers, progress)
    run.write_provenance(state="finished", epochs=len(epochs), best_epoch=best["epoch"])
    return document


@contextmanager
def _told_of_the_end(run: Run) -> Iterator[None]:
    """Says what is kept, and draws the curves so far, when a run ends before its time."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        kept = _close(run, "interrupted")
        code = 143 if isinstance(interrupt, _Terminated) else 130
        raise Interrupted(f"Interrupted. {kept}", exit_code=code) from None
    except (TrainingError, DataError) as error:
        kept = _close(run, "failed")
        raise type(error)(*error.problems, kept) from None
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        kept = _close(run, "failed")
        message = "out of memory; try a smaller data.batch_size or data.image_size (`cnnkit summary` estimates it)"
        raise TrainingError(message, kept) from error
    except OSError as error:
        kept = _close(run, "failed")
        raise TrainingError(f"writing failed: {error}", kept) from error
    except Exception:
        _close(run, "failed")
        raise


def _close(run: Run, state: str) -> str:
    """Records how a run ended before its time; tells in a line what of it is kept."""
    with _undisturbed():
        epochs = run.history()
        try:
            best = checkpoints.read(run.checkpoint_folder, "best")["epoch"]
        except TrainingError:
            best = None
        try:
            run.write_provenance(state=state, epochs=len(epochs), best_epoch=best)
            if epochs:
                history.draw(epochs, best, run.folder / "history.png")
        except OSError as error:
            # The disk is full, or gone: what has been written before still counts.
            return f"{run.folder}: its end could not be recorded: {error}"
    if best is None:
        return f"{run.folder} holds the config, but no weights yet."
    kept = f"{run.folder} keeps epoch {best}, the best of {max(best, len(epochs))}"
    return f"{kept}; see what it is worth with: cnnkit evaluate {run.folder}"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leaves a second Ctrl-C out of account while the record of a run is closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends training as Ctrl-C does."""


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    def terminate(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _opening(run: Run, facts: dict[str, Any], index: Index, findings: Sequence[Finding]) -> Iterator[str]:
    """What the run is made of, and what is odd about it."""
    counts = facts["data"]["images"]
    told = ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)
    unused = f", {len(index.unused)} not used" if index.unused else ""
    yield (
        f"{facts['device']} | {sum(counts.values()):,} images in {len(index.classes)} classes "
        f"({told}{unused}) | {facts['parameters']['total']:,} parameters | {run.folder}"
    )
    for entry in index.unused[:NAMED]:
        yield f"  not used: {entry.name}: {entry.reason}"
    if len(index.unused) > NAMED:
        yield f"  not used: {len(index.unused) - NAMED} more, all in {run.folder / 'unused.csv'}"
    for finding in findings:
        if finding.severity == "warning":
            yield f"  careful: {finding.message}"


def stage_line(number: int, stages: int, epochs: int, rate: float, staged: Staged, counted: dict[str, int]) -> str:
    """What a stage of the training does, in one line."""
    frozen = f", frozen: {', '.join(staged.frozen)}" if staged.frozen else ""
    return (
        f"stage {number}/{stages}: {epochs} epoch{'s' * (epochs > 1)}, learning rate {rate:g}, "
        f"trains {', '.join(staged.trained)} ({counted['trainable']:,} of {counted['total']:,} parameters){frozen}"
    )


def epoch_line(metrics: dict[str, Any], epochs: int) -> str:
    """An epoch in one line."""
    return (
        f"epoch {metrics['epoch']:>{len(str(epochs))}}/{epochs}  "
        f"loss {metrics['loss']:.4f}  accuracy {metrics['accuracy']:.4f}  "
        f"val_loss {metrics['val_loss']:.4f}  val_accuracy {metrics['val_accuracy']:.4f}  "
        f"{metrics['images_per_second']:,.0f} images/s  {metrics['seconds']:.1f} s"
    )
