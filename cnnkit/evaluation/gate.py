"""Gate: a figure of an evaluation that has to be good enough, as `--fail-under accuracy=0.9` asks."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from cnnkit.core.errors import UsageError

SMALLER_IS_BETTER = frozenset({"loss", "log_loss", "brier", "ece", "cost", "seconds_per_image"})
"""Figures that are better the smaller they are; those of which neither can be said are counts."""

INTERVAL = "_interval"
"""What the name of a figure's interval ends with; its ends are called `NAME.low` and `NAME.high`."""


@dataclass(frozen=True)
class Gate:
    """A figure, and what it has to reach.

    Attributes:
        figure: Its name, as `figures` has it: `accuracy`, `f1[rose]`, `recall[rose].low`.
        wanted: The least that it may be; the most, of one that is better the smaller it is.
        over: Whether it may not be above that; else it may not be below.
    """

    figure: str
    wanted: float
    over: bool = False

    @classmethod
    def parsed(cls, text: str, over: bool = False) -> Self:
        """From `accuracy=0.9`, as an option has it.

        Raises:
            UsageError: It has no such form, or means a figure that is better the other way round.
        """
        option, other = ("--fail-over", "--fail-under") if over else ("--fail-under", "--fail-over")
        figure, _, value = (part.strip() for part in text.rpartition("="))
        try:
            wanted = float(value)
        except ValueError:
            wanted = math.nan
        if not figure or not math.isfinite(wanted):
            example = "loss=0.5" if over else "accuracy=0.9"
            raise UsageError(f"{option} {text}: should be a figure and a number, such as {example}")
        if _is_better_smaller(figure) != over:
            better = "smaller" if not over else "larger"
            raise UsageError(f"{option} {text}: {figure} is better the {better} it is; use {other} {text}")
        return cls(figure, wanted, over)

    def refuse_unknown(self, known: Sequence[str], option: str = "") -> None:
        """Refuses a figure that there is not.

        Args:
            known: Names of the figures that there are.
            option: How it was asked for.

        Raises:
            UsageError: With the nearest right names.
        """
        if self.figure in known:
            return
        near = difflib.get_close_matches(self.figure.lower(), known, n=3, cutoff=0.6) or [
            name for name in known if not re.search(r"[\[.]", name)
        ]
        option = option or ("--fail-over" if self.over else "--fail-under")
        names = ", ".join(f"`{name}`" for name in near)
        raise UsageError(
            f"{option} {self.figure}={self.wanted:g}: there is no such figure; near it, or at hand: {names}"
        )

    def met(self, result: Mapping[str, Any]) -> bool:
        """Whether a result of `evaluate` has it; a figure that has no value has not."""
        value = figures(result)[self.figure]
        if value is None:
            return False
        return value <= self.wanted if self.over else value >= self.wanted

    def line(self, result: Mapping[str, Any]) -> str:
        """Figure, value, and what is wanted."""
        value = figures(result)[self.figure]
        told = "has no value" if value is None else f"is {_shown(value, self.wanted)}"
        how = "at most" if self.over else "at least"
        return f"{'met' if self.met(result) else 'not met'}: {self.figure} {told}, wanted {how} {self.wanted:g}"


def figures(result: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of a result of `evaluate` by the names that a gate has for them.

    `accuracy`; the ends of its interval `accuracy.low` and `accuracy.high`; of a class `f1[rose]` and `f1[rose].low`;
    of a question its name before that: `two_classes.sensitivity`, `by.accuracy[clinic A]`.
    """
    return dict(_figures(result, "", ""))


def _figures(part: Mapping[str, Any], begin: str, of: str) -> Iterator[tuple[str, float | None]]:
    for name, value in part.items():
        if isinstance(value, Mapping):
            yield from _figures(value, f"{begin}{name}.", of)
        elif name.endswith(INTERVAL) and isinstance(value, list) and len(value) == 2:
            figure = f"{begin}{name.removesuffix(INTERVAL)}{of}"
            yield from ((f"{figure}.low", value[0]), (f"{figure}.high", value[1]))
        elif isinstance(value, list):
            for entry in value:
                if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
                    yield from _figures(entry, begin, f"[{entry['name']}]")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield f"{begin}{name}{of}", value


def _is_better_smaller(figure: str) -> bool:
    plain = re.sub(r"\[.*\]|\.(low|high)$", "", figure)
    return plain.rpartition(".")[2] in SMALLER_IS_BETTER


def _shown(value: float, wanted: float) -> str:
    """A value with as many digits as tell it from what is wanted."""
    return next(
        (text for digits in (4, 6, 9) if float(text := f"{value:.{digits}f}") != wanted or value == wanted), repr(value)
    )
