"""The learning-rate finder: a range test, then short runs at a third, once and three times what its curve leads to.

All of them begin with the same weights and go through the same batches, by the updates that the training itself is made
of. In the end the network is as it was, to the bit, so that the training is the one that it would have been without.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from cnnkit.config.experiment import Experiment
from cnnkit.core import atomic
from cnnkit.core.cache import cache_folder
from cnnkit.core.errors import TrainingError, UsageError
from cnnkit.core.lazy import np, tf
from cnnkit.core.progress import Live, Progress
from cnnkit.core.text import enumerated
from cnnkit.data.feeding import batches as feeding
from cnnkit.data.files.file_facts import digest_of
from cnnkit.data.index import ranked
from cnnkit.inspection.first_config.duration import roughly
from cnnkit.models.base import Network
from cnnkit.optimization.rate_test import APART, Curve, Finding, ShortRun, chosen, least, rates, rounded, start
from cnnkit.optimization.schedules.base import Schedule, Span
from cnnkit.report import rate_chart
from cnnkit.runs.run import Run
from cnnkit.training.data import TrainingData
from cnnkit.training.engine import Engine
from cnnkit.training.train import network_of
from cnnkit.training.verdict.rate import usual_for

RANGE, SHORT, FEWEST = 100, 150, 25
"""Updates of the range test and of a short run, and those that either has where there is little time."""

FEWEST_POINTS = 5
"""A curve that ends before it has so many points ends for another reason than the rate."""

WIDER = 10.0
"""How far beyond the rates that are usual for an optimizer its range test goes."""

FURTHER = 3
"""Short runs beyond the three, where the one at the end of the row is the best."""

JUDGES = 1000
"""Validation images that a short run is judged on at the most."""

PILOT = 3
"""Updates whose time is taken, so that it is known how many there is time for."""

ENDLESS = 1_000_000
"""Epochs, more than any search goes through."""


def first_steps(experiment: Experiment) -> int | None:
    """The number of the first stage that takes steps, from 1; None if none does."""
    plan = experiment.plan()
    return next((number for number, stage in enumerate(plan, start=1) if not stage.fitted), None)


def refuse_fitted(experiment: Experiment) -> None:
    """Refuses a training without steps.

    Raises:
        UsageError: It is one.
    """
    if first_steps(experiment) is None:
        raise UsageError(
            "the classifier is fitted, without steps, so there is no learning rate to find; to train it by steps name "
            "an optimizer, such as train.optimizer: {name: adam, learning_rate: auto}"
        )


def for_experiment(
    experiment: Experiment, progress: Progress, plot: Path | None = None, minutes: float | None = None
) -> tuple[Finding, Path]:
    """Finds a learning rate for an experiment, and draws the curve: the whole story of `cnnkit lr`.

    Args:
        experiment: What would be trained; the rate that it has does not matter.
        progress: Is told how far it is.
        plot: The file of the curve; in the cache by default.
        minutes: As for `find`.

    Returns:
        What was found, and the file.

    Raises:
        DataError: The images are not what they should be.
        TrainingError: As of `find`.
        UsageError: Nothing is trained by steps, or the file can't be written.
    """
    refuse_fitted(experiment)
    data = TrainingData.of(experiment, progress)
    with data.with_workers(progress) as data:
        shape, classes = data.preprocessing.shape, data.images.index.classes
        network, _ = network_of(data.experiment, shape, classes, progress)
        found = find(data, network, progress, minutes)
    file = plot or _in_cache(data, found)
    try:
        atomic.make_folder(file.parent, parents=True, exist_ok=True)
        rate_chart.draw(found, file)
    except OSError as error:
        raise UsageError(f"{file} can't be written: {error.strerror or error}; choose another --plot") from None
    return found, file


def _in_cache(data: TrainingData, found: Finding) -> Path:
    """A file in the cache, named by all that the curve shows; so another one never takes its place."""
    shown = [data.experiment.model_dump_json(), data.images.index.fingerprint(), found.as_json() | {"seconds": None}]
    name = f"{data.experiment.name}-{digest_of(json.dumps(shown).encode())}.png"
    return cache_folder() / "lr" / name


def find(data: TrainingData, network: Network, progress: Progress, minutes: float | None = None) -> Finding:
    """Finds a learning rate for the first stage that takes steps.

    Args:
        data: What is trained on.
        network: What is trained; it is left as it is.
        progress: Is told how far it is.
        minutes: At most so long it may take, but for FEWEST updates; if left out, as long as the training at most.

    Raises:
        TrainingError: At no rate the loss falls, or there is not enough memory.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="cnnkit-lr-") as folder, _same_chance():
            rehearsal = Rehearsal(data, network, Path(folder), progress)
            try:
                return _found(rehearsal, progress, minutes)
            finally:
                rehearsal.restore()
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise TrainingError(
            "out of memory while learning rates were tried; try a smaller data.batch_size or data.image_size"
        ) from error


@contextmanager
def _same_chance() -> Iterator[None]:
    """Leaves the common generators of Python and NumPy as they were."""
    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


class _SetFromOutside(Schedule):
    """The rate that the optimizer is told before each update."""

    ends: ClassVar[bool] = False

    def share(self, update: Any, span: Span, maths: Any) -> Any:
        """All of what is told."""
        return maths.ones_like(update)

    def __call__(self, learning_rate: float, per_epoch: int, epochs: int) -> Any:
        """The rate at the beginning, which is not a function of the update."""
        return learning_rate


class Rehearsal:
    """The first stage that takes steps, tried again and again from the same start.

    Attributes:
        stage: Its number, from 1.
        stages: How many there are.
        key: The setting of its learning rate.
        train: How the training is to be done.
        updates: How many it has.
        judges: How many validation images a short run is judged on.
        usual: The learning rate that is usual for its optimizer, as a config has it: where training scales it with the
            batch, what gives the usual one then.
    """

    def __init__(self, data: TrainingData, network: Network, folder: Path, progress: Progress):
        """Makes it ready; nothing of the network has changed when it is, but that stages before are done.

        Args:
            data: What is trained on.
            network: What is trained.
            folder: Where stages before may write; it is thrown away by whoever made it.
            progress: Is told how far it is.
        """
        stage = first_steps(data.experiment)
        assert stage is not None
        self.stage, self.train = stage, data.experiment.train
        stages = self.train.stages or ()
        own = bool(stages and stages[stage - 1].learning_rate)
        self.key = f"train.stages.{stage - 1}.learning_rate" if own else "train.optimizer.learning_rate"
        self.stages = max(1, len(stages))
        self._network, self._before = network, [variable.value.numpy() for variable in _variables(network)]
        experiment = data.experiment.with_learning_rate(1.0, stage=stage)
        train = experiment.train.model_copy(update={"schedule": _SetFromOutside()})
        experiment = experiment.model_copy(update={"train": train})
        engine = Engine(replace(data, experiment=experiment), network, Run(folder), Live(progress))
        self._fit = engine.before(stage)
        self._steps, self._optimizer = self._fit.steps, self._fit.steps.optimizer
        self._scale = float(self._optimizer.learning_rate)
        self._changing = engine.variables(self._fit)
        self._start = {name: np.array(value) for name, value in engine.arrays(self._fit).items()}  # copies, to keep
        self._epochs = engine.plan[stage - 1].epochs or 1
        self.updates = self._fit.updates * self._epochs
        index = data.images.index
        order = sorted(engine.validation, key=lambda i: (ranked(index.digests[i], 0, "learning rate"), i))
        self._judges = order[:JUDGES]
        self.judges = len(self._judges)
        normalised = any(hasattr(layer, "moving_mean") for layer in network.model.layers)
        fine_tuned = experiment.model.pretrained and not engine.plan[stage - 1].freezes_backbone
        optimizer = data.experiment.train.optimizer
        assert optimizer is not None
        scale = self.train.rate_scale(data.experiment.data.batch_size)
        self.usual = rounded(usual_for(optimizer, normalised, fine_tuned) / scale)
        self.begin()

    def begin(self) -> None:
        """Goes back to the start."""
        for name, variable in self._changing.items():
            variable.assign(self._start[name])
        self._batches = iter(self._fit.training.dataset(ENDLESS))
        self._done = 0

    def course(self, rate: float, updates: int) -> list[float]:
        """The rates of the whole training, warm-up and schedule, at so many updates evenly in it."""
        schedule = self.train.schedule
        assert schedule is not None
        rate_of = schedule(rate, self._fit.updates, self._epochs)
        return [float(rate_of(int((number + 0.5) * self.updates / updates))) for number in range(updates)]

    def update(self, rate: float) -> float:
        """Makes an update at a rate; the loss of its batch before it, which is infinite where it is not sound."""
        self._optimizer.learning_rate = rate * self._scale
        self._steps.reset()
        with self._fit.images.errors_as_raised():
            outcome = self._steps.train(self._batches, self._done % self._fit.updates, 1)
        self._done += 1
        return self._steps.metrics()["loss"] if outcome.sound else math.inf

    def judged(self) -> tuple[float, float]:
        """Loss and accuracy on the images that choose: of the network as it is now, as the training would judge it."""
        images, size = self._fit.images, self._fit.training.batch_size
        self._steps.begin_validation()
        with images.errors_as_raised(), self._steps.averaged():
            batches = iter(feeding.eval_batches(images, self._judges, size))
            self._steps.evaluate(batches, feeding.steps(len(self._judges), size))
        metrics = self._steps.validation_metrics()
        return metrics["val_loss"], metrics["val_accuracy"]

    def restore(self) -> None:
        """Leaves the network as it was before all."""
        for variable, value in zip(_variables(self._network), self._before, strict=True):
            variable.assign(value)
        self._network.model.trainable = True  # as it is when it is built; each stage freezes what it does


def _variables(network: Network) -> list[Any]:
    """All that a network holds, its dropout's generators and auxiliary classifiers with it."""
    models = [network.model, *(model for model, _ in network.auxiliary)]
    return list({id(variable): variable for model in models for variable in model.variables}.values())


def _found(rehearsal: Rehearsal, progress: Progress, minutes: float | None) -> Finding:
    """The range test and the short runs."""
    optimizer = rehearsal.train.optimizer
    assert optimizer is not None
    began = time.perf_counter()
    an_update = _seconds_of_an_update(rehearsal)
    # Without a limit it hangs on no clock: the same config finds the same rate.
    ranged, short = _updates_in(min(rehearsal.updates, 60 * minutes / an_update if minutes else math.inf))
    progress.say(
        f"Learning rates are tried, which takes {roughly(an_update * (ranged + 3 * short))}: "
        f"{ranged} updates at rising rates, then {short} at each of three, and of further ones while the best is at an "
        "end of the row"
    )
    with progress.task("trying learning rates", ranged + 3 * short) as advance:
        curve = Curve()
        rehearsal.begin()
        begun, _ = rehearsal.judged()
        smallest, largest = optimizer.usual
        for rate in rates(smallest, largest * WIDER, ranged):
            curve.add(rate, rehearsal.update(rate))
            advance(1)
            if curve.ended:
                break
        if len(curve.points) < FEWEST_POINTS:
            raise TrainingError(
                f"learning rates can't be tried: {curve.ended}, so it is not the rate that is wrong; look at the "
                "images (`cnnkit data CONFIG`), at the weights that the network starts from, and at train.loss"
            )
        first = rounded(start(curve))
        runs = [_short_run(rehearsal, rounded(first * APART**power), short, advance) for power in (-1, 0, 1)]
    _go_further(rehearsal, runs, short, progress)
    suggested = chosen(runs)
    if suggested is None:
        tried = enumerated((f"{run.rate:g}" for run in runs), "and")
        raise TrainingError(
            f"at learning rates of {tried} training diverges within {short} updates; look at the images "
            "(`cnnkit data CONFIG`) and at the network, or train with a smaller rate of your own"
        )
    return Finding(
        suggested.rate,
        rehearsal.key,
        optimizer.name,
        rehearsal.stage,
        rehearsal.stages,
        first,
        tuple(curve.points),
        curve.ended,
        begun,
        tuple(sorted(runs, key=lambda run: run.rate)),
        short,
        time.perf_counter() - began,
        rehearsal.judges,
        rehearsal.usual,
    )


def _seconds_of_an_update(rehearsal: Rehearsal) -> float:
    """How long an update takes, after the first, in which it is compiled."""
    rehearsal.update(0.0)
    times = []
    for _ in range(PILOT):
        began = time.perf_counter()
        rehearsal.update(0.0)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _updates_in(affordable: float) -> tuple[int, int]:
    """Updates of the range test and of each short run, of so many as there is time for."""
    share = min(1.0, affordable / (RANGE + 3 * SHORT))
    return max(FEWEST, int(RANGE * share)), max(FEWEST, int(SHORT * share))


def _go_further(rehearsal: Rehearsal, runs: list[ShortRun], updates: int, progress: Progress) -> None:
    """Adds further runs to a row while that at an end of it is best."""
    for _ in range(FURTHER):
        best, smallest, largest = least(runs), runs[0], runs[-1]
        if best not in (None, smallest, largest):
            return
        rate = rounded(largest.rate * APART if best is largest else smallest.rate / APART)
        with progress.task(f"trying {rate:g} too", updates) as advance:
            runs.insert(len(runs) if best is largest else 0, _short_run(rehearsal, rate, updates, advance))


def _short_run(rehearsal: Rehearsal, rate: float, updates: int, advance: Callable[[int], None]) -> ShortRun:
    """Trains for some updates, with the schedule of the training in small."""
    rehearsal.begin()
    for each in rehearsal.course(rate, updates):
        loss = rehearsal.update(each)
        advance(1)
        if not math.isfinite(loss):
            return ShortRun(rate, None, None)
    loss, accuracy = rehearsal.judged()
    return ShortRun(rate, loss, accuracy) if math.isfinite(loss) else ShortRun(rate, None, None)
