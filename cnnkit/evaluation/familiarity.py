"""Familiarity: how far an image is from all that a network was trained on.

A network answers whatever it is shown, and often surely. What it computes just before its classifier tells more: images
like those of its training lie near some of them there. The measure is the distance to the k-th nearest training image,
of feature vectors brought to length 1 (Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors",
arXiv:2204.06507). A small network that was trained from nothing may compute much the same of a flower, a scan and
noise. So there is a second distance, of statistics of the pixels from those of training images: Mahalanobis distance,
as Mittal, Soundararajan and Bovik 2013 take it ("Making a 'completely blind' image quality analyzer", IEEE Signal
Processing Letters 20, 209-212), of a covariance shrunk by the method of Ledoit and Wolf 2004 ("A well-conditioned
estimator for large-dimensional covariance matrices", Journal of Multivariate Analysis 88, 365-411). Each is taken over
that of training images, and the larger one counts, over what 99 of 100 further images like those of validation keep.

How well that tells strangers is measured with images that are made for it, and kept with it. Whether other content in
the same colours and textures is told, no statistics of pixels can say: there the features alone are asked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from cnnkit.core.errors import TrainingError
from cnnkit.core.lazy import keras, np, safetensors, tf
from cnnkit.core.progress import Progress
from cnnkit.core.text import first_line
from cnnkit.evaluation import strangers
from cnnkit.evaluation.exam import Shown
from cnnkit.evaluation.image_statistics import image_statistics
from cnnkit.runs import reading
from cnnkit.runs.run import Run

NEIGHBOUR = 10
"""Which neighbour the distance is taken to: some training images lie alone, and some twice."""

FAMILIAR = 0.99
"""The share of further images like those of validation that is called familiar, at the least and in the mean."""

USUAL = 0.99
"""This quantile of the distances of training images from each other is the unit of each of the two. Units that depend
on the same images as the bound would let fewer further ones keep it."""

STRANGERS = 50
"""Images of each kind of `strangers.KINDS` that are made."""

TENSORS = ("features", "mean", "whitening")

MEASURED = ("areas", "called")

TOLD = 0.5
"""The share of strangers that is called unfamiliar, from which on they count as told. An area under the ROC curve does
not say that: all of them may lie behind the images that are known, and within the bound all the same."""

FORMAT = 2
"""Of the file that is kept. It goes up when what is measured, or kept, becomes another; one of another is not used."""

MOST_IMAGES, MOST_BYTES = 1_000, 4 * 2**20
"""So many training images are kept at the most, in so many bytes; of the validation images as many are asked."""

_LEAST_SPREAD = 1e-3
"""Statistics that differ by less are equal but for rounding."""

_AT_ONCE = 512
"""Images whose distances to all that are kept are computed at once."""


class Seen(NamedTuple):
    """What is looked at of images.

    Attributes:
        features: (n, c), feature vectors.
        statistics: (n, s), see `image_statistics`.
    """

    features: Any
    statistics: Any


@dataclass(frozen=True)
class Familiarity:
    """What a run keeps to tell whether images are like those that it was trained on.

    Attributes:
        features: float16 (n, c), feature vectors of training images, each of length 1.
        mean: float64 (s,), the means of the statistics of training images.
        whitening: float64 (s, s), what makes their differences from the mean independent and of variance 1.
        units: What each of the two distances is taken over.
        threshold: The larger of the two, in these units, above which an image is unfamiliar.
        weights: SHA-256 of the weights that made the features.
        areas: Of each kind of strangers the area under the ROC curve, against validation images: 1 where all of them
            are less familiar than all of these, 0.5 by chance. Of `strangers.CONTENT` it is that of the features alone.
        called: Of each kind the share that is called unfamiliar, 0 to 1; of `strangers.CONTENT` by the features alone.
    """

    features: Any
    mean: Any
    whitening: Any
    units: tuple[float, float]
    threshold: float
    weights: str
    areas: Mapping[str, float]
    called: Mapping[str, float]

    @classmethod
    def fitted(
        cls, train: Seen, validation: Seen, weights: str, strange: Mapping[str, Seen] = MappingProxyType({})
    ) -> Familiarity:
        """From training images (n), validation images (m), and strangers by their kinds."""
        kept = np.float16(_of_length_1(train.features)), *_whitened(np.float64(train.statistics))
        plain = cls(*kept, (1.0, 1.0), 1.0, weights, {}, {})
        among = _Known(kept[0], NEIGHBOUR + 1).distances(train.features), plain.distances(train)[1]
        # Where all of them are nearest to their likes, as equal images are, the smallest distance that float16 tells.
        least = float(np.finfo(np.float16).eps)
        one, other = (max(float(np.quantile(distances, USUAL)), least) for distances in among)
        far = plain.distances(validation)
        threshold = max(bound(np.maximum(far[0] / one, far[1] / other)), least)
        found = replace(plain, units=(one, other), threshold=threshold)
        known = {alone: found.scores(validation, alone) for alone in (False, True)}
        areas, called = {}, {}
        for kind, seen in strange.items():
            alone = kind == strangers.CONTENT
            strange_ones = found.scores(seen, alone)
            areas[kind], called[kind] = _area(known[alone], strange_ones), float(np.mean(strange_ones > 1))
        return replace(found, areas=areas, called=called)

    @classmethod
    def read(cls, run: Run) -> Familiarity | None:
        """That of a run; None where it has none, or one of other weights, or of another version of cnnkit.

        Raises:
            TrainingError: It can't be read, or is damaged.
        """
        if not run.files.familiarity.exists():
            return None
        with _opened(run) as opened:
            noted = _noted(opened)
            if _format(noted) != FORMAT:
                return None
            features, mean, whitening = map(opened.get_tensor, TENSORS)
            one, other = map(float, noted["units"])
            areas, called = ({kind: float(noted[name][kind]) for kind in noted["areas"]} for name in MEASURED)
            bounded = float(noted["threshold"])
            found = cls(features, mean, whitening, (one, other), bounded, noted["weights"], areas, called)
            found._refuse_impossible()
        return found if found.weights == run.weights_digest() else None

    @classmethod
    def why_none(cls, run: Run) -> str:
        """Why `read` has none of a run, and what to do."""
        file, again = run.files.familiarity, f"{run.files.to_calibrate} makes it"
        newer = 0
        if file.exists():
            with _opened(run) as opened:
                newer = _format(_noted(opened))
        if newer > FORMAT:
            return (
                f"{file} was written by a newer version of cnnkit, so the run does not tell here which images are "
                f"unlike all that it has seen; use that version, or {again} anew for this one"
            )
        return f"the run does not tell which images are unlike all that it has seen; {again} do so"

    def _refuse_impossible(self) -> None:
        """Refuses what `fitted` never makes.

        Raises:
            ValueError: Shapes don't fit together, or a unit or the threshold is not above 0.
        """
        count = len(self.mean)
        if self.features.ndim != 2 or not len(self.features) or self.whitening.shape != (count, count):
            raise ValueError("its tensors do not fit together")
        if not all(0 < number < math.inf for number in (*self.units, self.threshold)):
            raise ValueError("its units and its threshold should be above 0")

    def write(self, run: Run) -> None:
        """Writes it into the run's folder, and its hash into the run's record."""
        from safetensors.numpy import save

        noted = {"format": FORMAT, "units": self.units, "threshold": self.threshold, "weights": self.weights}
        noted |= {name: dict(getattr(self, name)) for name in MEASURED}
        # Of a transposed one the bytes would be written in the order of the other axis.
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in TENSORS}
        run.keep_familiarity(save(tensors, {"familiarity": json.dumps(noted)}))

    @property
    def tells(self) -> bool:
        """Whether strangers are told at all, in the mean over their kinds. Where none were made, nothing denies it."""
        return not self.called or float(np.mean(list(self.called.values()))) >= TOLD

    def line(self) -> str:
        """How well it tells strangers, in a sentence."""
        measured = ", ".join(
            f"{kind}{' by features alone' * (kind == strangers.CONTENT)} {_percent(self.called[kind])} ({area:.2f})"
            for kind, area in self.areas.items()
        )
        said = f"unfamiliar: of images made to be strange are called so (and area under the ROC curve): {measured}"
        if not self.tells:
            return f"{said}; that tells too little, so it is left empty"
        # Tiles have seams in their features too: photographs of something else are harder to tell.
        most = self.called.get(strangers.CONTENT, 0.0) < TOLD
        how = "are mostly not told" if most else "may be told less often"
        return f"{said}; other things in the same colours and textures {how}"

    def facts(self) -> dict[str, Any]:
        """The same for programs."""
        return {name: dict(getattr(self, name)) for name in MEASURED} | {"tells": self.tells}

    def scores(self, seen: Seen, features_alone: bool = False) -> Any:
        """How unfamiliar images are: float64 (m,), above 1 for unfamiliar ones.

        Args:
            seen: What is looked at of them.
            features_alone: Whether the statistics of their pixels have no say.
        """
        one, other = self.distances(seen)
        far = one / self.units[0]
        return (far if features_alone else np.maximum(far, other / self.units[1])) / self.threshold

    def distances(self, seen: Seen) -> tuple[Any, Any]:
        """Of images the distances to training images, by features and by statistics: float64 (m,) each."""
        whitened = (np.asarray(seen.statistics, np.float64) - self.mean) @ self.whitening
        return self._known.distances(seen.features), np.linalg.norm(whitened, axis=1)

    @cached_property
    def _known(self) -> _Known:
        return _Known(self.features)


def _whitened(statistics: Any) -> tuple[Any, Any]:
    """The mean of statistics (n, s), and what makes their differences from it independent and of variance 1."""
    from sklearn.covariance import ledoit_wolf

    mean, spread = statistics.mean(axis=0), np.maximum(statistics.std(axis=0), _LEAST_SPREAD)
    scaled = (statistics - mean) / spread
    covariance = ledoit_wolf(scaled, assume_centered=True)[0] if len(scaled) > 1 else np.zeros((len(mean),) * 2)
    covariance = covariance + _LEAST_SPREAD**2 * np.eye(len(mean))
    return mean, np.linalg.inv(np.linalg.cholesky(covariance)).T / spread[:, None]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _area(familiar: Any, strange: Any) -> float:
    from sklearn.metrics import roc_auc_score

    truth = np.r_[np.zeros(len(familiar)), np.ones(len(strange))]
    return float(roc_auc_score(truth, np.r_[familiar, strange]))


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
    most = min(MOST_IMAGES, max(MOST_BYTES // (2 * seeing.output_shape[0][-1]), 1))
    seed, size = run.experiment.seed, run.experiment.data.batch_size
    train, validation = (_some(of(split), many, seed) for split, many in (("train", most), ("validation", MOST_IMAGES)))
    steps = len(train.numbers) + len(validation.numbers) + STRANGERS * len(strangers.KINDS)
    with progress.task("looking at what is familiar", steps) as advance:
        known, others = (_seen(seeing, _batches(some, size), size, advance) for some in (train, validation))
        own = np.concatenate([np.uint8(batch) for batch in _batches(_some(validation, STRANGERS, seed), size)])
        own, random = own[np.arange(STRANGERS) % len(own)], np.random.default_rng(seed)
        strange = {
            kind: _seen(seeing, _cut(make(random, own), size), size, advance) for kind, make in strangers.KINDS.items()
        }
    found = Familiarity.fitted(known, others, run.weights_digest(), strange)
    found.write(run)
    return found


@contextmanager
def _opened(run: Run) -> Iterator[Any]:
    """The file of a run, open; whatever is wrong with what is read within is told with what to do.

    Raises:
        TrainingError: It can't be read, or is damaged.
    """
    file, again = run.files.familiarity, f"make it anew: {run.files.to_calibrate}"
    try:
        with reading.told(file), safetensors.safe_open(file, "numpy") as opened:
            yield opened
    except TrainingError as error:
        raise TrainingError(f"{error}; {again}") from None
    except (safetensors.SafetensorError, AttributeError, KeyError, TypeError) as error:
        raise TrainingError(f"{file} is damaged: {first_line(error)}; {again}") from None


def _noted(opened: Any) -> dict[str, Any]:
    """What is noted in an open file beside its tensors."""
    found: dict[str, Any] = json.loads((opened.metadata() or {})["familiarity"])
    return found


def _format(noted: Mapping[str, Any]) -> int:
    """The format that is noted; that of the first version had none.

    Raises:
        ValueError: It is no whole number.
    """
    found = noted.get("format", 1)
    if type(found) is not int:
        raise ValueError(f"its format is {json.dumps(found)}, and should be a number")
    return found


def with_features(model: Any) -> Any:
    """The Keras model that answers feature vectors (B, c), statistics of the images (B, s), and logits (B, K).

    Feature vectors are the input of the classifier layer.
    """
    outputs = [model.get_layer("logits").input, image_statistics(model.input), model.output]
    return keras.Model(model.input, outputs, name="seeing")


def _seen(seeing: Any, batches: Iterable[Any], size: int, advance: Callable[[int], None]) -> Seen:
    """What is looked at of batches of images."""
    found = []
    for batch in batches:
        given = np.zeros((size, *batch.shape[1:]), np.float32)
        given[: len(batch)] = batch  # a network is made ready anew for each number of images
        found.append([np.asarray(output[: len(batch)], np.float32) for output in seeing.predict_on_batch(given)[:2]])
        advance(len(batch))
    return Seen(*map(np.concatenate, zip(*found, strict=True)))


def _batches(shown: Shown, size: int) -> Iterator[Any]:
    from cnnkit.data.feeding import batches

    with shown.images.errors_as_raised():
        for batch, _ in batches.eval_batches(shown.images, shown.numbers, size):
            yield batch


def _cut(images: Any, size: int) -> Iterator[Any]:
    return (images[start : start + size] for start in range(0, len(images), size))


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

    def __init__(self, kept: Any, neighbour: int = NEIGHBOUR):
        vectors = np.asarray(kept, np.float32)
        # What float16 keeps is of length 1 but for rounding, so the distance is taken as it is defined.
        known, squares, place = (
            tf.constant(vectors),
            tf.constant(np.sum(vectors**2, axis=1)),
            min(neighbour, len(vectors)),
        )

        def squared(asked: Any) -> Any:
            nearness = tf.math.top_k(2 * tf.matmul(asked, known, transpose_b=True) - squares, place).values[:, -1]
            return tf.reduce_sum(asked**2, axis=1) - nearness

        self._squared = tf.function(squared, [tf.TensorSpec((None, vectors.shape[1]), tf.float32)], autograph=False)

    def distances(self, features: Any) -> Any:
        """Of each vector the distance to its neighbour of that number, 0 to 2, or to the farthest of fewer."""
        asked = np.float32(_of_length_1(features))
        found = [self._squared(asked[start : start + _AT_ONCE]).numpy() for start in range(0, len(asked), _AT_ONCE)]
        return np.sqrt(np.maximum(np.concatenate(found), 0.0, dtype=np.float64)) if found else np.empty(0)
