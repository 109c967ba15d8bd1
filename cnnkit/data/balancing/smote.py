"""SMOTE: new images between an image and one of its nearest neighbours of the same class.

Chawla et al. 2002, Journal of Artificial Intelligence Research 16, arXiv:1106.1813; done by imbalanced-learn.
"""

from __future__ import annotations

from typing import Any, Literal

from cnnkit.data.balancing.synthesis import Synthesis


class Smote(Synthesis):
    """Makes images between those of a small class: of pixels up to 32 x 32, else of a frozen backbone's features."""

    name: Literal["smote"] = "smote"

    def sampler(self, wanted: dict[int, int], random: Any) -> Any:
        """SMOTE as in the paper, each class by itself."""
        from imblearn.over_sampling import SMOTE

        return SMOTE(sampling_strategy=wanted, random_state=random, k_neighbors=self.neighbors)
