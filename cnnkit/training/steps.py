"""The compiled work of a training: many updates of the weights in one call, and the validation between them.

All updates are made by one TensorFlow function with a loop whose length is a tensor, so that what an update computes
does not depend on how many are asked for at once, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

from cnnkit.core.lazy import keras, np, tf
from cnnkit.optimization import training_metrics
from cnnkit.optimization.clipping import Clip
from cnnkit.optimization.ema import Ema
from cnnkit.optimization.losses import Loss
from cnnkit.optimization.sam import Sam
from cnnkit.optimization.section import Train
from cnnkit.optimization.training_metrics import TRAINING, VALIDATION
from cnnkit.training.averages import Averages
from cnnkit.training.computing import Computing, Gradients
from cnnkit.training.model import Learner
from cnnkit.training.sharpness import Sharpness


@dataclass(frozen=True)
class Outcome:
    """What came of some updates.

    Attributes:
        done: How many were made, with those left out as float16 was too small for their gradients.
        sound: Whether loss and gradients of all were finite. If not, the next update was the first that was not, and
            its step was not taken: the weights are those before it.
    """

    done: int
    sound: bool


class Steps:
    """Updates of the weights, and what is measured on the way.

    Attributes:
        names: Paths of the weights that learn, in the order of `gradient_norms`.
    """

    def __init__(
        self,
        learner: Learner,
        optimizer: Any,
        loss: Loss,
        batches: int,
        accumulated: int = 1,
        clip: Clip | None = None,
        ema: Ema | None = None,
        sam: Sam | None = None,
        computing: Computing | None = None,
    ):
        """Compiles nothing yet: that happens when the first update is made.

        Args:
            learner: What learns.
            optimizer: Keras's, which is built for it here.
            loss: That of the training; it measures the accuracy too.
            batches: How many an epoch has.
            accumulated: Batches whose gradients, weighted by their images, make one update; the last update of an
                epoch has what is left.
            clip: How large gradients may be.
            ema: Whether averages of the weights are kept, and how.
            sam: Whether gradients are taken where the loss is worst near the weights, and how near.
            computing: How it is computed; on one device by TensorFlow's kernels if left out.
        """
        computing = computing or Computing()
        self.learner, self.optimizer, self.batches, self.accumulated = learner, optimizer, batches, accumulated
        self._weights = learner.trainable_variables
        self.names = [weight.path for weight in self._weights]
        with computing.devices.holding():
            optimizer.build(self._weights)
        self._devices, self._computed = computing.devices, Gradients(learner, computing)
        if self._devices.several:
            # They are summed before, as clipping and what is sound go by the sum, and summed again they would grow.
            optimizer._all_reduce_sum_gradients = list
        self._clip, self._averages = clip, Averages(learner.model, ema) if ema else None
        self._sharpness = Sharpness(sam, self._weights, learner.moved_variables) if sam else None
        self._training, self._validation = _Measures(loss), _Measures(loss)
        self._squares = tf.Variable(tf.zeros(len(self._weights)), trainable=False, name="gradient_squares")
        self._updates = tf.Variable(0, dtype=tf.int64, trainable=False, name="updates")
        self._waited = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="waited")
        self._train = tf.function(self._several_updates, autograph=False)
        self._evaluate = tf.function(self._several_batches, autograph=False)

    @classmethod
    def of(cls, train: Train, learner: Learner, optimizer: Any, batches: int, computing: Computing) -> Self:
        """Those of a config.

        Args:
            train: How it is trained, but for the optimizer.
            learner: What learns.
            optimizer: Keras's.
            batches: How many an epoch has.
            computing: How it is computed.
        """
        accumulated = train.gradient_accumulation
        return cls(learner, optimizer, train.loss, batches, accumulated, train.clip, train.ema, train.sam, computing)

    @property
    def updates(self) -> int:
        """How many an epoch has."""
        return -(-self.batches // self.accumulated)

    @property
    def taken(self) -> int:
        """How many were taken in this stage so far; float16 leaves some out."""
        return int(keras.ops.convert_to_numpy(self.optimizer.iterations))  # on several devices there is one on each

    @property
    def variables(self) -> list[Any]:
        """What is measured of the epoch so far, the averages of the weights, and the scale of the loss."""
        averages = self._averages.variables if self._averages else []
        scale = self._computed.scale
        scales = scale.variables if scale else []
        return [*self._training.variables, self._squares, self._updates, *averages, *scales]

    def reset(self) -> None:
        """Begins to measure an epoch anew."""
        self._training.reset()
        self._squares.assign(tf.zeros_like(self._squares))
        self._updates.assign(0)
        self._waited.assign(0.0)

    def train(self, batches: Any, first: int, count: int, seconds: float = math.inf) -> Outcome:
        """Makes updates, as long as loss and gradients are finite.

        Args:
            batches: Iterator of (images, labels, weights), of which each update takes its batches.
            first: Number of the first update within its epoch.
            count: How many, at the most.
            seconds: After so long no other is begun.
        """
        limits = tf.constant(count, tf.int64), tf.constant(seconds, tf.float64)
        done, sound = self._train(batches, tf.constant(first, tf.int64), *limits)
        return Outcome(int(done), bool(sound))

    def metrics(self) -> dict[str, float]:
        """The metrics of the epoch so far, of training."""
        return self._training.values(TRAINING)

    def gradient_norms(self) -> Any:
        """Root mean square over this epoch of the norm of the gradient of each weight that learns, float32 (n,)."""
        return np.sqrt(self._squares.numpy() / max(1, int(self._updates.numpy())))

    def waited(self) -> float:
        """Seconds of this epoch in which the next batch was not there yet, and nothing was computed."""
        return float(self._waited)

    def averaged(self) -> AbstractContextManager[None]:
        """Within it the network has the averages of its weights, where there are any: it is judged with these."""
        return self._averages.in_place() if self._averages else nullcontext()

    def settle(self) -> None:
        """Leaves the network with what it was judged with: the averages of its weights, where they are kept."""
        if self._averages:
            self._averages.settle()

    def begin_validation(self) -> None:
        """Begins to measure the validation anew."""
        self._validation.reset()

    def evaluate(self, batches: Any, count: int, seconds: float = math.inf) -> int:
        """Measures the network on batches of an iterator of (images, labels); limits as of `train`.

        Returns:
            On how many.
        """
        return int(self._evaluate(batches, tf.constant(count, tf.int64), tf.constant(seconds, tf.float64)))

    def validation_metrics(self) -> dict[str, float]:
        """The metrics of the batches since `begin_validation`; NaN where the network is none of numbers any more.

        That is asked of its weights, as what oneDNN fuses from a layer and its rectifier makes 0 of NaN.
        """
        values = self._validation.values(VALIDATION)
        return values if self._finite() else dict.fromkeys(values, math.nan)

    def _finite(self) -> bool:
        """Whether all that the network holds is finite."""
        tensors = (tf.convert_to_tensor(variable.value) for variable in self.learner.model.variables)
        return all(bool(tf.reduce_all(tf.math.is_finite(each))) for each in tensors if each.dtype.is_floating)

    def _several_updates(self, batches: Any, first: Any, count: Any, seconds: Any) -> tuple[Any, Any]:
        return _repeated(lambda done: self._update(batches, first + done), count, seconds)

    def _update(self, batches: Any, number: Any) -> Any:
        """One update; whether it was sound."""
        if self.accumulated == 1:
            loss, gradients, _ = self._gradients(self._next(batches))
        else:
            loss, gradients = self._accumulated_gradients(batches, number)
        squares = tf.stack([2.0 * tf.nn.l2_loss(tf.cast(gradient, tf.float32)) for gradient in gradients])
        sound = tf.math.is_finite(loss) & tf.math.is_finite(tf.reduce_sum(squares))

        def take() -> Any:
            clipped = self._clip(gradients) if self._clip else gradients
            learning = [
                (gradient, weight)
                for gradient, weight, learns in zip(clipped, self._weights, self._computed.learns, strict=True)
                if learns
            ]
            self._apply(*zip(*learning, strict=True))
            if self._averages:
                self._averages.update(self.optimizer.iterations)
            self._squares.assign_add(squares)
            self._updates.assign_add(1)
            if scale:
                scale.took()
            return tf.constant(True)

        def leave() -> Any:
            return tf.math.is_finite(loss) & scale.overflowed() if scale else tf.constant(False)

        scale = self._computed.scale
        return tf.cond(sound, take, leave)

    def _apply(self, gradients: Sequence[Any], weights: Sequence[Any]) -> None:
        """The step of the optimizer, on each device."""
        if self._devices.several:
            self._devices.each(lambda number, *given: self.optimizer.apply(given, weights), *gradients)
        else:
            self.optimizer.apply(gradients, weights)

    def _next(self, batches: Any) -> Any:
        """The next batch; how long that takes is measured."""
        asked = tf.timestamp()
        with tf.control_dependencies([asked]):
            batch = batches.get_next()
        with tf.control_dependencies(tf.nest.flatten(batch)):
            self._waited.assign_add(tf.timestamp() - asked)
        return batch

    def _gradients(self, batch: Any) -> tuple[Any, list[Any], Any]:
        """Loss and gradients of a batch, and how many images it has; a weight that has no say in the loss has zeros."""

        def compute() -> tuple[tuple[Any, Any], list[Any]]:
            loss, gradients, logits = self._computed(*batch)
            return (loss, logits), gradients

        (loss, logits), gradients = self._sharpness.gradients(compute) if self._sharpness else compute()
        size = tf.cast(tf.shape(batch[0])[0], tf.float32)
        self._training.update(loss, size, batch[1], logits)
        return loss, gradients, size

    def _accumulated_gradients(self, batches: Any, number: Any) -> tuple[Any, list[Any]]:
        """The mean over the images of the batches of an update."""
        left = tf.constant(self.batches, tf.int64) - number * self.accumulated
        count = tf.minimum(tf.constant(self.accumulated, tf.int64), left)

        def add(done: Any, images: Any, total: Any, *sums: Any) -> tuple[Any, ...]:
            loss, gradients, size = self._gradients(self._next(batches))
            added = [
                so_far + gradient * tf.cast(size, gradient.dtype)
                for so_far, gradient in zip(sums, gradients, strict=True)
            ]
            return done + 1, images + size, total + loss * size, *added

        zeros = [tf.zeros(weight.shape, weight.value.dtype) for weight in self._weights]
        start = [tf.constant(0, tf.int64), tf.constant(0.0), tf.constant(0.0), *zeros]
        _, images, total, *sums = tf.while_loop(lambda done, *_: done < count, add, start, parallel_iterations=1)
        return total / images, [added / tf.cast(images, added.dtype) for added in sums]

    def _several_batches(self, batches: Any, count: Any, seconds: Any) -> Any:
        def measure(done: Any) -> Any:
            images, labels = batches.get_next()
            logits = self._computed.answers(images)
            loss = self.learner.loss(labels, [logits], training=False)
            self._validation.update(loss, tf.cast(tf.shape(images)[0], tf.float32), labels, logits)
            return tf.constant(True)

        return _repeated(measure, count, seconds)[0]


def _repeated(work: Callable[[Any], Any], count: Any, seconds: Any) -> tuple[Any, Any]:
    """Repeats work until it fails, was done often enough, or time is up; how often it went well, and the last time.

    Args:
        work: From its number, from 0, to whether it went well.
        count: int64.
        seconds: float64.
    """
    began = tf.timestamp()

    def once(done: Any, well: Any, passed: Any) -> tuple[Any, Any, Any]:
        well = work(done)
        with tf.control_dependencies([well]):
            passed = tf.timestamp() - began
        return done + tf.cast(well, tf.int64), well, passed

    def goes_on(done: Any, well: Any, passed: Any) -> Any:
        in_time = tf.equal(done, 0) | (tf.abs(passed) < seconds)  # a clock may be set back
        return well & (done < count) & in_time

    start = tf.constant(0, tf.int64), tf.constant(True), tf.constant(0.0, tf.float64)
    done, well, _ = tf.while_loop(goes_on, once, start, parallel_iterations=1)
    return done, well


class _Measures:
    """The metrics of an epoch, over the images that they were measured on."""

    def __init__(self, loss: Loss):
        self._metrics: Sequence[Any] = [keras.metrics.Mean(name="loss"), *training_metrics.build(loss)]

    @property
    def variables(self) -> list[Any]:
        return [variable for metric in self._metrics for variable in metric.variables]

    def reset(self) -> None:
        for metric in self._metrics:
            metric.reset_state()

    def update(self, loss: Any, images: Any, labels: Any, logits: Any) -> None:
        mean, *others = self._metrics
        mean.update_state(loss, sample_weight=images)
        for metric in others:
            metric.update_state(labels, logits)

    def values(self, side: str) -> dict[str, float]:
        return {side + metric.name: float(metric.result()) for metric in self._metrics}
