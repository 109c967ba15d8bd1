"""Borderline-SMOTE: new images only from those that lie where classes meet.

Han, Wang and Mao 2005, doi:10.1007/11538059_91; done by imbalanced-learn. An image is in danger if at least half of its
nearest neighbours, but not all, are of other classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from cnnkit.core.errors import Problem
from cnnkit.data.balancing.synthesis import Neighbors, Synthesis


class BorderlineSmote(Synthesis):
    """Makes images of a small class where it meets others; a class that lies apart from all gets none."""

    name: Literal["borderline_smote"] = "borderline_smote"
    kind: Literal["borderline-1", "borderline-2"] = "borderline-1"
    """A new image lies towards a neighbour of its own class (`borderline-1`), or of any class, then less than half of
    the way to one of another (`borderline-2`)."""
    border_neighbors: Neighbors = 10
    """An image lies at the border if at least half but not all of so many nearest neighbours are of other classes."""

    def sampler(self, wanted: dict[int, int], random: Any) -> Any:
        """Borderline-SMOTE of either kind."""
        from imblearn.over_sampling import BorderlineSMOTE

        return BorderlineSMOTE(
            sampling_strategy=wanted,
            random_state=random,
            k_neighbors=self.neighbors,
            m_neighbors=self.border_neighbors,
            kind=self.kind,
        )

    def lacking(self, counts: Any, classes: Sequence[str], every: int) -> Iterator[Problem]:
        """Images of a class for the neighbours of each, and of all classes for those at the border."""
        if self.kind == "borderline-1":
            yield from super().lacking(counts, classes, every)
        settings = {"border_neighbors": self.border_neighbors}
        settings |= {"neighbors": self.neighbors} if self.kind == "borderline-2" else {}
        for setting, wanted in settings.items():
            if every <= wanted:
                message = f"so many neighbours need at least {wanted + 1} training images, and there are {every}"
                yield Problem(f"{message}; set it to at most {every - 1}", key=f"data.balance.{setting}")
