"""Sharpness-aware minimisation (Foret et al. 2021, arXiv:2010.01412)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import tf
from cnnkit.core.spec import Positive, Spec

FAR = 0.5
"""The largest distance that the paper tried."""


class Sam(Spec):
    """Sharpness-aware minimisation (Foret et al. 2021, arXiv:2010.01412) ends in a wide valley.

    The gradient is taken where the loss is worst near the weights, so each update takes twice as long. With
    `gradient_accumulation` each batch has a worst place of its own.
    """

    rho: Positive = 0.05
    """How far from the weights, as a norm over all of them; the paper tried 0.01 to 0.5."""

    def careful(self, given: Given) -> Iterator[Problem]:
        """A place so far away that its gradient says nothing here."""
        if self.rho > FAR:
            yield Problem(
                f"is so far away that the gradient there says little here; 0.01 to {FAR} are usual", key="rho"
            )

    def offsets(self, gradients: Sequence[Any]) -> list[Any]:
        """What is added to the weights to be where the loss is worst: equation 2 of the paper, for the 2-norm."""
        norm = tf.linalg.global_norm(gradients)
        # Where all gradients are 0 there is no way up.
        return [gradient * tf.cast(tf.math.divide_no_nan(self.rho, norm), gradient.dtype) for gradient in gradients]
