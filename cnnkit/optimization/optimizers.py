"""Optimizers. The union below is what `train.optimizer` may name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import keras
from cnnkit.core.spec import NotNegative, Positive, Spec

Beta = Annotated[float, Field(ge=0, lt=1)]


SPARED = ("bias", "gamma", "beta")
"""What the names of weights hold that do not decay: biases, and scale and shift of a normalisation."""

MUCH_DECAY = 0.005
"""Share of each weight that is taken off a step: recipes have 1e-3 at the most."""

LONG = 0.99
"""Momentum from which on a step goes on for more than 100 others, an epoch of a small set and more."""


class Optimizer(Spec):
    """How the weights follow the gradient. Weight decay is decoupled and spares biases and normalisation."""

    keras_name: ClassVar[str]
    """What Keras calls it."""

    name: str
    learning_rate: Positive
    """Step size, or its highest value where a schedule changes it."""
    weight_decay: NotNegative = 0.0
    """Share of each weight taken off a step, times the learning rate (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    usual: ClassVar[tuple[float, float]]
    """The rates between which networks are trained; beyond them they diverge, or do not move."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A rate that nobody trains with, and a decay that leaves nothing."""
        if odd := self.odd_rate(self.learning_rate):
            yield Problem(odd, key="learning_rate")
        decay = self.learning_rate * self.weight_decay
        if decay >= MUCH_DECAY:
            message = f"takes {decay:.2g} of each weight off in each step (times the learning rate); 0.1 is much"
            yield Problem(message, key="weight_decay")

    def odd_rate(self, rate: float) -> str | None:
        """What is odd about a learning rate; None if nothing is."""
        least, most = self.usual
        if rate > most:
            return f"{rate:g} is so large a step for {self.name} that training diverges; at most {most:g} is usual"
        if rate < least:
            return f"{rate:g} is so small a step for {self.name} that it hardly moves; at least {least:g} is usual"
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
            rates: Share of the learning rate that a variable has, by the identity of its storage; else 1.
        """
        if rates:
            return self._by_variable(schedule, rates)
        optimizer = self(schedule)
        if self.weight_decay:
            optimizer.exclude_from_weight_decay(var_names=list(SPARED))
        return optimizer

    def _by_variable(self, schedule: Any, rates: Mapping[int, float]) -> Any:
        """The optimizer with a rate for each variable, which counts for its step and for its weight decay alike."""
        # Keras's own weight decay knows the common rate only, so it is done here.
        optimizer = self.model_copy(update={"weight_decay": 0.0})(schedule)
        common_step = optimizer.update_step

        def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
            rate = learning_rate * rates.get(id(variable), 1.0)
            if self.weight_decay and not any(part in variable.name for part in SPARED):
                variable.assign_sub(variable * keras.ops.cast(self.weight_decay * rate, variable.dtype))
            common_step(gradient, variable, rate)

        optimizer.update_step = update_step
        return optimizer

    @property
    def arguments(self) -> dict[str, Any]:
        """The settings as Keras takes them; a weight decay of 0 is None, for 0 costs a pass over the weights."""
        return self.model_dump(exclude={"learning_rate"}) | {"weight_decay": self.weight_decay or None}

    def __call__(self, schedule: Any) -> Any:
        """The Keras optimizer, before what all of them share."""
        return getattr(keras.optimizers, self.keras_name)(schedule, **self.arguments)


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum."""

    keras_name: ClassVar[str] = "SGD"
    usual: ClassVar[tuple[float, float]] = (1e-5, 1.0)

    name: Literal["sgd"] = "sgd"
    learning_rate: Positive = 0.1
    """Step size, or its highest value where a schedule changes it."""
    momentum: Beta = 0.9
    """Share of the last step that is carried into the next."""
    nesterov: bool = False
    """Look ahead along the momentum before taking the gradient (Nesterov 1983)."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A momentum that goes on for ever, and one that is looked along and is none."""
        yield from super().careful(given)
        if self.momentum > LONG:
            message = f"carries each step on for about {1 / (1 - self.momentum):,.0f} others; 0.9 is usual"
            yield Problem(message, key="momentum")
        if self.nesterov and not self.momentum:
            yield Problem("looks ahead along the momentum, which is 0; set momentum, or leave this out", key="nesterov")

    @property
    def slots(self) -> int:
        """The momentum, if there is one."""
        return int(self.momentum > 0)


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980); with `weight_decay` it is AdamW."""

    keras_name: ClassVar[str] = "Adam"
    usual: ClassVar[tuple[float, float]] = (1e-6, 0.03)

    name: Literal["adam"] = "adam"
    learning_rate: Positive = 1e-3
    """Step size, or its highest value where a schedule changes it."""
    beta_1: Beta = 0.9
    """Decay of the mean of the gradients."""
    beta_2: Beta = 0.999
    """Decay of the mean of their squares."""
    epsilon: Positive = 1e-7
    """Keeps the division from zero."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """Means over too many steps or too few, and a division that is none."""
        yield from super().careful(given)
        if self.beta_1 > LONG:
            message = f"is a mean over about {1 / (1 - self.beta_1):,.0f} steps, which lags behind; 0.9 is usual"
            yield Problem(message, key="beta_1")
        if self.beta_2 < self.beta_1:
            message = f"below beta_1, {self.beta_1:g}, it scales steps by less than what they are a mean of"
            yield Problem(f"{message}; 0.999 is usual", key="beta_2")
        if self.epsilon > 1:
            yield Problem("outweighs the gradients, so that what is left is slow SGD; 1e-7 is usual", key="epsilon")

    slots: ClassVar[int] = 2
    """The means of the gradient and of its square."""


AnyOptimizer: TypeAlias = Annotated[Sgd | Adam, Field(discriminator="name")]
