"""Clipping: how large gradients may be. The union below is what `train.clip` may name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from cnnkit.core.lazy import tf
from cnnkit.core.spec import ByName, Positive, Spec


class Clip(Spec):
    """From the gradients of an update, one a weight, to those that the optimizer is given."""

    name: str
    at: Positive

    @abstractmethod
    def __call__(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients, made smaller where they are too large; one that is not stays as it is, to the bit."""


class GlobalNorm(Clip):
    """All gradients by the same factor where they are too long together (Pascanu et al. 2013, arXiv:1211.5063)."""

    name: Literal["global_norm"] = "global_norm"
    at: Positive = 1.0
    """The largest norm that all gradients together may have."""

    def __call__(self, gradients: Sequence[Any]) -> list[Any]:
        """Their direction stays."""
        norm = tf.linalg.global_norm(gradients)
        return [_shortened(gradient, norm, self.at) for gradient in gradients]


class Norm(Clip):
    """The gradient of each weight (a kernel, a bias) by itself where it is too long."""

    name: Literal["norm"] = "norm"
    at: Positive = 1.0
    """The largest norm that the gradient of a weight may have."""

    def __call__(self, gradients: Sequence[Any]) -> list[Any]:
        """The direction of each stays."""
        return [_shortened(gradient, tf.norm(gradient), self.at) for gradient in gradients]


class Value(Clip):
    """Each number of each gradient by itself where it is too large."""

    name: Literal["value"] = "value"
    at: Positive = 0.5
    """The largest that a number of a gradient may be, and its negative the smallest."""

    def __call__(self, gradients: Sequence[Any]) -> list[Any]:
        """The signs stay."""
        return [tf.clip_by_value(gradient, -self.at, self.at) for gradient in gradients]


def _shortened(gradient: Any, norm: Any, longest: float) -> Any:
    """A gradient times what makes `longest` of a norm; times one where it is not above it."""
    return gradient * tf.cast(longest / tf.maximum(norm, longest), gradient.dtype)


AnyClip: TypeAlias = Annotated[GlobalNorm | Norm | Value, ByName()]
