"""The gradients of sharpness-aware minimisation: taken where the loss is worst near the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from cnnkit.core.lazy import tf
from cnnkit.optimization.sam import Sam

T = TypeVar("T")


class Sharpness:
    """Computes gradients twice: at the weights, and where these lead up to (algorithm 1 of arXiv:2010.01412)."""

    def __init__(self, sam: Sam, weights: Sequence[Any], others: Sequence[Any]):
        """Remembers what it moves.

        Args:
            sam: How far.
            weights: The variables that learn.
            others: The variables that computing a gradient changes beside: moving statistics, the state of dropout.
        """
        self._sam, self._weights, self._others = sam, weights, others

    def gradients(self, compute: Callable[[], tuple[T, list[Any]]]) -> tuple[T, list[Any]]:
        """What computing gives at the weights, with the gradients from where the loss is worst.

        The second pass drops the same numbers as the first, and leaves no trace but its gradients: neither in the
        weights nor in moving statistics. A part of the compiled update.

        Args:
            compute: Gives anything, and the gradients of the weights.
        """
        before = _values(self._others)
        result, gradients = compute()
        after, weights = _values(self._others), _values(self._weights)
        for weight, offset in zip(self._weights, self._sam.offsets(gradients), strict=True):
            weight.value.assign_add(tf.cast(offset, weight.dtype))
        _assign(self._others, before)
        _, gradients = compute()
        _assign(self._weights, weights)
        _assign(self._others, after)
        return result, gradients


def _values(variables: Sequence[Any]) -> list[Any]:
    return [tf.identity(variable.value) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.value.assign(value)
