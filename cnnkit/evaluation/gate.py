"""Gate: a figure of an evaluation that has to be good enough, as `--fail-under accuracy=0.9` asks."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from cnnkit.core.errors import UsageError
from cnnkit.core.lazy import np
from cnnkit.evaluation.answers import Answers
from cnnkit.evaluation.metrics import computed
from cnnkit.evaluation.paired import may_be_chance, p_text


@dataclass(frozen=True)
class Kind:
    """What is known of a figure whatever its value.

    Attributes:
        better: Which of its values are better, the `larger` or the `smaller` ones; empty where neither can be said.
        least: The least that it can be.
        most: The most.
    """

    better: str = ""
    least: float = -math.inf
    most: float = math.inf


_SHARE, _ERROR, _LOSS = Kind("larger", 0, 1), Kind("smaller", 0, 1), Kind("smaller", 0)
_CHANCE, _COUNT, _MISTAKES, _DIFFERENCE = Kind("", 0, 1), Kind("", 0), Kind("smaller", 0), Kind("larger", -1, 1)

KINDS = {
    **dict.fromkeys(("accuracy", "precision", "recall", "f1", "roc_auc", "average_precision"), _SHARE),
    **dict.fromkeys(("sensitivity", "specificity", "answered"), _SHARE),
    **dict.fromkeys(("ece", "ece_by_chance"), _ERROR),
    **dict.fromkeys(("loss", "cost", "seconds_per_image", "times_the_computing"), _LOSS),
    "brier": Kind("smaller", 0, 2),
    **dict.fromkeys(("adds", "network_adds"), _DIFFERENCE),
    "log_loss_reduction": Kind("larger"),
    **dict.fromkeys(("false_positives", "false_negatives", "known_from_training"), _MISTAKES),
    **dict.fromkeys(("false_positive", "false_negative"), _COUNT),  # what they cost
    **dict.fromkeys(("images", "images_answered", "images_needed", "of", "top_k", "views", "temperature"), _COUNT),
    **dict.fromkeys(("p", "threshold", "wanted", "confidence", "unsure", "right_above"), _CHANCE),
    # What the images make easy is no merit of the network.
    **dict.fromkeys((f"{way}.accuracy" for way in ("majority_class", "majority")), _CHANCE),
    **dict.fromkeys((f"{way}.accuracy" for way in ("nearest_neighbour", "logistic_regression")), _CHANCE),
}
"""The figures by their names, without class and place; of those behind another word (`macro_f1`) the same is true."""

INTERVAL = "_interval"
"""What the name of a figure's interval ends with; its ends are called `NAME.low` and `NAME.high`."""


@dataclass(frozen=True)
class Gate:
    """A figure, and what it has to reach.

    Attributes:
        figure: Its name, as `figures` has it: `accuracy`, `f1[rose]`, `recall[rose].low`.
        wanted: The least that it may be, or the most.
        over: Whether it may not be above that; else it may not be below.
    """

    figure: str
    wanted: float
    over: bool = False

    @classmethod
    def parsed(cls, text: str, over: bool = False) -> Self:
        """From `accuracy=0.9`, as an option has it.

        Raises:
            UsageError: It has no such form, wants what the figure can't be, or means one that is better the other way
                round.
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
        kind = _kind(figure) or Kind()
        if kind.better == ("larger" if over else "smaller"):
            raise UsageError(f"{option} {text}: {figure} is better the {kind.better} it is; use {other} {text}")
        if not kind.least <= wanted <= kind.most:
            percent = f"; {wanted:g} % is {wanted / 100:g}" if kind.most == 1 < wanted <= 100 else ""
            limits = f"in {kind.least:g}..{kind.most:g}" if math.isfinite(kind.most) else f"{kind.least:g} or more"
            raise UsageError(f"{option} {text}: {figure} is always {limits}{percent}")
        return cls(figure, wanted, over)

    @classmethod
    def all(cls, under: Sequence[str], over: Sequence[str]) -> list[Self]:
        """From the options, none of which may ask for the same figure twice.

        Raises:
            UsageError: One does; or as for `parsed`.
        """
        gates = [*map(cls.parsed, under), *(cls.parsed(text, over=True) for text in over)]
        for i, gate in enumerate(gates):
            if first := next((each for each in gates[:i] if each.figure == gate.figure), None):
                raise UsageError(
                    f"{gate.option} {gate.figure}={gate.wanted:g}: {first.figure}={first.wanted:g} is asked for as "
                    "well; leave one of the two out"
                )
        return gates

    @property
    def option(self) -> str:
        """What it was asked for by."""
        return "--fail-over" if self.over else "--fail-under"

    def refuse_unknown(self, known: Sequence[str], unasked: Mapping[str, str] = MappingProxyType({})) -> None:
        """Refuses a figure that there is not.

        Args:
            known: Names of the figures that there are.
            unasked: Names of those that there would be, each with what asks for it: `add --abstain 0.95`.

        Raises:
            UsageError: With what asks for it, or with the nearest right names.
        """
        if self.figure in known:
            return
        begin = f"{self.option} {self.figure}={self.wanted:g}"
        if self.figure in unasked:
            raise UsageError(f"{begin}: that is not asked for; {unasked[self.figure]}")
        part, dot, _ = self.figure.partition(".")
        below = [name for name in unasked if dot and name.startswith(f"{part}.")]
        near = self._deeper(known) or self._deeper(unasked)
        among = [*known, *below] if not below or any(name.startswith(f"{part}.") for name in known) else below
        near = near or difflib.get_close_matches(self.figure.lower(), among, n=3, cutoff=0.6) or below[:3]
        near = near or [name for name in known if not re.search(r"[\[.]", name)]
        names = ", ".join(f"`{name}`" + (f" ({unasked[name]})" if name in unasked else "") for name in near)
        raise UsageError(f"{begin}: there is no such figure; near it, or at hand: {names}")

    def _deeper(self, names: Iterable[str]) -> list[str]:
        """Names that end with that of the figure, which lies deeper than was thought: `calibration.ece` for `ece`."""
        return [name for name in names if name.lower().endswith(f".{self.figure.lower()}")][:3]

    def met(self, result: Mapping[str, Any]) -> bool:
        """Whether a result of `evaluate` has it; a figure that has no value has not."""
        value = figures(result).get(self.figure)
        if value is None:
            return False
        return value <= self.wanted if self.over else value >= self.wanted

    def as_json(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The same as the document of `evaluate` has it; a figure that has no value is null."""
        return {
            "name": self.figure,
            "value": figures(result).get(self.figure),
            "direction": "at most" if self.over else "at least",
            "bound": self.wanted,
            "met": self.met(result),
        }

    def line(self, result: Mapping[str, Any]) -> str:
        """Figure, value, and what is wanted."""
        value = figures(result).get(self.figure)  # a question that could not be answered has none
        told = "has no value" if value is None else f"is {_shown(value, self.wanted)}"
        how = "at most" if self.over else "at least"
        line = f"{'met' if self.met(result) else 'not met'}: {self.figure} {told}, wanted {how} {self.wanted:g}"
        return line + self._other_word(result)

    def _other_word(self, result: Mapping[str, Any]) -> str:
        """What the test of a difference says where a gate asks whether its interval is above 0, if it is the opposite.

        A gate goes by the figure that it names; sentences on a difference go by the p of its test.
        """
        figure, _, end = self.figure.rpartition(".")
        part, _, name = figure.rpartition(".")
        found = figures(result)
        p, value = found.get(f"{part}.p"), found.get(figure)
        if p is None or value is None or _kind(name) is not _DIFFERENCE or (end, self.wanted) != ("low", 0):
            return ""
        if self.met(result) != may_be_chance(p) or value <= 0:
            return ""
        word = "it may be chance" if may_be_chance(p) else "it is more than chance"
        return f"; by McNemar's test, which is computed in another way, {word} ({p_text(p)})"


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
        elif name.endswith(INTERVAL) and (value is None or (isinstance(value, list) and len(value) == 2)):
            figure, (low, high) = f"{begin}{name.removesuffix(INTERVAL)}{of}", value or (None, None)
            yield from ((f"{figure}.low", low), (f"{figure}.high", high))
        elif isinstance(value, list):
            for entry in value:
                if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
                    yield from _figures(entry, begin, f"[{entry['name']}]")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield f"{begin}{name}{of}", value


def of_entry(figure: str, entry: str) -> str:
    """The name of a figure of a class or another entry of a list, or of an end of its interval: `recall[rose].low`."""
    name, dot, end = figure.partition(".")
    return f"{name}[{entry}]{dot}{end}"


def with_ends(*names: str) -> list[str]:
    """Names of figures, each with those of the ends of its interval behind it."""
    return [f"{name}{end}" for name in names for end in ("", ".low", ".high")]


def refuse_unknown(
    gates: Sequence[Gate],
    classes: Sequence[str],
    beside: Mapping[str, Sequence[str] | None],
    unasked: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Refuses figures that an evaluation will not have, before it begins.

    Args:
        gates: What is asked for.
        classes: Names of the run's classes.
        beside: Of each part of the result beyond the metrics the names of its figures; None where they are not known
            yet, so that none is refused.
        unasked: Names of figures that there would be, each with what asks for it.

    Raises:
        UsageError: There is one, with the nearest right names.
    """
    asked = [gate for gate in gates if beside.get(gate.figure.partition(".")[0], ()) is not None]
    if asked:
        # Whatever is answered, the names are these.
        places = np.arange(len(classes))
        answers = Answers(places, np.full((len(classes), len(classes)), 1 / len(classes)), classes)
        known = list(figures({"images": 0, "loss": 0.0, **computed(answers), "temperature": 1.0}))
        known += [f"{part}.{name}" for part, names in beside.items() for name in names or ()]
        unasked = {name: how for name, how in unasked.items() if name not in known}
        for gate in asked:
            gate.refuse_unknown(known, unasked)


def _kind(figure: str) -> Kind | None:
    """What is known of a figure; None where nothing is, as there is no such one."""
    *parts, plain = re.sub(r"\[.*\]|\.(low|high)$", "", figure).split(".")
    for name in ([f"{parts[-1]}.{plain}"] if parts else []) + [plain]:
        if name in KINDS:
            return KINDS[name]
    return next((kind for name, kind in KINDS.items() if plain.endswith(f"_{name}")), None)


def _shown(value: float, wanted: float) -> str:
    """A value with as many digits as tell it from what is wanted."""
    return next(
        (text for digits in (4, 6, 9) if float(text := f"{value:.{digits}f}") != wanted or value == wanted), repr(value)
    )
