"""The epochs of a stage against the same in NumPy, by hand: softmax regression with two outputs, momentum and l2."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from cnnkit.core.lazy import keras
from cnnkit.data.augmentations.chain import Chain
from cnnkit.data.balancing.base import Training
from cnnkit.data.feeding.batches import TrainBatches
from cnnkit.data.feeding.images import Images, allocated
from cnnkit.data.index import Index
from cnnkit.optimization.losses import CrossEntropy
from cnnkit.optimization.schedules import Cosine
from cnnkit.training import stage_fit
from cnnkit.training.model import Learner
from cnnkit.training.observers import Observer, StopEarly
from cnnkit.training.stage_fit import StageFit
from cnnkit.training.steps import Steps
from cnnkit.training.waiting import WatchWaiting

RNG = np.random.default_rng(11)
CLASSES, RATE, L2, AUXILIARY, MOMENTUM = 3, 0.5, 0.01, 0.3, 0.9
TRAINS, CHOOSES = list(range(22)), list(range(22, 29))
LABELS = RNG.integers(0, CLASSES, 29)
PIXELS = RNG.integers(0, 256, (29, 2, 2)).astype(np.uint8)
WEIGHTS = RNG.uniform(0.5, 2, 22)


@dataclass
class Heard(Observer):
    """Remembers what it was told, and in which order."""

    told: list[str] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    norms: list[Any] = field(default_factory=list)

    def stage_begins(self, fit):
        self.told.append("begins")

    def updates_done(self, fit):
        self.told.append(f"{fit.epoch}:{fit.update}")

    def trained(self, fit):
        self.told.append("trained")
        self.norms.append(fit.steps.gradient_norms())

    def epoch_ends(self, fit, metrics):
        self.told.append(f"epoch {fit.epoch}")
        self.records.append(metrics)


@dataclass
class Fitted:
    """A fit that is over, what its observer heard, and the weights at its beginning and end."""

    fit: StageFit
    heard: Heard
    begun: list[Any]
    weights: list[Any]
    judged: list[tuple[int, dict[str, float]]]


def fitted(epochs=range(3), at_once=None, accumulated=1, dropout=0.0, observers=()):
    """Fits both outputs for some epochs of batches of four, of which the last has two images."""
    keras.utils.set_random_seed(3)
    image = keras.Input((2, 2, 1))
    x = keras.layers.Dropout(dropout)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image)))
    dense, other = (keras.layers.Dense(CLASSES, bias_initializer="normal") for _ in range(2))
    model, auxiliary = keras.Model(image, dense(x)), keras.Model(image, other(x))
    for layer in (dense, other):
        layer.kernel.regularizer = keras.regularizers.L2(L2)
    index = Index(("a", "b", "c"), list(map(str, range(29))), LABELS, list(map(str, range(29))), [None] * 29, None)
    memory = allocated((29, 2, 2, 1), np.uint8)
    memory[:] = PIXELS[..., None]
    images = Images(index, (2, 2, 1), memory)
    batches = TrainBatches(images, Training(np.array(TRAINS), LABELS[:22], WEIGHTS), Chain((), 5), 4)
    rate_of = Cosine()(RATE, -(-6 // accumulated), len(epochs))
    optimizer = keras.optimizers.SGD(rate_of, momentum=MOMENTUM)
    steps = Steps(Learner(model, [(auxiliary, AUXILIARY)], CrossEntropy()), optimizer, CrossEntropy(), 6, accumulated)
    variables = [dense.kernel, dense.bias, other.kernel, other.bias]
    begun, heard, judged = [variable.numpy() for variable in variables], Heard(), []

    def judge(epoch, metrics):
        heard.told.append(f"judged {epoch}")
        judged.append((epoch, metrics))

    everyone = [heard, *observers]
    fit = StageFit(1, steps, rate_of, batches, images, CHOOSES, epochs, everyone, judge, at_once)
    fit.fit()
    return Fitted(fit, heard, begun, [variable.numpy() for variable in variables], judged)


@pytest.fixture(scope="module")
def done():
    """A fit of three epochs, three updates at a time."""
    return fitted(at_once=3)


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def flat(images):
    return np.float64(images).reshape(len(images), -1) / 255


def loss_and_gradients(parameters, images, labels, weights):
    """The loss of a batch as it is trained, its gradients, and which images are right."""
    x, total, gradients = flat(images), 0.0, []
    for kernel, bias, share in ((*parameters[:2], 1.0), (*parameters[2:], AUXILIARY)):
        p = softmax(x @ kernel + bias)
        total += share * np.mean(weights * -np.log(p[labels == 1])) + L2 * np.sum(kernel**2)
        difference = share * weights[:, None] * (p - labels) / len(x)
        gradients += [x.T @ difference + 2 * L2 * kernel, difference.sum(axis=0)]
    right = (x @ parameters[0] + parameters[1]).argmax(axis=1) == labels.argmax(axis=1)
    return total, gradients, right


def by_hand(begun, batches, epochs):
    """The same training in NumPy: the parameters after it, and what is recorded of each epoch."""
    parameters, speeds = [np.float64(each) for each in begun], [np.zeros(each.shape) for each in begun]
    records, norms, update = [], [], 0
    for epoch in range(epochs):
        losses, rights, sizes, squares = [], [], [], []
        for images, labels, weights in batches[6 * epoch : 6 * epoch + 6]:
            loss, gradients, right = loss_and_gradients(parameters, images, labels, weights)
            rate = RATE * (1 + np.cos(np.pi * update / (6 * epochs))) / 2
            speeds = [MOMENTUM * speed - rate * g for speed, g in zip(speeds, gradients, strict=True)]
            parameters = [each + speed for each, speed in zip(parameters, speeds, strict=True)]
            update += 1
            losses.append(loss)
            rights.append(right)
            sizes.append(len(images))
            squares.append([np.sum(gradient**2) for gradient in gradients])
        logits = flat(PIXELS[22:]) @ parameters[0] + parameters[1]
        records.append(
            {
                "epoch": epoch + 1,
                "step": update,
                "loss": np.average(losses, weights=sizes),
                "accuracy": np.mean(np.concatenate(rights)),
                "val_loss": np.mean(-np.log(softmax(logits)[np.arange(7), LABELS[22:]])),
                "val_accuracy": np.mean(logits.argmax(axis=1) == LABELS[22:]),
                "learning_rate": rate,
            }
        )
        norms.append(np.sqrt(np.mean(squares, axis=0)))
    return parameters, records, norms


def drawn(fit, epochs):
    """The batches of a fit, in NumPy."""
    return [tuple(part.numpy() for part in batch) for batch in fit.training.dataset(epochs)]


def test_weights_and_records_are_those_of_the_same_training_in_numpy(done):
    batches = drawn(done.fit, 3)
    assert [len(images) for images, _, _ in batches] == [4, 4, 4, 4, 4, 2] * 3
    parameters, records, norms = by_hand(done.begun, batches, 3)
    for ours, expected in zip(done.weights, parameters, strict=True):
        assert ours == pytest.approx(expected, abs=2e-5)
    for ours, expected in zip(done.heard.records, records, strict=True):
        assert {name: ours[name] for name in expected} == pytest.approx(expected, abs=2e-5)
    for ours, expected in zip(done.heard.norms, norms, strict=True):
        order = [ours[done.fit.steps.names.index(name)] for name in paths(done.fit)]
        assert order == pytest.approx(expected, rel=1e-3, abs=1e-5)


def paths(fit):
    """Names of kernel and bias of both outputs."""
    model, others = fit.steps.learner.model, fit.steps.learner.all
    own = [weight.path for weight in model.trainable_variables]
    return [*own, *(weight.path for weight in others.trainable_variables if weight.path not in own)]


def test_each_image_is_shown_once_an_epoch_with_its_own_label_and_weight(done):
    batches = drawn(done.fit, 2)
    for epoch in (batches[:6], batches[6:]):
        images, labels, weights = (np.concatenate(parts) for parts in zip(*epoch, strict=True))
        rows = sorted(map(tuple, np.column_stack([flat(images), labels.argmax(axis=1), weights])))
        expected = sorted(map(tuple, np.column_stack([flat(PIXELS[:22]), LABELS[:22], np.float32(WEIGHTS)])))
        assert np.allclose(rows, expected)


def test_the_best_is_judged_before_it_is_recorded_and_validation_comes_between(done):
    epochs = [[f"{e}:3", f"{e}:6", "trained", f"judged {e + 1}", f"epoch {e + 1}"] for e in range(3)]
    first = "0:1"  # by which the start is judged
    assert done.heard.told == ["begins", first, *epochs[0], *epochs[1], *epochs[2]]
    assert done.fit.updates_a_call == 3


def test_a_number_of_updates_at_a_time_lasts_no_longer_than_others(monkeypatch):
    monkeypatch.setattr(stage_fit, "LONGEST", 0.0)
    done = fitted(epochs=range(1), at_once=100_000)
    assert [told for told in done.heard.told if ":" in told] == [f"0:{update}" for update in range(1, 7)]
    assert done.fit.updates_a_call == 1


def test_what_is_judged_is_what_is_recorded(done):
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    expected = [(record["epoch"], {name: record[name] for name in names}) for record in done.heard.records]
    assert done.judged == expected


@pytest.mark.slow  # tests of the updates hold it too
@pytest.mark.parametrize("accumulated", [1, 2])
def test_how_many_updates_are_made_at_once_changes_no_bit(accumulated):
    reference, other = (fitted(at_once=at_once, dropout=0.5, accumulated=accumulated) for at_once in (None, 4))
    for ours, expected in zip(other.weights, reference.weights, strict=True):
        assert (ours == expected).all()
    assert other.judged == reference.judged


def test_a_stage_that_is_stopped_early_ends_after_that_epoch_and_says_so_once():
    said = []
    stop = StopEarly("loss", 2, min_delta=9.0, say=said.append)  # no epoch is better by so much
    done = fitted(epochs=range(1, 9), observers=[stop])
    assert [record["epoch"] for record in done.heard.records] == [2, 3, 4]
    assert said == ["Stopped after epoch 4: loss was best 2 epochs ago."]
    assert done.fit.end == 9 and done.fit.epoch == 4


def test_an_update_of_several_batches_is_recorded_as_one_with_the_rate_of_its_own():
    done = fitted(epochs=range(2), accumulated=4)  # four batches, then two
    assert [record["step"] for record in done.heard.records] == [2, 4]
    rates = [RATE * (1 + np.cos(np.pi * update / 4)) / 2 for update in (1, 3)]
    assert [record["learning_rate"] for record in done.heard.records] == pytest.approx(rates)
    assert int(done.fit.steps.optimizer.iterations) == 4


def test_of_an_epoch_that_is_gone_on_with_in_its_validation_nobody_knows_how_fast_it_was(done):
    heard = Heard()
    fit = copy(done.fit)
    fit.epoch, fit.end, fit.update, fit.observers = 0, 1, fit.updates, [heard, WatchWaiting(None, print)]
    fit.fit()
    [record] = heard.records
    assert record["images_per_second"] is None and record["waiting"] is None
    assert done.heard.records[0]["images_per_second"] > 0


def test_a_network_whose_weights_are_no_numbers_has_no_metrics_whatever_it_answers(done):
    steps = done.fit.steps
    weight = steps.learner.model.trainable_variables[0]
    kept = weight.numpy()
    weight.assign(np.full(kept.shape, np.nan))
    steps.begin_validation()  # nothing is answered, so nothing of the answers is NaN
    broken = steps.validation_metrics()
    weight.assign(kept)
    assert broken and all(map(np.isnan, broken.values()))
    assert all(map(np.isfinite, steps.validation_metrics().values()))
