"""Which devices of this machine compute: what the setting `train.devices` comes to, and work that they share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from cnnkit.core.errors import ConfigError, Problem
from cnnkit.core.lazy import tf
from cnnkit.core.text import counted

KEY = "train.devices"
"""What the setting is called in a config."""

APART = 1_000_003
"""How far apart the seeds of two devices are: a prime, as the layers of a network have seeds at any distance."""


@dataclass(frozen=True)
class Devices:
    """Those that compute.

    Attributes:
        names: TensorFlow's, such as `GPU:0`. Where there are several, they divide each batch among them.
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, setting: str | int) -> Self:
        """What a setting comes to on this machine; GPUs that it has no use for are hidden from TensorFlow.

        Args:
            setting: `auto` (one GPU if there is one), `cpu`, `all` (every GPU), or how many GPUs. On a machine without
                a GPU the CPU is meant, which is one device unless TensorFlow was told to make several of it.

        Raises:
            ConfigError: There are fewer, or TensorFlow computes with a GPU already that it should not.
        """
        gpus = tf.config.list_physical_devices("GPU")
        wanted = int({"cpu": 0, "auto": min(1, len(gpus)), "all": len(gpus)}.get(str(setting), setting))
        _show(gpus[:wanted])
        kind = "GPU" if gpus and wanted else "CPU"
        there = [f"{kind}:{number}" for number in range(len(tf.config.list_logical_devices(kind)))]
        count = len(there) if setting == "all" else max(1, wanted)
        if count > len(there):
            has = (
                counted(len(there), "GPU")
                if kind == "GPU"
                else f"no GPU; its CPU counts as {counted(len(there), 'device')}"
            )
            raise ConfigError(Problem(f"{count} are asked for, and this machine has {has}; `auto` takes one", key=KEY))
        return cls(tuple(there[:count]))

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self.names) > 1

    @property
    def gpu(self) -> bool:
        """Whether they are GPUs."""
        return self.names[0].startswith("GPU")

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Of a variable that is made within, each of several devices has a copy."""
        if not self.several:
            yield
            return
        with _strategy(self.names).scope():
            yield

    def each(self, work: Callable[..., Any], *args: Any) -> Sequence[Any]:
        """What each of several devices makes of the same arguments; called within a TensorFlow function.

        Args:
            work: Is given the number of the device, from 0, and the arguments. Where it assigns to a variable that the
                devices have copies of, it assigns to its own copy.
            *args: Tensors.
        """
        strategy = _strategy(self.names)

        def here(*given: Any) -> Any:
            number = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
            return work(int(number), *given)

        return tuple(strategy.experimental_local_results(strategy.run(here, args=args)))

    def answering_as_one(self, *models: Any) -> None:
        """Has Keras run models by themselves on the first device; else each would answer to all of the images.

        Args:
            models: Keras's, which were made while their variables were held.
        """
        for model in models if self.several else ():
            model._distribute_strategy = None

    def tell_apart(self, seeds: Sequence[Any]) -> None:
        """Gives each device chance of its own, which follows from that of the first; within a TensorFlow function.

        Args:
            seeds: The variables of Keras's generators, two whole numbers each.
        """
        for seed in seeds:
            first, *others = self._copies(seed)
            for number, other in enumerate(others, start=1):
                other.assign(first + tf.constant([number * APART, 0], first.dtype))

    def bring_together(self, variables: Sequence[Any], parts: Sequence[Any]) -> None:
        """Gives all devices the mean of what they have; what is the same on all stays so to the last bit.

        Args:
            variables: Of which each device has a copy.
            parts: What each device counts for, of 1 together.
        """
        for variable in variables:
            copies = self._copies(variable)
            values = [copy.read_value() for copy in copies]
            shares = [
                (value - values[0]) * tf.cast(part, value.dtype) for value, part in zip(values, parts, strict=True)
            ]
            for copy in copies:
                copy.assign(values[0] + tf.add_n(shares))

    def _copies(self, variable: Any) -> Sequence[Any]:
        """The copies of a variable, in the order of the devices."""
        return tuple(_strategy(self.names).experimental_local_results(variable))


def _show(gpus: Sequence[Any]) -> None:
    """Hides all other GPUs from TensorFlow, which would take some memory of each."""
    if list(gpus) == tf.config.get_visible_devices("GPU"):
        return
    try:
        tf.config.set_visible_devices(list(gpus), "GPU")
    except RuntimeError:  # it has begun to compute, and then they stay as they are
        if not gpus:
            message = "this process computes with a GPU already; begin another, or set CUDA_VISIBLE_DEVICES=-1"
            raise ConfigError(Problem(message, key=KEY)) from None


@functools.cache  # what was made with one can't be used with another
def _strategy(names: tuple[str, ...]) -> Any:
    return tf.distribute.MirroredStrategy(names)
