"""Origin: where the first value that is not finite comes from, when loss or gradients of a batch are not.

The batch goes through the network again, layer by layer, and what each makes of it is looked at; then its gradients
are, from the loss back. This is done once, when a training has diverged, so it may take its time and its memory.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from cnnkit.core.lazy import keras, np, tf
from cnnkit.core.text import counted
from cnnkit.training.model import Learner

Direction = Literal["input", "forward", "loss", "backward"]
"""Where it is: in what the network is fed, on the way to the logits, in the loss alone, on the way back."""


@dataclass(frozen=True)
class Origin:
    """Where a value that is not finite comes from.

    Attributes:
        direction: On which way it came up.
        layer: The layer's name, those of models that it is in before it (`inner/conv1`); empty where it is in none.
        message: What was seen there.
        images: Places in the batch of the images to which it happened; empty where that can't be told, for example
            where batch normalisation has mixed them.
        in_weights: Whether the layer's own weights were not finite any more.
    """

    direction: Direction
    layer: str
    message: str
    images: tuple[int, ...] = ()
    in_weights: bool = False


@dataclass(frozen=True)
class Work:
    """What a layer did: the tensors that came in and that went out."""

    layer: Any
    name: str
    inputs: Sequence[Any]
    outputs: Sequence[Any] = field(repr=False)

    @property
    def called(self) -> str:
        """Its name and kind, as messages have it."""
        return f"layer `{self.name}` ({type(self.layer).__name__})"


def in_training(learner: Learner, batch: Sequence[Any], passes: int = 0) -> Origin | None:
    """Where it comes from in a batch of the training; None if all of it is finite. The network is left as it was.

    Args:
        learner: What learns.
        batch: Images (or features), labels and weights, as the training gave them.
        passes: How often batches went through the network since, this one with them: dropout's generators are put
            back by as many, so that the same values are dropped again.
    """
    images, labels, weights = batch
    if found := _in_input(images=images, labels=labels, weights=weights):
        return found
    with _as_it_was(learner.all):
        _rewind(learner.all, passes)
        with tf.GradientTape() as tape:
            logits, works = run(learner.all, images, training=True)
            loss = learner.loss(labels, logits, weights)
        if found := _forward(works, training=True) or _in_loss(learner, labels, weights, logits, loss):
            return found
        return _backward(learner, works, tape, loss)


def in_validation(learner: Learner, batch: Sequence[Any]) -> Origin | None:
    """The same of a batch of the validation, which is shown to the network as it is in use."""
    images, labels = batch
    if found := _in_input(images=images, labels=labels):
        return found
    with _as_it_was(learner.all):
        logits, works = run(learner.model, images, training=False)
        loss = learner.loss(labels, logits, training=False)
        return _forward(works, training=False) or _in_loss(learner, labels, None, logits, loss)


def run(model: Any, x: Any, training: bool) -> tuple[list[Any], list[Work]]:
    """A model's outputs, and what each of its layers did, in the order of the work; models within are gone into.

    Args:
        model: A functional Keras model with one input.
        x: Its input.
        training: Whether layers work as in training.
    """
    works: list[Work] = []
    return _run(model, [x], training, "", works), works


def _run(model: Any, inputs: Sequence[Any], training: bool, path: str, works: list[Work]) -> list[Any]:
    def watched(operation: Any) -> Callable[..., Any]:
        def call(*args: Any, **settings: Any) -> Any:
            name, tensors = f"{path}{operation.name}", [*filter(tf.is_tensor, keras.tree.flatten((args, settings)))]
            if inner := _functional(operation):
                outputs = _run(inner, tensors, training, f"{name}/", works)
                return outputs[0] if len(outputs) == 1 else outputs
            if "training" in inspect.signature(operation.call).parameters:
                settings["training"] = training
            made = operation(*args, **settings)
            works.append(Work(operation, name, tensors, keras.tree.flatten(made)))
            return made

        return call

    # Keras has no public way to follow a model at work; this is the one that its own `call` takes.
    return list(keras.tree.flatten(model._run_through_graph(list(inputs), operation_fn=watched)))


def _functional(operation: Any) -> Any:
    """The graph of layers that a layer is, where it is one."""
    if isinstance(operation, keras.Sequential):
        return operation._functional
    return operation if isinstance(operation, keras.Model) and hasattr(operation, "_run_through_graph") else None


@contextmanager
def _as_it_was(model: Any) -> Iterator[None]:
    """Moving statistics and the state of dropout's generators are put back."""
    kept = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    generators = [(variable, variable.numpy()) for variable in model.variables if "seed_generator" in variable.path]
    try:
        yield
    finally:
        for variable, value in [*kept, *generators]:
            variable.assign(value)


def _rewind(model: Any, passes: int) -> None:
    """Puts the generators of dropout back by so many passes in training."""
    for layer in {id(layer): layer for layer in model._flatten_layers()}.values():
        state = getattr(getattr(layer, "seed_generator", None), "state", None)
        if state is not None and layer.trainable:
            seed, drawn = state.numpy()
            state.assign([seed, max(0, int(drawn) - passes)])


def _in_input(**parts: Any) -> Origin | None:
    """What the network is fed that is not finite."""
    for name, array in parts.items():
        if not _finite(array):
            images = _rows(array)
            what = {"images": "what the network is fed", "labels": "the label", "weights": "the weight"}[name]
            message = f"{what} of {counted(len(images), 'image')} holds NaN or infinity"
            return Origin("input", "", message, images)
    return None


def _forward(works: Sequence[Work], training: bool) -> Origin | None:
    """The first layer whose weights or output are not finite; what came into it was.

    Weights are looked at wherever they are: what oneDNN fuses from a layer and its rectifier makes 0 of NaN.
    """
    for work in works:
        weights = [weight for weight in getattr(work.layer, "weights", []) if not _finite(weight.value)]
        if training:  # moving statistics have followed the batch that it is about
            weights = [weight for weight in weights if "moving" not in weight.name]
        if weights:
            message = f"its weights ({', '.join(weight.name for weight in weights)}) are not finite any more"
            return Origin("forward", work.name, f"{work.called}: {message}", in_weights=True)
        bad = [output for output in work.outputs if not _finite(output)]
        if not bad:
            continue
        total, images = len(bad[0]), _rows(bad[0])
        message = f"makes NaN or infinity of {len(images):,} of {counted(total, 'image')}"
        sizes = [f"what comes in is up to {_largest(work.inputs):.3g}"] if work.inputs else []
        own = [weight.value for weight in getattr(work.layer, "trainable_weights", [])]
        sizes += [f"its weights up to {_largest(own):.3g}"] if own else []
        text = f"{message}; {', '.join(sizes)}" if sizes else message
        return Origin("forward", work.name, f"{work.called}: {text}", images if len(images) < total else ())
    return None


def _in_loss(learner: Learner, labels: Any, weights: Any, logits: Sequence[Any], loss: Any) -> Origin | None:
    """The part of the loss that is not finite, of finite logits."""
    if _finite(loss):
        return None
    for number, of in enumerate(logits):
        losses = learner.loss_of(labels, of)
        if not _finite(losses):
            images = _rows(losses)
            whose = "the loss" if not number else f"the loss of auxiliary classifier {number}"
            message = f"{whose} of {counted(len(images), 'image')} is not finite; logits are up to {_largest([of]):.3g}"
            return Origin("loss", "", message, images if len(images) < len(losses) else ())
    if not all(_finite(penalty) for penalty in learner.all.losses):
        return Origin("loss", "", "what regularisation (model.l2) adds is not finite: weights are too large to square")
    return Origin("loss", "", f"the mean of the losses is not finite; logits are up to {_largest(logits):.3g}")


def _backward(learner: Learner, works: Sequence[Work], tape: Any, loss: Any) -> Origin | None:
    """The first layer, from the loss back, whose gradients are not finite, or too large to be squared."""
    weights = learner.trainable_variables
    owner = {
        id(weight): work for work in works for weight in getattr(work.layer, "trainable_variables", [])
    }  # of a weight that several use, the last
    outputs = [(work, output) for work in works for output in work.outputs if output.dtype.is_floating]
    found = tape.gradient(loss, [*(output for _, output in outputs), *(weight.value for weight in weights)])
    by_output, by_weight = found[: len(outputs)], found[len(outputs) :]
    bad_weights = {
        id(owner[id(weight)]): weight
        for weight, gradient in zip(weights, by_weight, strict=True)
        if id(weight) in owner and not _finite(gradient)
    }
    behind = {id(tensor): work for work in works for tensor in work.inputs}  # who works on a tensor
    for (work, output), gradient in zip(reversed(outputs), reversed(by_output), strict=True):
        if not _finite(gradient):
            images = _rows(gradient)
            only = images if len(images) < len(gradient) else ()
            if id(output) not in behind:
                message = f"the gradient of the loss by what {work.called} makes is not finite"
                return Origin("backward", work.name, message, only)
            culprit = behind[id(output)]
            message = f"{culprit.called}: the gradient by what comes into it is not finite, that by what it makes is"
            return Origin("backward", culprit.name, message, only)
        if id(work) in bad_weights:
            weight = bad_weights[id(work)]
            message = f"{work.called}: the gradient by its weight `{weight.name}` is not finite"
            return Origin("backward", work.name, message)
    return _too_large(weights, by_weight, owner)


def _too_large(weights: Sequence[Any], gradients: Sequence[Any], owner: dict[int, Work]) -> Origin | None:
    """The layer with the largest gradient, where all are finite and the sum of their squares is not."""
    with np.errstate(over="ignore"):
        norms = [0.0 if g is None else float(np.linalg.norm(np.float64(tf.convert_to_tensor(g)))) for g in gradients]
    if math.fsum(norm**2 for norm in norms) <= float(np.finfo(np.float32).max):
        return None
    weight = weights[int(np.argmax(norms))]
    work = owner.get(id(weight))
    called = work.called if work else f"weight `{weight.path}`"
    message = f"{called}: the norm of its gradient is {max(norms):.3g}, too large to go on"
    return Origin("backward", work.name if work else "", message)


def _finite(value: Any) -> bool:
    """Whether all of a tensor is; what is missing, or no floating-point numbers, is."""
    if value is None:
        return True
    value = tf.convert_to_tensor(value)
    return not value.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(value)))


def _rows(value: Any) -> tuple[int, ...]:
    """Which entries of the first axis are not finite."""
    array = np.asarray(tf.convert_to_tensor(value))
    if not array.ndim:
        return ()
    finite = np.isfinite(array.reshape(len(array), -1).astype(np.float64)).all(axis=1)
    return tuple(int(row) for row in np.flatnonzero(~finite))


def _largest(values: Sequence[Any]) -> float:
    """The largest absolute value."""
    return max(float(np.abs(np.asarray(tf.convert_to_tensor(value), np.float64)).max(initial=0)) for value in values)
