"""Familiarity: how far an image is from all that a network was trained on.

A network answers whatever it is shown, and often surely. What it computes just before its classifier tells more: images
like those of its training lie near some of them there. The measure is the distance to the k-th nearest training image,
of feature vectors brought to length 1 (Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors",
arXiv:2204.06507), over a distance that 99 of 100 further images like those of validation keep.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import keras, np, safetensors, tf
from cnnkit.core.progress import Progress
from cnnkit.core.text import first_line
from cnnkit.evaluation.exam import Shown
from cnnkit.runs import reading
from cnnkit.runs.run import Run

NEIGHBOUR = 10
"""Which neighbour the distance is taken to: some training images lie alone, and some twice."""

FAMILIAR = 0.99
"""The share of further images like those of validation that is called familiar, at the least and in the mean."""

MOST_IMAGES, MOST_BYTES = 1_000, 4 * 2**20
"""So many training images are kept at the most, in so many bytes; of the validation images as many are asked."""

_AT_ONCE = 512
"""Images whose distances to all that are kept are computed at once."""


@dataclass(frozen=True)
class Familiarity:
    """What a run keeps to tell whether images are like those that it was trained on.

    Attributes:
        features: float16 (n, c), feature vectors of training images, each of length 1.
        threshold: The distance, 0 to 2, above which an image is unfamiliar.
        weights: SHA-256 of the weights that made the features.
    """

    features: Any
    threshold: float
    weights: str

    @classmethod
    def fitted(cls, train: Any, validation: Any, weights: str) -> Familiarity:
        """From feature vectors (n, c) of training images and (m, c) of validation images."""
        kept = np.float16(_of_length_1(train))
        # Where all of them are nearest to their likes, as equal images are, the smallest distance that float16 tells.
        least = float(np.finfo(np.float16).eps)
        return cls(kept, max(bound(_Known(kept).distances(validation)), least), weights)

    @classmethod
    def read(cls, run: Run) -> Familiarity | None:
        """That of a run; None where it has none, or one of other weights.

        Raises:
            TrainingError: It can't be read, or is damaged.
        """
        file = run.files.familiarity
        if not file.exists():
            return None
        try:
            with reading.told(file), safetensors.safe_open(file, "numpy") as opened:
                noted = json.loads((opened.metadata() or {})["familiarity"])
                found = cls(opened.get_tensor("features"), float(noted["threshold"]), noted["weights"])
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"{file} is damaged: {first_line(error)}; make it anew: {run.files.to_calibrate}"
            ) from None
        return found if found.weights == run.weights_digest() else None

    def write(self, run: Run) -> None:
        """Writes it into the run's folder, and its hash into the run's record."""
        from safetensors.numpy import save

        noted = json.dumps({"threshold": self.threshold, "weights": self.weights})
        run.keep_familiarity(save({"features": self.features}, {"familiarity": noted}))

    def scores(self, features: Any) -> Any:
        """How unfamiliar images are, from their feature vectors (m, c): float64 (m,), above 1 for unfamiliar ones."""
        return self._known.distances(features) / self.threshold

    @cached_property
    def _known(self) -> _Known:
        return _Known(self.features)


def bound(distances: Any) -> float:
    """The distance that a further one like n others keeps with a probability of FAMILIAR at the least.

    The k-th smallest of n is kept by a further one with a probability of k / (n + 1), whatever they are distributed
    like (split conformal prediction: Lei et al. 2018, "Distribution-free predictive inference for regression",
    Journal of the American Statistical Association 113, 1094-1111). Of fewer than 99 even the largest, which it is
    then, is kept with n / (n + 1) only.
    """
    place = min(math.ceil(FAMILIAR * (len(distances) + 1)), len(distances))
    return float(np.partition(distances, place - 1)[place - 1])


def fit(run: Run, model: Any, of: Callable[[str], Shown], progress: Progress) -> Familiarity:
    """Fits that of a run to its training and validation images, and keeps it with the run.

    Args:
        run: The run; whoever calls holds it.
        model: Its network, with the weights of its best epoch.
        of: The images of a split.
        progress: Is told how far it is.
    """
    seeing = with_features(model)
    width = seeing.output_shape[0][-1]
    most = min(MOST_IMAGES, max(MOST_BYTES // (2 * width), 1))
    chosen = [_some(of("train"), most, run.experiment.seed), _some(of("validation"), MOST_IMAGES, run.experiment.seed)]
    with progress.task("looking at what is familiar", sum(len(some.numbers) for some in chosen)) as advance:
        train, validation = (
            np.concatenate(list(_features(seeing, some, run.experiment.data.batch_size, advance))) for some in chosen
        )
    found = Familiarity.fitted(train, validation, run.weights_digest())
    found.write(run)
    return found


def with_features(model: Any) -> Any:
    """The Keras model that answers feature vectors (B, c), the input of the classifier layer, and logits (B, K)."""
    return keras.Model(model.input, [model.get_layer("logits").input, model.output], name="seeing")


def _features(seeing: Any, shown: Shown, size: int, advance: Callable[[int], None]) -> Iterator[Any]:
    from cnnkit.data.feeding import batches

    with shown.images.errors_as_raised():
        for batch, _ in batches.eval_batches(shown.images, shown.numbers, size):
            yield np.asarray(seeing.predict_on_batch(batch)[0], np.float32)
            advance(len(batch))


def _some(shown: Shown, most: int, seed: int) -> Shown:
    """As many of some images, drawn by chance, in their order."""
    numbers: Sequence[int] = shown.numbers
    drawn = np.sort(np.random.default_rng(seed).permutation(len(numbers))[:most])
    return Shown(shown.images, [numbers[i] for i in drawn.tolist()])


def _of_length_1(features: Any) -> Any:
    vectors = np.asarray(features, np.float64).reshape(len(features), -1)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float64).tiny)


class _Known:
    """The vectors that are kept, brought to the form that distances are computed from: once, as it takes as long.

    TensorFlow computes: NumPy's threads wait for its next product on the cores that the network needs meanwhile.
    """

    def __init__(self, kept: Any):
        vectors = np.asarray(kept, np.float32)
        # What float16 keeps is of length 1 but for rounding, so the distance is taken as it is defined.
        known, squares, place = (
            tf.constant(vectors),
            tf.constant(np.sum(vectors**2, axis=1)),
            min(NEIGHBOUR, len(vectors)),
        )

        def squared(asked: Any) -> Any:
            nearness = tf.math.top_k(2 * tf.matmul(asked, known, transpose_b=True) - squares, place).values[:, -1]
            return tf.reduce_sum(asked**2, axis=1) - nearness

        self._squared = tf.function(squared, [tf.TensorSpec((None, vectors.shape[1]), tf.float32)], autograph=False)

    def distances(self, features: Any) -> Any:
        """Of each vector the distance to the NEIGHBOUR-th nearest that is kept, 0 to 2, or to the farthest of fewer."""
        asked = np.float32(_of_length_1(features))
        found = [self._squared(asked[start : start + _AT_ONCE]).numpy() for start in range(0, len(asked), _AT_ONCE)]
        return np.sqrt(np.maximum(np.concatenate(found), 0.0, dtype=np.float64)) if found else np.empty(0)
