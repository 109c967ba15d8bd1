"""The same rate from beginning to end."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from cnnkit.optimization.schedules.base import Schedule, Span


class Constant(Schedule):
    """The same rate throughout, after the warm-up."""

    name: Literal["constant"] = "constant"

    ends: ClassVar[bool] = False

    def share(self, update: Any, span: Span, maths: Any) -> Any:
        """All of it."""
        return maths.ones_like(update)
