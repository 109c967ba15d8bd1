"""Class weights: an image of a small class counts for more.

By inverse frequency all classes count for the same in an epoch. The effective number of images (Cui et al. 2019,
arXiv:1901.05555) allows for what images of a class have in common: the more there are, the less another one adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cnnkit.core.careful import Given
from cnnkit.core.errors import Problem
from cnnkit.core.lazy import np
from cnnkit.data.balancing.base import EVEN, Balance, Pool, Training, one_in_the_mean

BETA = 0.999

HEAVY = 50
"""So many times what another image counts for, a single one decides a step."""


class ClassWeight(Balance):
    """Lets images of small classes count for more; shows each image as often as before."""

    name: Literal["class_weight"] = "class_weight"
    method: Literal["inverse_frequency", "effective_number"] = "inverse_frequency"
    """`inverse_frequency`: the weight is 1 / n for a class of n images; `effective_number`: (1 - beta) / (1 - beta^n),
    which is milder (Cui et al. 2019, arXiv:1901.05555)."""
    beta: Annotated[float, Field(gt=0, lt=1)] | None = None
    """For `effective_number` alone: the nearer to 1, the nearer to the inverse frequency; 0.999 if left out."""

    @model_validator(mode="before")
    @classmethod
    def _with_beta(cls, values: Any) -> Any:
        """Fills in `beta` where it is needed, so that a written config says which it was."""
        if isinstance(values, dict) and values.get("method") == "effective_number" and values.get("beta") is None:
            return values | {"beta": BETA}
        return values

    @model_validator(mode="after")
    def _beta_is_used(self) -> ClassWeight:
        if self.beta is not None and self.method == "inverse_frequency":
            raise ValueError(
                "beta is a setting of `method: effective_number`; inverse_frequency has none, leave it out"
            )
        return self

    def careful(self, given: Given) -> Iterator[Problem]:
        """Weights that are all the same, or that leave a step to one image."""
        yield from super().careful(given)
        if not given.imbalance or given.imbalance < EVEN:
            return
        counts = np.asarray(given.training)
        weights = self.weights(counts)
        times = weights.max() / weights.min()
        if times < EVEN:
            message = f"an image of the smallest class counts for {times:.2f} times one of the largest"
            yield Problem(f"{message}, which changes nothing; nearer to 1 it would, {BETA} is usual", key="beta")
        if times > HEAVY:
            milder = "; method effective_number is milder" if self.beta is None else ""
            message = f"an image of the smallest class, of {counts.min():,}, counts for {times:,.0f} of the largest"
            yield Problem(f"{message}, so single images decide a step{milder}", key="method")

    def __call__(self, training: Training, pool: Pool, seed: int) -> Training:
        """The same images; their weights times that of their class, 1 in the mean."""
        weights = self.weights(training.counts(len(pool.classes)))
        return replace(training, weights=one_in_the_mean(training.weights * weights[training.labels]))

    def weights(self, counts: Any) -> Any:
        """The weight of an image of each class, float64 (K,), from images a class, int64 (K,); 0 for an empty class."""
        effective = counts
        if self.beta is not None:  # 1 - beta^n, also where beta^n is nearly 1
            effective = -np.expm1(counts * np.log(self.beta)) / (1 - self.beta)
        return np.divide(1.0, effective, out=np.zeros(len(counts)), where=counts > 0)
