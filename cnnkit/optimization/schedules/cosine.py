"""Half a cosine down to the end of the training."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from cnnkit.optimization.schedules.base import End, Schedule, Span, half_cosine


class Cosine(Schedule):
    """Half a cosine down to 0 at the end (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts)."""

    name: Literal["cosine"] = "cosine"
    end: End = 0.0
    """Share of the highest rate that is left at the end."""

    ends: ClassVar[bool] = True

    def share(self, update: Any, span: Span, maths: Any) -> Any:
        """That of the cosine."""
        return half_cosine(maths.minimum(span.progress(update), 1.0), 1.0, self.end, maths)
