"""Optimizers. The union below is what `train.optimizer` may name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from cnnkit.core.lazy import keras
from cnnkit.core.spec import NotNegative, Positive, Spec

Beta = Annotated[float, Field(ge=0, lt=1)]


SPARED = ("bias", "gamma", "beta")
"""What the names of weights hold that do not decay: biases, and scale and shift of a normalisation."""


class Optimizer(Spec):
    """How the weights follow the gradient. Weight decay is decoupled and spares biases and normalisation."""

    keras_name: ClassVar[str]
    """What Keras calls it."""

    learning_rate: Positive
    """Step size, or its highest value where a schedule changes it."""
    weight_decay: NotNegative = 0.0
    """Share of each weight taken off a step, times the learning rate (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

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

    name: Literal["sgd"] = "sgd"
    learning_rate: Positive = 0.1
    """Step size, or its highest value where a schedule changes it."""
    momentum: Beta = 0.9
    """Share of the last step that is carried into the next."""
    nesterov: bool = False
    """Look ahead along the momentum before taking the gradient (Nesterov 1983)."""

    @property
    def slots(self) -> int:
        """The momentum, if there is one."""
        return int(self.momentum > 0)


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980); with `weight_decay` it is AdamW."""

    keras_name: ClassVar[str] = "Adam"

    name: Literal["adam"] = "adam"
    learning_rate: Positive = 1e-3
    """Step size, or its highest value where a schedule changes it."""
    beta_1: Beta = 0.9
    """Decay of the mean of the gradients."""
    beta_2: Beta = 0.999
    """Decay of the mean of their squares."""
    epsilon: Positive = 1e-7
    """Keeps the division from zero."""

    slots: ClassVar[int] = 2
    """The means of the gradient and of its square."""


AnyOptimizer: TypeAlias = Annotated[Sgd | Adam, Field(discriminator="name")]
