"""What all optimizers have in common: the learning rate, and weight decay that spares biases and normalisation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import keras
from cnnkit.core.spec import NotNegative, Positive, PositiveOrAuto, Spec

Beta = Annotated[float, Field(ge=0, lt=1)]

SPARED = ("bias", "gamma", "beta")
"""What the last parts of the names of weights hold that do not decay, even if they are no vectors."""

MUCH_DECAY = 0.005
"""Share of each weight that is taken off a step: recipes have 1e-3 at the most."""

LONG = 0.99
"""Momentum from which on a step goes on for more than 100 others, an epoch of a small set and more."""


class Optimizer(Spec):
    """How the weights follow the gradient. Weight decay is decoupled and spares biases and normalisation."""

    keras_name: ClassVar[str]
    """What Keras calls it."""

    name: str
    learning_rate: PositiveOrAuto
    """Step size, or its highest value where a schedule changes it; `auto` tries which before the training begins."""
    weight_decay: NotNegative = 0.0
    """Share of each weight taken off a step, times the learning rate (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    usual: ClassVar[tuple[float, float]]
    """The rates between which networks are trained; beyond them they diverge, or do not move."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A rate that nobody trains with, and a decay that leaves nothing."""
        if isinstance(self.learning_rate, str):
            return
        if odd := self.odd_rate(self.learning_rate, given.rate_scale):
            yield Problem(odd, key="learning_rate")
        decay = self.learning_rate * given.rate_scale * self.weight_decay
        if decay >= MUCH_DECAY:
            message = f"takes {decay:.2g} of each weight off in each step (times the learning rate); 0.1 is much"
            yield Problem(message, key="weight_decay")

    def odd_rate(self, rate: float, scale: float = 1.0) -> str | None:
        """What is odd about a learning rate, which training multiplies by a scale; None if nothing is."""
        least, most = self.usual
        rate *= scale
        scaled = "" if scale == 1 else f" (it is multiplied by {scale:g}, with images an update)"
        if rate > most:
            return (
                f"{rate:g} is so large a step for {self.name} that training diverges; at most {most:g} is usual{scaled}"
            )
        if rate < least:
            return (
                f"{rate:g} is so small a step for {self.name} that it hardly moves; at least {least:g} is usual{scaled}"
            )
        return None

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many numbers it remembers for each weight."""

    def build(self, schedule: Any, rates: Mapping[int, float] | None = None) -> Any:
        """The Keras optimizer with the given learning-rate schedule.

        It is named, since the name is saved with its state: Keras's own names count the optimizers of a process,
        and equal runs would not leave equal files.

        Args:
            schedule: From the number of a step to its learning rate.
            rates: Share of the learning rate that a variable has, by the identity of its storage; else 1. It counts
                for its step and for its weight decay alike.
        """
        optimizer, shares = getattr(keras.optimizers, self.keras_name)(schedule, **self.arguments), dict(rates or {})
        if not shares and not self.weight_decay:
            return optimizer
        common_step = optimizer.update_step

        # Keras's own weight decay knows neither rates of single weights nor shapes, so all decay is done here.
        def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
            # With several devices `variable` is the copy of one of them; what it was built for is asked.
            weight = optimizer._trainable_variables[optimizer._get_variable_index(variable)]
            rate = learning_rate * shares.get(id(weight.value), 1.0)
            if self.weight_decay and decays(weight):
                optimizer.assign_sub(variable, variable * keras.ops.cast(self.weight_decay * rate, variable.dtype))
            common_step(gradient, variable, rate)

        optimizer.update_step = update_step
        return optimizer

    @property
    def arguments(self) -> dict[str, Any]:
        """The settings as Keras takes them."""
        return self.model_dump(exclude={"learning_rate", "weight_decay"})


class WithMoments(Optimizer):
    """An optimizer that scales each step by running means of the gradient and of its size."""

    beta_1: Beta = 0.9
    """Decay of the mean of the gradients."""
    beta_2: Beta = 0.999
    """Decay of the mean of their squares."""
    epsilon: Positive = 1e-7
    """Keeps the division from zero."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """Means over too many steps or too few, and a division that is none."""
        yield from super().careful(given)
        yield from long_mean(self.beta_1, "beta_1")
        if self.beta_2 < self.beta_1:
            message = f"below beta_1, {self.beta_1:g}, it scales steps by less than what they are a mean of"
            yield Problem(f"{message}; 0.999 is usual", key="beta_2")
        yield from large_epsilon(self.epsilon)

    slots: ClassVar[int] = 2
    """The means of the gradient and of its square."""


def decays(weight: Any) -> bool:
    """Whether weight decay is for a weight: kernels it is for; biases, and scale and shift of a normalisation, not.

    Args:
        weight: A Keras variable. It is judged by its own name, the last part of that of TensorFlow's variable in it: to
            Keras one of a SavedModel is called by all of its path.
    """
    name = weight.value.name.rpartition("/")[2]
    return len(weight.shape) > 1 and not any(part in name for part in SPARED)


def long_momentum(momentum: float) -> Iterator[Problem]:
    """That a momentum goes on for ever."""
    if momentum > LONG:
        message = f"carries each step on for about {1 / (1 - momentum):,.0f} others; 0.9 is usual"
        yield Problem(message, key="momentum")


def long_mean(beta: float, key: str) -> Iterator[Problem]:
    """That a mean of gradients is over too many steps."""
    if beta > LONG:
        message = f"is a mean over about {1 / (1 - beta):,.0f} steps, which lags behind; 0.9 is usual"
        yield Problem(message, key=key)


def large_epsilon(epsilon: float, usual: float = 1e-7) -> Iterator[Problem]:
    """That a division is none."""
    if epsilon > 1:
        message = f"outweighs the gradients, so that what is left is slow SGD; {usual:g} is usual"
        yield Problem(message, key="epsilon")
